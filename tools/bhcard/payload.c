/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <string.h>

#include <libfdt.h>

static void keep(struct payload *m, int error)
{
	if (m->error == 0)
		m->error = error;
}

void payload_begin(struct payload *m)
{
	m->error = fdt_create(m->buffer, sizeof(m->buffer));
	keep(m, fdt_finish_reservemap(m->buffer));
	keep(m, fdt_begin_node(m->buffer, ""));
}

void payload_u32(struct payload *m, const char *name, uint32_t value)
{
	keep(m, fdt_property_u32(m->buffer, name, value));
}

void payload_u64(struct payload *m, const char *name, uint64_t value)
{
	keep(m, fdt_property_u64(m->buffer, name, value));
}

void payload_string(struct payload *m, const char *name, const char *value)
{
	keep(m, fdt_property(m->buffer, name, value, (int)strlen(value) + 1));
}

void payload_bytes(struct payload *m, const char *name, const void *data, uint32_t size)
{
	if (size > sizeof(m->buffer))
		keep(m, -FDT_ERR_NOSPACE);
	else
		keep(m, fdt_property(m->buffer, name, data, (int)size));
}

bool payload_end(struct payload *m)
{
	keep(m, fdt_end_node(m->buffer));
	keep(m, fdt_finish(m->buffer));
	m->size = m->error == 0 ? fdt_totalsize(m->buffer) : 0;
	return m->error == 0;
}

bool tree_valid(const void *tree, size_t size)
{
	return size >= sizeof(struct fdt_header) && fdt_magic(tree) == FDT_MAGIC &&
	       fdt_off_dt_struct(tree) % sizeof(uint32_t) == 0 && /* libfdt leaves it to us */
	       fdt_off_mem_rsvmap(tree) % sizeof(uint64_t) == 0 &&
	       fdt_check_full(tree, size) == 0 && fdt_totalsize(tree) == size;
}

const void *tree_bytes(const void *tree, int node, const char *name, uint32_t *size)
{
	int length = 0;
	const void *data = tree ? fdt_getprop(tree, node, name, &length) : NULL;

	if (!data || length < 0)
		return NULL;
	*size = (uint32_t)length;
	return data;
}

uint64_t tree_cell64(const void *at)
{
	return fdt64_ld(at);
}

bool tree_u32(const void *tree, int node, const char *name, uint32_t *value)
{
	uint32_t size;
	const void *data = tree_bytes(tree, node, name, &size);

	if (!data || size != sizeof(*value))
		return false;
	*value = fdt32_ld(data);
	return true;
}

bool tree_u64(const void *tree, int node, const char *name, uint64_t *value)
{
	uint32_t size;
	const void *data = tree_bytes(tree, node, name, &size);

	if (!data || size != sizeof(*value))
		return false;
	*value = fdt64_ld(data);
	return true;
}

const char *tree_string(const void *tree, int node, const char *name)
{
	uint32_t size;
	const char *text = tree_bytes(tree, node, name, &size);

	if (!text || size == 0 || memchr(text, '\0', size) != text + size - 1)
		return NULL;
	return text;
}
