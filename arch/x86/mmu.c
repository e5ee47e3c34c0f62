/* SPDX-License-Identifier: Apache-2.0 */
/* The formats of page tables, and the maintenance they need. */
#include "x86.h"

#include <bulkhead/pci.h>

#include <string.h>

#define PRESENT 1ULL
#define WRITABLE (1ULL << 1)
#define USER (1ULL << 2)
#define WRITE_THROUGH (1ULL << 3)
#define UNCACHED (1ULL << 4)
#define LARGE (1ULL << 7)
#define NO_EXECUTE (1ULL << 63)

/* SDM vol. 3 5.5.4, APM 5.3. */
#define FOUR_LEVELS X86_FOUR_LEVELS, .leaf_bits = {0, LARGE, LARGE, 0}

const struct pt_format x86_own_format = {
	FOUR_LEVELS,
	.valid = PRESENT,
	.table_bits = PRESENT | WRITABLE,
	.type_mask = LARGE | PRESENT | WRITABLE,
	.attr = {[PT_TEXT] = PRESENT,
		 [PT_RODATA] = PRESENT | NO_EXECUTE,
		 [PT_DATA] = PRESENT | WRITABLE | NO_EXECUTE,
		 [PT_DEVICE] = PRESENT | WRITABLE | NO_EXECUTE | UNCACHED | WRITE_THROUGH},
};

/* Nested tables are read as user accesses (APM 15.25.5). */
#define NPT_ALL (PRESENT | WRITABLE | USER)

const struct pt_format x86_npt_format = {
	FOUR_LEVELS,
	.valid = PRESENT,
	.table_bits = NPT_ALL,
	.type_mask = LARGE | NPT_ALL,
	.attr = {[PT_GUEST_RAM] = NPT_ALL,
		 [PT_GUEST_DATA] = NPT_ALL | NO_EXECUTE,
		 [PT_GUEST_DEVICE] = NPT_ALL | NO_EXECUTE | UNCACHED | WRITE_THROUGH},
};

/* SDM vol. 3 29.3.2: read, write, execute; memory type in 5:3, which the guest's PAT goes on from. */
#define EPT_RWX 7ULL
#define EPT_RW 3ULL
#define EPT_WB (6ULL << 3)

const struct pt_format x86_ept_format = {
	FOUR_LEVELS,
	.valid = EPT_RWX,
	.table_bits = EPT_RWX,
	.type_mask = LARGE | EPT_RWX,
	.attr = {[PT_GUEST_RAM] = EPT_RWX | EPT_WB,
		 [PT_GUEST_DATA] = EPT_RW | EPT_WB,
		 [PT_GUEST_DEVICE] = EPT_RW}, /* uncached */
};

/* x86 walkers, of other cores too, are coherent with stores; the order is the program's (SDM vol. 3 9.2, 5.10.4). */
void arch_pt_store(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* Entries that were not valid are not cached (SDM vol. 3 5.10.2.3). */
void arch_own_mapped(void)
{
}

void own_tlb_flush(void)
{
	write_cr(3, read_cr(3));
}

/*
 * Other cores follow when they wake from sleep and before they run a guest.
 * Until then they may hold translations that are still true, since everything
 * stands at its own address, and that none of their code uses.
 */
void arch_own_unmapped(struct extent extent)
{
	(void)extent;
	own_tlb_flush();
}

/* Caches are coherent with devices and with uncached accesses to write-back memory's lines (SDM vol. 3 12.3). */
void arch_zero(void *at, uint64_t size)
{
	uint64_t words = size / sizeof(uint64_t);

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(0ULL) : "memory");
}

void arch_publish(const void *at, uint64_t size)
{
	(void)at;
	(void)size;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void arch_dma_fence(void)
{
	__asm__ volatile("mfence" ::: "memory");
}

/* AMD processors take only MOVs of EAX and its parts for configuration space (PPR of family 19h, 2.1.7). */
uint32_t arch_device_load(pa_t at, uint32_t size)
{
	uint32_t value = 0;

	if (size == 4)
		__asm__ volatile("movl (%1), %0" : "=a"(value) : "r"(at.v) : "memory");
	else if (size == 2)
		__asm__ volatile("movw (%1), %w0" : "+a"(value) : "r"(at.v) : "memory");
	else
		__asm__ volatile("movb (%1), %b0" : "+a"(value) : "r"(at.v) : "memory");
	return value;
}

void arch_device_store(pa_t at, uint32_t size, uint32_t value)
{
	if (size == 4)
		__asm__ volatile("movl %0, (%1)" ::"a"(value), "r"(at.v) : "memory");
	else if (size == 2)
		__asm__ volatile("movw %w0, (%1)" ::"a"(value), "r"(at.v) : "memory");
	else
		__asm__ volatile("movb %b0, (%1)" ::"a"(value), "r"(at.v) : "memory");
}

#define ABSENT_DEVFN 0 /* a function no VM has, on the page that stands for all of those */

static uint64_t config_at(uint32_t devfn)
{
	return GUEST_X86_ECAM_BASE + devfn * PAGE_SIZE;
}

/*
 * Bus 0's configuration space (what is behind ports traps): the console's function, if there is one, and a
 * page of ones for each that is absent (PCIe 6.0 2.3.2). Kernels write to
 * functions that hide, so that page is the VM's own too.
 */
void arch_vm_map_registers(const struct vm *vm, const struct page_table *table)
{
	pa_t ones = pool_take(table->pool, 1);
	pa_t console = pool_take(table->pool, 1);

	BH_CHECK(ones.v != 0 && console.v != 0);
	for (uint32_t devfn = 0; devfn < MIB / PAGE_SIZE; devfn++) {
		bool has = devfn == GUEST_X86_CONSOLE_DEVFN && vm_plan(vm)->console != 0;

		if (pci_has(vm_plan(vm), devfn)) /* traps */
			continue;

		guest_map(table, gpa(config_at(devfn)),
			  (struct extent){has ? console : ones, PAGE_SIZE}, PT_GUEST_DATA);
	}
}

static pa_t config_page(const struct vm *vm, uint32_t devfn)
{
	struct page_table table = guest_space(vm);
	pa_t page = pa(0);

	pt_lookup(&table, config_at(devfn), &page);
	return page;
}

pa_t console_page(const struct vm *vm)
{
	return config_page(vm, GUEST_X86_CONSOLE_DEVFN);
}

void arch_vm_install(struct vm *vm)
{
	struct page_table table = guest_space(vm);

	pt_switch(&table, true);
	memset(pa_to_ptr(config_page(vm, ABSENT_DEVFN)), 0xff, PAGE_SIZE);
	if (vm_plan(vm)->console == 0)
		return;
	memset(pa_to_ptr(console_page(vm)), 0, PAGE_SIZE);
	memcpy(pa_to_ptr(console_page(vm)), machine_plan()->console, GUEST_X86_CONSOLE_BYTES);
}

/* Each core hears the NMI, in the guest or out of it, and then has nothing of the guest's in its TLB. */
bool arch_vm_unmapped(const struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);
	uint64_t deadline = arch_ticks() + arch_tick_rate();

	for (uint32_t i = 0; i < plan->ncores; i++) {
		__atomic_store_n(&cpu_record(plan->core[i])->arch.stale, 1, __ATOMIC_RELEASE);
		arch_doorbell(plan->core[i]);
	}
	for (uint32_t i = 0; i < plan->ncores; i++)
		while (__atomic_load_n(&cpu_record(plan->core[i])->arch.stale, __ATOMIC_ACQUIRE) !=
		       0)
			if (arch_ticks() > deadline)
				return false;
	return true;
}

/* What a core's TLB holds of the VM goes when that core leaves its guest, which the NMI makes it do. */
void arch_vm_remove(struct vm *vm)
{
	struct page_table table = guest_space(vm);

	pt_switch(&table, false);
}
