/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts of a VM that does not take them itself (HCR_EL2.IMO = 1): each is taken here and put into a list register,
 * from which the guest's CPU interface, now the virtual one, takes it (IHI 0069H 6.1). PPIs and SPIs stay active until
 * the guest ends them; SGIs and LPIs are done with. When the list registers are full, whatever comes waits in the GIC,
 * so that there is no queue here: the mask lets pass no more than the maintenance interrupt and the stop signals.
 */
#include "arm64.h"
#include "gic_regs.h"
#include "its.h"

/* ICH_LR<n>_EL2 (12.4.9) */
#define LIST_STATE (3ULL << 62) /* 0: it is empty; pending, active or both */
#define LIST_PENDING (1ULL << 62)
#define LIST_HARDWARE (1ULL << 61) /* ends the physical interrupt with the virtual one */
#define LIST_GROUP1 (1ULL << 60)
#define LIST_PRIORITY 48
#define LIST_PHYSICAL 32

#define ICC_CTLR_EOIMODE 2 /* EOIR drops the priority, DIR deactivates (12.2.5) */
#define PMR_OPEN 0xff
#define AT_ONCE                                                                                    \
	16 /* in one exit: a core in EL2 does not hear a stop, and a device may send without end */

/* The numbers are part of the registers' names. */
#define EACH_LIST(X)                                                                               \
	X(0, C12_0)                                                                                \
	X(1, C12_1)                                                                                \
	X(2, C12_2)                                                                                \
	X(3, C12_3)                                                                                \
	X(4, C12_4)                                                                                \
	X(5, C12_5)                                                                                \
	X(6, C12_6)                                                                                \
	X(7, C12_7)                                                                                \
	X(8, C13_0)                                                                                \
	X(9, C13_1)                                                                                \
	X(10, C13_2)                                                                               \
	X(11, C13_3)                                                                               \
	X(12, C13_4) X(13, C13_5) X(14, C13_6) X(15, C13_7)

/* List register @n. */
static uint64_t read_list(uint32_t n)
{
#define READ(number, name)                                                                         \
	case number:                                                                               \
		return read_sysreg(S3_4_C12_##name);
	switch (n) {
		EACH_LIST(READ)
	default:
		return 0;
	}
}

static void write_list(uint32_t n, uint64_t value)
{
#define WRITE(number, name)                                                                        \
	case number:                                                                               \
		write_sysreg(S3_4_C12_##name, value);                                              \
		break;
	switch (n) {
		EACH_LIST(WRITE)
	default:
		break;
	}
}

static uint32_t count_lists(void)
{
	return (uint32_t)(read_icc(ICH_VTR_EL2) & 0x1f) + 1;
}

void lists_reset(void)
{
	uint64_t preemption_bits = (read_icc(ICH_VTR_EL2) >> 26 & 7) + 1;

	for (uint32_t i = 0; i < count_lists(); i++)
		write_list(i, 0);
	reset_active_priorities(ICH, EL2, preemption_bits);
	write_icc(ICC_CTLR_EL1, ICC_CTLR_EOIMODE);
	write_icc(ICC_PMR_EL1, PMR_OPEN);
	write_icc(ICC_IGRPEN1_EL1, 1);
	write_icc(ICH_HCR_EL2, ICH_HCR_EN);
}

/* The guest's number of a physical LPI; 0: it has none for it any more. */
static uint32_t guest_lpi(const struct vm *vm, uint32_t intid)
{
	for (uint32_t slot = 0; slot < vm_plan(vm)->nfunctions; slot++) {
		uint32_t id = intid - LPI_OWN(vm_plan(vm)->function[slot].function, 0);

		if (id < PLAN_MAX_VECTORS)
			return __atomic_load_n(&vm->shared.arch.vits.event[slot][id].lpi,
					       __ATOMIC_RELAXED);
	}
	return 0;
}

/* Into the list register that has it already, as two with one INTID are UNPREDICTABLE (12.4.9), or into @empty. */
static void put(const struct cpu *cpu, uint32_t intid, uint32_t number, uint32_t empty)
{
	bool stays_active = intid >= GIC_PPI_FIRST && intid < LPI_FIRST;
	uint64_t list = LIST_PENDING | LIST_GROUP1 |
			(uint64_t)gic_priority(cpu->index, intid) << LIST_PRIORITY | number;

	if (stays_active)
		list |= LIST_HARDWARE | (uint64_t)intid << LIST_PHYSICAL;
	for (uint32_t i = 0; i < count_lists(); i++) {
		uint64_t there = read_list(i);

		if ((there & LIST_STATE) != 0 && (uint32_t)there == number) {
			list = there | (stays_active ? 0 : LIST_PENDING);
			empty = i;
		}
	}
	write_list(empty, list);
	isb(); /* ICH_ELRSR_EL2 is read next */
}

bool lists_pending(void)
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < count_lists(); i++)
		any |= read_list(i) & LIST_PENDING;
	return any != 0;
}

void lists_give_back(struct vm *vm)
{
	for (uint32_t i = 0; i < count_lists(); i++) {
		uint64_t list = read_list(i);

		if ((list & LIST_PENDING) == 0)
			continue;
		if ((uint32_t)list >= LPI_FIRST)
			its_pend(vm, (uint32_t)list);
		else if ((uint32_t)list == vm_plan(vm)->console_irq)
			gic_spi_again((uint32_t)list);
	}
}

/* While nothing fits: the guest may have disabled the maintenance interrupt, whose redistributor it owns. */
static void wait_for_room(const struct cpu *cpu)
{
	gic_open_maintenance(cpu->index);
	write_icc(ICH_HCR_EL2, ICH_HCR_EN | ICH_HCR_UIE);
	write_icc(ICC_PMR_EL1, gic_pmr_floor());
}

void lists_take(const struct cpu *cpu)
{
	for (uint32_t taken = 0; taken < AT_ONCE; taken++) {
		uint64_t unused = read_icc(ICH_ELRSR_EL2);
		uint32_t intid, number;

		if (unused == 0) {
			wait_for_room(cpu);
			return;
		}
		intid = (uint32_t)read_icc(ICC_IAR1_EL1);
		if (intid >= GIC_SPECIAL && intid < LPI_FIRST)
			return;
		bool maintenance = intid == machine_facts()->arm64.maintenance_ppi;

		number = intid < LPI_FIRST ? intid : guest_lpi(cpu->vm, intid);
		if (maintenance) {
			write_icc(ICH_HCR_EL2, ICH_HCR_EN);
			write_icc(ICC_PMR_EL1, PMR_OPEN);
			isb(); /* its line falls before it is deactivated */
		} else if (intid < LPI_FIRST || number != 0) {
			put(cpu, intid, number, (uint32_t)__builtin_ctzll(unused));
		}
		write_icc(ICC_EOIR1_EL1, intid);
		if (maintenance || intid < GIC_PPI_FIRST)
			write_icc(ICC_DIR_EL1, intid);
		isb();
	}
}
