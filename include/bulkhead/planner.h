/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From manifest, machine and image files to the plan. For the loader and the
 * tools: the resident core only ever sees the result (bulkhead/plan.h). Pure.
 */
#ifndef BULKHEAD_PLANNER_H
#define BULKHEAD_PLANNER_H

#include <bulkhead/manifest.h>
#include <bulkhead/plan.h>

/* boot_params' room for a setup header: 0x1f1 to 0x290 (Linux arch/x86/include/uapi/asm/bootparam.h). */
#define IMAGE_SETUP_MAX 0x9f

#define CARD_TABLE_PAGES                                                                           \
	8 /* through which the IOMMU sees the card's bounce area, and nothing else */

/* What else is in IMAGE_BOOT of an x86 VM: the resident core need not know. */
#define GUEST_X86_BOOT_PARAMS 0x0000ULL /* Linux' zero page */
#define GUEST_X86_START_INFO 0x1000ULL /* PVH's hvm_start_info */
#define GUEST_X86_GDT                                                                              \
	0x1800ULL /* 0x08: code (32-bit), 0x10: code (64-bit), 0x18: data, 0x20: TSS */
#define GUEST_X86_PML4 0x2000ULL /* identity map of 4 GiB, 2 MiB pages, to 0x8000 */
#define GUEST_X86_CMDLINE 0x8000ULL /* and the RNG seed behind it */
#define GUEST_X86_TABLES 0x9000ULL /* ACPI, from here to the end */

/* Pages of the core's pool, as plan.h counts them: for itself, and for each function of the machine. */
#define CORE_FIXED_PAGES 96
#define CORE_FUNCTION_PAGES 5

/* What plan.iommu_tables has, besides what plan.h says. */
#define SMMU_STREAM_BYTES                                                                          \
	64 /* IHI 0070F 5.2: for each StreamID up to the highest, a power of two */
#define SMMU_TABLES 2 /* its command and event queues */
#define ITS_DEVICE_BYTES 16 /* for each DeviceID up to the highest; no GIC has larger entries */
/* Command queue, collections, the LPIs' properties; and one of pending bits for each core. */
#define ITS_TABLES 3
/* Of a machine: 16 for each vector, and room for lines. */
#define X86_INTERRUPT_BYTES (32ULL * MACHINE_MAX_FUNCTIONS * PLAN_MAX_VECTORS)
/* For each requester id up to the highest (AMD I/O Virtualization 3.08 2.2.2). */
#define AMDVI_DEVICE_BYTES 32

/* What the loader knows of an image file: where it stands and how long it is. */
struct image_info {
	char name[MANIFEST_FILE_MAX + 1];
	struct extent extent; /* whole pages at extent.base hold it; base 0 on the host */
	uint64_t size; /* bytes of the file */
	uint64_t load_offset; /* kernel: where it stands, from the start of the guest's RAM */
	uint64_t run_size; /* kernel: memory it needs from there (>= size, with bss) */
	uint64_t entry_offset; /* kernel: its first instruction, from where it stands */
	uint32_t kind; /* enum kernel_kind */
	uint32_t reserved;
	uint64_t pvh_offset; /* x86 ELF: PVH's entry, from where it stands; UINT64_MAX: none */
	struct extent part; /* x86: what of @extent is copied; elsewhere all of it */
	uint32_t setup_size; /* bzImage: bytes of its setup header, which boot_params takes over */
	uint8_t setup[IMAGE_SETUP_MAX];
};

/* What a kernel's header says it is. */
enum kernel_kind {
	KERNEL_NONE, /* no header was found, or not a valid one */
	KERNEL_ARM64_IMAGE,
	KERNEL_BZIMAGE, /* x86: Linux, entered by its 64-bit boot protocol */
	KERNEL_ELF, /* x86: vmlinux or anything else with a PVH note */
};

/*
 * Bytes the hypervisor needs for VM @vm: the pages above and the console ring.
 * A multiple of PAGE_SIZE.
 */
uint64_t plan_vm_bytes(const struct machine *machine, const struct manifest_vm *vm);

/*
 * Bytes of plan.iommu_tables for @machine, a multiple of PAGE_SIZE; 0 when it
 * has no IOMMU and no ITS, or no PCI functions.
 */
uint64_t plan_iommu_bytes(const struct machine *machine);

/*
 * Bytes of the one extent (BLOCK_SIZE aligned) that holds the resident core:
 * its image of @core_bytes, struct boot_info, the pages above, plan_iommu_bytes()
 * and every VM's plan_vm_bytes().
 */
uint64_t plan_core_bytes(const struct manifest *manifest, const struct machine *machine,
			 uint64_t core_bytes);

/*
 * Makes @plan. @images (@nimages of them) describe every file the manifest
 * names; an image of size 0 and base 0 is "not known" on the host and is then
 * not checked. @core is the extent of plan_core_bytes() that the loader got.
 * The boot image's slot is left for plan_set_boot(). Returns BH_OK or the error
 * described in @report. Deterministic: same input, same plan.
 */
enum bh_error plan_make(const struct manifest *manifest, const struct machine *machine,
			const struct image_info *images, uint32_t nimages, struct extent core,
			struct plan *plan, struct bh_report *report);

/*
 * Adds @want to @plan, which other VMs are using: what they have stays as it
 * is. It gets the first vacant slot (told in @slot), the lowest free vmid,
 * cores, memory and interrupt by the rules of plan_make(), and for the
 * hypervisor whole blocks of free memory, on its cores' node if there are any.
 * @images as for plan_make(), extent.base 0: they are streamed, and the boot
 * image too (plan_set_boot() with base 0). Returns BH_OK or the error described
 * in @report in the words of plan_make(); then @plan is unchanged.
 */
enum bh_error plan_add(struct plan *plan, const struct machine *machine,
		       const struct manifest_vm *want, const struct image_info *images,
		       uint32_t nimages, uint32_t *slot, struct bh_report *report);

/*
 * What puts @device, as the manifest names functions, into the first free port of the VM in @slot of @plan: @out, for
 * the resident core. BH_NO_DEVICE and others with the reason in @report.
 */
enum bh_error plan_plug(const struct plan *plan, const struct machine *machine, uint32_t slot,
			const char *device, struct plan_function *out, struct bh_report *report);

/* Sets FUNCTION_SHARED_PAGES and the kept pages of BARs: once all functions and the machine's memory are known. */
void plan_mark_functions(struct machine *machine);

/* The one of @images that is called @name; NULL when none is. */
const struct image_info *plan_find_image(const struct image_info *images, uint32_t nimages,
					 const char *name);

/* Room for the boot image of a VM with @ncores vCPUs and the longest bootargs, in whole pages. */
uint64_t plan_boot_bytes(const struct machine *machine, uint32_t ncores);

/* Records where the boot image made for VM @vm stands (@boot, @size bytes, whole pages; base 0: it is streamed). Its place in the guest was planned. */
void plan_set_boot(struct plan *plan, uint32_t vm, struct extent boot, uint64_t size,
		   uint32_t rng_seed_offset, uint32_t kaslr_seed_offset);

/* Writes one line of text (no newline at its end). */
typedef void plan_line_fn(void *context, const char *line);

/* The plan as people read it: a few lines for the machine, a paragraph for each VM. */
void plan_print(const struct plan *plan, const struct machine *machine, plan_line_fn *line,
		void *context);

#endif
