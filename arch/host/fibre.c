/* SPDX-License-Identifier: Apache-2.0 */
#include "fibre.h"

#include <stdlib.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif

#define STACK_SIZE ((size_t)256 << 10)

#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>

static void leaving(struct fibre *from, const struct fibre *to)
{
	__sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->size);
}

/* What was left tells the bounds of its stack: that is how this thread's own become known. */
static void arrived(struct fibre *at, struct fibre *from)
{
	const void *stack = NULL;
	size_t size = 0;

	__sanitizer_finish_switch_fiber(at->fake_stack, &stack, &size);
	if (from->stack == NULL) {
		from->stack = (void *)(size_t)stack;
		from->size = size;
	}
}
#else
static void leaving(struct fibre *from, const struct fibre *to)
{
	(void)from;
	(void)to;
}

static void arrived(struct fibre *at, struct fibre *from)
{
	(void)at;
	(void)from;
}
#endif

static struct fibre *last;
static struct fibre *next;

static void begin(void)
{
	struct fibre *self = next;

	arrived(self, last);
	self->entry(self->argument);
	abort();
}

void fibre_make(struct fibre *fibre, void (*entry)(void *argument), void *argument)
{
	*fibre = (struct fibre){.size = STACK_SIZE, .entry = entry, .argument = argument};
	fibre->stack =
		mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fibre->stack == MAP_FAILED || getcontext(&fibre->context) != 0)
		abort();
	fibre->context.uc_stack.ss_sp = fibre->stack;
	fibre->context.uc_stack.ss_size = STACK_SIZE;
	fibre->context.uc_link = NULL;
	makecontext(&fibre->context, begin, 0);
}

void fibre_switch(struct fibre *from, struct fibre *to)
{
	last = from;
	next = to;
	from->begun = true;
	leaving(from, to);
	if (_setjmp(from->jump) == 0) {
		if (to->begun)
			_longjmp(to->jump, 1);
		to->begun = true;
		setcontext(&to->context);
		abort();
	}
	arrived(from, last);
}
