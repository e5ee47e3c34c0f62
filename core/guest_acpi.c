/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of an x86 guest (ACPI Specification 6.5, chapter 5): hardware
 * reduced, its own cores, its own part of PCI, and its nodes when there are several.
 */
#include "guest_acpi.h"

#include <string.h>

#include <bulkhead/guest_dsdt.h>

#define HEADER_BYTES 36
#define RSDP_BYTES 36
#define MAX_TABLES 4 /* that the XSDT names */
#define LAPIC_BASE 0xfee00000ULL
#define XAPIC_IDS 255 /* a core with this id or above is told as an x2APIC */

/* FADT: 5.2.9. Offsets, then flags. */
#define FADT_BYTES 276
#define FADT_DSDT 40
#define FADT_PROFILE 45
#define FADT_BOOT_ARCH 109
#define FADT_FLAGS 112
#define FADT_RESET_REG 116
#define FADT_RESET_VALUE 128
#define FADT_MINOR 131
#define FADT_X_DSDT 140
#define FADT_SLEEP_CONTROL 244
#define FADT_SLEEP_STATUS 256
#define PROFILE_SERVER 4
#define BOOT_ARCH_NO_VGA (1U << 2)
#define BOOT_ARCH_NO_RTC (1U << 5)
#define FLAG_WBINVD (1U << 0)
#define FLAG_PROC_C1 (1U << 2)
#define FLAG_NO_POWER_BUTTON (1U << 4)
#define FLAG_NO_SLEEP_BUTTON (1U << 5)
#define FLAG_RESET_REG (1U << 10)
#define FLAG_HEADLESS (1U << 12)
#define FLAG_APIC_PHYSICAL (1U << 19)
#define FLAG_HW_REDUCED (1U << 20)
#define RESET_VALUE 6
#define GAS_IO 1
#define GAS_BYTE 1

/* MADT: 5.2.12 */
#define MADT_BYTES 44
#define MADT_LAPIC 0
#define MADT_LAPIC_NMI 4
#define MADT_X2APIC 9
#define MADT_X2APIC_NMI 10
#define ENABLED 1
#define LINT_NMI 1

/* SRAT: 5.2.16 */
#define SRAT_BYTES 48
#define SRAT_LAPIC 0
#define SRAT_MEMORY 1
#define SRAT_X2APIC 2

/* plan_boot_bytes() counts 2 KiB for what does not depend on cores and regions. */
static_assert(sizeof(guest_dsdt) <= 1 * KIB, "the DSDT fits");

struct tables {
	uint8_t *image;
	const struct plan_vm *vm;
	const struct machine *machine;
	uint64_t end; /* offset behind what is written */
	uint64_t open; /* offset of the table being written */
	uint32_t count;
	uint64_t table[MAX_TABLES];
};

static void put(const struct tables *t, uint64_t offset, uint64_t value, size_t bytes)
{
	memcpy(t->image + offset, &value, bytes);
}

/* Appends @value. */
static void add(struct tables *t, uint64_t value, size_t bytes)
{
	put(t, t->end, value, bytes);
	t->end += bytes;
}

static void add_zeroes(struct tables *t, size_t bytes)
{
	t->end += bytes;
}

static uint8_t checksum(const uint8_t *from, uint64_t bytes)
{
	uint8_t sum = 0;

	for (uint64_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + from[i]);
	return (uint8_t)(0U - sum);
}

static void begin(struct tables *t, const char *signature, uint8_t revision)
{
	t->end = align_up(t->end, 16);
	t->open = t->end;
	memcpy(t->image + t->open, signature, 4);
	put(t, t->open + 8, revision, 1);
	memcpy(t->image + t->open + 10, "BLKHD GUEST   ", 14);
	put(t, t->open + 24, 1, 4);
	memcpy(t->image + t->open + 28, "BLKD", 4);
	put(t, t->open + 32, 1, 4);
	t->end += HEADER_BYTES;
}

static void finish(struct tables *t)
{
	uint64_t bytes = t->end - t->open;

	put(t, t->open + 4, bytes, 4);
	put(t, t->open + 9, checksum(t->image + t->open, bytes), 1);
}

/* As finish(), for a table that the XSDT names. */
static void finish_named(struct tables *t)
{
	finish(t);
	t->table[t->count++] = GUEST_X86_BOOT_BASE + t->open;
}

/* --- FADT and DSDT --- */

static uint64_t write_dsdt(struct tables *t)
{
	uint64_t at = align_up(t->end, 16);

	memcpy(t->image + at, guest_dsdt, sizeof(guest_dsdt));
	t->end = at + sizeof(guest_dsdt);
	return GUEST_X86_BOOT_BASE + at;
}

/* A generic address structure (5.2.3.2) for one I/O port. */
static void put_port(const struct tables *t, uint64_t offset, uint16_t port)
{
	put(t, offset, GAS_IO, 1);
	put(t, offset + 1, 8, 1);
	put(t, offset + 3, GAS_BYTE, 1);
	put(t, offset + 4, port, 8);
}

static void write_fadt(struct tables *t)
{
	uint64_t dsdt = write_dsdt(t);

	begin(t, "FACP", 6);
	put(t, t->open + FADT_DSDT, dsdt, 4);
	put(t, t->open + FADT_PROFILE, PROFILE_SERVER, 1);
	put(t, t->open + FADT_BOOT_ARCH, BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_RTC, 2);
	put(t, t->open + FADT_FLAGS,
	    FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON |
		    FLAG_RESET_REG | FLAG_HEADLESS | FLAG_APIC_PHYSICAL | FLAG_HW_REDUCED,
	    4);
	put_port(t, t->open + FADT_RESET_REG, GUEST_X86_RESET_PORT);
	put(t, t->open + FADT_RESET_VALUE, RESET_VALUE, 1);
	put(t, t->open + FADT_MINOR, 5, 1);
	put(t, t->open + FADT_X_DSDT, dsdt, 8);
	put_port(t, t->open + FADT_SLEEP_CONTROL, GUEST_X86_SLEEP_PORT);
	put_port(t, t->open + FADT_SLEEP_STATUS, GUEST_X86_SLEEP_PORT + 1);
	t->end = t->open + FADT_BYTES;
	finish_named(t);
}

/* --- MADT --- */

static uint32_t apic_id(const struct tables *t, uint32_t vcpu)
{
	return (uint32_t)t->machine->cpu[t->vm->core[vcpu]].hwid;
}

static bool is_xapic(const struct tables *t, uint32_t vcpu)
{
	return apic_id(t, vcpu) < XAPIC_IDS && vcpu < XAPIC_IDS;
}

static void add_core(struct tables *t, uint32_t vcpu)
{
	if (is_xapic(t, vcpu)) {
		add(t, MADT_LAPIC, 1);
		add(t, 8, 1);
		add(t, vcpu, 1);
		add(t, apic_id(t, vcpu), 1);
		add(t, ENABLED, 4);
		return;
	}
	add(t, MADT_X2APIC, 1);
	add(t, 16, 1);
	add_zeroes(t, 2);
	add(t, apic_id(t, vcpu), 4);
	add(t, ENABLED, 4);
	add(t, vcpu, 4);
}

/* LINT1 of every core is its NMI; one entry for cores of each kind. */
static void add_nmis(struct tables *t, bool x2apic)
{
	add(t, MADT_LAPIC_NMI, 1);
	add(t, 6, 1);
	add(t, 0xff, 1);
	add_zeroes(t, 2);
	add(t, LINT_NMI, 1);
	if (!x2apic)
		return;
	add(t, MADT_X2APIC_NMI, 1);
	add(t, 12, 1);
	add_zeroes(t, 2);
	add(t, UINT32_MAX, 4);
	add(t, LINT_NMI, 1);
	add_zeroes(t, 3);
}

static void write_madt(struct tables *t)
{
	bool x2apic = false;

	begin(t, "APIC", 5);
	add(t, LAPIC_BASE, 4);
	add_zeroes(t, MADT_BYTES - HEADER_BYTES - 4);
	for (uint32_t i = 0; i < t->vm->ncores; i++) {
		add_core(t, i);
		x2apic = x2apic || !is_xapic(t, i);
	}
	add_nmis(t, x2apic);
	finish_named(t);
}

/* --- MCFG: PCI Firmware Specification 3.3 4.1.2 --- */

static void write_mcfg(struct tables *t)
{
	begin(t, "MCFG", 1);
	add_zeroes(t, 8);
	add(t, GUEST_X86_ECAM_BASE, 8);
	add(t, (uint64_t)t->vm->nports << 24, 8); /* segment 0, bus 0 and one for each port */
	finish_named(t);
}

/* --- SRAT --- */

static uint32_t core_node(const struct tables *t, uint32_t vcpu)
{
	return t->machine->cpu[t->vm->core[vcpu]].node;
}

/* A region never leaves its node. */
static uint32_t region_node(const struct tables *t, const struct plan_region *region)
{
	const struct machine *m = t->machine;

	for (uint32_t i = 0; i < m->nmemory; i++) {
		if (range_inside(region->extent.base.v, 1, m->memory[i].extent.base.v,
				 m->memory[i].extent.size))
			return m->memory[i].node;
	}
	return 0;
}

static bool has_one_node(const struct tables *t)
{
	for (uint32_t i = 1; i < t->vm->ncores; i++) {
		if (core_node(t, i) != core_node(t, 0))
			return false;
	}
	for (uint32_t i = 0; i < t->vm->nregions; i++) {
		if (region_node(t, &t->vm->region[i]) != core_node(t, 0))
			return false;
	}
	return true;
}

static void add_core_node(struct tables *t, uint32_t vcpu)
{
	uint32_t node = core_node(t, vcpu);

	if (is_xapic(t, vcpu)) {
		add(t, SRAT_LAPIC, 1);
		add(t, 16, 1);
		add(t, node, 1);
		add(t, apic_id(t, vcpu), 1);
		add(t, ENABLED, 4);
		add_zeroes(t, 1);
		add(t, node >> 8, 3);
		add_zeroes(t, 4);
		return;
	}
	add(t, SRAT_X2APIC, 1);
	add(t, 24, 1);
	add_zeroes(t, 2);
	add(t, node, 4);
	add(t, apic_id(t, vcpu), 4);
	add(t, ENABLED, 4);
	add_zeroes(t, 8);
}

static void add_region_node(struct tables *t, const struct plan_region *region)
{
	add(t, SRAT_MEMORY, 1);
	add(t, 40, 1);
	add(t, region_node(t, region), 4);
	add_zeroes(t, 2);
	add(t, region->gpa.v, 8);
	add(t, region->extent.size, 8);
	add_zeroes(t, 4);
	add(t, ENABLED, 4);
	add_zeroes(t, 8);
}

static void write_srat(struct tables *t)
{
	begin(t, "SRAT", 3);
	add(t, 1, 4);
	add_zeroes(t, SRAT_BYTES - HEADER_BYTES - 4);
	for (uint32_t i = 0; i < t->vm->ncores; i++)
		add_core_node(t, i);
	for (uint32_t i = 0; i < t->vm->nregions; i++)
		add_region_node(t, &t->vm->region[i]);
	finish_named(t);
}

/* --- RSDP and XSDT: 5.2.5, 5.2.8 --- */

static void write_roots(struct tables *t)
{
	const uint64_t rsdp = GUEST_X86_TABLES;

	begin(t, "XSDT", 1);
	for (uint32_t i = 0; i < t->count; i++)
		add(t, t->table[i], 8);
	finish(t);
	memcpy(t->image + rsdp, "RSD PTR ", 8);
	memcpy(t->image + rsdp + 9, "BLKHD ", 6);
	put(t, rsdp + 15, 2, 1);
	put(t, rsdp + 20, RSDP_BYTES, 4);
	put(t, rsdp + 24, GUEST_X86_BOOT_BASE + t->open, 8);
	put(t, rsdp + 8, checksum(t->image + rsdp, 20), 1);
	put(t, rsdp + 32, checksum(t->image + rsdp, RSDP_BYTES), 1);
}

uint64_t guest_acpi_write(uint8_t *image, const struct plan_vm *vm, const struct machine *machine)
{
	struct tables t = {
		.image = image,
		.vm = vm,
		.machine = machine,
		.end = GUEST_X86_TABLES + RSDP_BYTES,
	};

	write_fadt(&t);
	write_madt(&t);
	write_mcfg(&t);
	if (!has_one_node(&t))
		write_srat(&t);
	write_roots(&t);
	return t.end;
}
