/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BHCARD_TEXT_H
#define BHCARD_TEXT_H

#include <string.h>

/* Copies @text, or as much of it as @room bytes hold with its end. */
static inline void text_copy(char *out, size_t room, const char *text)
{
	size_t size = strnlen(text, room - 1);

	memcpy(out, text, size);
	out[size] = '\0';
}

#endif
