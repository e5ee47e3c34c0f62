/* SPDX-License-Identifier: Apache-2.0 */
/* The two formats of page tables and the maintenance they need. 4 KiB granule, Arm ARM D8.3. */
#include "arm64.h"

#define DESC_AF (1ULL << 10)
#define DESC_SH_INNER (3ULL << 8)
#define DESC_ADDRESS 0x0000fffffffff000ULL

/* Stage 1 of EL2 (D8.3.1.2): AttrIndx 4:2, AP[2] 7, AP[1] 6 RES1, XN 54. */
#define S1_BASE (DESC_AF | 1ULL << 6)
#define S1_READ_ONLY (1ULL << 7)
#define S1_XN (1ULL << 54)
#define S1_DEVICE (1ULL << 2)

static const struct pt_format own_format = {
	.levels = 4,
	.leaf_levels = 0xe, /* 1 GiB, 2 MiB, 4 KiB */
	.shift = {39, 30, 21, 12},
	.entries = {512, 512, 512, 512},
	.address_mask = DESC_ADDRESS,
	.valid = 1,
	.table_bits = 3,
	.type_mask = 3,
	.leaf_bits = {0, 1, 1, 3},
	.attr = {[PT_TEXT] = S1_BASE | DESC_SH_INNER | S1_READ_ONLY,
		 [PT_RODATA] = S1_BASE | DESC_SH_INNER | S1_READ_ONLY | S1_XN,
		 [PT_DATA] = S1_BASE | DESC_SH_INNER | S1_XN,
		 [PT_DEVICE] = S1_BASE | S1_DEVICE | S1_XN},
};

/* Stage 2 (D8.3.1.3): MemAttr 5:2, S2AP 7:6, XN 54. 40-bit IPA from two concatenated level-1 tables (D8.2.8). */
#define S2_RW (3ULL << 6)
#define S2_NORMAL (0xfULL << 2)
#define S2_DEVICE (1ULL << 2)
#define S2_XN (2ULL << 53)

static const struct pt_format guest_format = {
	.levels = 3,
	.leaf_levels = 0x7,
	.shift = {30, 21, 12},
	.entries = {1024, 512, 512},
	.address_mask = DESC_ADDRESS,
	.valid = 1,
	.table_bits = 3,
	.type_mask = 3,
	.leaf_bits = {1, 1, 3},
	.attr = {[PT_GUEST_RAM] = DESC_AF | DESC_SH_INNER | S2_RW | S2_NORMAL,
		 [PT_GUEST_DEVICE] = DESC_AF | S2_RW | S2_DEVICE | S2_XN},
};

static_assert(GUEST_IPA_BITS == 40, "two concatenated root tables");

const struct pt_format *arch_own_format(void)
{
	return &own_format;
}

const struct pt_format *arch_guest_format(void)
{
	return &guest_format;
}

void arch_pt_store(uint64_t *entry, uint64_t value)
{
	*(volatile uint64_t *)entry = value;
	dsb(ishst);
}

void arch_own_mapped(void)
{
	dsb(ishst);
	isb();
}

/* The whole of EL2 at once: extents are large, and this is never on a guest's path. */
void arch_own_unmapped(struct extent extent)
{
	(void)extent;
	dsb(ishst);
	__asm__ volatile("tlbi alle2is" ::: "memory");
	dsb(ish);
	isb();
}

static uint64_t line_size(unsigned shift)
{
	return 4ULL << id_field(read_sysreg(ctr_el0), shift);
}

/*
 * DC ZVA where it is allowed (D19.2.53), then clean and invalidate to the PoC,
 * because a guest starts with its MMU off and may map its memory uncached.
 */
void arch_zero(void *at, uint64_t size)
{
	uint64_t dczid = read_sysreg(dczid_el0);
	uint64_t block = 4ULL << (dczid & 0xf);
	uint64_t line = line_size(16);
	uint64_t from = (uint64_t)(uintptr_t)at;
	uint64_t end = from + size;

	if ((dczid & 0x10) == 0 && is_aligned(from | size, block)) {
		for (uint64_t a = from; a < end; a += block)
			__asm__ volatile("dc zva, %0" ::"r"(a) : "memory");
	} else {
		for (uint64_t a = from; a < end; a += sizeof(uint64_t))
			*(volatile uint64_t *)(uintptr_t)a = 0;
	}
	for (uint64_t a = align_down(from, line); a < end; a += line)
		__asm__ volatile("dc civac, %0" ::"r"(a) : "memory");
	dsb(sy);
}

void arch_publish(const void *at, uint64_t size)
{
	uint64_t from = (uint64_t)(uintptr_t)at;
	uint64_t line = line_size(16);

	for (uint64_t a = align_down(from, line); a < from + size; a += line)
		__asm__ volatile("dc civac, %0" ::"r"(a) : "memory");
	dsb(ish);
	__asm__ volatile("ic ialluis" ::: "memory");
	dsb(ish);
	isb();
}

void arch_dma_fence(void)
{
	__asm__ volatile("dmb osh" ::: "memory"); /* PCIe is in the outer shareable domain */
}

uint32_t arch_device_load(pa_t at, uint32_t size)
{
	if (size == 4)
		return *(const volatile uint32_t *)pa_to_ptr(at);
	return size == 2 ? *(const volatile uint16_t *)pa_to_ptr(at)
			 : *(const volatile uint8_t *)pa_to_ptr(at);
}

void arch_device_store(pa_t at, uint32_t size, uint32_t value)
{
	if (size == 4)
		*(volatile uint32_t *)pa_to_ptr(at) = value;
	else if (size == 2)
		*(volatile uint16_t *)pa_to_ptr(at) = (uint16_t)value;
	else
		*(volatile uint8_t *)pa_to_ptr(at) = (uint8_t)value;
}

/* Of each redistributor the page with its own SGIs and PPIs: the first 4 KiB of SGI_base (IHI 0069H 12.11). */
void arch_vm_map_registers(const struct vm *vm, const struct page_table *table)
{
	const struct plan_vm *plan = vm_plan(vm);

	for (uint32_t i = 0; i < plan->ncores; i++) {
		pa_t frame = machine_facts()->cpu[plan->core[i]].gicr;

		guest_map(table, gpa(GUEST_GICR_BASE + i * GUEST_GICR_STRIDE + 64 * KIB),
			  (struct extent){pa(frame.v + 64 * KIB), PAGE_SIZE}, PT_GUEST_DEVICE);
	}
}

void arch_vm_install(struct vm *vm)
{
	struct page_table table = guest_space(vm);

	pt_switch(&table, true);
	dsb(ish);
}

void arch_vm_remove(struct vm *vm)
{
	struct page_table table = guest_space(vm);

	/* A pending SPI of high priority would stand before the stop signal. */
	if (vm_plan(vm)->console_irq != 0)
		gic_spi_off(vm_plan(vm)->console_irq);
	pt_switch(&table, false);
	arch_vm_unmapped(vm);
}

/* TLBI VMALLS12E1IS acts on the VMID in VTTBR_EL2 (D8.17.5), which this core borrows. */
bool arch_vm_unmapped(const struct vm *vm)
{
	uint64_t own = read_sysreg(vttbr_el2);

	dsb(ish);
	write_sysreg(vttbr_el2, (uint64_t)vm_plan(vm)->vmid << 48 | vm->stage2.v);
	isb();
	__asm__ volatile("tlbi vmalls12e1is" ::: "memory");
	dsb(ish);
	isb();
	write_sysreg(vttbr_el2, own);
	isb();
	return true;
}
