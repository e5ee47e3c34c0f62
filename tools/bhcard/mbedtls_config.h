/* SPDX-License-Identifier: Apache-2.0 */
/* What the card's daemon needs of mbedtls: SHA-256. */
#ifndef BHCARD_MBEDTLS_CONFIG_H
#define BHCARD_MBEDTLS_CONFIG_H

#define MBEDTLS_SHA256_C

#endif
