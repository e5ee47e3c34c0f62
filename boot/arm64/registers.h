/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of devices, while the firmware's tables map them one to one. */
#ifndef BOOT_ARM64_REGISTERS_H
#define BOOT_ARM64_REGISTERS_H

#include <bulkhead/types.h>

#define REGISTER_ATTEMPTS 100000000U /* some seconds: longer than any device takes */

static inline uint32_t read32(pa_t base, uint64_t offset)
{
	return *(volatile uint32_t *)pa_to_ptr(pa(base.v + offset));
}

static inline uint64_t read64(pa_t base, uint64_t offset)
{
	return *(volatile uint64_t *)pa_to_ptr(pa(base.v + offset));
}

static inline void write32(pa_t base, uint64_t offset, uint32_t value)
{
	*(volatile uint32_t *)pa_to_ptr(pa(base.v + offset)) = value;
}

static inline void write64(pa_t base, uint64_t offset, uint64_t value)
{
	*(volatile uint64_t *)pa_to_ptr(pa(base.v + offset)) = value;
}

/* What was written to memory is seen by whoever a later register write wakes. */
static inline void dsb(void)
{
	__asm__ volatile("dsb sy" : : : "memory");
}

/* Waits until the bits @mask are @value; false when that takes too long. */
static inline bool wait32(pa_t base, uint64_t offset, uint32_t mask, uint32_t value)
{
	for (uint32_t i = 0; i < REGISTER_ATTEMPTS; i++) {
		if ((read32(base, offset) & mask) == value)
			return true;
	}
	return false;
}

#endif
