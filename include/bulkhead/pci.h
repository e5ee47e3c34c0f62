/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI functions of VMs: what a guest may see and change of configuration space,
 * opening them when a VM starts and closing them before its memory is scrubbed.
 * The functions were found, and their BARs placed, before the hypervisor ran:
 * nothing here scans. Specification: PCI Express Base 6.0.
 */
#ifndef BULKHEAD_PCI_H
#define BULKHEAD_PCI_H

#include <bulkhead/arch.h>
#include <bulkhead/mm.h>
#include <bulkhead/vm.h>

/* A function as people write it. */
#define FUNCTION_NAME "%04x:%02x:%02x.%u"
#define FUNCTION_NAME_OF(function)                                                                 \
	(function)->id >> 16, (function)->id >> 8 & 0xff, (function)->id >> 3 & 0x1f,              \
		(function)->id & 7

/*
 * Maps what the hypervisor itself uses of the machine's functions: configuration
 * space, and the kept pages of their BARs; while own_map() may take tables.
 */
void pci_map(const struct machine *machine);

/*
 * Maps into @table, with guest_map(), the BARs of @vm's functions, but for the kept pages of
 * their BARs, and takes the tables for what may be plugged into its ports.
 */
void pci_map_bars(const struct vm *vm, const struct page_table *table);

/* True when there is one of @vm's functions, or a port, at @devfn (device << 3 | function) of the guest's bus 0. */
bool pci_has(const struct plan_vm *vm, uint64_t devfn);

/*
 * A guest's access to its configuration space, @access->offset from the start of
 * bus 0, aligned to its size. Functions that it does not have read as ones and take writes. What it
 * may not write is not written. Safe on several of the VM's cores at once.
 */
void pci_config_access(struct vm *vm, struct mmio *access);

/*
 * Start, before the VM's cores enter: every function of @vm is in its reset
 * state, bus mastering off, its DMA open to the VM's memory. Those that nobody
 * has reset since the machine started, or that did not come back from it, are
 * reset first. BH_RESET_FAILED when one does not come back; then none is open.
 */
enum bh_error pci_open(struct vm *vm);

/*
 * Stop, when the VM's cores have left and before its memory is scrubbed: bus
 * mastering off, function-level reset (6.6.2: 100 ms for all of them together),
 * BARs as before, DMA and interrupts blocked. A function that does not come back from its reset is
 * logged and stays blocked.
 */
void pci_close(struct vm *vm);

/*
 * Hot plug of function @slot, which stands in a port of @vm's plan: its BARs are mapped; if the VM runs, it
 * is reset where that is due and opened, and the guest is told. Nothing was done: BH_RESET_FAILED, it did not come back;
 * BH_PORT_BUSY, the guest is not done with what was in the port before.
 */
enum bh_error pci_plug(struct vm *vm, uint32_t slot);

/*
 * Asks the guest, as by the button at the port, to give function @slot back: it does so by switching the slot's power and
 * its indicator off.
 */
void pci_ask(struct vm *vm, uint32_t slot);

/*
 * The guest is told that function @slot, in a port, has gone; then as pci_close() for that one, and its BARs are
 * unmapped. False when a core of @vm still has them in its TLB, as of arch_vm_unmapped().
 */
bool pci_unplug(struct vm *vm, uint32_t slot);

#define PCI_FAULT_LIMIT 16 /* so many may a VM's functions have since it started */

/*
 * The next refused DMA, in @vm whose function made it (NULL: nobody's); false when there is none. Never waits. Counts
 * them in vm->dma_faults; with one too many since the VM started the function's bus mastering goes off until the VM
 * ends, and @cut says so.
 */
bool pci_fault(struct dma_fault *fault, struct vm **vm, bool *cut);

#endif
