/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_X86_LINES_H
#define BOOT_X86_LINES_H

#include <bulkhead/boot_info.h>

/* Masks every interrupt line, but for the UART's, which goes to the management core. Interrupts are off. */
void lines_off(const struct boot_info *info);

#endif
