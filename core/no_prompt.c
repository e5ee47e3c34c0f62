/* SPDX-License-Identifier: Apache-2.0 */
/* Without CONFIG_OPERATOR_PROMPT nobody at the UART can say anything. */
#include "core.h"

bool prompt_poll(void)
{
	return false;
}

bool prompt_attached(void)
{
	return false;
}

void prompt_flush(struct vm *vm)
{
	(void)vm;
}

void prompt_hide(void)
{
}

void prompt_show(void)
{
}
