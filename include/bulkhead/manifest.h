/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifest v1: what the owner of the machine wants. A flattened device tree
 * parsed once, here, into an internal struct (docs/manifest.md gives every
 * property). Pure: no hardware, no allocation.
 */
#ifndef BULKHEAD_MANIFEST_H
#define BULKHEAD_MANIFEST_H

#include <bulkhead/plan.h>

#define MANIFEST_MAX_BYTES (64 * KIB)
#define MANIFEST_FILE_MAX 63
#define MANIFEST_BOOTARGS_MAX 1023
#define MANIFEST_MAX_DEVICES PLAN_MAX_FUNCTIONS
#define MANIFEST_DEVICE_MAX 18 /* "0000:01:00.0/vf255" */
#define MANIFEST_ANY_CORE UINT32_MAX

enum manifest_boot_protocol {
	BOOT_PROTOCOL_ANY, /* as the kernel's file suggests */
	BOOT_PROTOCOL_LINUX,
	BOOT_PROTOCOL_PVH,
};

struct manifest_host {
	uint32_t management_core; /* MANIFEST_ANY_CORE: the boot core */
	enum manifest_stop_method stop_method;
	enum manifest_when_idle when_idle;
	char card[MANIFEST_DEVICE_MAX + 1]; /* the card's vsock function; empty: there is no card */
	uint32_t card_port;
	/* virtual functions that are on for VMs to come: each up to the highest that is named of its PF */
	uint32_t nvfs;
	char vfs[MANIFEST_MAX_DEVICES][MANIFEST_DEVICE_MAX + 1];
	uint32_t console_interrupt; /* first SPI INTID free for consoles; 0: the planner looks */
};

struct manifest_vm {
	char name[MANIFEST_NAME_MAX + 1];
	uint32_t ncores; /* at least 1 */
	uint32_t any_core; /* 1: the planner chooses ncores; 0: they stand in core[] */
	uint32_t core[CONFIG_MAX_CPUS];
	uint64_t memory; /* bytes, a multiple of BLOCK_SIZE */
	char kernel[MANIFEST_FILE_MAX + 1];
	char initrd[MANIFEST_FILE_MAX + 1]; /* empty: none */
	char bootargs[MANIFEST_BOOTARGS_MAX + 1];
	enum manifest_boot_protocol boot_protocol; /* x86: how vCPU 0 begins */
	uint32_t console; /* 1: a UART: SBSA, on x86 16550 */
	uint32_t autostart;
	uint32_t restart_limit; /* restarts allowed within restart_window; 0: never restart */
	uint32_t restart_window; /* seconds */
	uint32_t dma_trusted; /* 1: the owner answers for the DMA of devices that no IOMMU checks */
	uint32_t virtual_interrupts; /* Arm, 1: its interrupts are to come by list registers */
	uint32_t hotplug_ports; /* into which devices can be plugged while it runs */
	uint32_t ndevices;
	char device[MANIFEST_MAX_DEVICES][MANIFEST_DEVICE_MAX + 1];
};

struct manifest {
	struct manifest_host host;
	uint32_t nvms;
	struct manifest_vm vm[CONFIG_MAX_VMS];
};

/*
 * Parses @size bytes at @blob (8-byte aligned, untrusted) into @manifest.
 * Returns BH_OK, or the error also described in @report; then @manifest is
 * unspecified. Checks everything that can be checked without the machine:
 * types, lengths, ranges, unknown names, duplicate VM names, cores wanted twice.
 */
enum bh_error manifest_parse(const void *blob, uint64_t size, struct manifest *manifest,
			     struct bh_report *report);

/*
 * Reads "0000:01:00.0", or "0000:01:00.0/vf2" for a virtual function of that one, as it may
 * stand in a manifest. @id is as in struct machine_function, @vf the number behind "/vf", from 0 on, or
 * MACHINE_NONE. False when @text is nothing of the kind.
 */
bool manifest_function(const char *text, uint32_t *id, uint32_t *vf);

#endif
