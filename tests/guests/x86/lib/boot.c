/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hypervisor hands over: boot_params (Linux Documentation/arch/x86/zero-page.rst) or hvm_start_info
 * (Xen's docs/misc/pvh.pandoc), and the MADT behind either (ACPI 6.5 5.2.12).
 */
#include "guest.h"

#define PARAMS_EXT_CMD_LINE 0x0c8
#define PARAMS_RSDP 0x070
#define PARAMS_E820_COUNT 0x1e8
#define PARAMS_CMD_LINE 0x228
#define PARAMS_E820 0x2d0
#define E820_BYTES 20
#define MAX_MEMORY 16
#define MAX_VCPUS 64

#define RSDP_REVISION 15
#define RSDP_XSDT 24
#define TABLE_LENGTH 4
#define TABLE_HEADER 36
#define MADT_FIRST 44
#define MADT_APIC 0
#define MADT_X2APIC 9
#define MADT_ENABLED 1

static struct range ram[MAX_MEMORY];
static unsigned nram;
static uint64_t rsdp;
static uint64_t ids[MAX_VCPUS];
static uint32_t nids;

void clock_init(const char *arguments);

static uint64_t get(uint64_t at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t) * (const volatile uint8_t *)(uintptr_t)(at + i) << 8 * i;
	return value;
}

/* ---- memory and arguments ---- */

static void add_memory(uint64_t entry)
{
	if (get(entry + 16, 4) == MEMORY_RAM && nram < MAX_MEMORY)
		ram[nram++] = (struct range){get(entry, 8), get(entry + 8, 8)};
}

static uint64_t take_start_info(const struct start_info *info)
{
	rsdp = info->rsdp_paddr;
	for (uint32_t i = 0; info->version >= 1 && i < info->memmap_entries; i++)
		add_memory(info->memmap_paddr + i * sizeof(struct memmap_entry));
	return info->cmdline_paddr;
}

static uint64_t take_boot_params(uint64_t params)
{
	rsdp = get(params + PARAMS_RSDP, 8);
	for (uint64_t i = 0; i < get(params + PARAMS_E820_COUNT, 1); i++)
		add_memory(params + PARAMS_E820 + i * E820_BYTES);
	return get(params + PARAMS_EXT_CMD_LINE, 4) << 32 | get(params + PARAMS_CMD_LINE, 4);
}

/* ---- the MADT ---- */

static void add_vcpu(uint64_t id, uint64_t flags)
{
	if ((flags & MADT_ENABLED) != 0 && nids < MAX_VCPUS)
		ids[nids++] = id;
}

static void take_madt(uint64_t madt)
{
	uint64_t end = madt + get(madt + TABLE_LENGTH, 4);

	for (uint64_t at = madt + MADT_FIRST; at < end; at += get(at + 1, 1)) {
		if (get(at, 1) == MADT_APIC)
			add_vcpu(get(at + 3, 1), get(at + 4, 4));
		else if (get(at, 1) == MADT_X2APIC)
			add_vcpu(get(at + 4, 4), get(at + 8, 4));
	}
}

static void take_acpi(void)
{
	uint64_t xsdt = get(rsdp + RSDP_XSDT, 8);

	for (uint64_t at = TABLE_HEADER; at < get(xsdt + TABLE_LENGTH, 4); at += 8) {
		uint64_t table = get(xsdt + at, 8);

		if (get(table, 4) == 0x43495041) /* "APIC" */
			take_madt(table);
	}
}

const char *guest_boot(const void *boot)
{
	const struct start_info *info = boot;
	uint64_t arguments;

	if (info->magic == START_INFO_MAGIC)
		arguments = take_start_info(info);
	else
		arguments = take_boot_params((uint64_t)(uintptr_t)boot);
	if (rsdp != 0 && get(rsdp + RSDP_REVISION, 1) >= 2)
		take_acpi();
	if (arguments == 0)
		return "";
	clock_init((const char *)(uintptr_t)arguments);
	return (const char *)(uintptr_t)arguments;
}

uint64_t guest_rsdp(void)
{
	return rsdp;
}

uint64_t apic_id(uint32_t vcpu)
{
	return vcpu < nids ? ids[vcpu] : UINT32_MAX;
}

uint32_t vcpu_count(void)
{
	return nids;
}

/* ---- memory that nothing lies in ---- */

static void add_free(struct range *free, unsigned *n, unsigned max, uint64_t from, uint64_t to)
{
	if (from < to && *n < max)
		free[(*n)++] = (struct range){from, to - from};
}

/* RAM but for the boot image, the guest's image, and the page where the second vCPU starts. */
unsigned guest_free_memory(struct range *free, unsigned max)
{
	const uint64_t image = (uint64_t)(uintptr_t)image_start;
	const uint64_t image_to = (uint64_t)(uintptr_t)image_end;
	const uint64_t boot_to = GUEST_X86_BOOT_BASE + GUEST_BOOT_MAX;
	unsigned n = 0;

	for (unsigned i = 0; i < nram; i++) {
		uint64_t from = ram[i].from, to = ram[i].from + ram[i].size;

		if (from < GUEST_X86_BOOT_BASE)
			add_free(free, &n, max, from,
				 GUEST_X86_BOOT_BASE < to ? GUEST_X86_BOOT_BASE : to);
		from = from < boot_to ? boot_to : from;
		if (from < image)
			add_free(free, &n, max, from, image < to ? image : to);
		from = from < image_to ? image_to : from;
		add_free(free, &n, max, from, to);
	}
	return n;
}
