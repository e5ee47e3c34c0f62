/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an ACPI table of each kind, with length and checksum put right: counts stay
 * within bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/machine_acpi.h"

#define HEADER_BYTES 36

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_right(uint8_t *table, size_t size)
{
	static const char signatures[][5] = {"APIC", "GTDT", "IORT", "MCFG", "SRAT", "SPCR",
					     "FACP", "DSDT", "DBG2", "DMAR", "IVRS"};
	uint32_t length = (uint32_t)size;
	uint8_t sum = 0;

	memcpy(table, signatures[table[0] % ARRAY_SIZE(signatures)], 4);
	memcpy(table + 4, &length, sizeof(length));
	table[9] = 0;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + table[i]);
	table[9] = (uint8_t)-sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine machine;
	static struct gic_regions regions;
	struct bh_report report;
	static struct dma_map dma;
	struct acpi_reader reader = {
		.machine = &machine, .regions = &regions, .dma = &dma, .report = &report};
	uint8_t *table;

	if (size < HEADER_BYTES)
		return 0;
	memset(&machine, 0, sizeof(machine));
	memset(&regions, 0, sizeof(regions));
	memset(&dma, 0, sizeof(dma));
	machine.arch = data[1] % 2 == 0 ? MACHINE_ARM64 : MACHINE_X86;
	table = malloc(size); /* exactly as large, so that ASan sees a byte too far */
	if (table == NULL)
		abort();
	memcpy(table, data, size);
	put_right(table, size);
	acpi_read_table(&reader, table, size);
	free(table);
	if (machine.ncpus > CONFIG_MAX_CPUS || machine.nmemory > MACHINE_MAX_MEMORY ||
	    machine.necam > MACHINE_MAX_ECAM || machine.arm64.nsmmu > MACHINE_MAX_SMMU ||
	    machine.x86.nioapics > MACHINE_MAX_IOAPIC || machine.x86.niommus > MACHINE_MAX_IOMMU ||
	    regions.count > GIC_MAX_REGIONS || dma.nranges > DMA_MAX_RANGES ||
	    dma.nscopes > DMA_MAX_SCOPES)
		abort();
	return 0;
}
