/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests on the fake machine: each runs in a process of its own, because the
 * core keeps its state in static variables as it does on the machine, and what
 * a broken test leaves behind ends with it.
 */
#ifndef TESTS_UNIT_LIB_FAKE_H
#define TESTS_UNIT_LIB_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "core/core.h"

/* The schedule of this run, for host_schedule(); 0 unless SCHEDULED_TEST() draws them. */
static uint64_t fake_seed;

static inline void fake_show(FILE *file)
{
	char text[4096];
	size_t count;

	rewind(file);
	while ((count = fread(text, 1, sizeof(text), file)) != 0)
		fwrite(text, 1, count, stdout);
	fflush(stdout);
}

/* The child: its output goes to @file and is shown when it fails. */
static inline void fake_child(FILE *file, const char *name, CMUnitTestFunction body)
	__attribute__((noreturn));

static inline void fake_child(FILE *file, const char *name, CMUnitTestFunction body)
{
	const struct CMUnitTest test[] = {{name, body, NULL, NULL, NULL}};

	alarm(60);
	dup2(fileno(file), STDOUT_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	int failed = cmocka_run_group_tests(test, NULL, NULL);

	if (failed != 0)
		printf("broken: %s\n---- UART ----\n%s----\n", host_broken(), host_output());
	fflush(stdout);
	_exit(failed != 0);
}

static inline void fake_test(const char *name, CMUnitTestFunction body, uint64_t seeds)
{
	for (uint64_t seed = seeds == 0 ? 0 : 1; seed <= seeds; seed++) {
		FILE *file = tmpfile();
		int status = 0;

		assert_non_null(file);
		fflush(stdout);
		fake_seed = seed;
		pid_t child = fork();

		if (child == 0)
			fake_child(file, name, body);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			fake_show(file);
		fclose(file);
		if (status != 0)
			fail_msg("%s: schedule %lu, status 0x%x", name, seed, (unsigned)status);
	}
}

#define FAKE_TEST_SEEDS(name, seeds)                                                               \
	static void name##_body(void **state);                                                     \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		fake_test(#name, name##_body, seeds);                                              \
	}                                                                                          \
	static void name##_body(void **state __attribute__((unused)))

/* A test in a process of its own, round robin. */
#define FAKE_TEST(name) FAKE_TEST_SEEDS(name, 0)

/* The same once for each schedule from 1 to @seeds. */
#define SCHEDULED_TEST(name, seeds) FAKE_TEST_SEEDS(name, seeds)

static inline void fake_expect(enum host_end wanted)
{
	static const char *const names[] = {"runs", "quiet", "busy", "off", "halted", "broken"};
	enum host_end end = host_run();

	if (end != wanted)
		fail_msg("the machine is %s instead of %s: %s", names[end], names[wanted],
			 host_broken());
}

/* Starts core_main() for @vms and lets the machine come to rest. */
static inline struct boot_info *fake_boot(uint32_t ncpus, const struct host_vm *vms, uint32_t nvms)
{
	struct boot_info *info = host_make(ncpus, vms, nvms);

	host_schedule(fake_seed);
	host_boot(info, core_main);
	fake_expect(HOST_QUIET);
	return info;
}

/* The operator types @line and return; until the machine rests. */
static inline void fake_operator(const char *line)
{
	host_type(line);
	host_type("\r");
	fake_expect(HOST_QUIET);
}

static inline bool fake_said(const char *text)
{
	return strstr(host_output(), text) != NULL;
}

static inline uint32_t fake_count(const char *text)
{
	uint32_t count = 0;

	for (const char *at = host_output(); (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

/* The output holds all of @lines (up to NULL), in this order. */
static inline void fake_said_in_order(const char *const *lines)
{
	const char *at = host_output();

	for (; *lines != NULL; lines++) {
		const char *found = strstr(at, *lines);

		if (found == NULL) {
			fail_msg("the log lacks, at its place: %s", *lines);
			return;
		}
		at = found + strlen(*lines);
	}
}

static inline enum vm_state fake_state(uint32_t vm)
{
	return (enum vm_state)vm_record(vm)->state;
}

/* True when [@at, @at + @size) is zero, seen from outside. */
static inline bool fake_is_zero(pa_t at, uint64_t size)
{
	const uint8_t *bytes = host_physical(at);

	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static inline bool fake_vm_is_zero(uint32_t vm)
{
	const struct plan_vm *plan = &machine_plan()->vm[vm];

	for (uint32_t r = 0; r < plan->nregions; r++)
		if (!fake_is_zero(plan->region[r].extent.base, plan->region[r].extent.size))
			return false;
	return true;
}

/* The first event of @kind about @vm (PLAN_NONE: any) at or after @from; the count of events when there is none. */
static inline uint32_t fake_find(enum host_event_kind kind, uint32_t vm, uint32_t from)
{
	uint32_t count;
	const struct host_event *event = host_events(&count);

	for (uint32_t i = from; i < count; i++)
		if (event[i].kind == kind && (vm == PLAN_NONE || event[i].vm == vm))
			return i;
	return count;
}

static inline uint32_t fake_events(enum host_event_kind kind, uint32_t vm)
{
	uint32_t count, found = 0;
	const struct host_event *event = host_events(&count);

	for (uint32_t i = 0; i < count; i++)
		found += event[i].kind == kind && (vm == PLAN_NONE || event[i].vm == vm);
	return found;
}

#endif
