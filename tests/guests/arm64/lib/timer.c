/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual timer: Arm ARM D12.2. */
#include "guest.h"

static uint64_t interval; /* in counter ticks */

uint64_t clock_now(void)
{
	return read_sysreg("cntvct_el0");
}

uint64_t clock_hertz(void)
{
	return read_sysreg("cntfrq_el0");
}

void timer_on(uint64_t hertz)
{
	interval = clock_hertz() / hertz;
	gic_enable(0, TIMER_INTERRUPT, 0x80);
	write_sysreg("cntv_cval_el0", clock_now() + interval);
	write_sysreg("cntv_ctl_el0", 1);
}

void timer_off(void)
{
	write_sysreg("cntv_ctl_el0", 0);
}

void timer_next(void)
{
	write_sysreg("cntv_cval_el0", read_sysreg("cntv_cval_el0") + interval);
}
