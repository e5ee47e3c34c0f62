/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_map.h"

void dma_map_range(struct dma_map *map, const struct dma_range *range)
{
	if (map->nranges == DMA_MAX_RANGES)
		map->lost = true;
	else
		map->range[map->nranges++] = *range;
}

void dma_map_scope(struct dma_map *map, const struct dma_scope *scope)
{
	if (map->nscopes == DMA_MAX_SCOPES)
		map->lost = true;
	else
		map->scope[map->nscopes++] = *scope;
}

static const struct dma_range *find_range(const struct dma_map *map, enum dma_kind kind,
					  uint32_t from, uint32_t id)
{
	for (uint32_t i = map->nranges; i-- > 0;) {
		const struct dma_range *r = &map->range[i];

		if (r->kind == (uint32_t)kind && r->from == from && r->first <= id && id <= r->last)
			return r;
	}
	return NULL;
}

/* The function that @scope names; MACHINE_NONE when it is not there. */
static uint32_t scope_function(const struct dma_scope *scope, const struct pci_access *access,
			       const struct machine *m)
{
	uint32_t bus = scope->bus;
	uint32_t found = MACHINE_NONE;

	for (uint32_t i = 0; i < scope->depth; i++) {
		if (i > 0)
			bus = pci_secondary(access, m, found);
		found = pci_find(m, (uint32_t)scope->segment << 16 | bus << 8 | scope->devfn[i]);
		if (found == MACHINE_NONE ||
		    (i + 1 < scope->depth && !(m->function[found].flags & FUNCTION_BRIDGE)))
			return MACHINE_NONE;
	}
	return found;
}

static bool in_scope(const struct dma_scope *scope, const struct pci_access *access,
		     const struct machine *m, uint32_t index)
{
	uint32_t named = scope_function(scope, access, m);

	while (index != named && index != MACHINE_NONE && scope->below)
		index = pci_parent(access, m, index);
	return index == named && named != MACHINE_NONE;
}

static const struct dma_scope *find_scope(const struct dma_map *map,
					  const struct pci_access *access, const struct machine *m,
					  enum dma_kind kind, uint32_t index)
{
	for (uint32_t i = 0; i < map->nscopes; i++) {
		if (map->scope[i].kind == (uint32_t)kind &&
		    in_scope(&map->scope[i], access, m, index))
			return &map->scope[i];
	}
	return NULL;
}

static void apply_iommu(const struct dma_map *map, const struct pci_access *access,
			const struct machine *m, struct machine_function *f, uint32_t named)
{
	const struct dma_scope *scope = find_scope(map, access, m, DMA_IOMMU, named);
	const struct dma_range *range = find_range(map, DMA_IOMMU, f->id >> 16, f->id & 0xffff);

	if (scope != NULL) {
		f->iommu = scope->to;
		f->stream = f->id & 0xffff;
	} else if (range != NULL) {
		f->iommu = range->to;
		f->stream = range->output + ((f->id & 0xffff) - range->first);
	}
}

/* ACPI tells an IOMMU's streams and what no IOMMU checks apart, a device tree names requester ids in any case. */
static void apply_its(const struct dma_map *map, struct machine_function *f)
{
	uint32_t id = f->stream;
	const struct dma_range *range = NULL;

	if (f->iommu != MACHINE_NONE)
		range = find_range(map, DMA_STREAM_ITS, f->iommu, id);
	if (range == NULL) {
		id = f->id & 0xffff;
		range = find_range(map, DMA_ITS, f->id >> 16, id);
	}
	if (range != NULL)
		f->msi_device = range->output + (id - range->first);
}

static bool is_reserved(const struct dma_map *map, const struct pci_access *access,
			const struct machine *m, const struct machine_function *f, uint32_t named)
{
	if (find_scope(map, access, m, DMA_RESERVED, named) != NULL ||
	    find_range(map, DMA_RESERVED, f->id >> 16, f->id & 0xffff) != NULL)
		return true;
	return f->iommu != MACHINE_NONE &&
	       find_range(map, DMA_STREAM_RESERVED, f->iommu, f->stream) != NULL;
}

void dma_map_apply(const struct dma_map *map, const struct pci_access *access,
		   struct machine *machine)
{
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		struct machine_function *f = &machine->function[i];
		/* A VF stands in its PF's scope (VT-d 4.1 8.3.1). */
		uint32_t named = f->pf != MACHINE_NONE ? f->pf : i;

		f->iommu = MACHINE_NONE;
		f->stream = f->id & 0xffff;
		f->msi_device = MACHINE_NONE;
		if (!map->lost && !pci_is_aliased(access, machine, i)) {
			apply_iommu(map, access, machine, f, named);
			apply_its(map, f);
		}
		if (map->lost || is_reserved(map, access, machine, f, named))
			f->flags |= FUNCTION_RESERVED_MEMORY;
	}
}
