/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The specification has no sentence about LPIs of one number in different collections (docs/decisions/0007-passthrough.md).
 * What is done here is what the mediated ITS does to two guests: IHI 0069H 5.3.
 */
#include "lpi_test.h"

#define A 0
#define B 1

static bool order(const struct lpi_rig *rig, enum its_command what, uint32_t which,
		  uint32_t collection)
{
	return rig->command(rig->context, what, rig->device[which], collection);
}

/* It pends here, and once. */
static bool comes_once(const struct lpi_rig *rig)
{
	return rig->take(rig->context, true) && !rig->take(rig->context, false);
}

static bool try(const struct lpi_rig *rig)
{
	/* B's is not seen here. */
	if (!order(rig, ITS_MAPTI, A, rig->here) || !order(rig, ITS_MAPTI, B, rig->there) ||
	    !order(rig, ITS_INT, B, 0) || rig->take(rig->context, false))
		return false;
	/* Taking A's leaves it, and it comes along when it is moved. */
	if (!order(rig, ITS_INT, A, 0) || !comes_once(rig) || !order(rig, ITS_MOVI, B, rig->here) ||
	    !comes_once(rig))
		return false;
	/* A's is not discarded with it. */
	if (!order(rig, ITS_MOVI, B, rig->there) || !order(rig, ITS_INT, A, 0) ||
	    !order(rig, ITS_INT, B, 0) || !order(rig, ITS_DISCARD, B, 0) || !comes_once(rig))
		return false;
	/* What was discarded does not come back. */
	return order(rig, ITS_MAPTI, B, rig->here) && !rig->take(rig->context, false);
}

bool lpis_are_apart(const struct lpi_rig *rig)
{
	bool apart = try(rig);

	return order(rig, ITS_DISCARD, A, 0) && order(rig, ITS_DISCARD, B, 0) && apart;
}
