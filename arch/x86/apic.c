/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC in x2APIC mode (SDM vol. 3 11.12). A guest owns its core's. */
#include "x86.h"

#define APIC_BASE_ENABLE (1ULL << 11)
#define APIC_BASE_X2APIC (1ULL << 10)

#define X2APIC_VERSION 0x803
#define X2APIC_TPR 0x808
#define X2APIC_EOI 0x80b
#define X2APIC_SVR 0x80f
#define X2APIC_ISR 0x810
#define X2APIC_IRR 0x820
#define X2APIC_LVT_TIMER 0x832
#define X2APIC_LVT_THERMAL 0x833
#define X2APIC_LVT_ERROR 0x837 /* between them those of the counters, LINT0 and LINT1 */
#define X2APIC_ESR 0x828
#define X2APIC_INITIAL_COUNT 0x838
#define X2APIC_DIVIDE 0x83e
#define X2APIC_LVT_CMCI 0x82f
#define MSR_TSC_DEADLINE 0x6e0
#define VECTOR_WORDS 8 /* of 32 vectors each */
#define SVR_ENABLE (1U << 8)
#define SVR_RESET 0xffU
#define LVT_MASKED (1U << 16)
#define DIVIDE_BY_1 0xbU
#define WAKE_VECTOR 0xf0 /* whichever: to this core all vectors only mean that it is to look */
#define WAKE_COUNT 1000000U /* about a millisecond; whoever waits longer sleeps again */

static bool any_vector(uint32_t first)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < VECTOR_WORDS; i++)
		bits |= rdmsr(first + i);
	return bits != 0;
}

/* Registers that are not there must not be touched: the error stays in ESR for the guest to find. */
static uint32_t max_lvt(void)
{
	return (uint32_t)rdmsr(X2APIC_VERSION) >> 16 & 0xff;
}

/*
 * Reset state (SDM vol. 3 11.4.7.1). Vectors in service are ended; those that
 * are requested are taken and forgotten, because nothing else takes them back.
 */
void apic_reset(void)
{
	for (uint32_t lvt = X2APIC_LVT_TIMER; lvt <= X2APIC_LVT_ERROR; lvt++)
		if (lvt != X2APIC_LVT_THERMAL || max_lvt() >= 5)
			wrmsr(lvt, LVT_MASKED);
	if (max_lvt() >= 6)
		wrmsr(X2APIC_LVT_CMCI, LVT_MASKED);
	x86_try_wrmsr(MSR_TSC_DEADLINE, 0);
	wrmsr(X2APIC_INITIAL_COUNT, 0);
	wrmsr(X2APIC_DIVIDE, 0);
	wrmsr(X2APIC_TPR, 0);
	wrmsr(X2APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	wrmsr(X2APIC_ESR, 0); /* takes in what came since the last write ... */
	wrmsr(X2APIC_ESR, 0); /* ... and this clears it (SDM vol. 3 11.5.3) */
	while (any_vector(X2APIC_ISR))
		wrmsr(X2APIC_EOI, 0);
	while (any_vector(X2APIC_IRR))
		__asm__ volatile("sti\n\tnop\n\tcli" ::: "memory");
	wrmsr(X2APIC_SVR, SVR_ENABLE | SVR_RESET);
}

void apic_cpu_init(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	/* From xAPIC mode to x2APIC, never back (SDM vol. 3 11.12.5). */
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	apic_reset();
}

/* A WRMSR to an x2APIC register does not wait for earlier stores (SDM vol. 3 11.12.3). */
void apic_send(uint64_t hwid, uint32_t low)
{
	__asm__ volatile("mfence\n\tlfence" ::: "memory");
	wrmsr(MSR_X2APIC_ICR, hwid << 32 | low);
}

void apic_timer(bool on)
{
	wrmsr(X2APIC_DIVIDE, DIVIDE_BY_1);
	wrmsr(X2APIC_LVT_TIMER, on ? WAKE_VECTOR : LVT_MASKED);
	wrmsr(X2APIC_INITIAL_COUNT, on ? WAKE_COUNT : 0);
}
