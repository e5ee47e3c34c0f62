/* SPDX-License-Identifier: Apache-2.0 */
/* Every error has one name and one sentence: the same in the log, the tools and the API. */
#ifndef BULKHEAD_ERROR_H
#define BULKHEAD_ERROR_H

#include <stdarg.h>

#include <bulkhead/types.h>

#define BH_ERRORS(X)                                                                               \
	X(BH_OK, "done")                                                                           \
	X(BH_BAD_MANIFEST, "the manifest is not a well-formed device tree")                        \
	X(BH_UNKNOWN, "the manifest has a node or property that is not known")                     \
	X(BH_BAD_VALUE, "a value is malformed or out of range")                                    \
	X(BH_MISSING, "a required property is missing")                                            \
	X(BH_DUPLICATE, "two VMs have the same name")                                              \
	X(BH_TOO_MANY, "there are more items than this build allows")                              \
	X(BH_TOO_BIG, "an item is larger than allowed")                                            \
	X(BH_NO_SUCH_CORE, "the machine does not have this core")                                  \
	X(BH_CORE_TAKEN, "a core is wanted twice")                                                 \
	X(BH_NO_CORE, "the machine has too few free cores")                                        \
	X(BH_NO_MEMORY, "the machine has too little free memory")                                  \
	X(BH_NO_IMAGE, "an image file is missing or unreadable")                                   \
	X(BH_BAD_IMAGE, "an image is not of the expected format")                                  \
	X(BH_NO_INTERRUPT, "the machine has no free interrupt for a console")                      \
	X(BH_NO_DEVICE, "the device cannot be given to a VM")                                      \
	X(BH_BAD_MACHINE, "this machine lacks something Bulkhead needs")                           \
	X(BH_BAD_PLAN, "the plan breaks an isolation rule")                                        \
	X(BH_NO_SUCH_VM, "there is no VM of this name")                                            \
	X(BH_WRONG_STATE, "the VM is in a state that does not allow this")                         \
	X(BH_CORE_LOST, "a core did not leave its guest and is quarantined")                       \
	X(BH_CRASH_LOOP, "the VM restarted too often and stays stopped")                           \
	X(BH_OVERLAP, "two extents of memory overlap")                                             \
	X(BH_FIRMWARE, "a firmware service failed")                                                \
	X(BH_BAD_MESSAGE, "the message is malformed")                                              \
	X(BH_BAD_DIGEST, "the image is not what its digest says")                                  \
	X(BH_RESET_FAILED, "a PCI function did not come back from its reset")                      \
	X(BH_PORT_BUSY, "the guest is not done with what was in its port")

enum bh_error {
#define BH_ERROR_NAME(name, text) name,
	BH_ERRORS(BH_ERROR_NAME)
#undef BH_ERROR_NAME
		BH_ERROR_COUNT
};

/* The sentence for @error, without a full stop; never NULL. Static storage. */
const char *bh_strerror(enum bh_error error);

/* The name of @error as it stands in the source ("BH_NO_MEMORY"). Static storage. */
const char *bh_error_name(enum bh_error error);

/* What went wrong and where, in one sentence that names node, property, what was found and what is allowed. */
struct bh_report {
	enum bh_error error;
	char text[256];
};

/*
 * Fills @report (which may be NULL) with @error and the formatted sentence; a
 * sentence that is too long is cut. Returns @error, so that a check can say
 * `return bh_fail(...)`. Formats: see bulkhead/format.h.
 */
enum bh_error bh_fail(struct bh_report *report, enum bh_error error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
