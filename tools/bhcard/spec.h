/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody wants a VM to be: from JSON, through the manifest's own parser. */
#ifndef BHCARD_SPEC_H
#define BHCARD_SPEC_H

#include <jansson.h>

#include <bulkhead/manifest.h>

#include "fail.h"
#include "policy.h"

struct spec {
	bool is_bare; /* a name alone, or with its number of ports: not configured yet */
	bool autostart;
	struct manifest_vm vm; /* initrd is empty: whether there is one, its image tells */
	struct restart_rule restart;
};

/* What images are called where the planner and the manifest's parser want file names. */
#define SPEC_KERNEL "kernel"
#define SPEC_INITRD "initrd"

/* True for 1 to 31 of a-z 0-9 -. */
bool spec_name_valid(const char *name);

/* Reads @json, an object VmSpec of openapi.yaml; the card's own state has the same. */
bool spec_read(const json_t *json, struct spec *spec, struct fail *fail);

/*
 * Checks that @object has only members of @known (name and type letter: s string,
 * i integer, b boolean, a array, o object, m integer or string).
 */
struct member {
	const char *name;
	char type;
};
bool members_valid(const json_t *object, const struct member *known, size_t count,
		   const char *where, struct fail *fail);

#endif
