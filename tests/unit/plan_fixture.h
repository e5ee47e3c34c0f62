/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the planner: a machine of eight cores on two nodes, and a manifest to fill. */
#ifndef TESTS_UNIT_PLAN_FIXTURE_H
#define TESTS_UNIT_PLAN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/planner.h>

static struct machine machine;
static struct manifest manifest;
static struct image_info images[4];
static uint32_t nimages;
static struct extent core;
static struct plan plan;
static struct bh_report report;

static inline void add_memory(uint64_t base, uint64_t size, uint32_t node)
{
	machine.memory[machine.nmemory++] =
		(struct machine_memory){.extent = {pa(base), size}, .node = node};
}

/* Node 0: cores 0-3, 3 GiB at 1 GiB. Node 1: cores 4-7, 4 GiB at 16 GiB. */
static inline void make_machine(void)
{
	memset(&machine, 0, sizeof(machine));
	memcpy(machine.name, "test", 5);
	machine.ncpus = 8;
	for (uint32_t i = 0; i < 8; i++)
		machine.cpu[i] = (struct machine_cpu){.hwid = i, .node = i / 4, .core_id = i};
	add_memory(1 * GIB, 3 * GIB, 0);
	add_memory(16 * GIB, 4 * GIB, 1);
	machine.uart = pa(0x09000000);
	machine.uart_irq = 33;
	machine.arm64.gic_version = 3;
}

static inline struct manifest_vm *add_vm(const char *name, uint64_t memory)
{
	struct manifest_vm *vm = &manifest.vm[manifest.nvms++];

	memset(vm, 0, sizeof(*vm));
	memcpy(vm->name, name, strlen(name) + 1);
	memcpy(vm->kernel, "Image", 6);
	vm->memory = memory;
	vm->ncores = 1;
	vm->any_core = 1;
	vm->console = 1;
	vm->autostart = 1;
	vm->restart_limit = 3;
	vm->restart_window = 60;
	return vm;
}

static inline void name_cores(struct manifest_vm *vm, uint32_t count, uint32_t first,
			      uint32_t second)
{
	vm->any_core = 0;
	vm->ncores = count;
	vm->core[0] = first;
	vm->core[1] = second;
}

static inline struct image_info *add_image(const char *name, uint64_t base, uint64_t size)
{
	struct image_info *image = &images[nimages++];

	memset(image, 0, sizeof(*image));
	memcpy(image->name, name, strlen(name) + 1);
	image->extent = (struct extent){pa(base), align_up(size, PAGE_SIZE)};
	image->size = size;
	image->run_size = size;
	image->kind = strcmp(name, "Image") == 0 ? KERNEL_ARM64_IMAGE : KERNEL_NONE;
	return image;
}

/* The machine, a manifest without VMs, and a kernel of 30 MiB at 1 GiB + 64 MiB. */
static inline int set_up(void **state)
{
	(void)state;
	make_machine();
	memset(&manifest, 0, sizeof(manifest));
	manifest.host.management_core = MANIFEST_ANY_CORE;
	nimages = 0;
	add_image("Image", 1 * GIB + 64 * MIB, 30 * MIB);
	core = (struct extent){pa(4 * GIB - 4 * MIB), 4 * MIB};
	return 0;
}

static inline enum bh_error make(void)
{
	memset(&report, 0, sizeof(report));
	memset(&plan, 0xa5, sizeof(plan));
	return plan_make(&manifest, &machine, images, nimages, core, &plan, &report);
}

/* Makes a plan that must be good, also in plan_check's eyes. */
static inline void make_good(void)
{
	if (make() != BH_OK)
		fail_msg("plan_make: %s", report.text);
	if (plan_check(&plan, &machine, &report) != BH_OK)
		fail_msg("plan_check: %s", report.text);
}

static inline void refused(enum bh_error error, const char *sentence)
{
	assert_int_not_equal(make(), BH_OK);
	assert_string_equal(report.text, sentence);
	assert_string_equal(bh_error_name(report.error), bh_error_name(error));
}

/*
 * One way of breaking a plan, and what plan_check() says of it. A test lists its
 * ways as BREAKS(X), each X(name, statement, error): BREAKS(BREAK_FUNCTION)
 * makes the functions, {BREAKS(BREAK_CASE)} the table.
 */
struct broken {
	const char *name;
	void (*apply)(void);
	enum bh_error error;
};

#define BREAK_FUNCTION(name, statement, error)                                                     \
	static void break_##name(void)                                                             \
	{                                                                                          \
		(void)(statement);                                                                 \
	}

#define BREAK_CASE(name, statement, error) {#name, break_##name, error},

/* Runs @count tests, and @test with each of @nbroken plans as its state; what main() returns. */
static inline int run_with_broken(const struct CMUnitTest *tests, size_t count,
				  const struct broken *broken, size_t nbroken,
				  CMUnitTestFunction test)
{
	struct CMUnitTest *all = calloc(count + nbroken, sizeof(*all));

	if (all == NULL)
		return 1;
	memcpy(all, tests, count * sizeof(*tests));
	for (size_t i = 0; i < nbroken; i++)
		all[count + i] = (struct CMUnitTest){
			.name = broken[i].name,
			.test_func = test,
			.initial_state = (void *)(uintptr_t)&broken[i],
		};
	int failed = _cmocka_run_group_tests("tests", all, count + nbroken, NULL, NULL);

	free(all);
	return failed;
}

#endif
