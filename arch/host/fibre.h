/* SPDX-License-Identifier: Apache-2.0 */
/* Coroutines, in a way that the address sanitizer understands. */
#ifndef ARCH_HOST_FIBRE_H
#define ARCH_HOST_FIBRE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

struct fibre {
	ucontext_t context; /* for its first switch only: later ones need no system call */
	jmp_buf jump;
	bool begun;
	void *stack;
	size_t size;
	void *fake_stack;
	void (*entry)(void *argument);
	void *argument;
};

/* Makes @fibre, which calls @entry(@argument) when it is first switched to; @entry must not return. */
void fibre_make(struct fibre *fibre, void (*entry)(void *argument), void *argument);

/* Leaves @from, which may be this thread's own stack, for @to. Returns when someone switches back. */
void fibre_switch(struct fibre *from, struct fibre *to);

#endif
