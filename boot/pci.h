/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on PCI Express: found, sized and grouped through whatever reads
 * configuration space. Pure over that: tests and fuzzers bring their own.
 * Sections without a name: PCI Express Base 6.0.
 */
#ifndef BOOT_PCI_H
#define BOOT_PCI_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>

/* Configuration space of function @id (as machine_function.id); @offset is a multiple of 4 below 4096. What is not there reads as ones. */
struct pci_access {
	uint32_t (*read)(void *context, uint32_t id, uint32_t offset);
	void (*write)(void *context, uint32_t id, uint32_t offset, uint32_t value);
	void (*wait)(void *context, uint32_t milliseconds);
	void *context;
};

/*
 * Fills machine->function[] from the buses of machine->ecam as firmware numbered
 * them. BARs are sized with decoding off and put back; ACS is switched on where
 * it is, ATS, PRI and PASID off. iommu, stream and msi_device are left for
 * dma_map_apply(). Returns how many functions had no room: nothing is known of these.
 */
uint32_t pci_scan(const struct pci_access *access, struct machine *machine);

/*
 * Switches on the first @count virtual functions of function @pf and appends
 * them to machine->function[]. BH_NO_DEVICE, and nothing has changed, when it has not as many or
 * firmware left no room for their BARs or bus numbers; @who begins the sentence in @report.
 */
enum bh_error pci_enable_vfs(const struct pci_access *access, struct machine *machine, uint32_t pf,
			     uint32_t count, const char *who, struct bh_report *report);

/* The bridge right above function @index: an index below @index, or MACHINE_NONE on a root bus. */
uint32_t pci_parent(const struct pci_access *access, const struct machine *machine, uint32_t index);

/* The bus behind bridge @index. */
uint8_t pci_secondary(const struct pci_access *access, const struct machine *machine,
		      uint32_t index);

/* True when a bridge to conventional PCI above function @index puts its own id on what that sends. */
bool pci_is_aliased(const struct pci_access *access, const struct machine *machine, uint32_t index);

/* The function with this id; MACHINE_NONE when there is none. */
uint32_t pci_find(const struct machine *machine, uint32_t id);

#endif
