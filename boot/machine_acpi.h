/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as ACPI describes it. Pure over the tables' bytes. */
#ifndef BOOT_MACHINE_ACPI_H
#define BOOT_MACHINE_ACPI_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>

#include "dma_map.h"

#define GIC_MAX_REGIONS 64
#define ACPI_ISA_IRQS 16

/* Where firmware says redistributors stand. Empty when it gave each core's own address. */
struct gic_regions {
	uint32_t count;
	struct extent region[GIC_MAX_REGIONS];
};

/* What the tables say, while they are read. */
struct acpi_reader {
	struct machine *machine;
	struct gic_regions *regions;
	struct dma_map *dma;
	struct bh_report *report;
	uint32_t uid[CONFIG_MAX_CPUS]; /* ACPI processor UID of machine->cpu[i] */
	uint32_t isa_gsi[ACPI_ISA_IRQS]; /* x86: where @isa_moved: ISA interrupts elsewhere */
	bool isa_moved[ACPI_ISA_IRQS];
	uint32_t its_id; /* Arm: of the ITS at arm64.its */
	uint32_t smmu_node[MACHINE_MAX_SMMU]; /* where arm64.smmu[i] stands in the IORT */
};

/*
 * Reads one table of @size bytes, header included, of any signature; those
 * that say nothing of use are skipped. Length and checksum are checked.
 * machine->arch says whose entries count.
 */
enum bh_error acpi_read_table(struct acpi_reader *reader, const void *table, uint64_t size);

/*
 * Reads all tables from the RSDP at @rsdp on. The addresses in RSDP, XSDT and
 * FADT are followed: firmware is trusted that far. Memory that SRAT names goes
 * to machine->memory, to be replaced by what is really usable. @regions gets
 * the redistributor regions, @dma (zeroed) what is said of PCI functions' DMA. @machine comes zeroed but for machine->arch. On x86, when no table
 * names a UART, machine->uart_irq is the interrupt that COM1 would have.
 */
enum bh_error machine_from_acpi(const void *rsdp, struct machine *machine,
				struct gic_regions *regions, struct dma_map *dma,
				struct bh_report *report);

#endif
