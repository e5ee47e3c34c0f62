/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's interrupt lines: the old PICs and the IOAPICs (82093AA 3.1, 3.2). The resident core has no use for them. */
#include "arch.h"

#include "cpu.h"
#include "iommu.h"
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

static uint32_t pins(const struct machine_ioapic *ioapic)
{
	return (*window(ioapic->base, IOAPIC_VERSION) >> 16 & 0xff) + 1;
}

void lines_off(const struct machine *machine)
{
	out8(PIC_MASK_1, 0xff);
	out8(PIC_MASK_2, 0xff);
	for (uint32_t i = 0; i < machine->x86.nioapics; i++) {
		const struct machine_ioapic *ioapic = &machine->x86.ioapic[i];

		for (uint32_t pin = 0; pin < pins(ioapic); pin++)
			*window(ioapic->base, IOAPIC_ENTRY + 2 * pin) = IOAPIC_MASKED;
	}
}

/* Its input wakes the management core; the line is ISA's: edge, active high. */
void lines_uart(const struct boot_info *info)
{
	const struct machine *machine = &info->machine;
	uint64_t manager = machine->cpu[info->plan.management_core].hwid;

	for (uint32_t i = 0; i < machine->x86.nioapics && machine->uart_irq != 0; i++) {
		const struct machine_ioapic *ioapic = &machine->x86.ioapic[i];
		uint32_t pin = machine->uart_irq - ioapic->gsi_base;
		uint64_t entry;

		if (pin >= pins(ioapic))
			continue;
		entry = iommus_line(info, ioapic, manager, WAKE_VECTOR);
		if (entry == 0)
			continue;
		*window(ioapic->base, IOAPIC_ENTRY + 2 * pin + 1) = (uint32_t)(entry >> 32);
		*window(ioapic->base, IOAPIC_ENTRY + 2 * pin) = (uint32_t)entry;
	}
}
