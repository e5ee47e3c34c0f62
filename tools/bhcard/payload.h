/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads of the control protocol: flattened device trees, written and read. */
#ifndef BHCARD_PAYLOAD_H
#define BHCARD_PAYLOAD_H

#include <bulkhead/protocol.h>

/* A payload being written: begin, properties in any number, end. A failure is kept and told by payload_end(). */
struct payload {
	int error;
	uint32_t size;
	uint64_t buffer[FRAME_PAYLOAD_MAX / sizeof(uint64_t)];
};

void payload_begin(struct payload *m);
void payload_u32(struct payload *m, const char *name, uint32_t value);
void payload_u64(struct payload *m, const char *name, uint64_t value);
void payload_string(struct payload *m, const char *name, const char *value);
void payload_bytes(struct payload *m, const char *name, const void *data, uint32_t size);

/* False when it did not fit. */
bool payload_end(struct payload *m);

/* True when the @size bytes at @tree are one whole device tree and nothing else. 8-byte aligned. */
bool tree_valid(const void *tree, size_t size);

/* The root's property @name; false when it is missing or of another size. */
bool tree_u32(const void *tree, int node, const char *name, uint32_t *value);
bool tree_u64(const void *tree, int node, const char *name, uint64_t *value);

/* NULL when it is missing or not one string. */
const char *tree_string(const void *tree, int node, const char *name);

/* NULL when it is missing. */
const void *tree_bytes(const void *tree, int node, const char *name, uint32_t *size);

/* A big-endian number in a property. */
uint64_t tree_cell64(const void *at);

#endif
