/* SPDX-License-Identifier: Apache-2.0 */
/* The errors' names are for tools and tests: the resident core only speaks in sentences. */
#include <bulkhead/error.h>

const char *bh_error_name(enum bh_error error)
{
	switch (error) {
#define BH_ERROR_NAME_TEXT(name, text)                                                             \
	case name:                                                                                 \
		return #name;
		BH_ERRORS(BH_ERROR_NAME_TEXT)
#undef BH_ERROR_NAME_TEXT
	case BH_ERROR_COUNT:
		break;
	}
	return "BH_UNKNOWN_ERROR";
}
