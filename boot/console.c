/* SPDX-License-Identifier: Apache-2.0 */
#include "loader.h"

#include <bulkhead/format.h>

#define LINE_BYTES 512

/* The console takes UCS-2 (UEFI 2.10 12.4.3). Static: the firmware's stack is not ours to fill. */
static void put_line(struct loader *l, const char *text)
{
	static CHAR16 wide[LINE_BYTES + 3];
	size_t n = 0;

	for (; text[n] != '\0' && n < LINE_BYTES; n++)
		wide[n] = (CHAR16)(unsigned char)text[n];
	wide[n++] = '\r';
	wide[n++] = '\n';
	wide[n] = '\0';
	l->system->ConOut->OutputString(l->system->ConOut, wide);
}

void say(struct loader *l, const char *format, ...)
{
	static char text[LINE_BYTES];
	va_list args;

	va_start(args, format);
	bh_vformat(text, sizeof(text), format, args);
	va_end(args);
	put_line(l, text);
}

enum bh_error firmware_failed(struct loader *l, const char *what, EFI_STATUS status)
{
	return bh_fail(&l->report, BH_FIRMWARE, "%s failed (EFI status 0x%llx)", what,
		       (unsigned long long)status);
}
