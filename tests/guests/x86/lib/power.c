/* SPDX-License-Identifier: Apache-2.0 */
/* vCPUs on and off (SDM vol. 3 9.4.4), the whole VM off and again (ACPI 6.5 4.8.3.7). */
#include "guest.h"

#define TRAMPOLINE 0x8000 /* as start.S has it */
#define SLEEP_ENABLE (1U << 5)
#define RESET_VALUE 6
#define MSR_EFER 0xc0000080
#define EFER_LMA 0x400U

extern const uint8_t trampoline[], trampoline_end[];
extern uint32_t trampoline_cr0, trampoline_cr3, trampoline_cr4, trampoline_efer;

static void (*volatile second_function)(void);
static volatile bool second_began, second_halted;

void second_main(void);

/* The local APIC is off after INIT (SDM vol. 3 11.4.7.3); an IPI that comes before the guest's code is to wait in it. */
void second_main(void)
{
	second_began = true;
	wrmsr(X2APIC_SVR, 0x1ff);
	second_function();
	mask_all();
	second_halted = true;
	cpu_off();
}

static void copy_trampoline(void)
{
	volatile uint8_t *to = (volatile uint8_t *)TRAMPOLINE;

	trampoline_cr0 = (uint32_t)read_register("cr0");
	trampoline_cr3 = (uint32_t)read_register("cr3");
	trampoline_cr4 = (uint32_t)read_register("cr4");
	trampoline_efer = (uint32_t)rdmsr(MSR_EFER) & ~EFER_LMA;
	for (size_t i = 0; i < (size_t)(trampoline_end - trampoline); i++)
		to[i] = trampoline[i];
}

int64_t second_on(void (*function)(void))
{
	uint64_t id = apic_id(1);

	if (vcpu_count() < 2)
		return -1;
	second_function = function;
	second_began = false;
	second_halted = false;
	copy_trampoline();
	icr_send(id, ICR_INIT | ICR_ASSERT | ICR_LEVEL);
	icr_send(id, ICR_INIT | ICR_LEVEL);
	wait_microseconds(10000);
	for (int i = 0; i < 2 && !second_began; i++) {
		icr_send(id, ICR_STARTUP | ICR_ASSERT | TRAMPOLINE >> 12);
		wait_microseconds(1000);
	}
	return 0;
}

bool second_is_off(void)
{
	return second_halted;
}

/* Nothing but INIT brings it back; an NMI goes by. */
void cpu_off(void)
{
	mask_all();
	FOREVER wait_for_interrupt();
}

void system_off(void)
{
	out8(GUEST_X86_SLEEP_PORT, GUEST_X86_SLEEP_S5 << 2 | SLEEP_ENABLE);
	cpu_off();
}

void system_reset(void)
{
	out8(GUEST_X86_RESET_PORT, RESET_VALUE);
	cpu_off();
}
