/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu.h"

#include "arch.h"
#include "lines.h"

#define EXTENDED 0x80000000U
#define FEATURES_ECX_RDRAND (1U << 30) /* leaf 1 */
#define STRUCTURED_EBX_RDSEED (1U << 18) /* leaf 7 */
#define RANDOM_ATTEMPTS 64

static struct cpuid cpuid_raw(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

/* Past the last basic leaf a processor repeats that one (SDM vol. 2, CPUID). */
struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	if (leaf > cpuid_raw(leaf & EXTENDED, 0).eax)
		return (struct cpuid){0};
	return cpuid_raw(leaf, subleaf);
}

uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

uint64_t read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Both set the carry flag when there was a number (SDM vol. 1 7.3.17). */
static bool rdseed(uint64_t *value)
{
	bool good;

	__asm__ volatile("rdseed %0" : "=r"(*value), "=@ccc"(good));
	return good;
}

static bool rdrand(uint64_t *value)
{
	bool good;

	__asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(good));
	return good;
}

bool arch_random(uint64_t *value)
{
	bool have_seed = (cpuid(7, 0).ebx & STRUCTURED_EBX_RDSEED) != 0;
	bool have_random = (cpuid(1, 0).ecx & FEATURES_ECX_RDRAND) != 0;

	for (int i = 0; have_seed && i < RANDOM_ATTEMPTS; i++) {
		if (rdseed(value))
			return true;
		__builtin_ia32_pause(); /* the source is slower than we are */
	}
	for (int i = 0; have_random && i < RANDOM_ATTEMPTS; i++) {
		if (rdrand(value))
			return true;
	}
	return false;
}

uint64_t arch_counter(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* Caches are coherent with instruction fetch and with cores that start, so there is no more to do. */
void arch_prepare_entry(const struct boot_info *info, const void *at, uint64_t size)
{
	(void)at;
	(void)size;
	__asm__ volatile("cli" : : : "memory");
	lines_off(&info->machine);
	lines_uart(info);
}
