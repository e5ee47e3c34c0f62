/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a machine's device tree; what comes out must be what machine.h promises. */
#include <stdlib.h>
#include <string.h>

#include "boot/machine_fdt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES (128 * KIB)

static struct machine machine;
static uint64_t blob[MAX_BYTES / 8];

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_memory(void)
{
	uint64_t end = 0;

	require(machine.nmemory > 0 && machine.nmemory <= MACHINE_MAX_MEMORY);
	for (uint32_t i = 0; i < machine.nmemory; i++) {
		struct extent e = machine.memory[i].extent;

		require(e.size != 0 && e.base.v >= end && extent_end(e) > e.base.v);
		require(is_aligned(e.base.v, PAGE_SIZE) && is_aligned(e.size, PAGE_SIZE));
		end = extent_end(e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bh_report report = {.text = ""};
	struct extent region[4];

	if (size > sizeof(blob))
		return 0;
	memcpy(blob, data, size);
	if (machine_from_fdt(blob, size, &machine, &report) != BH_OK) {
		require(report.text[0] != '\0');
		return 0;
	}
	require(machine.ncpus > 0 && machine.ncpus <= CONFIG_MAX_CPUS);
	require(machine.boot_cpu < machine.ncpus);
	require(machine.necam <= MACHINE_MAX_ECAM && machine.arm64.nsmmu <= MACHINE_MAX_SMMU);
	require(memchr(machine.name, '\0', sizeof(machine.name)) != NULL);
	require(machine.uart_irq == 0 || (machine.uart_irq >= 32 && machine.uart_irq < 1020));
	for (uint32_t i = 0; i < 4; i++)
		require(machine.arm64.timer_ppi[i] == 0 ||
			(machine.arm64.timer_ppi[i] >= 16 && machine.arm64.timer_ppi[i] < 32));
	check_memory();
	require(machine_fdt_redistributors(blob, region, 4) <= 4);
	return 0;
}
