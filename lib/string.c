/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's memory and string functions, as far as anyone here needs
 * them. Compiled with -fno-builtin so that no loop becomes a call of itself.
 */
#include <stdint.h>
#include <string.h>

/* May alias anything, as a char may. */
typedef uint64_t __attribute__((may_alias)) word_t;

#define WORD sizeof(word_t)

/* Whole words to @d, which is aligned, from @s, which is not: each is made of the two words that have a part of it. */
static size_t copy_shifted(uint8_t *d, const uint8_t *s, size_t n)
{
	unsigned shift = (unsigned)((uintptr_t)s & (WORD - 1)) * 8;
	const word_t *from = (const word_t *)((uintptr_t)s & ~(uintptr_t)(WORD - 1));
	word_t low = *from++;
	size_t done = 0;

	for (; n - done >= WORD; done += WORD) {
		word_t high = *from++;

		*(word_t *)(void *)(d + done) = low >> shift | high << (WORD * 8 - shift);
		low = high;
	}
	return done;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	for (; n != 0 && ((uintptr_t)d & (WORD - 1)) != 0; n--)
		*d++ = *s++;
	if (((uintptr_t)s & (WORD - 1)) == 0) {
		for (; n >= WORD; n -= WORD, d += WORD, s += WORD)
			*(word_t *)(void *)d = *(const word_t *)(const void *)s;
	} else if (n >= WORD) {
		size_t done = copy_shifted(d, s, n);

		d += done, s += done, n -= done;
	}
	for (; n != 0; n--)
		*d++ = *s++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if ((uintptr_t)d <= (uintptr_t)s) {
		while (n-- != 0)
			*d++ = *s++;
	} else {
		while (n-- != 0)
			d[n] = s[n];
	}
	return to;
}

void *memset(void *to, int value, size_t n)
{
	uint8_t *d = to;
	uint8_t byte = (uint8_t)value;
	word_t word = 0x0101010101010101ULL * byte;

	for (; n != 0 && ((uintptr_t)d & (WORD - 1)) != 0; n--)
		*d++ = byte;
	for (; n >= WORD; n -= WORD, d += WORD)
		*(word_t *)(void *)d = word;
	for (; n != 0; n--)
		*d++ = byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n != 0; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	const uint8_t *x = s;

	for (; n != 0; n--, x++) {
		if (*x == (uint8_t)c)
			return (void *)(uintptr_t)x;
	}
	return NULL;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n] != '\0')
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n != 0; n--, a++, b++) {
		if (*a != *b || *a == '\0')
			return (uint8_t)*a - (uint8_t)*b;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++) {
		if (*s == '\0')
			return NULL;
	}
	return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	do {
		if (*s == (char)c)
			last = s;
	} while (*s++ != '\0');
	return (char *)(uintptr_t)last;
}
