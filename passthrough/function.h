/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of a PCI function (PCI Express Base 6.0 7.5), and how the files here reach them. */
#ifndef PASSTHROUGH_FUNCTION_H
#define PASSTHROUGH_FUNCTION_H

#include <bulkhead/vm.h>

#define PCI_COMMAND 0x04U /* 7.5.1.1.3 */
#define COMMAND_MEMORY (1U << 1)
#define COMMAND_MASTER (1U << 2)
#define COMMAND_NO_INTX (1U << 10)
#define STATUS_CAPABILITIES (1U << 20) /* in the same doubleword, 7.5.1.1.4 */
#define PCI_BAR 0x10U /* the first of six */
#define PCI_BAR_END 0x28U
#define PCI_SUBSYSTEM 0x2cU
#define PCI_CAPABILITIES 0x34U
#define BAR_64(flags) (((flags)&6) == 4) /* 7.5.1.2.1 */

#define CAP_VENDOR 0x09
#define CAP_PCIE 0x10
#define CAP_MSIX 0x11
#define PCIE_CONTROL 8U /* 7.5.3.4; the status stands in the two bytes behind it */
#define CONTROL_FLR (1U << 15)
#define STATUS_PENDING (1U << 5)

/* Function @slot of @vm; there is one. */
const struct machine_function *function_of(const struct vm *vm, uint32_t slot);

/* All ones in the lowest @count bytes. */
static inline uint32_t register_bytes(uint32_t count)
{
	return count >= 4 ? ~0U : (1U << count * 8) - 1;
}

/* Which function of a VM is what stands in @port. */
static inline uint32_t pci_port_slot(const struct plan_vm *plan, uint32_t port)
{
	return plan->nfunctions - plan->nports + port;
}

/* The port at @id on the guest's bus 0; @plan->nports: none. */
uint32_t pci_port_find(const struct plan_vm *plan, uint64_t id);

/* A guest's access to the configuration space of its port @port; under pci_lock. */
void pci_port_access(struct vm *vm, uint32_t port, struct mmio *access);

/* All of @vm's ports as it finds them when it starts. */
void pci_port_reset(struct vm *vm);

/*
 * Whether @vm, which runs, is not done with what was in function @slot's port: the indicator says that nothing may be
 * put into the slot now.
 */
bool pci_port_busy(const struct vm *vm, uint32_t slot);

/* Function @slot, in a port, is there, or has gone: the guest is told. */
void pci_port_change(struct vm *vm, uint32_t slot, bool present);

/* Where the configuration space of @function stands. */
pa_t function_config(const struct machine_function *function);

#endif
