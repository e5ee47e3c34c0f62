/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_X86_LINES_H
#define BOOT_X86_LINES_H

#include <bulkhead/boot_info.h>

/* Masks every interrupt line. Interrupts are off. */
void lines_off(const struct machine *machine);

/* Routes the UART's to the management core, through the IOMMU where that is on. */
void lines_uart(const struct boot_info *info);

#endif
