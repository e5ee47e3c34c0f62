/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's ports for hot plug: what it sees of a root port with a slot (PCIe 6.0 6.7, 7.5.1.3, 7.5.3). Nothing is
 * behind them in the machine; what they say at first is the planner's (core/plan.c). The slot's power is the guest's
 * to switch, and a guest that switches it off gives the function back. The slot's indicator says when it has done so, and
 * whether something may be put in (6.7.1.1.2): it is off then. Linux turns it off a second after the power, and forgets what
 * happens there meanwhile.
 */
#include <bulkhead/lock.h>
#include <bulkhead/pci.h>

#include <string.h>

#include "function.h"

/* Slot control, and status in its upper half (7.5.3.10, 7.5.3.11): button and presence have the same bits in both. */
#define SLOT_BUTTON (1U << 0)
#define SLOT_PRESENCE (1U << 3)
#define SLOT_INTERRUPT (1U << 5)
/* As a value: off. 0 is reserved, and what it is before the guest has written it. */
#define SLOT_INDICATOR (3U << 8)
#define SLOT_BLINKING (2U << 8)
#define SLOT_POWER_OFF (1U << 10)
#define SLOT_LINK_ON (1U << 12)
#define SLOT_STATUS(bits) ((bits) << 16)
#define SLOT_PRESENT SLOT_STATUS(1U << 6)
#define SLOT_LINK (1U << 8)
#define SLOT_EVENTS SLOT_STATUS(SLOT_BUTTON | SLOT_PRESENCE | SLOT_LINK)
#define LINK_ACTIVE (1U << 29) /* 7.5.3.8 */
#define MSI_ENABLED (1U << 16)

static const struct {
	uint32_t at;
	uint32_t writable;
} words[] = {
	{PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX},
	{PORT_SLOT, SLOT_BUTTON | SLOT_PRESENCE | SLOT_INTERRUPT | SLOT_INDICATOR | SLOT_POWER_OFF |
			    SLOT_LINK_ON},
	{PORT_MSI, MSI_ENABLED},
	{PORT_MSI + 4, ~3U},
	{PORT_MSI + 8, 0xffff},
};

/*
 * What follows from the slot's register: the link, and the interrupt, which is wanted for as long as an event that
 * is on stays (6.7.3.4). A message more than that asks for finds nothing, and does no harm.
 */
static void settle(struct vm *vm, uint32_t port)
{
	uint32_t *reg = vm->shared.port[port];
	uint32_t slot = reg[PORT_SLOT / 4];
	uint32_t on = slot & (SLOT_BUTTON | SLOT_PRESENCE);
	bool up = (slot & SLOT_PRESENT) != 0 && (slot & SLOT_POWER_OFF) == 0;

	if ((slot & SLOT_LINK_ON) != 0)
		on |= SLOT_LINK;
	bool raised = (slot & SLOT_INTERRUPT) != 0 && (slot & SLOT_STATUS(on)) != 0;
	bool sent = raised && (reg[PORT_MSI / 4] & MSI_ENABLED) != 0;

	reg[PORT_LINK / 4] = (reg[PORT_LINK / 4] & ~LINK_ACTIVE) | (up ? LINK_ACTIVE : 0);
	vm->shared.ports_raised &= ~(1U << port);
	vm->shared.ports_raised |= (uint32_t)raised << port;
	if (vm->state != VM_RUNNING) /* its line is off, and its messages are of another time */
		return;
	arch_port_notify(vm, sent ? reg[PORT_MSI / 4 + 1] : 0, reg[PORT_MSI / 4 + 2]);
}

void pci_port_reset(struct vm *vm)
{
	memcpy(vm->shared.port, machine_plan()->port, sizeof(vm->shared.port));
	for (uint32_t port = 0; port < vm_plan(vm)->nports; port++)
		if (pci_present(vm, pci_port_slot(vm_plan(vm), port)))
			vm->shared.port[port][PORT_SLOT / 4] = SLOT_PRESENT;
}

/* Something happened at the port of function @slot: @events; and it is there or not. */
static void event(struct vm *vm, uint32_t slot, uint32_t events, bool present)
{
	uint32_t port = slot - pci_port_slot(vm_plan(vm), 0);
	uint32_t *reg = &vm->shared.port[port][PORT_SLOT / 4];

	spin_lock(&vm->shared.pci_lock);
	vm->shared.pci_present &= ~(1U << slot);
	vm->shared.pci_present |= (uint32_t)present << slot;
	if (!present) /* nor can it be given back any more */
		__atomic_fetch_and(&vm->shared.pci_given_back, ~(1U << slot), __ATOMIC_SEQ_CST);
	*reg &= ~SLOT_PRESENT;
	*reg |= SLOT_STATUS(events) | (present ? SLOT_PRESENT : 0);
	settle(vm, port);
	spin_unlock(&vm->shared.pci_lock);
}

void pci_port_change(struct vm *vm, uint32_t slot, bool present)
{
	event(vm, slot, SLOT_PRESENCE | SLOT_LINK, present);
}

void pci_ask(struct vm *vm, uint32_t slot)
{
	uint32_t port = slot - pci_port_slot(vm_plan(vm), 0);

	/* While the indicator blinks, a second press would take the first one back (6.7.1.5). */
	if ((vm->shared.port[port][PORT_SLOT / 4] & SLOT_INDICATOR) != SLOT_BLINKING)
		event(vm, slot, SLOT_BUTTON, true);
}

uint32_t pci_port_find(const struct plan_vm *plan, uint64_t id)
{
	uint32_t port = 0;

	while (port < plan->nports && id != (GUEST_PORT_FIRST + port) << 3)
		port++;
	return port;
}

bool pci_port_busy(const struct vm *vm, uint32_t slot)
{
	uint32_t port = slot - pci_port_slot(vm_plan(vm), 0);
	uint32_t indicator = vm->shared.port[port][PORT_SLOT / 4] & SLOT_INDICATOR;

	return indicator != 0 && indicator != SLOT_INDICATOR;
}

static bool is_off(uint32_t slot)
{
	return (slot & (SLOT_POWER_OFF | SLOT_INDICATOR)) == (SLOT_POWER_OFF | SLOT_INDICATOR);
}

static void write_port(struct vm *vm, uint32_t port, uint32_t at, uint32_t lanes, uint32_t value)
{
	uint32_t *reg = &vm->shared.port[port][at / 4];
	uint32_t before = *reg;

	for (uint32_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].at == at)
			*reg ^= (before ^ value) & words[i].writable & lanes;
	if (at != PORT_SLOT)
		return;
	*reg &= ~(value & lanes & SLOT_EVENTS);
	if ((*reg & SLOT_PRESENT) != 0 && is_off(*reg) && !is_off(before)) {
		__atomic_fetch_or(&vm->shared.pci_given_back,
				  1U << pci_port_slot(vm_plan(vm), port), __ATOMIC_SEQ_CST);
		arch_doorbell(machine_plan()->management_core);
	}
	settle(vm, port);
}

void pci_port_access(struct vm *vm, uint32_t port, struct mmio *access)
{
	uint32_t at = access->offset % PAGE_SIZE & ~3U;
	uint32_t shift = access->offset % 4 * 8;
	uint32_t lanes = register_bytes(access->size) << shift;

	if (access->write && at < PORT_BYTES)
		write_port(vm, port, at, lanes, (uint32_t)access->value << shift);
	else
		access->value =
			at < PORT_BYTES ? (vm->shared.port[port][at / 4] & lanes) >> shift : 0;
}
