/* SPDX-License-Identifier: Apache-2.0 */
#include "pci.h"

#include <bulkhead/checked.h>
#include <bulkhead/format.h>

#include <string.h>

#define CONFIG_BYTES 0x100U
#define EXTENDED_BYTES 0x1000U
#define NOT_THERE UINT32_MAX
#define NAME_BYTES 16 /* "0000:01:00.0" */

/* Header registers (7.5.1), each in the word that holds it. */
#define REG_ID 0x00
#define REG_COMMAND 0x04 /* status in its upper half: written as 0, it stays */
#define REG_CLASS 0x08
#define REG_HEADER 0x0c
#define REG_BAR 0x10
#define REG_BUSES 0x18
#define REG_MEMORY_WINDOW 0x20
#define REG_PREFETCH_WINDOW 0x24
#define REG_PREFETCH_BASE_UPPER 0x28
#define REG_PREFETCH_LIMIT_UPPER 0x2c
#define REG_CAPABILITIES 0x34
#define COMMAND_DECODE 3U /* I/O and memory space */
#define STATUS_CAPABILITIES (1U << 20)
#define HEADER_MULTI (1U << 23)
#define BAR_IO 1U
#define BAR_TYPE 6U
#define BAR_64 4U

/* Capabilities (7.5.3, 7.7.2, 7.9.4). */
#define CAP_FIRST 0x40U
#define CAP_MAX 48 /* more cannot stand in 192 bytes: there is a loop */
#define CAP_VENDOR 0x09
#define CAP_PCIE 0x10
#define CAP_MSIX 0x11
#define PCIE_BYTES 0x3c
#define PCIE_BYTES_V1 0x14
#define PCIE_DEVICE_CAP 0x04
#define PCIE_DEVICE_CAP_2 0x24
#define PCIE_DEVICE_CONTROL_2 0x28
#define DEVICE_CAP_FLR (1U << 28)
#define ARI_FORWARDING (1U << 5) /* in both of them */
#define MSIX_BYTES 12
#define MSIX_ENTRY 16U
#define NO_BAR 0xff

/* Types of port and device (7.5.3.2). */
enum { PCIE_ROOT_PORT = 4, PCIE_UPSTREAM, PCIE_DOWNSTREAM, PCIE_TO_PCI, PCI_TO_PCIE };

/* Extended capabilities (7.7.11, 10.5, 9.3.3, 7.8.9). */
#define EXT_FIRST 0x100U
#define EXT_MAX ((EXTENDED_BYTES - EXT_FIRST) / 8)
#define EXT_ACS 0x0d
#define EXT_ATS 0x0f
#define EXT_SRIOV 0x10
#define EXT_PRI 0x13
#define EXT_PASID 0x1b
#define ACS_SOURCE_VALIDATION (1U << 0)
#define ACS_REQUEST_REDIRECT (1U << 2)
#define ACS_COMPLETION_REDIRECT (1U << 3)
#define ACS_UPSTREAM_FORWARDING (1U << 4)
#define ACS_PORT                                                                                   \
	(ACS_SOURCE_VALIDATION | ACS_REQUEST_REDIRECT | ACS_COMPLETION_REDIRECT |                  \
	 ACS_UPSTREAM_FORWARDING)
#define ACS_DEVICE (ACS_REQUEST_REDIRECT | ACS_COMPLETION_REDIRECT)

#define SRIOV_CONTROL 0x08
#define SRIOV_TOTAL 0x0c
#define SRIOV_NUM 0x10
#define SRIOV_OFFSET 0x14 /* stride in its upper half */
#define SRIOV_DEVICE 0x18
#define SRIOV_PAGE_SIZE 0x20
#define SRIOV_BAR 0x24
#define SRIOV_ENABLE (1U << 0)
#define SRIOV_MEMORY (1U << 3)
#define SRIOV_ARI (1U << 4)
#define SRIOV_SETTLE_MS 100 /* 9.3.3.3.1 */

/* Parts of the machine by class (PCI Code and ID Assignment 1.15): what is no device that a VM could want. */
#define CLASS_BRIDGE 0x06U
#define CLASS_SYSTEM_PIC 0x0800U
#define CLASS_SYSTEM_IOMMU 0x0806U

struct scan {
	const struct pci_access *access;
	struct machine *m;
	uint32_t lost;
	bool multi; /* the device being read has several functions */
	bool isolated
		[MACHINE_MAX_FUNCTIONS]; /* what it sends, and what passes it, goes up to the IOMMU */
	bool multi_function[MACHINE_MAX_FUNCTIONS];
};

static uint32_t read32(const struct pci_access *a, uint32_t id, uint32_t at)
{
	return a->read(a->context, id, at);
}

static void write32(const struct pci_access *a, uint32_t id, uint32_t at, uint32_t value)
{
	a->write(a->context, id, at, value);
}

static uint16_t read16(const struct pci_access *a, uint32_t id, uint32_t at)
{
	return (uint16_t)(read32(a, id, at & ~3U) >> (at & 2) * 8);
}

static uint8_t read8(const struct pci_access *a, uint32_t id, uint32_t at)
{
	return (uint8_t)(read32(a, id, at & ~3U) >> (at & 3) * 8);
}

uint32_t pci_find(const struct machine *machine, uint32_t id)
{
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		if (machine->function[i].id == id)
			return i;
	}
	return MACHINE_NONE;
}

/* ---- Bridges ---- */

uint8_t pci_secondary(const struct pci_access *access, const struct machine *machine,
		      uint32_t index)
{
	return read8(access, machine->function[index].id, REG_BUSES + 1);
}

static uint8_t subordinate(const struct pci_access *access, const struct machine *machine,
			   uint32_t index)
{
	return read8(access, machine->function[index].id, REG_BUSES + 2);
}

/* A VF may stand on a bus that only its PF's numbers reach: it is below the bridge of its PF. */
uint32_t pci_parent(const struct pci_access *access, const struct machine *machine, uint32_t index)
{
	const struct machine_function *f = &machine->function[index];
	uint32_t id = f->pf != MACHINE_NONE ? machine->function[f->pf].id : f->id;

	for (uint32_t i = 0; i < index; i++) {
		const struct machine_function *bridge = &machine->function[i];

		if ((bridge->flags & FUNCTION_BRIDGE) && bridge->id >> 16 == id >> 16 &&
		    pci_secondary(access, machine, i) == (id >> 8 & 0xff) &&
		    (bridge->id & 0xff00) < (id & 0xff00))
			return i;
	}
	return MACHINE_NONE;
}

static uint32_t pcie_type(const struct pci_access *a, const struct machine_function *f)
{
	return read16(a, f->id, f->pcie + 2U) >> 4 & 0xf;
}

bool pci_is_aliased(const struct pci_access *access, const struct machine *machine, uint32_t index)
{
	for (index = pci_parent(access, machine, index); index != MACHINE_NONE;
	     index = pci_parent(access, machine, index)) {
		const struct machine_function *bridge = &machine->function[index];

		if (bridge->pcie == 0 || pcie_type(access, bridge) >= PCIE_TO_PCI)
			return true;
	}
	return false;
}

/* ---- Base address registers ---- */

/* A BAR's registers from @lower and @upper as all ones left them; false when no BAR looks like that. */
static bool bar_size(struct machine_bar *bar, uint32_t lower, uint32_t upper)
{
	bool wide = (bar->flags & BAR_TYPE) == BAR_64;
	uint64_t mask = (uint64_t)(wide ? upper : UINT32_MAX) << 32 | (lower & ~0xfU);

	if ((lower & ~0xfU) == 0 && (!wide || upper == 0))
		mask = 0;
	bar->size = ~mask + 1;
	if (mask == 0) /* not implemented */
		*bar = (struct machine_bar){.base = pa(0)};
	return mask == 0 || (bar->size & (bar->size - 1)) == 0;
}

/* Sizes the memory BARs whose registers begin at @at; false when one is malformed. */
static bool size_bars(const struct pci_access *a, uint32_t id, uint32_t at,
		      struct machine_bar *bars)
{
	bool good = true;

	for (uint32_t i = 0; i < MACHINE_MAX_BARS; i++, at += 4) {
		uint32_t lower = read32(a, id, at), upper = 0, ones_lower, ones_upper = 0;
		struct machine_bar *bar = &bars[i];
		bool wide = (lower & BAR_TYPE) == BAR_64;

		if (lower & BAR_IO)
			continue;
		if ((lower & BAR_TYPE & ~BAR_64) != 0 || (wide && i + 1 == MACHINE_MAX_BARS)) {
			good = false;
			continue;
		}
		write32(a, id, at, UINT32_MAX);
		ones_lower = read32(a, id, at);
		write32(a, id, at, lower);
		if (wide) {
			upper = read32(a, id, at + 4);
			write32(a, id, at + 4, UINT32_MAX);
			ones_upper = read32(a, id, at + 4);
			write32(a, id, at + 4, upper);
			i++;
			at += 4;
		}
		*bar = (struct machine_bar){.base = pa((uint64_t)upper << 32 | (lower & ~0xfU)),
					    .flags = lower & 0xf};
		good = bar_size(bar, ones_lower, ones_upper) && good;
	}
	return good;
}

/* Only while it decodes nothing may a BAR hold ones. */
static bool size_own_bars(const struct pci_access *a, struct machine_function *f)
{
	uint32_t command = read32(a, f->id, REG_COMMAND) & 0xffff;
	bool good;

	write32(a, f->id, REG_COMMAND, command & ~COMMAND_DECODE);
	good = size_bars(a, f->id, REG_BAR, f->bar);
	write32(a, f->id, REG_COMMAND, command);
	return good;
}

/* ---- Capabilities ---- */

/* Keeps the shown ones sorted; false when two overlap or there are too many. */
static bool show(struct machine_function *f, uint8_t id, uint32_t at, uint32_t length)
{
	uint32_t i = f->ncaps;

	if (i == MACHINE_MAX_CAPS || length < 3 || at + length > CONFIG_BYTES)
		return false;
	for (; i > 0 && f->cap[i - 1].offset > at; i--)
		f->cap[i] = f->cap[i - 1];
	f->cap[i] = (struct machine_cap){id, (uint8_t)at, (uint16_t)length};
	f->ncaps++;
	return (i == 0 || f->cap[i - 1].offset + f->cap[i - 1].length <= (int)at) &&
	       (i + 1 == f->ncaps || at + length <= f->cap[i + 1].offset);
}

static bool read_pcie(const struct pci_access *a, struct machine_function *f, uint32_t at)
{
	uint32_t version = read16(a, f->id, at + 2) & 0xf;

	if (f->pcie != 0 || !show(f, CAP_PCIE, at, version < 2 ? PCIE_BYTES_V1 : PCIE_BYTES))
		return false;
	f->pcie = (uint16_t)at;
	if (read32(a, f->id, at + PCIE_DEVICE_CAP) & DEVICE_CAP_FLR)
		f->flags |= FUNCTION_FLR;
	return true;
}

static bool read_msix(const struct pci_access *a, struct machine_function *f, uint32_t at)
{
	uint32_t table, pba;

	if (f->msix != 0 || !show(f, CAP_MSIX, at, MSIX_BYTES))
		return false;
	table = read32(a, f->id, at + 4);
	pba = read32(a, f->id, at + 8);
	f->msix = (uint16_t)at;
	f->msix_vectors = (uint16_t)((read16(a, f->id, at + 2) & 0x7ff) + 1);
	f->msix_bar = table & 7;
	f->msix_offset = table & ~7U;
	f->pba_bar = pba & 7;
	f->pba_offset = pba & ~7U;
	return true;
}

static bool read_cap(const struct pci_access *a, struct machine_function *f, uint32_t at)
{
	switch (read8(a, f->id, at)) {
	case CAP_PCIE:
		return read_pcie(a, f, at);
	case CAP_MSIX:
		return read_msix(a, f, at);
	case CAP_VENDOR:
		return show(f, CAP_VENDOR, at, read8(a, f->id, at + 2));
	default:
		return true;
	}
}

static bool read_caps(const struct pci_access *a, struct machine_function *f)
{
	uint32_t at, count = 0;

	if (!(read32(a, f->id, REG_COMMAND) & STATUS_CAPABILITIES))
		return true;
	at = read8(a, f->id, REG_CAPABILITIES) & 0xfcU;
	for (; at != 0; at = read8(a, f->id, at + 1) & 0xfcU) {
		if (at < CAP_FIRST || count++ == CAP_MAX || !read_cap(a, f, at))
			return false;
	}
	return true;
}

static bool inside_bar(const struct machine_function *f, uint8_t bar, uint32_t offset,
		       uint32_t bytes)
{
	return bar < MACHINE_MAX_BARS && range_inside(offset, bytes, 0, f->bar[bar].size);
}

/* MSI-X table and pending bits (7.7.2) lie in BARs that are there. */
static bool check_msix(const struct machine_function *f)
{
	return f->msix == 0 ||
	       (inside_bar(f, f->msix_bar, f->msix_offset, f->msix_vectors * MSIX_ENTRY) &&
		inside_bar(f, f->pba_bar, f->pba_offset, (f->msix_vectors + 63U) / 64 * 8));
}

/* Where extended capability @wanted stands: 0 when it is not there. False when the list is malformed. */
static bool find_extended(const struct pci_access *a, const struct machine_function *f,
			  uint32_t wanted, uint32_t *found)
{
	uint32_t at = EXT_FIRST, count = 0;

	*found = 0;
	while (f->pcie != 0 && at != 0) {
		uint32_t header = read32(a, f->id, at);

		if (header == 0 || header == NOT_THERE) /* only allowed for an empty list */
			return at == EXT_FIRST;
		if ((header & 0xffff) == wanted && *found == 0)
			*found = at;
		at = header >> 20 & 0xffc;
		if ((at != 0 && at < EXT_FIRST) || count++ == EXT_MAX)
			return false;
	}
	return true;
}

/* No device may answer for its own translations. The enable bits: 10.5.1.3, 10.5.2.2, 7.8.9.3. */
static bool no_own_translation(const struct pci_access *a, const struct machine_function *f)
{
	static const struct {
		uint32_t id;
		uint32_t at;
		uint32_t enable;
	} controls[] = {{EXT_ATS, 4, 1U << 31}, {EXT_PRI, 4, 1U << 0}, {EXT_PASID, 4, 1U << 16}};
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		uint32_t cap = 0, value;

		good = find_extended(a, f, controls[i].id, &cap) && good;
		value = cap != 0 ? read32(a, f->id, cap + controls[i].at) : 0;
		if (value & controls[i].enable)
			write32(a, f->id, cap + controls[i].at, value & ~controls[i].enable);
	}
	return good;
}

/* ---- Isolation ---- */

/* True when function @f sends @needed of access control up, switched on here if need be. */
static bool acs_on(const struct pci_access *a, const struct machine_function *f, uint32_t needed)
{
	uint32_t at = 0, value;

	if (!find_extended(a, f, EXT_ACS, &at) || at == 0)
		return false;
	value = read32(a, f->id, at + 4);
	write32(a, f->id, at + 4, value | (value & needed) << 16);
	value = read32(a, f->id, at + 4);
	return (value & needed) == needed && (value >> 16 & needed) == needed;
}

/*
 * Whether function @f, by itself, lets nothing pass between those below it or
 * beside it (6.12). A single function of its device has nobody beside it.
 */
static bool isolates(const struct scan *s, const struct machine_function *f)
{
	uint32_t type;

	if (f->pcie == 0)
		return false;
	type = pcie_type(s->access, f);
	if (type == PCIE_ROOT_PORT || type == PCIE_DOWNSTREAM)
		return acs_on(s->access, f, ACS_PORT);
	if (type == PCIE_TO_PCI || type == PCI_TO_PCIE)
		return false;
	return acs_on(s->access, f, ACS_DEVICE) || !s->multi;
}

/* The group of function @index, all before it having theirs. */
static uint32_t find_group(const struct scan *s, uint32_t index, uint32_t parent)
{
	const struct machine_function *function = s->m->function;

	if (parent != MACHINE_NONE && !s->isolated[parent])
		return function[parent].group;
	for (uint32_t i = 0; i < index && !s->isolated[index] && s->multi_function[index]; i++) {
		if (function[i].id >> 3 == function[index].id >> 3 && !s->isolated[i])
			return function[i].group;
	}
	return index;
}

static void group(struct scan *s, uint32_t index)
{
	struct machine_function *f = &s->m->function[index];
	uint32_t parent = pci_parent(s->access, s->m, index);

	s->multi_function[index] = s->multi;
	s->isolated[index] = isolates(s, f);
	f->group = find_group(s, index, parent);
	/* From here on: with all that is above it. */
	if (parent != MACHINE_NONE && !s->isolated[parent])
		s->isolated[index] = false;
}

/* ---- The scan ---- */

static uint32_t kind_flags(uint32_t class_code, uint32_t header)
{
	uint32_t layout = header >> 16 & 0x7f, class = class_code >> 16;

	if (layout == 1 || layout == 2)
		return FUNCTION_BRIDGE;
	if (layout != 0)
		return FUNCTION_MALFORMED;
	return class >> 8 == CLASS_BRIDGE || class == CLASS_SYSTEM_PIC ||
			       class == CLASS_SYSTEM_IOMMU
		       ? FUNCTION_HOST
		       : 0;
}

static void add_function(struct scan *s, uint32_t id, uint32_t ids, uint32_t header)
{
	const struct pci_access *a = s->access;
	struct machine_function *f = &s->m->function[s->m->nfunctions];
	bool good;

	if (pci_find(s->m, id) != MACHINE_NONE) /* two entries of MCFG name one bus */
		return;
	if (s->m->nfunctions == MACHINE_MAX_FUNCTIONS) {
		s->lost++;
		return;
	}
	memset(f, 0, sizeof(*f));
	f->id = id;
	f->device = ids;
	f->class_code = read32(a, id, REG_CLASS);
	f->pf = f->iommu = f->msi_device = MACHINE_NONE;
	f->flags = kind_flags(f->class_code, header);
	good = read_caps(a, f);
	if (good)
		good = no_own_translation(a, f);
	/* What belongs to the machine is left alone: its BARs may be what we stand on. */
	if (good && f->flags == (f->flags & FUNCTION_FLR))
		good = size_own_bars(a, f) && check_msix(f);
	if (!good)
		f->flags |= FUNCTION_MALFORMED;
	group(s, s->m->nfunctions++);
}

static void scan_device(struct scan *s, uint32_t id)
{
	uint32_t count = 1;

	s->multi = false;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t ids = read32(s->access, id + i, REG_ID);
		uint32_t header;

		if ((uint16_t)ids == UINT16_MAX || (uint16_t)ids == 0)
			continue;
		header = read32(s->access, id + i, REG_HEADER);
		if (i == 0 && (header & HEADER_MULTI)) {
			s->multi = true;
			count = 8;
		}
		add_function(s, id + i, ids, header);
	}
}

uint32_t pci_scan(const struct pci_access *access, struct machine *machine)
{
	struct scan s = {.access = access, .m = machine};

	machine->nfunctions = 0;
	for (uint32_t e = 0; e < machine->necam; e++) {
		const struct machine_ecam *ecam = &machine->ecam[e];

		for (uint32_t bus = ecam->bus_first; bus <= ecam->bus_last; bus++) {
			for (uint32_t device = 0; device < 32; device++)
				scan_device(&s,
					    (uint32_t)ecam->segment << 16 | bus << 8 | device << 3);
		}
	}
	return s.lost;
}

/* ---- Virtual functions (9.3.3) ---- */

struct vfs {
	const struct pci_access *access;
	struct machine *m;
	const struct machine_function *pf;
	uint32_t cap; /* where SR-IOV stands in @pf */
	uint32_t count;
	uint32_t first; /* the first VF's id */
	uint32_t stride;
	struct machine_bar bar[MACHINE_MAX_BARS]; /* of the first VF; the others' follow */
	const char *who;
	struct bh_report *report;
};

static enum bh_error refuse(const struct vfs *v, const char *why)
{
	return bh_fail(v->report, BH_NO_DEVICE, "%s %s", v->who, why);
}

/* The numbers of buses that firmware keeps for what is below the bridge of @pf; its own bus where there is none. */
static uint32_t last_bus(const struct vfs *v, uint32_t bridge)
{
	return bridge != MACHINE_NONE ? subordinate(v->access, v->m, bridge)
				      : v->pf->id >> 8 & 0xff;
}

/* True when bridge @index forwards memory at [@base, @base + @size) (7.5.1.3). */
static bool forwards(const struct pci_access *a, const struct machine_function *bridge,
		     uint64_t base, uint64_t size)
{
	static const uint32_t windows[] = {REG_MEMORY_WINDOW, REG_PREFETCH_WINDOW};

	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		uint32_t window = read32(a, bridge->id, windows[i]);
		uint64_t from = (uint64_t)(window & 0xfff0) << 16;
		uint64_t to = (uint64_t)(window >> 20) << 20 | (MIB - 1);

		if (windows[i] == REG_PREFETCH_WINDOW && (window & 0xf) == 1) { /* 64 bits wide */
			from |= (uint64_t)read32(a, bridge->id, REG_PREFETCH_BASE_UPPER) << 32;
			to |= (uint64_t)read32(a, bridge->id, REG_PREFETCH_LIMIT_UPPER) << 32;
		}
		if (from <= to && range_inside(base, size, from, to - from + 1))
			return true;
	}
	return false;
}

static bool is_free(const struct machine *m, uint64_t base, uint64_t size)
{
	for (uint32_t i = 0; i < m->nfunctions; i++) {
		for (uint32_t b = 0; b < MACHINE_MAX_BARS; b++) {
			const struct machine_bar *bar = &m->function[i].bar[b];

			if (bar->base.v != 0 && range_overlap(base, size, bar->base.v, bar->size))
				return false;
		}
	}
	return true;
}

/* Firmware has to have kept room for all VFs' BARs: nobody else knows what is free. */
static enum bh_error check_vf_bars(struct vfs *v, uint32_t bridge)
{
	uint64_t end;

	if (!size_bars(v->access, v->pf->id, v->cap + SRIOV_BAR, v->bar))
		return refuse(v, "is of a function with a malformed SR-IOV capability");
	for (uint32_t i = 0; i < MACHINE_MAX_BARS; i++) {
		const struct machine_bar *bar = &v->bar[i];
		uint64_t size = bar->size * v->count;

		if (bar->size == 0)
			continue;
		if (bar->base.v == 0 || !is_aligned(bar->base.v, bar->size) ||
		    !mul_ok(bar->size, v->count, &size) || !add_ok(bar->base.v, size, &end) ||
		    !is_free(v->m, bar->base.v, size) ||
		    (bridge != MACHINE_NONE &&
		     !forwards(v->access, &v->m->function[bridge], bar->base.v, size)))
			return refuse(v, "cannot be switched on: firmware left no room for its "
					 "BARs");
	}
	return BH_OK;
}

/* A VF's device number is more than 0: the port above must not take that for an error (6.13). */
static void forward_ari(const struct vfs *v, uint32_t bridge)
{
	const struct machine_function *port =
		bridge != MACHINE_NONE ? &v->m->function[bridge] : NULL;

	if (port == NULL || port->pcie == 0 ||
	    !(read32(v->access, port->id, port->pcie + PCIE_DEVICE_CAP_2) & ARI_FORWARDING))
		return;
	write32(v->access, port->id, port->pcie + PCIE_DEVICE_CONTROL_2,
		read16(v->access, port->id, port->pcie + PCIE_DEVICE_CONTROL_2) | ARI_FORWARDING);
	write32(v->access, v->pf->id, v->cap + SRIOV_CONTROL, SRIOV_ARI);
}

/* First offset and stride follow from the number of VFs and from ARI, so they are read last. */
static enum bh_error number_vfs(struct vfs *v, uint32_t bridge)
{
	uint32_t where, last;

	write32(v->access, v->pf->id, v->cap + SRIOV_CONTROL, 0);
	forward_ari(v, bridge);
	write32(v->access, v->pf->id, v->cap + SRIOV_PAGE_SIZE, 1); /* 4 KiB */
	write32(v->access, v->pf->id, v->cap + SRIOV_NUM, v->count);
	where = read32(v->access, v->pf->id, v->cap + SRIOV_OFFSET);
	v->first = v->pf->id + (where & 0xffff);
	v->stride = where >> 16;
	last = v->first + v->stride * (v->count - 1);
	if ((where & 0xffff) == 0 || (v->count > 1 && v->stride == 0) ||
	    last >> 16 != v->pf->id >> 16 || (last >> 8 & 0xff) > last_bus(v, bridge))
		return refuse(v, "cannot be switched on: firmware left no bus number for it");
	for (uint32_t i = 0; i < v->count; i++) {
		if (pci_find(v->m, v->first + i * v->stride) != MACHINE_NONE)
			return refuse(v, "cannot be switched on: another function has its number");
	}
	return BH_OK;
}

static void add_vf(const struct vfs *v, uint32_t n, uint32_t bridge)
{
	const struct pci_access *a = v->access;
	struct machine_function *f = &v->m->function[v->m->nfunctions++];
	uint32_t ids = read32(a, v->pf->id, v->cap + SRIOV_DEVICE);

	memset(f, 0, sizeof(*f));
	f->id = v->first + n * v->stride;
	f->device = (ids & 0xffff0000) |
		    (v->pf->device & 0xffff); /* 9.3.4.1: a VF's own read as ones */
	f->class_code = read32(a, f->id, REG_CLASS);
	f->flags = FUNCTION_VF;
	f->pf = (uint32_t)(v->pf - v->m->function);
	f->iommu = f->msi_device = MACHINE_NONE;
	/* VFs are kept apart as their PF's device keeps its functions apart from others. */
	f->group = bridge != MACHINE_NONE && v->pf->group == v->m->function[bridge].group
			   ? v->pf->group
			   : v->m->nfunctions - 1;
	for (uint32_t i = 0; i < MACHINE_MAX_BARS; i++) {
		f->bar[i] = v->bar[i];
		f->bar[i].base.v += n * f->bar[i].size;
	}
	if (!read_caps(a, f) || !no_own_translation(a, f) || !check_msix(f))
		f->flags |= FUNCTION_MALFORMED;
}

static enum bh_error find_sriov(struct vfs *v)
{
	uint32_t total;

	if (!find_extended(v->access, v->pf, EXT_SRIOV, &v->cap) || v->cap == 0)
		return refuse(v, "is not there: that function has no virtual functions");
	total = read32(v->access, v->pf->id, v->cap + SRIOV_TOTAL) >> 16;
	if (v->count > total)
		return bh_fail(v->report, BH_NO_DEVICE,
			       "%s is not there: that function has %u virtual functions, from vf0 "
			       "on",
			       v->who, total);
	if (v->count > MACHINE_MAX_FUNCTIONS - v->m->nfunctions)
		return bh_fail(v->report, BH_TOO_MANY,
			       "%s is one PCI function too many; this build allows %u", v->who,
			       MACHINE_MAX_FUNCTIONS);
	return BH_OK;
}

enum bh_error pci_enable_vfs(const struct pci_access *access, struct machine *machine, uint32_t pf,
			     uint32_t count, const char *who, struct bh_report *report)
{
	struct vfs v = {
		.access = access,
		.m = machine,
		.pf = &machine->function[pf],
		.count = count,
		.who = who,
		.report = report,
	};
	uint32_t bridge = pci_parent(access, machine, pf), control;
	enum bh_error error = find_sriov(&v);

	if (error == BH_OK)
		error = check_vf_bars(&v, bridge);
	if (error == BH_OK)
		error = number_vfs(&v, bridge);
	if (error != BH_OK)
		return error;
	control = read16(access, v.pf->id, v.cap + SRIOV_CONTROL);
	write32(access, v.pf->id, v.cap + SRIOV_CONTROL, control | SRIOV_ENABLE | SRIOV_MEMORY);
	access->wait(access->context, SRIOV_SETTLE_MS);
	machine->function[pf].flags |= FUNCTION_PF;
	for (uint32_t i = 0; i < count; i++)
		add_vf(&v, i, bridge);
	return BH_OK;
}
