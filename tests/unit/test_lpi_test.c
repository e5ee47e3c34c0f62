/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's trial of a GIC, with GICs that do and that do not keep LPIs of one number apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "boot/arm64/lpi_test.h"

#define CORES 2

/* What may be wrong with a GIC. */
enum kind {
	GOOD,
	ONE_FOR_ALL, /* an interrupt comes at all cores */
	ACKNOWLEDGED_FOR_ALL,
	LOST_WHEN_MOVED,
	DISCARDED_FOR_ALL,
	COMES_BACK, /* what was discarded pends where it is mapped next */
	DEAF, /* nothing ever pends */
	STALLED, /* no command is done */
};

static struct gic {
	enum kind kind;
	uint32_t core[2]; /* where each device's event goes */
	bool is_mapped[2], pends[CORES], was_discarded;
	uint32_t commands;
} gic;

static void discard(uint32_t device, uint32_t core)
{
	gic.was_discarded = gic.pends[core];
	gic.pends[core] = false;
	if (gic.kind == DISCARDED_FOR_ALL)
		gic.pends[0] = gic.pends[1] = false;
	gic.is_mapped[device] = false;
}

static void move(uint32_t device, uint32_t from, uint32_t to)
{
	bool pended = gic.pends[from];

	gic.pends[from] = false;
	gic.pends[to] |= pended && gic.kind != LOST_WHEN_MOVED;
	gic.core[device] = to;
}

static bool command(void *context, enum its_command what, uint32_t id, uint32_t collection)
{
	uint32_t device = id == 77;

	assert_ptr_equal(context, &gic);
	assert_true(id == 66 || id == 77);
	gic.commands++;
	switch (what) {
	case ITS_MAPTI:
		assert_false(gic.is_mapped[device]); /* UNPREDICTABLE */
		gic.is_mapped[device] = true;
		gic.core[device] = collection;
		gic.pends[collection] |= gic.kind == COMES_BACK && gic.was_discarded;
		break;
	case ITS_INT:
		gic.pends[gic.core[device]] = gic.kind != DEAF;
		if (gic.kind == ONE_FOR_ALL)
			gic.pends[0] = gic.pends[1] = true;
		break;
	case ITS_MOVI:
		move(device, gic.core[device], collection);
		break;
	case ITS_DISCARD:
		if (gic.is_mapped[device])
			discard(device, gic.core[device]);
		break;
	default:
		fail_msg("command %d", what);
	}
	return gic.kind != STALLED;
}

static bool take(void *context, bool wanted)
{
	bool pends = gic.pends[0];

	(void)wanted;
	assert_ptr_equal(context, &gic);
	gic.pends[0] = false;
	if (pends && gic.kind == ACKNOWLEDGED_FOR_ALL)
		gic.pends[1] = false;
	return pends;
}

static bool try(enum kind kind)
{
	const struct lpi_rig rig = {
		.context = &gic,
		.device = {66, 77},
		.here = 0,
		.there = 1,
		.command = command,
		.take = take,
	};

	gic = (struct gic){.kind = kind};
	return lpis_are_apart(&rig);
}

static void a_good_one(void **state)
{
	(void)state;
	assert_true(try(GOOD));
	assert_false(gic.is_mapped[0] || gic.is_mapped[1]);
	assert_false(gic.pends[0] || gic.pends[1]);
}

static void bad_ones(void **state)
{
	(void)state;
	for (enum kind kind = ONE_FOR_ALL; kind < STALLED; kind++) {
		if (try(kind))
			fail_msg("kind %d is taken for a good one", kind);
		assert_false(gic.is_mapped[0] || gic.is_mapped[1]);
	}
}

static void one_that_stalls(void **state)
{
	(void)state;
	assert_false(try(STALLED));
	assert_true(gic.commands < 4); /* each waits for seconds */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_one),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(one_that_stalls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
