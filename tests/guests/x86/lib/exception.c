/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions end the guest with a report, but for those that were asked for. */
#include "guest.h"

#define VECTOR_NMI 2
#define GATE_INTERRUPT (0x8eULL << 40) /* present, privilege 0, 64-bit interrupt gate */

uint64_t entry_regs[19];
volatile uint64_t try_resume;
volatile uint32_t try_caught;
volatile uint32_t nmi_count;

static struct gate idt[256] __attribute__((aligned(16)));

extern const uint8_t vectors[];
void on_vector(struct frame *frame);
void on_interrupt(uint64_t vector);

void idt_set(uint32_t vector, uint64_t handler, uint32_t ist)
{
	idt[vector].low = (handler & 0xffff) | (uint64_t)SELECTOR_CODE << 16 | (uint64_t)ist << 32 |
			  GATE_INTERRUPT | (handler >> 16 & 0xffff) << 48;
	idt[vector].high = handler >> 32;
}

void idt_load(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

	for (uint32_t i = 0; i < ARRAY_SIZE(idt); i++)
		if (idt[i].low == 0)
			idt_set(i, (uint64_t)(uintptr_t)&vectors[i * 16], 0);
	__asm__ volatile("lidt %0" ::"m"(pointer) : "memory");
}

void on_vector(struct frame *frame)
{
	if (frame->vector >= 32) {
		on_interrupt(frame->vector);
		return;
	}
	if (frame->vector == VECTOR_NMI) {
		nmi_count++;
		handle_interrupt(NMI_INTERRUPT);
		return;
	}
	if (try_resume != 0) {
		try_caught = (uint32_t)frame->vector;
		frame->rip = try_resume;
		return;
	}
	say("exception: vector %u error %x, pc %x, address %x\n", frame->vector, frame->error,
	    frame->rip, read_register("cr2"));
	finish();
	system_off();
}

bool try_rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0, high = 0;

	try_caught = NOTHING_CAUGHT;
	__asm__ volatile(TRY_BEGIN "rdmsr" TRY_END
			 : "+a"(low), "+d"(high)
			 : "c"(msr)
			 : "r11", "memory");
	*value = (uint64_t)high << 32 | low;
	return try_caught == NOTHING_CAUGHT;
}

bool try_wrmsr(uint32_t msr, uint64_t value)
{
	try_caught = NOTHING_CAUGHT;
	__asm__ volatile(TRY_BEGIN "wrmsr" TRY_END ::"c"(msr), "a"((uint32_t)value),
			 "d"((uint32_t)(value >> 32))
			 : "r11", "memory");
	return try_caught == NOTHING_CAUGHT;
}
