/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that a guest chose: an answer never depends on bytes behind its length, and fewer are never enough. */
#include <stdlib.h>
#include <string.h>

#include "arch/x86/decode.h"

static void need(bool truth)
{
	if (!truth)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mmio_op op = {0}, again = {0};

	if (!mmio_decode(data, size, &op))
		return 0;
	need(op.length >= 2 && op.length <= size && op.length <= INSTRUCTION_MAX);
	need(op.reg < 16 && op.reg != 4 && (op.shift == 0 || (op.shift == 8 && op.size == 1)));
	need(op.size <= op.width && op.width <= 8);
	need(mmio_decode(data, op.length, &again) && memcmp(&op, &again, sizeof(op)) == 0);
	for (size_t n = 0; n < op.length; n++)
		need(!mmio_decode(data, n, &again));
	(void)mmio_loaded(&op, ~0ULL, ~0ULL);
	(void)mmio_stored(&op, ~0ULL);
	return 0;
}
