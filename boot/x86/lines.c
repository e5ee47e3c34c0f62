/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's interrupt lines: the old PICs and the IOAPICs (82093AA 3.1, 3.2). The resident core has no use for them. */
#include "arch.h"

#include "cpu.h"
#include "lines.h"

#define PIC_MASK_1 0x21
#define PIC_MASK_2 0xa1

#define IOAPIC_DATA 0x10
#define IOAPIC_VERSION 1
#define IOAPIC_ENTRY 0x10
#define IOAPIC_MASKED (1U << 16)
#define WAKE_VECTOR 0xf0 /* to the core all vectors only mean that it is to look */

static volatile uint32_t *window(pa_t base, uint32_t reg)
{
	volatile uint32_t *registers = pa_to_ptr(base);

	registers[0] = reg;
	return &registers[IOAPIC_DATA / sizeof(uint32_t)];
}

/* The UART's input wakes the management core; its line is ISA's: edge, active high. */
static void route_uart(pa_t base, uint32_t pin, uint64_t hwid)
{
	if (hwid > UINT8_MAX) /* an IOAPIC without remapping names 8 bits of an APIC's id */
		return;
	*window(base, IOAPIC_ENTRY + 2 * pin + 1) = (uint32_t)hwid << 24;
	*window(base, IOAPIC_ENTRY + 2 * pin) = WAKE_VECTOR;
}

void lines_off(const struct boot_info *info)
{
	const struct machine *machine = &info->machine;
	uint64_t manager = machine->cpu[info->plan.management_core].hwid;

	out8(PIC_MASK_1, 0xff);
	out8(PIC_MASK_2, 0xff);
	for (uint32_t i = 0; i < machine->x86.nioapics; i++) {
		const struct machine_ioapic *ioapic = &machine->x86.ioapic[i];
		uint32_t pins = (*window(ioapic->base, IOAPIC_VERSION) >> 16 & 0xff) + 1;

		for (uint32_t pin = 0; pin < pins; pin++)
			*window(ioapic->base, IOAPIC_ENTRY + 2 * pin) = IOAPIC_MASKED;
		if (machine->uart_irq != 0 && machine->uart_irq - ioapic->gsi_base < pins)
			route_uart(ioapic->base, machine->uart_irq - ioapic->gsi_base, manager);
	}
}
