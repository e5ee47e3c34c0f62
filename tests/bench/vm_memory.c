/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_memory arm64|x86_64 CORES:MIB...
 * For each VM of so many cores and so much memory, the bytes that the hypervisor keeps for it beyond its own: tables,
 * record and console (plan_vm_bytes), and the place of its device tree or boot image (plan_boot_bytes). The planner's own
 * code says so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bulkhead/planner.h>

int main(int argc, char **argv)
{
	struct machine machine = {.arch = MACHINE_ARM64};

	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "x86_64") == 0)
		machine.arch = MACHINE_X86;
	for (int i = 2; i < argc; i++) {
		struct manifest_vm vm = {0};
		char *end = NULL;

		vm.ncores = (uint32_t)strtoul(argv[i], &end, 10);
		if (vm.ncores == 0 || *end != ':')
			return 2;
		vm.memory = strtoull(end + 1, NULL, 10) * MIB;
		printf("%llu\n", (unsigned long long)(plan_vm_bytes(&machine, &vm) +
						      plan_boot_bytes(&machine, vm.ncores)));
	}
	return 0;
}
