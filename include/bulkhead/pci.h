/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI functions of VMs: what a guest may see and change of configuration space,
 * opening them when a VM starts and closing them before its memory is scrubbed.
 * The functions were found, and their BARs placed, before the hypervisor ran:
 * nothing here scans. Specification: PCI Express Base 6.0.
 */
#ifndef BULKHEAD_PCI_H
#define BULKHEAD_PCI_H

#include <bulkhead/mm.h>
#include <bulkhead/vm.h>

/* Maps the configuration space of the machine's functions; while own_map() may take tables. */
void pci_map(const struct machine *machine);

/* Maps into @table, with guest_map(), the BARs of @vm's functions, but for what arch_msix_trapped() keeps back. */
void pci_map_bars(const struct vm *vm, const struct page_table *table);

/*
 * A guest's access to its configuration space, @access->offset from the start of
 * bus 0. Functions that it does not have read as ones and take writes. What it
 * may not write is not written. Safe on several of the VM's cores at once.
 */
void pci_config_access(struct vm *vm, struct mmio *access);

/*
 * Start, before the VM's cores enter: every function of @vm is in its reset
 * state, bus mastering off, its DMA open to the VM's memory.
 */
void pci_open(struct vm *vm);

/*
 * Stop, when the VM's cores have left and before its memory is scrubbed: bus
 * mastering off, function-level reset (6.6.2: 100 ms for all of them together),
 * BARs as before, DMA and interrupts blocked. A function that does not come back from its reset is
 * logged and stays blocked until the machine is reset.
 */
void pci_close(struct vm *vm);

/* A DMA that was refused, and whose function made it. */
struct pci_fault {
	struct vm *vm; /* NULL: nobody's */
	uint32_t function; /* index in struct machine; MACHINE_NONE: not known */
	uint64_t address;
	bool write;
	bool cut; /* it was one too many since the VM started: the function's bus mastering is off now */
};

/* The next of them; false when there is none. Never waits; counts them in vm->dma_faults. */
bool pci_fault(struct pci_fault *fault);

#endif
