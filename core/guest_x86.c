/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot image of an x86 guest, written at its fixed places: boot_params
 * (Linux Documentation/arch/x86/zero-page.rst and boot.rst), hvm_start_info
 * (Xen public/arch-x86/hvm/start_info.h), GDT, identity map, command line and
 * RNG seed. ACPI stands in core/guest_acpi.c.
 */
#include <string.h>

#include <bulkhead/format.h>
#include <bulkhead/guest_boot.h>
#include <bulkhead/x86_start.h>

#include "guest_acpi.h"

#define LOW_RAM_END 0x9f000ULL /* from here to 1 MiB a PC keeps its firmware's own */

/* boot_params */
#define BP_ACPI_RSDP 0x070
#define BP_E820_ENTRIES 0x1e8
#define BP_SETUP 0x1f1
#define BP_BOOT_FLAG 0x1fe
#define BP_HEADER 0x202
#define BP_VERSION 0x206
#define BP_TYPE_OF_LOADER 0x210
#define BP_LOADFLAGS 0x211
#define BP_CODE32_START 0x214
#define BP_RAMDISK_IMAGE 0x218
#define BP_RAMDISK_SIZE 0x21c
#define BP_CMD_LINE_PTR 0x228
#define BP_KERNEL_ALIGNMENT 0x230
#define BP_XLOADFLAGS 0x236
#define BP_CMDLINE_SIZE 0x238
#define BP_SETUP_DATA 0x250
#define BP_PREF_ADDRESS 0x258
#define BP_INIT_SIZE 0x260
#define BP_E820_TABLE 0x2d0
#define BOOT_FLAG 0xaa55
#define MAGIC_HEADER 0x53726448 /* "HdrS" */
#define VERSION 0x20f
#define LOADER_UNDEFINED 0xff
#define LOADED_HIGH 1
#define XLF_KERNEL_64 1
#define CMDLINE_SIZE 2047 /* Linux' COMMAND_LINE_SIZE, without the NUL */

/* e820 types; hvm_memmap has the same */
#define E820_RAM 1
#define E820_RESERVED 2
#define E820_ACPI 3

/* hvm_start_info, version 1 */
#define HVM_MAGIC 0x336ec578
#define HVM_VERSION 1
#define HVM_MODULES (GUEST_X86_START_INFO + 0x40)
#define HVM_MEMMAP (GUEST_X86_START_INFO + 0x80)

/* Segment descriptors (AMD APM vol. 2 4.8): flat, accessed, ring 0. */
#define CODE_64 0x00af9b000000ffffULL
#define CODE_32 0x00cf9b000000ffffULL
#define DATA 0x00cf93000000ffffULL
#define TSS_BUSY 0x00008b0000000067ULL

#define PAGE_TABLE 0x3ULL /* present, writable (AMD APM vol. 2 5.4) */
#define PAGE_LARGE 0x83ULL
#define ENTRIES 512

/* The command line, then a setup_data with the seed in it. */
#define SEED_DATA (GUEST_X86_CMDLINE + 0x800)
#define SEED_BYTES (SEED_DATA + 16)
#define SETUP_RNG_SEED 9

static_assert(SEED_BYTES + GUEST_RNG_SEED_BYTES <= GUEST_X86_TABLES, "the seed stands below ACPI");
static_assert(MANIFEST_BOOTARGS_MAX + 96 < SEED_DATA - GUEST_X86_CMDLINE, "bootargs fit");

struct writer {
	uint8_t *image;
	const struct plan_vm *vm;
	uint64_t acpi_end; /* offset behind the tables, whole pages */
	uint32_t nranges; /* of memory */
};

static void put(const struct writer *w, uint64_t offset, uint64_t value, size_t bytes)
{
	memcpy(w->image + offset, &value, bytes);
}

static uint64_t at(uint64_t offset)
{
	return GUEST_X86_BOOT_BASE + offset;
}

/* --- memory --- */

/* One range, for both who may ask. */
static void add_range(struct writer *w, uint64_t base, uint64_t end, uint32_t type)
{
	uint64_t e820 = GUEST_X86_BOOT_PARAMS + BP_E820_TABLE + w->nranges * 20ULL;
	uint64_t hvm = HVM_MEMMAP + w->nranges * 24ULL;

	put(w, e820, base, 8);
	put(w, e820 + 8, end - base, 8);
	put(w, e820 + 16, type, 4);
	put(w, hvm, base, 8);
	put(w, hvm + 8, end - base, 8);
	put(w, hvm + 16, type, 4);
	w->nranges++;
}

static void write_memory(struct writer *w)
{
	uint64_t memory = plan_vm_memory(w->vm);
	uint64_t low = memory < GUEST_X86_HOLE_BASE ? memory : GUEST_X86_HOLE_BASE;

	add_range(w, 0, at(GUEST_X86_TABLES), E820_RAM);
	add_range(w, at(GUEST_X86_TABLES), at(w->acpi_end), E820_ACPI);
	add_range(w, at(w->acpi_end), LOW_RAM_END, E820_RAM);
	add_range(w, LOW_RAM_END, MIB, E820_RESERVED);
	add_range(w, MIB, low, E820_RAM);
	add_range(w, GUEST_X86_ECAM_BASE, GUEST_X86_ECAM_BASE + GUEST_ECAM_SIZE, E820_RESERVED);
	if (memory > low)
		add_range(w, GUEST_X86_HOLE_END, GUEST_X86_HOLE_END + (memory - low), E820_RAM);
}

/* --- what the two protocols say --- */

/* A bzImage brings its header along; for an ELF what Linux reads of it is made up. */
static void write_setup_header(const struct writer *w, const struct image_info *kernel)
{
	uint64_t base = w->vm->image[IMAGE_KERNEL].to.v;

	memcpy(w->image + BP_SETUP, kernel->setup, kernel->setup_size);
	if (kernel->setup_size == 0) {
		put(w, BP_VERSION, VERSION, 2);
		put(w, BP_KERNEL_ALIGNMENT, BLOCK_SIZE, 4);
		put(w, BP_XLOADFLAGS, XLF_KERNEL_64, 2);
		put(w, BP_CMDLINE_SIZE, CMDLINE_SIZE, 4);
		put(w, BP_PREF_ADDRESS, base, 8);
		put(w, BP_INIT_SIZE, kernel->run_size, 4);
	}
	put(w, BP_BOOT_FLAG, BOOT_FLAG, 2);
	put(w, BP_HEADER, MAGIC_HEADER, 4);
	put(w, BP_TYPE_OF_LOADER, LOADER_UNDEFINED, 1);
	put(w, BP_LOADFLAGS, w->image[BP_LOADFLAGS] | LOADED_HIGH, 1);
	put(w, BP_CODE32_START, base, 4);
}

static void write_boot_params(const struct writer *w, const struct image_info *kernel)
{
	const struct plan_image *initrd = &w->vm->image[IMAGE_INITRD];

	write_setup_header(w, kernel);
	put(w, BP_ACPI_RSDP, at(GUEST_X86_TABLES), 8);
	put(w, BP_E820_ENTRIES, w->nranges, 1);
	if (initrd->size != 0) {
		put(w, BP_RAMDISK_IMAGE, initrd->to.v, 4);
		put(w, BP_RAMDISK_SIZE, initrd->size, 4);
	}
	put(w, BP_CMD_LINE_PTR, at(GUEST_X86_CMDLINE), 4);
	put(w, BP_SETUP_DATA, at(SEED_DATA), 8);
}

static void write_start_info(const struct writer *w)
{
	const struct plan_image *initrd = &w->vm->image[IMAGE_INITRD];
	const uint64_t info = GUEST_X86_START_INFO;

	put(w, info, HVM_MAGIC, 4);
	put(w, info + 4, HVM_VERSION, 4);
	if (initrd->size != 0) {
		put(w, info + 12, 1, 4);
		put(w, info + 16, at(HVM_MODULES), 8);
		put(w, HVM_MODULES, initrd->to.v, 8);
		put(w, HVM_MODULES + 8, initrd->size, 8);
	}
	put(w, info + 24, at(GUEST_X86_CMDLINE), 8);
	put(w, info + 32, at(GUEST_X86_TABLES), 8);
	put(w, info + 40, at(HVM_MEMMAP), 8);
	put(w, info + 48, w->nranges, 4);
}

/* --- what vCPU 0 begins with --- */

/* The words at the start of x86_start.S. */
struct start_words {
	uint8_t jump[4];
	uint32_t page;
	uint64_t entry;
	uint32_t pml4;
	uint32_t info;
	uint16_t gdt_limit;
	uint32_t gdt;
	uint32_t to32;
	uint16_t selector32;
	uint32_t to64;
	uint16_t selector64;
} __attribute__((packed));

static_assert(GUEST_X86_START + sizeof(x86_start) <= GUEST_X86_PML4,
	      "the code stands below the identity map");

static void write_start(const struct writer *w)
{
	bool pvh = w->vm->entry_mode == ENTRY_X86_PVH;
	struct start_words words;

	memcpy(w->image + GUEST_X86_START, x86_start, sizeof(x86_start));
	memcpy(&words, x86_start, sizeof(words));
	words.page = (uint32_t)at(GUEST_X86_START);
	words.entry = w->vm->entry.v;
	words.pml4 = pvh ? 0 : (uint32_t)at(GUEST_X86_PML4);
	words.info = (uint32_t)at(pvh ? GUEST_X86_START_INFO : GUEST_X86_BOOT_PARAMS);
	words.gdt = (uint32_t)at(GUEST_X86_GDT);
	words.to32 += words.page;
	words.to64 += words.page;
	memcpy(w->image + GUEST_X86_START, &words, sizeof(words));
}

static void write_gdt(const struct writer *w)
{
	put(w, GUEST_X86_GDT + 0x08, CODE_32, 8);
	put(w, GUEST_X86_GDT + 0x10, w->vm->entry_mode == ENTRY_X86_PVH ? CODE_32 : CODE_64, 8);
	put(w, GUEST_X86_GDT + 0x18, DATA, 8);
	put(w, GUEST_X86_GDT + 0x20, TSS_BUSY, 8);
}

static void write_identity_map(const struct writer *w)
{
	uint64_t upper = GUEST_X86_PML4 + PAGE_SIZE;
	uint64_t tables = upper + PAGE_SIZE;

	put(w, GUEST_X86_PML4, at(upper) | PAGE_TABLE, 8);
	for (uint64_t i = 0; i < 4; i++)
		put(w, upper + i * 8, at(tables + i * PAGE_SIZE) | PAGE_TABLE, 8);
	for (uint64_t i = 0; i < 4ULL * ENTRIES; i++)
		put(w, tables + i * 8, i * BLOCK_SIZE | PAGE_LARGE, 8);
}

/* --- the whole --- */

/*
 * There is no IOAPIC (without the word Linux leaves x2APIC mode), and no timer to count the TSC against or to
 * use instead of it.
 */
static enum bh_error write_cmdline(const struct writer *w, const struct machine *machine,
				   const char *bootargs, struct bh_report *report)
{
	uint32_t room = CMDLINE_SIZE;
	size_t length =
		bh_format((char *)w->image + GUEST_X86_CMDLINE, SEED_DATA - GUEST_X86_CMDLINE,
			  "noapic pci=noearly reboot=acpi tsc=reliable tsc_early_khz=%llu%s%s",
			  (unsigned long long)(machine->x86.tsc_hz / 1000),
			  bootargs[0] != '\0' ? " " : "", bootargs);

	if (w->vm->entry_mode == ENTRY_X86_LINUX64)
		memcpy(&room, w->image + BP_CMDLINE_SIZE, sizeof(room));
	if (length <= room)
		return BH_OK;
	return bh_fail(
		report, BH_TOO_BIG,
		"/vms/%s: bootargs: with the hypervisor's own %llu characters; the kernel takes "
		"%u",
		w->vm->name, (unsigned long long)length, room);
}

static void write_seed(const struct writer *w)
{
	put(w, SEED_DATA + 8, SETUP_RNG_SEED, 4);
	put(w, SEED_DATA + 12, GUEST_RNG_SEED_BYTES, 4);
}

enum bh_error guest_x86_make(const struct plan *plan, uint32_t vm, const struct machine *machine,
			     const struct image_info *kernel, const char *bootargs, void *buffer,
			     uint64_t size, uint64_t *used, uint32_t *rng_seed_offset,
			     struct bh_report *report)
{
	struct writer w = {.image = buffer, .vm = &plan->vm[vm]};

	if (machine->x86.tsc_hz < 1000)
		return bh_fail(report, BH_BAD_MACHINE, "machine: the rate of its TSC is not known");
	if (size < plan_boot_bytes(machine, w.vm->ncores))
		return bh_fail(report, BH_TOO_BIG,
			       "the boot image of VM %s does not fit in %llu bytes", w.vm->name,
			       (unsigned long long)size);
	memset(buffer, 0, size);
	*used = guest_acpi_write(buffer, w.vm, machine);
	*rng_seed_offset = SEED_BYTES;
	w.acpi_end = align_up(*used, PAGE_SIZE);
	write_memory(&w);
	write_boot_params(&w, kernel);
	write_start_info(&w);
	write_start(&w);
	write_gdt(&w);
	write_identity_map(&w);
	write_seed(&w);
	return write_cmdline(&w, machine, bootargs, report);
}
