/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the blob: a file that is found lies in it, and nothing outside is read. */
#include <stdlib.h>
#include <string.h>

#include "boot/cpio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const void *found;
	uint64_t length;
	struct bh_report report;

	if (cpio_find(data, size, "a", &found, &length, &report) == BH_OK) {
		uint64_t offset = (uint64_t)((const uint8_t *)found - data);

		if (!range_inside(offset, length, 0, size))
			abort();
	}
	return 0;
}
