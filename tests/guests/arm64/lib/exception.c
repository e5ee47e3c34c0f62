/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

#define EC_UNKNOWN 0 /* Arm ARM D19.2.37 */

uint64_t entry_regs[33];
bool skip_undefined;
volatile uint32_t undefined_count;

void on_exception(void);

void on_exception(void)
{
	uint64_t syndrome = read_sysreg("esr_el1");
	uint64_t pc = read_sysreg("elr_el1");

	if (skip_undefined && syndrome >> 26 == EC_UNKNOWN) {
		undefined_count++;
		write_sysreg("elr_el1", pc + 4);
		return;
	}
	say("exception: class %x, pc %x, address %x\n", syndrome >> 26, pc, read_sysreg("far_el1"));
	finish();
	system_off();
}
