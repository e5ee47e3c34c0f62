/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <bulkhead/format.h>
#include <bulkhead/types.h>

#define WIDTH_MAX 255 /* a wider field is a mistake in the format */

struct output {
	char *text;
	size_t size;
	size_t length; /* of the whole text, also of what did not fit */
	va_list args; /* in a struct, as it may be an array type and goes by pointer */
};

struct spec {
	unsigned int width;
	unsigned int precision; /* UINT32_MAX: none */
	bool wide; /* a long, which is as long as a long long */
	bool left;
	char fill;
};

static_assert(sizeof(long) == sizeof(long long), "one way to take both");

static void put(struct output *out, char c)
{
	if (out->length + 1 < out->size)
		out->text[out->length] = c;
	out->length++;
}

static void pad(struct output *out, char c, size_t have, unsigned int width)
{
	for (; have < width; have++)
		put(out, c);
}

static void put_text(struct output *out, const struct spec *spec, const char *text, size_t length)
{
	if (!spec->left)
		pad(out, spec->fill, length, spec->width);
	for (size_t i = 0; i < length; i++)
		put(out, text[i]);
	if (spec->left)
		pad(out, ' ', length, spec->width);
}

static void put_number(struct output *out, const struct spec *spec, unsigned int base)
{
	unsigned long value =
		spec->wide ? va_arg(out->args, unsigned long) : va_arg(out->args, unsigned int);
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	put_text(out, spec, digits + at, sizeof(digits) - at);
}

static const char *read_digits(const char *at, unsigned int *value)
{
	*value = 0;
	for (; *at >= '0' && *at <= '9'; at++) {
		*value = *value * 10 + (unsigned int)(*at - '0');
		if (*value > WIDTH_MAX)
			*value = WIDTH_MAX;
	}
	return at;
}

/* Reads what stands between '%' and the conversion; returns where the conversion stands. */
static const char *read_spec(const char *at, struct spec *spec)
{
	*spec = (struct spec){.precision = UINT32_MAX, .left = *at == '-', .fill = ' '};
	if (*at == '0')
		spec->fill = '0';
	at = read_digits(at + spec->left, &spec->width);
	if (*at == '.')
		at = read_digits(at + 1, &spec->precision);
	for (; *at == 'l'; at++)
		spec->wide = true;
	return at;
}

static void put_string(struct output *out, const struct spec *spec, const char *text)
{
	if (!text)
		text = "(null)";
	put_text(out, spec, text, strnlen(text, spec->precision));
}

/* Writes one conversion; false when it is not one of ours. */
static bool convert(struct output *out, char conversion, const struct spec *spec)
{
	switch (conversion) {
	case 's':
		put_string(out, spec, va_arg(out->args, const char *));
		return true;
	case 'u':
		put_number(out, spec, 10);
		return true;
	case 'x':
		put_number(out, spec, 16);
		return true;
	case '%':
		put(out, '%');
		return true;
	default:
		return false;
	}
}

size_t bh_vformat(char *out, size_t size, const char *format, va_list args)
{
	struct output output = {.text = out, .size = size};
	struct spec spec;

	va_copy(output.args, args);
	while (*format != '\0') {
		const char *end = *format == '%' ? read_spec(format + 1, &spec) : format;

		if (end != format && convert(&output, *end, &spec))
			format = end + 1;
		else /* not ours: shown as it stands, so that the mistake is seen */
			put(&output, *format++);
	}
	va_end(output.args);
	if (size > 0)
		out[output.length < size ? output.length : size - 1] = '\0';
	return output.length;
}

size_t bh_format(char *out, size_t size, const char *format, ...)
{
	va_list args;
	size_t length;

	va_start(args, format);
	length = bh_vformat(out, size, format, args);
	va_end(args);
	return length;
}
