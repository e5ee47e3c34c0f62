/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a device tree blob that can be changed in place. */
#ifndef TESTS_UNIT_BLOB_H
#define TESTS_UNIT_BLOB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <libfdt.h>

#define BLOB_BYTES 131072
#define MAX_CHANGES 4

struct blob {
	uint64_t aligned[BLOB_BYTES / 8];
};

#define CHANGE_CELLS 12

/* One change to a tree. */
struct change {
	enum { NOTHING, TEXT, BYTES, CELLS, DROP, NODE, DROP_NODE } kind;
	const char *path; /* of the node; for NODE the parent */
	const char *name; /* of the property or the new node */
	const char *text; /* TEXT; BYTES: @count of them */
	uint32_t count;
	uint32_t cell[CHANGE_CELLS];
};

#define SET_TEXT(path, name, text)                                                                 \
	{                                                                                          \
		TEXT, path, name, text, 0,                                                         \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}
#define SET_BYTES(path, name, bytes)                                                               \
	{                                                                                          \
		BYTES, path, name, bytes, sizeof(bytes) - 1,                                       \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}
#define SET_CELLS(path, name, count, ...)                                                          \
	{                                                                                          \
		CELLS, path, name, NULL, count,                                                    \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define REMOVE(path, name)                                                                         \
	{                                                                                          \
		DROP, path, name, NULL, 0,                                                         \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}
#define ADD_NODE(path, name)                                                                       \
	{                                                                                          \
		NODE, path, name, NULL, 0,                                                         \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}
#define REMOVE_NODE(path)                                                                          \
	{                                                                                          \
		DROP_NODE, path, NULL, NULL, 0,                                                    \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

static inline int blob_node(const struct blob *b, const char *path)
{
	int node = fdt_path_offset(b->aligned, path);

	if (node < 0)
		fail_msg("test: no node %s", path);
	return node;
}

static inline void blob_change(struct blob *b, const struct change *c)
{
	void *fdt = b->aligned;
	uint32_t cells[CHANGE_CELLS];
	int error = 0;

	for (uint32_t i = 0; i < CHANGE_CELLS; i++)
		cells[i] = cpu_to_fdt32(c->cell[i]);
	switch (c->kind) {
	case NOTHING:
		return;
	case TEXT:
		error = fdt_setprop(fdt, blob_node(b, c->path), c->name, c->text,
				    (int)strlen(c->text) + 1);
		break;
	case BYTES:
		error = fdt_setprop(fdt, blob_node(b, c->path), c->name, c->text, (int)c->count);
		break;
	case CELLS:
		error = fdt_setprop(fdt, blob_node(b, c->path), c->name, cells, (int)c->count * 4);
		break;
	case DROP:
		error = fdt_delprop(fdt, blob_node(b, c->path), c->name);
		break;
	case NODE:
		error = fdt_add_subnode(fdt, blob_node(b, c->path), c->name);
		break;
	case DROP_NODE:
		error = fdt_del_node(fdt, blob_node(b, c->path));
		break;
	}
	if (error < 0)
		fail_msg("test: %s %s: %s", c->path, c->name, fdt_strerror(error));
}

static inline void blob_change_all(struct blob *b, const struct change *changes)
{
	for (int i = 0; i < MAX_CHANGES; i++)
		blob_change(b, &changes[i]);
}

#endif
