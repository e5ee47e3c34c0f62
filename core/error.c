/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/error.h>
#include <bulkhead/format.h>

const char *bh_strerror(enum bh_error error)
{
	switch (error) {
#define BH_ERROR_TEXT(name, text)                                                                  \
	case name:                                                                                 \
		return text;
		BH_ERRORS(BH_ERROR_TEXT)
#undef BH_ERROR_TEXT
	case BH_ERROR_COUNT:
		break;
	}
	return "unknown error";
}

enum bh_error bh_fail(struct bh_report *report, enum bh_error error, const char *format, ...)
{
	va_list args;

	if (report) {
		report->error = error;
		va_start(args, format);
		bh_vformat(report->text, sizeof(report->text), format, args);
		va_end(args);
	}
	return error;
}
