/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/vm.h>

/* docs/lifecycle.md as a picture: a row for each state, a column for each next state, in the order of the enum. */
static const char *const matrix[VM_STATE_COUNT] = {
	[VM_NEW] = ".X......",	    [VM_SCRUBBING] = "..X.....",   [VM_STOPPED] = "...X....",
	[VM_LOADING] = ".X..X...",  [VM_LOADED] = ".X...X..",	   [VM_RUNNING] = "......X.",
	[VM_STOPPING] = ".X.....X", [VM_QUARANTINED] = "........",
};

static void row(enum vm_state from)
{
	for (uint32_t to = 0; to < VM_STATE_COUNT; to++)
		assert_int_equal(vm_state_allows(from, (enum vm_state)to), matrix[from][to] == 'X');
}

#define ROW(name, state_)                                                                          \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		row(state_);                                                                       \
	}

ROW(from_new, VM_NEW)
ROW(from_scrubbing, VM_SCRUBBING)
ROW(from_stopped, VM_STOPPED)
ROW(from_loading, VM_LOADING)
ROW(from_loaded, VM_LOADED)
ROW(from_running, VM_RUNNING)
ROW(from_stopping, VM_STOPPING)
ROW(from_quarantined, VM_QUARANTINED)

static void nonsense_is_allowed_nowhere(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VM_STATE_COUNT; i++) {
		assert_false(vm_state_allows((enum vm_state)i, VM_STATE_COUNT));
		assert_false(vm_state_allows(VM_STATE_COUNT, (enum vm_state)i));
		assert_false(vm_state_allows((enum vm_state)i, (enum vm_state)40));
		assert_false(vm_state_allows((enum vm_state)40, (enum vm_state)i));
	}
}

/* Whoever has been in a guest's hands is scrubbed before it is called stopped. */
static void only_scrubbing_leads_to_stopped(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VM_STATE_COUNT; i++)
		assert_int_equal(vm_state_allows((enum vm_state)i, VM_STOPPED), i == VM_SCRUBBING);
}

static void every_state_has_its_own_name(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VM_STATE_COUNT; i++)
		for (uint32_t k = 0; k < i; k++)
			assert_string_not_equal(vm_state_name((enum vm_state)i),
						vm_state_name((enum vm_state)k));
	assert_string_equal(vm_state_name(VM_RUNNING), "running");
	assert_string_equal(vm_state_name(VM_STATE_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_new),
		cmocka_unit_test(from_scrubbing),
		cmocka_unit_test(from_stopped),
		cmocka_unit_test(from_loading),
		cmocka_unit_test(from_loaded),
		cmocka_unit_test(from_running),
		cmocka_unit_test(from_stopping),
		cmocka_unit_test(from_quarantined),
		cmocka_unit_test(nonsense_is_allowed_nowhere),
		cmocka_unit_test(only_scrubbing_leads_to_stopped),
		cmocka_unit_test(every_state_has_its_own_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
