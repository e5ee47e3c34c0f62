/* SPDX-License-Identifier: Apache-2.0 */
/* A refusal as the API gives it: HTTP status, name, one sentence. */
#ifndef BHCARD_FAIL_H
#define BHCARD_FAIL_H

#include <bulkhead/error.h>

struct fail {
	int status; /* of HTTP; 0: nothing failed */
	char name[32]; /* of enum bh_error, or one of the card's own */
	char text[320];
};

/* What only the card can have to say; the names are the API's. */
#define FAIL_REQUEST 400, "BH_BAD_REQUEST"
#define FAIL_ORIGIN 403, "BH_FORBIDDEN"
#define FAIL_PATH 404, "BH_NO_SUCH_PATH"
#define FAIL_NO_VM 404, "BH_NO_SUCH_VM"
#define FAIL_METHOD 405, "BH_METHOD"
#define FAIL_STATE 409, "BH_WRONG_STATE"
#define FAIL_BUSY 409, "BH_BUSY"
#define FAIL_BIG 413, "BH_TOO_BIG"
#define FAIL_DISK 500, "BH_CARD"
#define FAIL_OFFLINE 503, "BH_NOT_CONNECTED"

/* Fills @fail; returns false, so that a check can say `return fail_with(...)`. */
bool fail_with(struct fail *fail, int status, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same from what planner, parser or hypervisor said; without a sentence the error's own is taken. */
bool fail_with_error(struct fail *fail, enum bh_error error, const char *sentence);

#endif
