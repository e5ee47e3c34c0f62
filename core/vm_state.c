/* SPDX-License-Identifier: Apache-2.0 */
/* The VM state machine as data. Pure. */
#include <bulkhead/vm.h>

#define BIT(state) (1U << (state))

static const uint32_t allowed[VM_STATE_COUNT] = {
	[VM_NEW] = BIT(VM_SCRUBBING),
	[VM_SCRUBBING] = BIT(VM_STOPPED),
	[VM_STOPPED] = BIT(VM_LOADING),
	[VM_LOADING] = BIT(VM_LOADED) | BIT(VM_SCRUBBING),
	[VM_LOADED] = BIT(VM_RUNNING) | BIT(VM_SCRUBBING),
	[VM_RUNNING] = BIT(VM_STOPPING),
	[VM_STOPPING] = BIT(VM_SCRUBBING) | BIT(VM_QUARANTINED),
	[VM_QUARANTINED] = 0,
};

static const char *const names[VM_STATE_COUNT] = {
#define VM_STATE_TEXT(name, text) [name] = text,
	VM_STATES(VM_STATE_TEXT)
#undef VM_STATE_TEXT
};

const char *vm_state_name(enum vm_state state)
{
	return state < VM_STATE_COUNT ? names[state] : "?";
}

bool vm_state_allows(enum vm_state from, enum vm_state to)
{
	return from < VM_STATE_COUNT && to < VM_STATE_COUNT && (allowed[from] & BIT(to)) != 0;
}
