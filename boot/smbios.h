/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's name for people, from SMBIOS (DSP0134 3.x). Pure. */
#ifndef BOOT_SMBIOS_H
#define BOOT_SMBIOS_H

#include <bulkhead/types.h>

/*
 * Where the entry point structure at @entry (SMBIOS 2 or 3) says that the structures stand; false
 * when it is neither.
 */
bool smbios_structures(const uint8_t *entry, struct extent *table);

/*
 * Writes "Manufacturer Product" of the System Information structure (7.2) in
 * the @size bytes of structures at @table to @name; false, and @name as it was, when
 * there is none.
 */
bool smbios_system_name(const uint8_t *table, uint64_t size, char *name, size_t name_size);

#endif
