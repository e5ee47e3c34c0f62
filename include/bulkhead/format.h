/* SPDX-License-Identifier: Apache-2.0 */
/* The one formatter: used by the loader, the resident core and the tools, so that all say the same. */
#ifndef BULKHEAD_FORMAT_H
#define BULKHEAD_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/*
 * Like vsnprintf, for the conversions %s %u %x %% with the modifiers l and ll,
 * one of the flags '0' and '-', a minimum width and, for %s, a precision. Whatever else, a signed number too, is shown as the format has it. Always terminates @out when @size > 0; returns the length the whole
 * text would have.
 */
size_t bh_vformat(char *out, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

/* As bh_vformat. */
size_t bh_format(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
