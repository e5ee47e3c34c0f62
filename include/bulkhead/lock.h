/* SPDX-License-Identifier: Apache-2.0 */
/* A lock that cores wait for awake; 0 is open. Held for a few instructions or accesses to a device, never while anything waits. */
#ifndef BULKHEAD_LOCK_H
#define BULKHEAD_LOCK_H

#include <bulkhead/arch.h>

/* Takes @lock, once nobody has it. */
static inline void spin_lock(uint32_t *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0)
		arch_pause();
}

/* Gives it back. */
static inline void spin_unlock(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
