/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

static bool is_wanted(enum restart_policy policy, enum ending ending)
{
	if (ending == ENDING_NONE || ending == ENDING_STOPPED)
		return false;
	switch (policy) {
	case RESTART_ALWAYS:
		return true;
	case RESTART_ON_FAILURE:
		return ending != ENDING_OFF;
	case RESTART_NEVER:
		break;
	}
	return false;
}

enum restart_verdict restart_decide(const struct restart_rule *rule, struct restart_count *count,
				    enum ending ending, uint64_t now)
{
	if (!is_wanted(rule->policy, ending))
		return VERDICT_STAY;
	if (count->restarts == 0 || now < count->window_began ||
	    now - count->window_began >= rule->window)
		*count = (struct restart_count){now, 0};
	if (count->restarts >= rule->limit)
		return VERDICT_CRASH_LOOP;
	count->restarts++;
	return VERDICT_RESTART;
}

const char *restart_policy_name(enum restart_policy policy)
{
	switch (policy) {
	case RESTART_ALWAYS:
		return "always";
	case RESTART_ON_FAILURE:
		return "on-failure";
	case RESTART_NEVER:
		break;
	}
	return "never";
}
