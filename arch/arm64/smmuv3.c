/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMMUv3 (IHI 0070F): one stream opened to a VM's tables or closed; faults read. The loader switched it on with every
 * stream blocked. Only the system manager comes here, so there is no lock.
 */
#include "arm64.h"
#include "its.h"

#include <bulkhead/smmuv3.h>

#define SECONDS_TO_ANSWER 1
#define COMMAND_INDEX ((1U << SMMU_COMMANDS_LOG2) - 1)
#define COMMAND_WRAP                                                                               \
	(COMMAND_INDEX << 1 | 1) /* the index, and the bit that says how often it wrapped */
#define EVENT_INDEX ((1U << SMMU_EVENTS_LOG2) - 1)
#define EVENT_WRAP (EVENT_INDEX << 1 | 1)
#define EVENT_WORDS 4
#define VTCR_FIELDS 0x7ffffULL /* T0SZ to PS */

static volatile uint32_t *reg(const struct plan_iommu *smmu, uint64_t offset)
{
	return pa_to_ptr(pa(smmu->registers.v + offset));
}

void smmu_map(void)
{
	const struct plan *plan = machine_plan();

	if (plan->iommu_tables.size != 0)
		own_map(plan->iommu_tables, PT_DATA);
	for (uint32_t i = 0; i < machine_facts()->arm64.nsmmu; i++)
		if (plan->iommu[i].registers.v != 0)
			own_map((struct extent){plan->iommu[i].registers, SMMU_BYTES}, PT_DEVICE);
}

static void post(const struct plan_iommu *smmu, uint64_t low, uint64_t high)
{
	uint32_t index = *reg(smmu, SMMU_CMDQ_PROD);
	volatile uint64_t *command = pa_to_ptr(smmu->commands);

	command += 2ULL * (index & COMMAND_INDEX);
	command[0] = low;
	command[1] = high;
	dsb(sy);
	*reg(smmu, SMMU_CMDQ_PROD) = (index + 1) & COMMAND_WRAP;
}

/*
 * Until all commands have taken effect, and accesses that were translated before them are done (4.7.3). An SMMU that
 * does not say so leaves nobody's memory safe.
 */
static void sync(const struct plan_iommu *smmu)
{
	uint64_t deadline = arch_ticks() + SECONDS_TO_ANSWER * arch_tick_rate();

	post(smmu, SMMU_SYNC, 0);
	while (*reg(smmu, SMMU_CMDQ_CONS) != *reg(smmu, SMMU_CMDQ_PROD)) {
		if (arch_ticks() > deadline)
			bh_panic(
				"the SMMU at 0x%lx does not take commands: consumed 0x%x, errors 0x%x",
				smmu->registers.v, *reg(smmu, SMMU_CMDQ_CONS),
				*reg(smmu, SMMU_GERROR));
		arch_pause();
	}
}

static void invalidate_entry(const struct plan_iommu *smmu, uint32_t stream)
{
	post(smmu, SMMU_CFGI_STE | (uint64_t)stream << 32, 1); /* Leaf */
	sync(smmu);
}

static void invalidate_translations(const struct plan_iommu *smmu, uint64_t vmid)
{
	post(smmu, SMMU_TLBI_S12_VMALL | vmid << 32, 0);
	sync(smmu);
}

static volatile uint64_t *entry_of(const struct machine_function *function,
				   const struct plan_iommu **smmu)
{
	*smmu = &machine_plan()->iommu[function->iommu];
	BH_CHECK((*smmu)->registers.v != 0 && function->stream < (*smmu)->nstreams);
	return (volatile uint64_t *)pa_to_ptr((*smmu)->streams) +
	       (uint64_t)function->stream * SMMU_STE_WORDS;
}

/* The format of guests' tables, with no larger addresses than the SMMU has (5.2: S2PS; 6.3.6: OAS). */
static uint64_t vtcr_of(const struct plan_iommu *smmu)
{
	uint64_t vtcr = el2_vtcr() & VTCR_FIELDS;
	uint64_t range = *reg(smmu, SMMU_IDR5) & 7;

	return range < vtcr >> 16 ? (vtcr & 0xffff) | range << 16 : vtcr;
}

/*
 * Its DMA to the tables at @root, or nowhere. The entry is valid all the time; the word with Config is written last, when
 * none of the others is cached (3.21.3.1).
 */
static void translate(uint32_t index, uint64_t vmid, pa_t root)
{
	const struct machine_function *function = &machine_facts()->function[index];
	const struct plan_iommu *smmu;
	volatile uint64_t *entry;

	if (function->iommu == MACHINE_NONE)
		return;
	entry = entry_of(function, &smmu);
	if (root.v != 0) {
		entry[1] = SMMU_STE1_SHAREABILITY_INCOMING;
		entry[2] = vmid | SMMU_STE2_VTCR(vtcr_of(smmu)) | SMMU_STE2_AA64 | SMMU_STE2_AFFD |
			   SMMU_STE2_RECORD;
		entry[3] = root.v;
		dsb(sy);
		invalidate_entry(smmu, function->stream);
	}
	entry[0] = SMMU_STE_VALID | (root.v != 0 ? SMMU_STE_STAGE2 : SMMU_STE_ABORT);
	dsb(sy);
	invalidate_entry(smmu, function->stream);
	invalidate_translations(smmu, vmid);
}

const struct pt_format *arch_dma_format(void)
{
	return arch_guest_format();
}

/* The doorbell, at the address that the guest's driver expects from its own ITS. */
void arch_vm_map_dma(const struct page_table *table)
{
	const struct plan_its *its = &machine_plan()->its;

	if (its->registers.v != 0)
		guest_map(table, gpa(GUEST_ITS_BASE + ITS_DOORBELL),
			  (struct extent){pa(its->registers.v + ITS_DOORBELL), PAGE_SIZE},
			  PT_GUEST_DEVICE);
}

void arch_function_set(const struct vm *vm, uint32_t slot, bool open)
{
	uint32_t function = vm_plan(vm)->function[slot].function;

	if (!open)
		its_close(vm, slot);
	translate(function, vm_plan(vm)->vmid, open ? vm->dma : pa(0));
	if (open)
		its_open(function);
}

/* VMID 0 is no VM's. */
void arch_own_function_open(uint32_t function, pa_t root)
{
	translate(function, 0, root);
}

/* Of the types that say where (7.3): F_UUT, F_WALK_EABT, and F_TRANSLATION to F_PERMISSION. */
static bool has_address(uint32_t type)
{
	return type == 0x01 || type == 0x0b || (type >= 0x10 && type <= 0x13);
}

static bool take_event(uint32_t index, struct dma_fault *fault)
{
	const struct plan_iommu *smmu = &machine_plan()->iommu[index];
	uint32_t produced = *reg(smmu, SMMU_EVENTQ_PROD), consumed = *reg(smmu, SMMU_EVENTQ_CONS);
	volatile uint64_t *event = pa_to_ptr(smmu->events);

	*reg(smmu, SMMU_GERRORN) =
		*reg(smmu, SMMU_GERROR); /* lost events are all it can tell (7.5) */
	if (((produced ^ consumed) & EVENT_WRAP) == 0)
		return false;
	arch_dma_fence();
	event += (uint64_t)(consumed & EVENT_INDEX) * EVENT_WORDS;
	fault->iommu = index;
	fault->stream = (uint32_t)(event[0] >> 32);
	fault->write = has_address(event[0] & 0xff) && (event[1] >> 35 & 1) == 0; /* RnW */
	fault->address = has_address(event[0] & 0xff) ? event[2] : 0;
	arch_dma_fence();
	/* What did not fit is lost, and may be recorded again from now on (7.4). */
	*reg(smmu, SMMU_EVENTQ_CONS) =
		((consumed + 1) & EVENT_WRAP) | (produced & SMMU_EVENTQ_OVERFLOW);
	return true;
}

bool arch_dma_fault(struct dma_fault *fault)
{
	for (uint32_t i = 0; i < machine_facts()->arm64.nsmmu; i++)
		if (machine_plan()->iommu[i].registers.v != 0 && take_event(i, fault))
			return true;
	return false;
}
