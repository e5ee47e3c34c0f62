/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC in x2APIC mode, and its timer: SDM vol. 3 11.5.4, 11.12. */
#include "guest.h"

#define SVR_ON 0x1ff /* with the spurious vector 0xff */
#define SPURIOUS 0xff
#define DIVIDE_BY_1 0xb
#define TRIAL_COUNT 1000000

bool keep_in_service;

static uint64_t tsc_hertz, timer_hertz;
static uint64_t interval, deadline; /* in TSC ticks */
static volatile uint64_t trial_end;

void on_interrupt(uint64_t vector);
void clock_init(const char *arguments);

void interrupts_on(void)
{
	wrmsr(X2APIC_SVR, SVR_ON);
	unmask_irq();
}

/* Every vector is on from the start. */
void ipi_enable(uint32_t vcpu, uint32_t ipi)
{
	(void)vcpu, (void)ipi;
}

void icr_send(uint64_t apic_id, uint32_t low)
{
	wrmsr(X2APIC_ICR, apic_id << 32 | low);
}

void ipi_send(uint32_t vcpu, uint32_t ipi)
{
	icr_send(apic_id(vcpu), VECTOR_BASE + ipi);
}

uint64_t cpu_id(void)
{
	return rdmsr(X2APIC_ID);
}

/* ---- time ---- */

void clock_init(const char *arguments)
{
	tsc_hertz = 1000 * argument_number_in(arguments, "tsc_early_khz", 1000000);
}

uint64_t clock_now(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

uint64_t clock_hertz(void)
{
	return tsc_hertz;
}

void wait_microseconds(uint64_t us)
{
	uint64_t until = clock_now() + us * tsc_hertz / 1000000;

	while (clock_now() < until)
		;
}

/*
 * Counts the timer against the TSC. The latency of its interrupt makes it seem slower than it is, so that it wakes us
 * too early rather than too late.
 */
static void measure_timer(void)
{
	uint64_t begin = clock_now();

	trial_end = 0;
	wrmsr(X2APIC_INITIAL_COUNT, TRIAL_COUNT);
	while (trial_end == 0)
		;
	timer_hertz = TRIAL_COUNT * tsc_hertz / (trial_end - begin);
}

static void timer_arm(void)
{
	uint64_t now = clock_now();
	uint64_t count = now < deadline ? (deadline - now) * timer_hertz / tsc_hertz : 0;

	wrmsr(X2APIC_INITIAL_COUNT, count + 1);
}

void timer_on(uint64_t hertz)
{
	wrmsr(X2APIC_DIVIDE, DIVIDE_BY_1);
	wrmsr(X2APIC_LVT_TIMER, VECTOR_BASE + TIMER_INTERRUPT); /* one-shot */
	measure_timer();
	interval = tsc_hertz / hertz;
	deadline = clock_now() + interval;
	timer_arm();
}

void timer_off(void)
{
	wrmsr(X2APIC_INITIAL_COUNT, 0);
}

void timer_next(void)
{
	deadline += interval;
	timer_arm();
}

static void on_timer(void)
{
	if (trial_end == 0)
		trial_end = clock_now();
	else if (clock_now() < deadline)
		timer_arm();
	else
		handle_interrupt(TIMER_INTERRUPT);
}

void on_interrupt(uint64_t vector)
{
	if (vector == VECTOR_BASE + TIMER_INTERRUPT)
		on_timer();
	else
		handle_interrupt((uint32_t)vector - VECTOR_BASE);
	if (vector != SPURIOUS && !keep_in_service)
		wrmsr(X2APIC_EOI, 0);
}
