/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: who owns which core, memory and interrupt, for life. Made once
 * from manifest and machine, checked, frozen, mapped read-only. Fixed size, no
 * pointers. core/plan.c and core/plan_check.c are pure.
 */
#ifndef BULKHEAD_PLAN_H
#define BULKHEAD_PLAN_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>
#include <bulkhead/manifest.h>
#include <bulkhead/types.h>

#define PLAN_MAX_IMAGES 3
#define PLAN_NONE UINT32_MAX

/* What the loader knows of an image file: where it stands and how long it is. */
struct image_info {
	char name[MANIFEST_FILE_MAX + 1];
	struct extent extent; /* whole pages at extent.base hold it; base 0 on the host */
	uint64_t size; /* bytes of the file */
	uint64_t load_offset; /* kernel: text_offset of the arm64 Image header */
	uint64_t run_size; /* kernel: image_size of that header (>= size, with bss) */
	uint32_t is_kernel; /* 1: the header was found and is valid */
	uint32_t reserved;
};

/* Guest RAM: [gpa, gpa + size) is [pa, pa + size). All three multiples of BLOCK_SIZE. */
struct plan_region {
	gpa_t gpa;
	pa_t pa;
	uint64_t size;
};

/* Bytes the system manager copies into the VM's memory before start. */
struct plan_image {
	pa_t from;
	uint64_t size;
	gpa_t to;
};

enum plan_image_slot { IMAGE_KERNEL, IMAGE_FDT, IMAGE_INITRD };

struct plan_vm {
	char name[MANIFEST_NAME_MAX + 1];
	uint32_t vmid; /* 1..; 0 belongs to nobody */
	uint32_t ncores;
	uint32_t core[CONFIG_MAX_CPUS]; /* vCPU i runs on machine core core[i] */
	uint32_t nregions;
	struct plan_region region[CONFIG_MAX_REGIONS_PER_VM];
	struct plan_image image[PLAN_MAX_IMAGES]; /* by plan_image_slot; size 0: none */
	gpa_t entry; /* the kernel's first instruction */
	uint32_t rng_seed_offset; /* of the rng-seed bytes in the FDT image; 0: none */
	uint32_t kaslr_seed_offset;
	uint32_t console; /* 1: has a console UART */
	uint32_t console_irq; /* its SPI's INTID */
	uint32_t autostart;
	uint32_t restart_limit;
	uint32_t restart_window; /* seconds */
	uint32_t reserved;
	/* What the hypervisor keeps for this VM: tables, rings. At the end of plan.core, in VM order. */
	struct extent hypervisor;
};

struct plan {
	uint32_t management_core;
	uint32_t stop_method; /* enum manifest_stop_method */
	uint32_t when_idle; /* enum manifest_when_idle */
	uint32_t nvms;
	struct plan_vm vm[CONFIG_MAX_VMS];
	struct extent core; /* the resident image, its stacks and tables */
	uint32_t nimages;
	uint32_t reserved;
	struct extent images[CONFIG_MAX_VMS *
			     PLAN_MAX_IMAGES]; /* the loader's copies, kept for restarts */
};

/* Guest-physical layout of an AArch64 VM. Nothing else is mapped. */
#define GUEST_GICD_BASE 0x08000000ULL /* 64 KiB, mediated */
#define GUEST_UART_BASE 0x09000000ULL /* 4 KiB, SBSA UART, emulated */
#define GUEST_GICR_BASE 0x10000000ULL /* 128 KiB per vCPU: RD_base mediated, SGI_base direct */
#define GUEST_GICR_STRIDE 0x20000ULL
#define GUEST_RAM_BASE 0x40000000ULL /* 1 GiB, so that 1 GiB leaves fit */
#define GUEST_IPA_BITS 40
#define GUEST_RNG_SEED_BYTES 64
#define GUEST_FDT_MAX (64 * KIB)

/*
 * Pages the core takes from its pool, counted here so that the loader can size
 * it and the core can check it: for each machine core a guard page, stack and
 * record; for itself root and upper tables; and one table for each GiB of RAM,
 * through which any VM's memory is mapped while it is loaded or scrubbed.
 * For each VM: its record, stage-2 root (2, and 1 to align it), the table of
 * its device pages' GiB, one for each VM_CPUS_PER_TABLE redistributors, one for
 * each GiB of RAM.
 */
#define CORE_PAGES_PER_CPU 5
#define CORE_FIXED_PAGES 96
#define VM_RECORD_PAGES (1 + CONFIG_MAX_CPUS / 128)
#define VM_FIXED_PAGES (VM_RECORD_PAGES + 4)
#define VM_CPUS_PER_TABLE 16

/*
 * Bytes the hypervisor needs for VM @vm: the pages above and the console ring.
 * A multiple of PAGE_SIZE.
 */
uint64_t plan_vm_bytes(const struct manifest_vm *vm);

/*
 * Bytes of the one extent (BLOCK_SIZE aligned) that holds the resident core:
 * its image of @core_bytes, struct boot_info, the pages above and every VM's
 * plan_vm_bytes().
 */
uint64_t plan_core_bytes(const struct manifest *manifest, const struct machine *machine,
			 uint64_t core_bytes);

/*
 * Makes @plan. @images (@nimages of them) describe every file the manifest
 * names; an image of size 0 and base 0 is "not known" on the host and is then
 * not checked. @core is the extent of plan_core_bytes() that the loader got.
 * The FDT image's slot is left for plan_set_fdt(). Returns BH_OK or the error
 * described in @report. Deterministic: same input, same plan.
 */
enum bh_error plan_make(const struct manifest *manifest, const struct machine *machine,
			const struct image_info *images, uint32_t nimages, struct extent core,
			struct plan *plan, struct bh_report *report);

/* Room for the FDT of a VM with @ncores vCPUs and the longest bootargs, in whole pages. */
static inline uint64_t plan_fdt_bytes(uint32_t ncores)
{
	return align_up(3 * KIB + ncores * 160ULL, PAGE_SIZE);
}

/* Records where the FDT made for VM @vm stands (@fdt, @size bytes, whole pages). Its place in the guest was planned. */
void plan_set_fdt(struct plan *plan, uint32_t vm, struct extent fdt, uint64_t size,
		  uint32_t rng_seed_offset, uint32_t kaslr_seed_offset);

/*
 * The invariants of DESIGN section 5, from scratch and without trusting
 * plan_make: every core, interrupt and id has one owner; RAM of different VMs,
 * the core and the image store are disjoint and lie in the machine's usable
 * memory; guest-physical regions are aligned and disjoint; every image fits in
 * its VM's RAM. Run by the loader, by bhmanifest and again by the resident core.
 */
enum bh_error plan_check(const struct plan *plan, const struct machine *machine,
			 struct bh_report *report);

/* The machine address behind @at in @vm's RAM, and in @left how many bytes follow it there; pa 0 when there is none. */
pa_t plan_translate(const struct plan_vm *vm, gpa_t at, uint64_t *left);

/* Total RAM of @vm in bytes. */
uint64_t plan_vm_memory(const struct plan_vm *vm);

/* Writes one line of text (no newline at its end). */
typedef void plan_line_fn(void *context, const char *line);

/* The plan as people read it: a few lines for the machine, a paragraph for each VM. */
void plan_print(const struct plan *plan, const struct machine *machine, plan_line_fn *line,
		void *context);

#endif
