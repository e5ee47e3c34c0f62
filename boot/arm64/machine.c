/* SPDX-License-Identifier: Apache-2.0 */
#include "arch.h"

#include <libfdt.h>

#include "cpu.h"
#include "gic.h"
#include "machine_fdt.h"

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

uint64_t arch_hwid(void)
{
	return cpu_mpidr() & MPIDR_AFFINITY;
}

/* On a processor with MPIDR_EL1.MT, cores that differ in Aff0 only are threads of one core. */
uint32_t arch_thread_bits(void)
{
	return cpu_mpidr() & MPIDR_MT ? 8 : 0;
}
