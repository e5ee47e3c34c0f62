/* SPDX-License-Identifier: Apache-2.0 */
/* From the arguments to the behaviour they name. `do=ask` takes the arguments from the console. */
#include "guest.h"

static const char *arguments = "";
static char typed[120];
static bool asked;

bool is_word(const char *word, const char *name)
{
	while (*name != '\0' && *word == *name) {
		word++;
		name++;
	}
	return *name == '\0' && (*word == '\0' || *word == ' ');
}

const char *argument_in(const char *text, const char *name)
{
	for (const char *at = text; *at != '\0'; at++) {
		size_t n = 0;

		while (name[n] != '\0' && at[n] == name[n])
			n++;
		if (name[n] == '\0' && at[n] == '=' && (at == text || at[-1] == ' '))
			return at + n + 1;
	}
	return "";
}

uint64_t argument_number_in(const char *text, const char *name, uint64_t otherwise)
{
	const char *at = argument_in(text, name);
	unsigned base = at[0] == '0' && at[1] == 'x' ? 16 : 10;
	uint64_t value = 0;

	if (*at == '\0')
		return otherwise;
	for (at += base == 16 ? 2 : 0; *at != '\0' && *at != ' '; at++)
		value = value * base + (uint64_t)(*at >= 'a' ? *at - 'a' + 10 : *at - '0');
	return value;
}

const char *argument(const char *name)
{
	return argument_in(arguments, name);
}

uint64_t argument_number(const char *name, uint64_t otherwise)
{
	return argument_number_in(arguments, name, otherwise);
}

/* Attaching to a console sends an empty line: such lines are no answer. */
static void ask(void)
{
	size_t length = 0;
	int c;

	say("ask\n");
	do {
		c = console_get();
		if (c >= ' ' && length < sizeof(typed) - 1)
			typed[length++] = (char)c;
	} while (length == 0 || c != '\r');
	typed[length] = '\0';
	arguments = typed;
	asked = true;
}

void finish(void)
{
	while (asked && console_get() < 0)
		;
}

static const struct behaviour *find(const struct behaviour *b)
{
	while (b->name != NULL && b->name[0] != '\0' && !is_word(argument("do"), b->name))
		b++;
	return b;
}

void guest_main(const void *boot)
{
	const struct behaviour *b;

	arguments = guest_boot(boot);
	if (is_word(argument("do"), "ask"))
		ask();
	b = find(behaviours);
	if (b->name == NULL)
		b = find(arch_behaviours);
	if (b->name == NULL)
		say("unknown: %s\n", arguments);
	else
		b->run();
	finish();
}
