/* SPDX-License-Identifier: Apache-2.0 */
#include "fail.h"

#include <stdio.h>

bool fail_with(struct fail *fail, int status, const char *name, const char *format, ...)
{
	va_list args;

	fail->status = status;
	snprintf(fail->name, sizeof(fail->name), "%s", name);
	va_start(args, format);
	vsnprintf(fail->text, sizeof(fail->text), format, args);
	va_end(args);
	return false;
}

/* Whose fault it is: the request's (400), the moment's (409), or something that should not be (500). */
static int status_of(enum bh_error error)
{
	switch (error) {
	case BH_NO_SUCH_VM:
		return 404;
	case BH_BAD_MANIFEST:
	case BH_UNKNOWN:
	case BH_BAD_VALUE:
	case BH_MISSING:
	case BH_TOO_BIG:
	case BH_NO_SUCH_CORE:
	case BH_NO_IMAGE:
	case BH_BAD_IMAGE:
	case BH_NO_DEVICE:
		return 400;
	case BH_DUPLICATE:
	case BH_TOO_MANY:
	case BH_CORE_TAKEN:
	case BH_NO_CORE:
	case BH_NO_MEMORY:
	case BH_NO_INTERRUPT:
	case BH_WRONG_STATE:
	case BH_CORE_LOST:
	case BH_CRASH_LOOP:
	case BH_RESET_FAILED:
	case BH_PORT_BUSY:
		return 409;
	default:
		return 500;
	}
}

bool fail_with_error(struct fail *fail, enum bh_error error, const char *sentence)
{
	return fail_with(fail, status_of(error), bh_error_name(error), "%s",
			 sentence && sentence[0] != '\0' ? sentence : bh_strerror(error));
}
