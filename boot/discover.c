/* SPDX-License-Identifier: Apache-2.0 */
#include "loader.h"

#include <libfdt.h>
#include <string.h>

#include "arm64/cpu.h"
#include "machine_acpi.h"
#include "machine_fdt.h"
#include "smbios.h"

#include <bulkhead/format.h>

static const EFI_GUID acpi_guid = ACPI_20_TABLE_GUID; /* UEFI 2.10 4.6.1 */
static const EFI_GUID fdt_guid = EFI_DTB_TABLE_GUID;
static const EFI_GUID smbios3_guid = SMBIOS3_TABLE_GUID;

/* DSP0134 5.2.2 */
struct smbios3_entry {
	uint8_t anchor[5];
	uint8_t unused[7];
	uint8_t size[4];
	uint8_t address[8];
};

static const void *configuration_table(const struct loader *l, const EFI_GUID *guid)
{
	for (UINTN i = 0; i < l->system->NumberOfTableEntries; i++) {
		const EFI_CONFIGURATION_TABLE *table = &l->system->ConfigurationTable[i];

		if (memcmp(&table->VendorGuid, guid, sizeof(*guid)) == 0)
			return table->VendorTable;
	}
	return NULL;
}

static enum bh_error read_device_tree(struct loader *l)
{
	enum bh_error error;

	if (fdt_check_header(l->fdt) != 0)
		return bh_fail(&l->report, BH_BAD_MACHINE,
			       "the firmware's device tree is malformed");
	error = machine_from_fdt(l->fdt, fdt_totalsize(l->fdt), l->machine, &l->report);
	if (error == BH_OK)
		l->regions.count =
			machine_fdt_redistributors(l->fdt, l->regions.region, GIC_MAX_REGIONS);
	return error;
}

static enum bh_error read_tables(struct loader *l)
{
	const void *rsdp = configuration_table(l, &acpi_guid);

	if (rsdp != NULL)
		return machine_from_acpi(rsdp, l->machine, &l->regions, &l->report);
	l->fdt = configuration_table(l, &fdt_guid);
	if (l->fdt != NULL)
		return read_device_tree(l);
	return bh_fail(&l->report, BH_BAD_MACHINE,
		       "the firmware offers neither ACPI nor a device tree");
}

static uint64_t little_endian(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

/* ACPI names only who wrote the tables; SMBIOS, where there is one, says what people call the machine. */
static void read_name(struct loader *l)
{
	const struct smbios3_entry *entry = configuration_table(l, &smbios3_guid);
	char name[sizeof(l->machine->name)];

	if (entry == NULL || memcmp(entry->anchor, "_SM3_", sizeof(entry->anchor)) != 0)
		return;
	if (smbios_system_name(pa_to_ptr(pa(little_endian(entry->address, 8))),
			       little_endian(entry->size, 4), name, sizeof(name)))
		bh_format(l->machine->name, sizeof(l->machine->name), "%s (%s)", name,
			  l->fdt == NULL ? "ACPI" : "device tree");
}

/*
 * What firmware's tables call memory only serves to tell nodes apart: its memory map knows what
 * is free.
 */
static void keep_nodes(struct loader *l)
{
	l->nodes.count = l->machine->nmemory;
	memcpy(l->nodes.range, l->machine->memory, sizeof(l->nodes.range));
	l->machine->nmemory = 0;
}

/* On a processor with MPIDR_EL1.MT, cores that differ in Aff0 only are threads of one core. */
static void find_threads(struct machine *m)
{
	bool threads = (cpu_mpidr() & MPIDR_MT) != 0;

	for (uint32_t i = 0; i < m->ncpus; i++) {
		m->cpu[i].core_id = i;
		for (uint32_t k = 0; threads && k < i; k++) {
			if (m->cpu[k].hwid >> 8 == m->cpu[i].hwid >> 8)
				m->cpu[i].core_id = m->cpu[k].core_id;
		}
	}
}

static enum bh_error find_boot_cpu(struct loader *l)
{
	uint64_t self = cpu_mpidr() & MPIDR_AFFINITY;

	for (uint32_t i = 0; i < l->machine->ncpus; i++) {
		if (l->machine->cpu[i].hwid != self)
			continue;
		l->machine->boot_cpu = i;
		return BH_OK;
	}
	return bh_fail(
		&l->report, BH_BAD_MACHINE,
		"firmware does not name the core it runs on (MPIDR 0x%llx) among the first %u",
		(unsigned long long)self, CONFIG_MAX_CPUS);
}

enum bh_error discover_machine(struct loader *l)
{
	struct extent store;
	enum bh_error error = pages_take(l, EfiLoaderData, sizeof(*l->machine), PAGE_SIZE, &store);

	if (error != BH_OK)
		return error;
	l->machine = pa_to_ptr(store.base);
	memset(l->machine, 0, sizeof(*l->machine));
	error = read_tables(l);
	if (error != BH_OK)
		return error;
	read_name(l);
	keep_nodes(l);
	find_threads(l->machine);
	return find_boot_cpu(l);
}

enum bh_error check_processor(struct loader *l)
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
