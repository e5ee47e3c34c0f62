/* SPDX-License-Identifier: Apache-2.0 */
/* What can be done with a VM, one thing at a time. */
#ifndef BHCARD_OP_H
#define BHCARD_OP_H

#include "host.h"

#define OP_KINDS(X)                                                                                \
	X(OP_START, "start")                                                                       \
	X(OP_STOP, "stop")                                                                         \
	X(OP_ABORT, "abort")                                                                       \
	X(OP_RESET, "reset")                                                                       \
	X(OP_DELETE, "delete") /* stopped VMs only; the entry goes */                              \
	X(OP_CLEAR, "clear") /* stops it where it runs; the entry stays, bare */

enum op_kind {
#define OP_KIND_NAME(name, text) name,
	OP_KINDS(OP_KIND_NAME)
#undef OP_KIND_NAME
};

/* @fail is NULL when it was done. The VM may be gone after a delete. */
typedef void op_done_fn(void *context, const struct fail *fail);

/*
 * Checks, writes down what is wanted and begins. @done (may be NULL) is called
 * exactly once, perhaps before this returns. @grace_ms is for a stop:
 * done when this time has begun, in which the guest may end by itself.
 */
void op_begin(struct vm *vm, enum op_kind kind, uint32_t grace_ms, op_done_fn *done, void *context);

/* The same for what is wanted already: goes on where it is. */
void op_resume(struct vm *vm, enum op_kind kind);

const char *op_word(const struct vm *vm);

/* Ends what is being done with a VM that goes away. */
void op_drop(struct vm *vm);

#endif
