/* SPDX-License-Identifier: Apache-2.0 */
/* PCI functions as words of configuration space, with masks of what can be written. */
#ifndef TESTS_UNIT_FAKE_PCI_H
#define TESTS_UNIT_FAKE_PCI_H

#include <string.h>

#include "boot/pci.h"

#define FAKE_MAX 80
#define WORDS 1024

struct fake_function {
	uint32_t id;
	int pf; /* of a VF: its PF, and it is only there when that has it on; else -1 */
	uint32_t sriov; /* of a PF: where its capability stands */
	uint32_t caps; /* where the next capability goes, */
	uint32_t extended; /* and the next extended one */
	uint32_t word[WORDS];
	uint32_t mask[WORDS];
};

struct fake_pci {
	int count;
	uint32_t waited; /* milliseconds */
	uint32_t moved; /* BARs that changed while they decoded */
	struct fake_function function[FAKE_MAX];
};

static inline struct fake_function *fake_find(struct fake_pci *pci, uint32_t id)
{
	for (int i = 0; i < pci->count; i++) {
		struct fake_function *f = &pci->function[i];
		const struct fake_function *pf = f->pf >= 0 ? &pci->function[f->pf] : NULL;

		if (f->id == id && (pf == NULL || (pf->word[(pf->sriov + 8) / 4] & 1)))
			return f;
	}
	return NULL;
}

static inline uint32_t fake_read(void *context, uint32_t id, uint32_t offset)
{
	const struct fake_function *f = fake_find(context, id);

	return f != NULL ? f->word[offset / 4] : UINT32_MAX;
}

static inline void fake_write(void *context, uint32_t id, uint32_t offset, uint32_t value)
{
	struct fake_pci *pci = context;
	struct fake_function *f = fake_find(pci, id);
	uint32_t mask;

	if (f == NULL)
		return;
	mask = f->mask[offset / 4];
	if (offset >= 0x10 && offset < 0x28 && (f->word[1] & 3) != 0)
		pci->moved++;
	f->word[offset / 4] = (f->word[offset / 4] & ~mask) | (value & mask);
}

static inline void fake_wait(void *context, uint32_t milliseconds)
{
	((struct fake_pci *)context)->waited += milliseconds;
}

static inline struct pci_access fake_access(struct fake_pci *pci)
{
	return (struct pci_access){fake_read, fake_write, fake_wait, pci};
}

#endif
