/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_GUEST_ACPI_H
#define CORE_GUEST_ACPI_H

#include <bulkhead/machine.h>
#include <bulkhead/planner.h>

/*
 * Writes the ACPI tables of @vm at GUEST_X86_TABLES of its boot image @image,
 * which has plan_boot_bytes() zeroes; the RSDP stands first. Returns the offset
 * behind the last.
 */
uint64_t guest_acpi_write(uint8_t *image, const struct plan_vm *vm, const struct machine *machine);

#endif
