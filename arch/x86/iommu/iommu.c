/* SPDX-License-Identifier: Apache-2.0 */
#include "x86.h"
const struct pt_format *arch_dma_format(void) { return arch_guest_format(); }
void arch_vm_map_dma(const struct page_table *table) { (void)table; }
void arch_function_open(const struct vm *vm, uint32_t slot) { (void)vm; (void)slot; }
void arch_function_close(const struct vm *vm, uint32_t slot) { (void)vm; (void)slot; }
void arch_own_function_open(uint32_t function, pa_t root) { (void)function; (void)root; }
bool arch_msix_trapped(void) { return true; }
bool arch_dma_fault(struct dma_fault *fault) { (void)fault; return false; }

struct msi_message interrupt_route(uint32_t function, uint32_t entry, uint64_t hwid, uint32_t vector)
{
	(void)function;
	(void)entry;
	return (struct msi_message){0xfee00000U | (uint32_t)hwid << 12, vector};
}
