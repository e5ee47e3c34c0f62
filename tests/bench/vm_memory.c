/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_memory CORES:MIB...
 * For each VM of so many cores and so much memory, the bytes that the hypervisor keeps for it beyond its own: tables,
 * record and console (plan_vm_bytes), and the place of its device tree. The planner's own code says so.
 */
#include <stdio.h>
#include <stdlib.h>

#include <bulkhead/plan.h>

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct manifest_vm vm = {0};
		char *end = NULL;

		vm.ncores = (uint32_t)strtoul(argv[i], &end, 10);
		if (vm.ncores == 0 || *end != ':')
			return 2;
		vm.memory = strtoull(end + 1, NULL, 10) * MIB;
		printf("%llu\n",
		       (unsigned long long)(plan_vm_bytes(&vm) + plan_fdt_bytes(vm.ncores)));
	}
	return 0;
}
