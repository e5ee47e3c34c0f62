/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets in the page that other cores begin in (struct machine_x86), of 64 bits each. The code is the loader's
 * (boot/x86/trampoline.S); the resident core fills these in before it makes the page code. For C and assembly.
 */
#ifndef BULKHEAD_TRAMPOLINE_H
#define BULKHEAD_TRAMPOLINE_H

#define TRAMPOLINE_ROOT 8 /* of the tables, below 4 GiB */
#define TRAMPOLINE_ARRIVE 16 /* in 64-bit mode on those tables, without a stack */

#endif
