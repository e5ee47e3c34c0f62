/* SPDX-License-Identifier: Apache-2.0 */
#include "arch.h"

#include <string.h>

#include "smbios.h"

#include <bulkhead/format.h>

static const EFI_GUID acpi_guid = ACPI_20_TABLE_GUID; /* UEFI 2.10 4.6.1 */
static const EFI_GUID smbios_guid = SMBIOS_TABLE_GUID;
static const EFI_GUID smbios3_guid = SMBIOS3_TABLE_GUID;

const void *configuration_table(const struct loader *l, const EFI_GUID *guid)
{
	for (UINTN i = 0; i < l->system->NumberOfTableEntries; i++) {
		const EFI_CONFIGURATION_TABLE *table = &l->system->ConfigurationTable[i];

		if (memcmp(&table->VendorGuid, guid, sizeof(*guid)) == 0)
			return table->VendorTable;
	}
	return NULL;
}

static enum bh_error read_tables(struct loader *l)
{
	const void *rsdp = configuration_table(l, &acpi_guid);

	l->machine->arch = loader_arch.machine;
	if (rsdp == NULL)
		return arch_read_machine(l);
	l->source = "ACPI";
	return machine_from_acpi(rsdp, l->machine, &l->regions, &l->dma, &l->report);
}

/*
 * ACPI names only who wrote the tables; SMBIOS, where there is one, says what people call the
 * machine.
 */
static void read_name(struct loader *l)
{
	const void *entry = configuration_table(l, &smbios3_guid);
	struct extent table;
	char name[sizeof(l->machine->name)];

	if (entry == NULL)
		entry = configuration_table(l, &smbios_guid);
	if (entry != NULL && smbios_structures(entry, &table) &&
	    smbios_system_name(pa_to_ptr(table.base), table.size, name, sizeof(name)))
		bh_format(l->machine->name, sizeof(l->machine->name), "%s (%s)", name, l->source);
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

static void find_threads(struct machine *m)
{
	uint32_t bits = arch_thread_bits();

	for (uint32_t i = 0; i < m->ncpus; i++) {
		m->cpu[i].core_id = i;
		for (uint32_t k = 0; k < i; k++) {
			if (m->cpu[k].hwid >> bits == m->cpu[i].hwid >> bits)
				m->cpu[i].core_id = m->cpu[k].core_id;
		}
	}
}

static enum bh_error find_boot_cpu(struct loader *l)
{
	uint64_t self = arch_hwid();

	for (uint32_t i = 0; i < l->machine->ncpus; i++) {
		if (l->machine->cpu[i].hwid != self)
			continue;
		l->machine->boot_cpu = i;
		return BH_OK;
	}
	return bh_fail(&l->report, BH_BAD_MACHINE,
		       "firmware does not name the core it runs on (id 0x%llx) among the first %u",
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
