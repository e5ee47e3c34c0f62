/* SPDX-License-Identifier: Apache-2.0 */
#include "arch.h"

#include <libfdt.h>

#include "cpu.h"
#include "gic.h"
#include "its.h"
#include "machine_fdt.h"
#include "smmu.h"

#include <string.h>

const struct loader_arch loader_arch = {MACHINE_ARM64, &elf_aarch64, UINT64_MAX};

static const EFI_GUID fdt_guid = EFI_DTB_TABLE_GUID; /* UEFI 2.10 4.6.1 */

enum bh_error arch_read_machine(struct loader *l)
{
	enum bh_error error;

	l->fdt = configuration_table(l, &fdt_guid);
	if (l->fdt == NULL)
		return bh_fail(&l->report, BH_BAD_MACHINE,
			       "the firmware offers neither ACPI nor a device tree");
	if (fdt_check_header(l->fdt) != 0)
		return bh_fail(&l->report, BH_BAD_MACHINE,
			       "the firmware's device tree is malformed");
	l->source = "device tree";
	error = machine_from_fdt(l->fdt, fdt_totalsize(l->fdt), l->machine, &l->report);
	if (error != BH_OK)
		return error;
	l->regions.count = machine_fdt_redistributors(l->fdt, l->regions.region, GIC_MAX_REGIONS);
	machine_fdt_dma(l->fdt, &l->dma);
	return BH_OK;
}

enum bh_error arch_check_processor(struct loader *l)
{
	if (cpu_exception_level() != 2)
		return bh_fail(
			&l->report, BH_BAD_MACHINE,
			"firmware runs at EL%u; a hypervisor needs EL2 (is virtualization on?)",
			cpu_exception_level());
	if (l->machine->arm64.gic_version == 2 || !cpu_has_gic_registers())
		return bh_fail(&l->report, BH_BAD_MACHINE,
			       "the interrupt controller is a GICv2; GICv3 or later is needed");
	if (!l->machine->arm64.psci_smc)
		return bh_fail(&l->report, BH_BAD_MACHINE,
			       "firmware offers no PSCI by SMC, so no other core can be started");
	return BH_OK;
}

enum bh_error arch_probe_machine(struct loader *l)
{
	return gic_probe(l->machine, &l->regions, &l->report);
}

static void drop_iommu(struct machine *machine, uint32_t index)
{
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		if (machine->function[i].iommu == index)
			machine->function[i].iommu = MACHINE_NONE;
	}
}

void arch_check_iommus(struct loader *l)
{
	struct machine_arm64 *arm64 = &l->machine->arm64;

	for (uint32_t i = 0; i < arm64->nsmmu; i++) {
		const char *why = smmu_unfit(l->machine, i);

		if (why == NULL)
			continue;
		say(l, "the SMMU at 0x%llx %s: it is not used",
		    (unsigned long long)arm64->smmu[i].v, why);
		drop_iommu(l->machine, i);
	}
	if (arm64->its.v != 0 && !its_is_usable(l->machine)) {
		say(l, "the ITS cannot be used: it has no LPIs left to give");
		arm64->its = pa(0);
	}
	arm64->one_lpi_owner = !its_shares_lpis(l->machine);
}

void arch_start_iommus(struct boot_info *info)
{
	struct machine *machine = &info->machine;
	struct plan *plan = &info->plan;
	struct extent memory = plan->iommu_tables;

	if (memory.size == 0)
		return;
	memset(pa_to_ptr(memory.base), 0, memory.size);
	for (uint32_t i = 0; i < machine->arm64.nsmmu; i++) {
		smmu_start(machine, i, &memory, &plan->iommu[i]);
		if (plan->iommu[i].registers.v == 0)
			drop_iommu(machine, i);
	}
	its_start(machine, plan->management_core, &memory, &plan->its);
	if (plan->its.registers.v != 0 && machine->arm64.one_lpi_owner == 0) {
		bool tried;

		machine->arm64.one_lpi_owner = !its_keeps_lpis_apart(machine, &plan->its, &tried);
		machine->arm64.lpis_tested = tried;
	}
}

uint64_t arch_hwid(void)
{
	return cpu_mpidr() & MPIDR_AFFINITY;
}

/* On a processor with MPIDR_EL1.MT, cores that differ in Aff0 only are threads of one core. */
uint32_t arch_thread_bits(void)
{
	return cpu_mpidr() & MPIDR_MT ? 8 : 0;
}
