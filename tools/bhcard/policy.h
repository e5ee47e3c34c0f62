/* SPDX-License-Identifier: Apache-2.0 */
/* When a VM that ended is started again. Pure. */
#ifndef BHCARD_POLICY_H
#define BHCARD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum restart_policy { RESTART_NEVER, RESTART_ON_FAILURE, RESTART_ALWAYS };

/* How a VM ended. */
enum ending {
	ENDING_NONE,
	ENDING_OFF, /* the guest switched itself off */
	ENDING_RESET, /* the guest asked for it */
	ENDING_ABORTED, /* an illegal operation */
	ENDING_UNSEEN, /* while the card was away: as bad as the worst */
	ENDING_STOPPED, /* somebody else stopped it, at the machine's own prompt */
};

struct restart_rule {
	enum restart_policy policy;
	uint32_t limit; /* restarts allowed within a window */
	uint32_t window; /* seconds */
};

/* What has been used of a rule. A window begins with its first restart. */
struct restart_count {
	uint64_t window_began; /* seconds of any clock */
	uint32_t restarts;
};

enum restart_verdict { VERDICT_STAY, VERDICT_RESTART, VERDICT_CRASH_LOOP };

/* Decides at @now and counts a restart. */
enum restart_verdict restart_decide(const struct restart_rule *rule, struct restart_count *count,
				    enum ending ending, uint64_t now);

/* "never", "on-failure", "always". */
const char *restart_policy_name(enum restart_policy policy);

#endif
