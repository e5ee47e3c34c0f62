/* SPDX-License-Identifier: Apache-2.0 */
/* What the resident core needs of mbedtls: ChaCha20 and nothing around it. */
#ifndef LIB_MBEDTLS_CONFIG_H
#define LIB_MBEDTLS_CONFIG_H

#define MBEDTLS_CHACHA20_C
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS

/* platform_util.c names it in a function that nobody calls and the linker drops. There is no heap. */
void free(void *memory);

#endif
