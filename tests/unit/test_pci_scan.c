/* SPDX-License-Identifier: Apache-2.0 */
/* The scan of PCI Express over made-up functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/dma_map.h"
#include "fake_pci.h"

#define ENDPOINT 0
#define ROOT_PORT 4
#define UPSTREAM 5
#define DOWNSTREAM 6
#define TO_PCI 7
#define INTEGRATED 9
#define FLR (1U << 28)
#define ACS_ALL 0x1dU
#define ID(bus, device, function) ((uint32_t)(bus) << 8 | (uint32_t)(device) << 3 | (function))
#define NET 0x02000001U
#define PORT 0x06040000U

static struct fake_pci pci;
static struct pci_access access;
static struct machine machine;
static struct bh_report report;

static int set_up(void **state)
{
	(void)state;
	memset(&pci, 0, sizeof(pci));
	memset(&machine, 0, sizeof(machine));
	memset(&report, 0, sizeof(report));
	access = fake_access(&pci);
	machine.necam = 1;
	machine.ecam[0] = (struct machine_ecam){.base = pa(0x40000000), .bus_last = 7};
	return 0;
}

static struct fake_function *add(uint32_t id, uint32_t class_code)
{
	struct fake_function *f = &pci.function[pci.count++];

	memset(f, 0, sizeof(*f));
	f->id = id;
	f->pf = -1;
	f->word[0] = 0x10411af4;
	f->word[1] = 6; /* memory space, bus mastering */
	f->mask[1] = 0x547;
	f->word[2] = class_code;
	f->caps = 0x40;
	f->extended = 0x100;
	return f;
}

/* A capability of @bytes with the lower half of @second in its upper half. */
static uint32_t *cap(struct fake_function *f, uint32_t id, uint32_t bytes, uint32_t second)
{
	uint32_t at = f->caps, *link = &f->word[0x34 / 4];
	uint32_t shift = 0;

	while (*link >> shift & 0xff) {
		link = &f->word[(*link >> shift & 0xff) / 4];
		shift = 8;
	}
	*link |= at << shift;
	f->word[1] |= 1U << 20;
	f->word[at / 4] = second << 16 | id;
	f->caps += (bytes + 3) & ~3U;
	return &f->word[at / 4];
}

static uint32_t *express(struct fake_function *f, uint32_t type, uint32_t device_cap)
{
	uint32_t *word = cap(f, 0x10, 0x3c, type << 4 | 2);

	word[1] = device_cap;
	return word;
}

static uint32_t *extended(struct fake_function *f, uint32_t id, uint32_t bytes)
{
	uint32_t at = f->extended, last = 0x100;

	while (f->word[last / 4] >> 20)
		last = f->word[last / 4] >> 20;
	if (at != 0x100)
		f->word[last / 4] |= at << 20;
	f->word[at / 4] = 1U << 16 | id;
	f->extended += bytes;
	return &f->word[at / 4];
}

static void acs(struct fake_function *f, uint32_t bits)
{
	uint32_t *word = extended(f, 0x0d, 8);

	word[1] = bits;
	f->mask[&word[1] - f->word] = bits << 16;
}

static void bar(struct fake_function *f, uint32_t index, uint64_t base, uint64_t size,
		uint32_t flags)
{
	f->word[4 + index] = (uint32_t)base | flags;
	f->mask[4 + index] = (uint32_t) ~(size - 1);
	if ((flags & 6) == 4) {
		f->word[5 + index] = (uint32_t)(base >> 32);
		f->mask[5 + index] = (uint32_t)(~(size - 1) >> 32);
	}
}

/* A bridge to [@secondary, @subordinate]. */
static struct fake_function *bridge(uint32_t id, uint32_t secondary, uint32_t subordinate)
{
	struct fake_function *f = add(id, PORT);

	f->word[3] = 1U << 16;
	f->word[6] = subordinate << 16 | secondary << 8 | (id >> 8 & 0xff);
	return f;
}

static struct fake_function *port(uint32_t id, uint32_t type, uint32_t secondary,
				  uint32_t subordinate)
{
	struct fake_function *f = bridge(id, secondary, subordinate);

	express(f, type, 0);
	acs(f, ACS_ALL);
	return f;
}

static struct fake_function *endpoint(uint32_t id)
{
	struct fake_function *f = add(id, NET);

	express(f, ENDPOINT, FLR);
	return f;
}

/* MSI-X of @vectors with its table at @table and pending bits at @pba, each with its BAR in the low bits. */
static void msix(struct fake_function *f, uint32_t vectors, uint32_t table, uint32_t pba)
{
	uint32_t *word = cap(f, 0x11, 12, vectors - 1);

	word[1] = table;
	word[2] = pba;
}

static const struct machine_function *scan_one(void)
{
	assert_int_equal(pci_scan(&access, &machine), 0);
	assert_int_equal(pci.moved, 0);
	return &machine.function[machine.nfunctions - 1];
}

static uint32_t group_of(uint32_t id)
{
	uint32_t index = pci_find(&machine, id);

	assert_int_not_equal(index, MACHINE_NONE);
	return machine.function[index].group;
}

/* --- what a function is --- */

static void reads_a_function(void **state)
{
	struct fake_function *f = endpoint(ID(0, 3, 0));
	const struct machine_function *m;

	(void)state;
	bar(f, 0, 0xc0001, 0x20, 1);
	bar(f, 1, 0x10600000, 0x1000, 0);
	bar(f, 4, 0x8000000000, 0x4000, 0xc);
	msix(f, 3, 0x0001, 0x0801);
	cap(f, 0x01, 8, 0); /* power management: not shown */
	cap(f, 0x09, 0x14, 0x0114);
	m = scan_one();
	assert_int_equal(machine.nfunctions, 1);
	assert_int_equal(m->id, ID(0, 3, 0));
	assert_int_equal(m->device, 0x10411af4);
	assert_int_equal(m->class_code, NET);
	assert_int_equal(m->flags, FUNCTION_FLR);
	assert_int_equal(m->pf, MACHINE_NONE);
	assert_int_equal(m->pcie, 0x40);
	assert_int_equal(m->msix, 0x7c);
	assert_int_equal(m->msix_vectors, 3);
	assert_int_equal(m->msix_bar, 1);
	assert_int_equal(m->msix_offset, 0);
	assert_int_equal(m->pba_bar, 1);
	assert_int_equal(m->pba_offset, 0x800);
	assert_int_equal(m->ncaps, 3);
	assert_memory_equal(
		m->cap,
		((struct machine_cap[]){{0x10, 0x40, 0x3c}, {0x11, 0x7c, 12}, {0x09, 0x90, 0x14}}),
		3 * sizeof(struct machine_cap));
	assert_int_equal(m->bar[0].size, 0); /* I/O */
	assert_int_equal(m->bar[1].base.v, 0x10600000);
	assert_int_equal(m->bar[1].size, 0x1000);
	assert_int_equal(m->bar[1].flags, 0);
	assert_int_equal(m->bar[4].base.v, 0x8000000000);
	assert_int_equal(m->bar[4].size, 0x4000);
	assert_int_equal(m->bar[4].flags, 0xc);
	assert_int_equal(m->bar[5].size, 0);
	/* As before: decoding, and where it is. */
	assert_int_equal(f->word[1] & 0xffff, 6);
	assert_int_equal(f->word[5], 0x10600000);
	assert_int_equal(f->word[8], 0xc);
	assert_int_equal(f->word[9], 0x80);
}

static void bars_of_every_size(void **state)
{
	for (uint32_t bits = 4; bits < 50; bits++) {
		struct fake_function *f;
		const struct machine_function *m;

		set_up(state);
		f = endpoint(ID(0, 3, 0));
		bar(f, 0, bits < 32 ? 1ULL << bits : 0, bits < 32 ? 1ULL << bits : 0x1000, 0);
		bar(f, 2, 1ULL << bits, 1ULL << bits, 4);
		m = scan_one();
		assert_int_equal(m->flags, FUNCTION_FLR);
		assert_int_equal(m->bar[2].size, 1ULL << bits);
		assert_int_equal(m->bar[2].base.v, 1ULL << bits);
		if (bits < 32)
			assert_int_equal(m->bar[0].size, 1ULL << bits);
	}
}

static void parts_of_the_machine(void **state)
{
	static const struct {
		uint32_t class_code;
		uint32_t flags;
	} cases[] = {
		{0x06000000, FUNCTION_HOST},
		{0x06010000, FUNCTION_HOST},
		{0x06800000, FUNCTION_HOST},
		{0x08060000, FUNCTION_HOST},
		{0x08002000, FUNCTION_HOST},
		{0x08050100, 0},
		{0x01060100, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_function *f;
		const struct machine_function *m;

		set_up(state);
		f = add(ID(0, 0, 0), cases[i].class_code);
		bar(f, 0, 0x1000, 0x1000, 0);
		m = scan_one();
		assert_int_equal(m->flags, cases[i].flags);
		assert_int_equal(m->bar[0].size, cases[i].flags == 0 ? 0x1000 : 0);
	}
}

/* --- malformed ones --- */

static void loop(struct fake_function *f)
{
	f->word[0x40 / 4] = (f->word[0x40 / 4] & ~0xff00U) | 0x4000;
}

static void points_into_the_header(struct fake_function *f)
{
	f->word[0x34 / 4] = 0x20;
}

static void cap_beyond_the_end(struct fake_function *f)
{
	f->word[0x34 / 4] = 0xf0;
	f->word[0xf0 / 4] = 0x00020010;
}

static void two_of_a_kind(struct fake_function *f)
{
	express(f, ENDPOINT, 0);
}

static void overlapping(struct fake_function *f)
{
	f->caps = 0x60; /* inside of the first */
	cap(f, 0x09, 0x10, 0x10);
}

static void too_many(struct fake_function *f)
{
	for (int i = 0; i < MACHINE_MAX_CAPS; i++)
		cap(f, 0x09, 4, 4);
}

static void vendor_of_no_length(struct fake_function *f)
{
	cap(f, 0x09, 4, 0);
}

static void vendor_too_long(struct fake_function *f)
{
	cap(f, 0x09, 4, 0xc0);
}

static void extended_loop(struct fake_function *f)
{
	f->word[0x100 / 4] = 0x100U << 20 | 1U << 16 | 3;
}

static void extended_into_the_header(struct fake_function *f)
{
	f->word[0x100 / 4] = 0x40U << 20 | 1U << 16 | 3;
}

static void extended_ones(struct fake_function *f)
{
	f->word[0x100 / 4] = 0xff8U << 20 | 1U << 16 | 3;
	f->word[0xff8 / 4] = UINT32_MAX;
}

static void msix_without_bar(struct fake_function *f)
{
	msix(f, 1, 2, 2);
}

static void msix_in_bar_6(struct fake_function *f)
{
	bar(f, 1, 0x1000, 0x1000, 0);
	msix(f, 1, 6, 0x801);
}

static void msix_beyond_its_bar(struct fake_function *f)
{
	bar(f, 1, 0x1000, 0x1000, 0);
	msix(f, 129, 0x801, 0x1);
}

static void pba_beyond_its_bar(struct fake_function *f)
{
	bar(f, 1, 0x1000, 0x1000, 0);
	msix(f, 65, 0x1, 0xff9);
}

static void bar_of_odd_size(struct fake_function *f)
{
	bar(f, 1, 0x10000, 0x1000, 0);
	f->mask[5] = 0xfff0f000;
}

static void bar_of_no_type(struct fake_function *f)
{
	bar(f, 1, 0x10000, 0x1000, 2);
}

static void wide_bar_at_the_end(struct fake_function *f)
{
	f->word[9] = 0x10004;
	f->mask[9] = 0xfffff000;
}

static void unknown_header(struct fake_function *f)
{
	f->word[3] = 3U << 16;
}

static void malformed_ones_are_marked(void **state)
{
	static void (*const spoil[])(struct fake_function * f) = {
		loop,
		points_into_the_header,
		cap_beyond_the_end,
		two_of_a_kind,
		overlapping,
		too_many,
		vendor_of_no_length,
		vendor_too_long,
		extended_loop,
		extended_into_the_header,
		extended_ones,
		msix_without_bar,
		msix_in_bar_6,
		msix_beyond_its_bar,
		pba_beyond_its_bar,
		bar_of_odd_size,
		bar_of_no_type,
		wide_bar_at_the_end,
		unknown_header,
	};

	for (size_t i = 0; i < ARRAY_SIZE(spoil); i++) {
		set_up(state);
		spoil[i](endpoint(ID(0, 3, 0)));
		if (!(scan_one()->flags & FUNCTION_MALFORMED))
			fail_msg("case %zu is not marked", i);
	}
}

/* --- where it looks --- */

static void functions_without_a_first_are_not_there(void **state)
{
	(void)state;
	endpoint(ID(0, 3, 1));
	endpoint(ID(0, 4, 0));
	endpoint(ID(0, 4, 1)); /* function 0 does not say that there are more */
	assert_int_equal(pci_scan(&access, &machine), 0);
	assert_int_equal(machine.nfunctions, 1);
}

static void segments_and_first_buses(void **state)
{
	(void)state;
	machine.necam = 3;
	machine.ecam[0] = (struct machine_ecam){.segment = 2, .bus_first = 0x40, .bus_last = 0x41};
	machine.ecam[1] = (struct machine_ecam){.bus_first = 0xff, .bus_last = 0xff};
	machine.ecam[2] = machine.ecam[1];
	endpoint(0x20000 | ID(0x41, 0, 0));
	endpoint(ID(0xff, 0x1f, 0));
	endpoint(ID(0x41, 0, 0)); /* in segment 0 no entry has this bus */
	assert_int_equal(pci_scan(&access, &machine), 0);
	assert_int_equal(machine.nfunctions, 2);
	assert_int_equal(machine.function[0].id, 0x20000 | ID(0x41, 0, 0));
	assert_int_equal(machine.function[1].id, ID(0xff, 0x1f, 0));
}

static void more_than_there_is_room_for(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MACHINE_MAX_FUNCTIONS + 3; i++)
		endpoint(ID(i / 32, i % 32, 0));
	assert_int_equal(pci_scan(&access, &machine), 3);
	assert_int_equal(machine.nfunctions, MACHINE_MAX_FUNCTIONS);
}

static void own_translation_is_switched_off(void **state)
{
	struct fake_function *f = endpoint(ID(0, 3, 0));
	uint32_t *ats = extended(f, 0x0f, 8), *pri = extended(f, 0x13, 16),
		 *pasid = extended(f, 0x1b, 8);

	(void)state;
	ats[1] = 1U << 31 | 0x20;
	pri[1] = 1;
	pasid[1] = 1U << 16 | 0x1402;
	f->mask[&ats[1] - f->word] = 0x801f0000;
	f->mask[&pri[1] - f->word] = 3;
	f->mask[&pasid[1] - f->word] = 0x70000;
	assert_int_equal(scan_one()->flags, FUNCTION_FLR);
	assert_int_equal(ats[1], 0x20);
	assert_int_equal(pri[1], 0);
	assert_int_equal(pasid[1], 0x1402);
}

/* --- groups --- */

static void each_isolated_port_has_its_own(void **state)
{
	struct fake_function *first = port(ID(0, 1, 0), ROOT_PORT, 1, 1);

	(void)state;
	port(ID(0, 2, 0), ROOT_PORT, 2, 2);
	endpoint(ID(1, 0, 0));
	endpoint(ID(2, 0, 0));
	assert_int_equal(pci_scan(&access, &machine), 0);
	assert_int_equal(machine.nfunctions, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(machine.function[i].group, i);
	assert_int_equal(first->word[0x104 / 4] >> 16, ACS_ALL);
}

static void below_a_port_without_acs_all_are_one(void **state)
{
	static const uint32_t bits[] = {0, ACS_ALL & ~1U, ACS_ALL & ~4U, ACS_ALL & ~8U,
					ACS_ALL & ~16U};

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		set_up(state);
		express(bridge(ID(0, 1, 0), 1, 1), ROOT_PORT, 0);
		if (bits[i] != 0)
			acs(&pci.function[0], bits[i]);
		endpoint(ID(1, 0, 0));
		endpoint(ID(0, 2, 0));
		assert_int_equal(pci_scan(&access, &machine), 0);
		assert_int_equal(group_of(ID(1, 0, 0)), group_of(ID(0, 1, 0)));
		assert_int_not_equal(group_of(ID(0, 2, 0)), group_of(ID(0, 1, 0)));
	}
}

/* The capability is there, but nothing can be switched on. */
static void acs_that_does_not_stick_is_none(void **state)
{
	struct fake_function *f = port(ID(0, 1, 0), ROOT_PORT, 1, 1);

	(void)state;
	f->mask[0x104 / 4] = 0;
	endpoint(ID(1, 0, 0));
	assert_int_equal(pci_scan(&access, &machine), 0);
	assert_int_equal(group_of(ID(1, 0, 0)), group_of(ID(0, 1, 0)));
}

/* A switch: its upstream port, two downstream ones, a function behind each. */
static void make_switch(uint32_t root_acs, uint32_t second_acs)
{
	struct fake_function *f = bridge(ID(0, 1, 0), 1, 4);

	express(f, ROOT_PORT, 0);
	acs(f, root_acs);
	express(bridge(ID(1, 0, 0), 2, 4), UPSTREAM, 0);
	port(ID(2, 0, 0), DOWNSTREAM, 3, 3);
	f = bridge(ID(2, 1, 0), 4, 4);
	express(f, DOWNSTREAM, 0);
	acs(f, second_acs);
	endpoint(ID(3, 0, 0));
	endpoint(ID(4, 0, 0));
	assert_int_equal(pci_scan(&access, &machine), 0);
	assert_int_equal(machine.nfunctions, 6);
}

static void behind_a_switch(void **state)
{
	make_switch(ACS_ALL, ACS_ALL);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(machine.function[i].group, i);
	set_up(state);
	make_switch(ACS_ALL, 0);
	assert_int_equal(group_of(ID(4, 0, 0)), group_of(ID(2, 1, 0)));
	assert_int_not_equal(group_of(ID(4, 0, 0)), group_of(ID(3, 0, 0)));
	set_up(state);
	make_switch(0, ACS_ALL); /* what is above counts for all below */
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(machine.function[i].group, 0);
}

static void functions_of_one_device(void **state)
{
	struct fake_function *first = endpoint(ID(0, 3, 0)), *second;

	(void)state;
	first->word[3] = 1U << 23;
	endpoint(ID(0, 3, 1));
	second = endpoint(ID(0, 3, 2));
	acs(second, 0xc);
	endpoint(ID(0, 4, 0));
	assert_int_equal(pci_scan(&access, &machine), 0);
	assert_int_equal(group_of(ID(0, 3, 0)), group_of(ID(0, 3, 1)));
	assert_int_not_equal(group_of(ID(0, 3, 0)), group_of(ID(0, 3, 2)));
	assert_int_not_equal(group_of(ID(0, 3, 0)), group_of(ID(0, 4, 0)));
}

static void behind_conventional_pci_all_are_one(void **state)
{
	for (int express_bridge = 0; express_bridge < 2; express_bridge++) {
		struct fake_function *f;

		set_up(state);
		f = bridge(ID(0, 5, 0), 1, 1);
		if (express_bridge) {
			express(f, TO_PCI, 0);
			acs(f, ACS_ALL);
		}
		add(ID(1, 0, 0), NET);
		add(ID(1, 1, 0), NET);
		assert_int_equal(pci_scan(&access, &machine), 0);
		assert_int_equal(group_of(ID(1, 0, 0)), group_of(ID(0, 5, 0)));
		assert_int_equal(group_of(ID(1, 1, 0)), group_of(ID(0, 5, 0)));
		assert_true(pci_is_aliased(&access, &machine, 1));
		assert_false(pci_is_aliased(&access, &machine, 0));
	}
}

/* A bridge that names itself or a bus before its own as what is behind it. */
static void bridges_in_circles_end(void **state)
{
	(void)state;
	port(ID(0, 1, 0), ROOT_PORT, 0, 0);
	port(ID(1, 0, 0), DOWNSTREAM, 1, 1);
	port(ID(2, 0, 0), DOWNSTREAM, 1, 1);
	endpoint(ID(1, 1, 0));
	assert_int_equal(pci_scan(&access, &machine), 0);
	for (uint32_t i = 0; i < machine.nfunctions; i++)
		assert_int_equal(pci_parent(&access, &machine, i), MACHINE_NONE);
}

/* --- virtual functions --- */

#define VF_BAR 0x100000000ULL

/* A PF of 7 VFs behind a port that can forward to device numbers beyond 0, as QEMU's igb. */
static struct fake_function *make_pf(void)
{
	struct fake_function *root = port(ID(0, 1, 0), ROOT_PORT, 1, 2), *pf;
	uint32_t *sriov;

	root->word[(0x40 + 0x24) / 4] = 1U << 5;
	root->mask[(0x40 + 0x28) / 4] = 1U << 5;
	root->word[0x28 / 4] = root->word[0x2c / 4] = VF_BAR >> 32;
	root->word[0x24 / 4] = 0x00f10001; /* 16 MiB */
	pf = endpoint(ID(1, 0, 0));
	sriov = extended(pf, 0x10, 0x40);
	pf->sriov = 0x100;
	sriov[2] = 0;
	pf->mask[0x108 / 4] = 0x19;
	sriov[3] = 7U << 16 | 7;
	pf->mask[0x110 / 4] = 0xffff;
	sriov[5] = 2U << 16 | 0x80;
	sriov[6] = 0x10caU << 16;
	sriov[9] = 0xc;
	sriov[10] = VF_BAR >> 32;
	pf->mask[0x124 / 4] = 0xffffc000;
	pf->mask[0x128 / 4] = UINT32_MAX;
	for (uint32_t i = 0; i < 7; i++) {
		struct fake_function *vf = endpoint(ID(1, 0, 0) + 0x80 + 2 * i);

		vf->pf = 1;
		vf->word[0] = UINT32_MAX;
		msix(vf, 3, 0, 0x2000);
	}
	assert_int_equal(pci_scan(&access, &machine), 0);
	assert_int_equal(machine.nfunctions, 2);
	return pf;
}

static enum bh_error enable(uint32_t count)
{
	return pci_enable_vfs(&access, &machine, 1, count, "WHO", &report);
}

static void vfs_are_switched_on(void **state)
{
	const struct fake_function *pf = make_pf();

	(void)state;
	assert_int_equal(enable(3), BH_OK);
	assert_int_equal(pci.waited, 100);
	assert_int_equal(pf->word[0x108 / 4], 0x19);
	assert_int_equal(pf->word[0x110 / 4], 3);
	assert_int_equal(pf->word[0x124 / 4], 0xc); /* sized, and as before */
	assert_int_equal(pci.function[0].word[0x68 / 4], 1U << 5);
	assert_int_equal(machine.nfunctions, 5);
	assert_int_equal(machine.function[1].flags, FUNCTION_FLR | FUNCTION_PF);
	for (uint32_t i = 0; i < 3; i++) {
		const struct machine_function *f = &machine.function[2 + i];

		assert_int_equal(f->id, ID(1, 0x10, 2 * i));
		assert_int_equal(f->device, 0x10ca1af4);
		assert_int_equal(f->flags, FUNCTION_VF | FUNCTION_FLR);
		assert_int_equal(f->pf, 1);
		assert_int_equal(f->group, 2 + i);
		assert_int_equal(f->msix_vectors, 3);
		assert_int_equal(f->bar[0].base.v, VF_BAR + i * 0x4000ULL);
		assert_int_equal(f->bar[0].size, 0x4000);
		assert_int_equal(pci_parent(&access, &machine, 2 + i), 0);
	}
}

static void nothing_changed(const char *sentence)
{
	assert_string_equal(report.text, sentence);
	assert_int_equal(report.error, BH_NO_DEVICE);
	assert_int_equal(machine.nfunctions, 2);
	assert_int_equal(machine.function[1].flags & FUNCTION_PF, 0);
	assert_int_equal(pci.function[1].word[0x108 / 4] & 1, 0);
}

static void vfs_beyond_the_limit(void **state)
{
	(void)state;
	make_pf();
	assert_int_equal(enable(8), BH_NO_DEVICE);
	nothing_changed("WHO is not there: that function has 7 virtual functions, from vf0 on");
	assert_int_equal(enable(7), BH_OK);
}

static void vfs_of_none(void **state)
{
	(void)state;
	make_pf()->word[0x100 / 4] = 0;
	assert_int_equal(enable(1), BH_NO_DEVICE);
	nothing_changed("WHO is not there: that function has no virtual functions");
}

static void vfs_without_room(void **state)
{
	static const char no_room[] =
		"WHO cannot be switched on: firmware left no room for its BARs";
	struct fake_function *pf = make_pf();

	(void)state;
	pf->word[0x128 / 4] = 0; /* no address at all */
	assert_int_equal(enable(1), BH_NO_DEVICE);
	nothing_changed(no_room);
	pf->word[0x128 / 4] = 2; /* not where the bridge forwards */
	assert_int_equal(enable(1), BH_NO_DEVICE);
	nothing_changed(no_room);
	pf->word[0x128 / 4] = VF_BAR >> 32;
	pf->word[0x124 / 4] = 0xff400c; /* up to the window's end: three fit */
	assert_int_equal(enable(4), BH_NO_DEVICE);
	nothing_changed(no_room);
	assert_int_equal(enable(3), BH_OK);
}

static void vfs_on_anothers_bar(void **state)
{
	(void)state;
	make_pf();
	machine.function[1].bar[0] =
		(struct machine_bar){.base = pa(VF_BAR + 0x8000), .size = 0x1000};
	assert_int_equal(enable(3), BH_NO_DEVICE);
	nothing_changed("WHO cannot be switched on: firmware left no room for its BARs");
	assert_int_equal(enable(2), BH_OK);
}

static void vfs_without_bus_number(void **state)
{
	struct fake_function *pf = make_pf();
	static const char no_bus[] =
		"WHO cannot be switched on: firmware left no bus number for it";

	(void)state;
	pf->word[0x114 / 4] = 0x100U << 16 | 0x100; /* one on each bus: 2, then 3 */
	assert_int_equal(enable(2), BH_NO_DEVICE);
	nothing_changed(no_bus);
	pf->word[0x114 / 4] = 2U << 16;
	assert_int_equal(enable(1), BH_NO_DEVICE);
	nothing_changed(no_bus);
	pf->word[0x114 / 4] = 0x80;
	assert_int_equal(enable(2), BH_NO_DEVICE);
	nothing_changed(no_bus);
}

/* --- what they are to IOMMUs --- */

static void range(struct dma_map *map, uint32_t kind, uint32_t from, uint32_t first, uint32_t last,
		  uint32_t to, uint32_t output)
{
	dma_map_range(map, &(struct dma_range){kind, from, first, last, to, output});
}

static void streams_and_device_ids(void **state)
{
	static struct dma_map map;

	(void)state;
	memset(&map, 0, sizeof(map));
	endpoint(ID(0, 3, 0));
	endpoint(ID(0, 4, 0));
	endpoint(ID(0, 5, 0));
	endpoint(ID(0, 6, 0));
	range(&map, DMA_IOMMU, 0, 0, ID(0, 4, 7), 1, 0x1000);
	range(&map, DMA_STREAM_ITS, 1, 0x1000, 0x1fff, 0, 0x50000);
	range(&map, DMA_ITS, 0, 0, 0xffff, 0, 0x10000);
	range(&map, DMA_IOMMU, 0, ID(0, 4, 0), ID(0, 4, 0), MACHINE_NONE, 0);
	range(&map, DMA_RESERVED, 0, ID(0, 5, 0), ID(0, 5, 0), 0, 0);
	range(&map, DMA_STREAM_RESERVED, 1, 0x1018, 0x1018, 0, 0);
	range(&map, DMA_IOMMU, 1, 0, 0xffff, 0, 0); /* another segment's */
	assert_int_equal(pci_scan(&access, &machine), 0);
	dma_map_apply(&map, &access, &machine);
	assert_int_equal(machine.function[0].iommu, 1);
	assert_int_equal(machine.function[0].stream, 0x1018);
	assert_int_equal(machine.function[0].msi_device, 0x50018);
	assert_int_equal(machine.function[0].flags, FUNCTION_FLR | FUNCTION_RESERVED_MEMORY);
	assert_int_equal(machine.function[1].iommu, MACHINE_NONE);
	assert_int_equal(machine.function[1].msi_device, 0x10000 + ID(0, 4, 0));
	assert_int_equal(machine.function[2].iommu, MACHINE_NONE);
	assert_int_equal(machine.function[2].flags, FUNCTION_FLR | FUNCTION_RESERVED_MEMORY);
	assert_int_equal(machine.function[3].flags, FUNCTION_FLR);
}

static void scopes_before_ranges(void **state)
{
	static struct dma_map map;
	struct dma_scope one = {.to = 2, .depth = 1, .devfn = {ID(0, 3, 0)}};
	struct dma_scope behind = {
		.to = 3, .below = true, .depth = 2, .devfn = {ID(0, 1, 0), ID(0, 0, 0)}};
	struct dma_scope reserved = {
		.kind = DMA_RESERVED, .depth = 2, .devfn = {ID(0, 1, 0), ID(0, 0, 0)}};

	memset(&map, 0, sizeof(map));
	make_switch(ACS_ALL, ACS_ALL);
	endpoint(ID(0, 3, 0)); /* of its own scope */
	endpoint(ID(0, 4, 0));
	range(&map, DMA_IOMMU, 0, 0, 0xffff, 0, 0);
	dma_map_scope(&map, &one);
	dma_map_scope(&map, &behind);
	dma_map_scope(&map, &reserved);
	(void)state;
	assert_int_equal(pci_scan(&access, &machine), 0);
	dma_map_apply(&map, &access, &machine);
	for (uint32_t i = 0; i < machine.nfunctions; i++) {
		const struct machine_function *f = &machine.function[i];
		uint32_t bus = f->id >> 8;

		assert_int_equal(f->iommu, bus > 0 ? 3 : f->id == ID(0, 3, 0) ? 2 : 0);
		assert_int_equal(f->stream, f->id);
		assert_int_equal(f->flags & FUNCTION_RESERVED_MEMORY,
				 f->id == ID(1, 0, 0) ? FUNCTION_RESERVED_MEMORY : 0);
	}
}

static void vfs_are_in_their_pfs_scope(void **state)
{
	static struct dma_map map;
	struct dma_scope pf = {.to = 5, .depth = 2, .devfn = {ID(0, 1, 0), ID(0, 0, 0)}};

	(void)state;
	memset(&map, 0, sizeof(map));
	make_pf();
	assert_int_equal(enable(2), BH_OK);
	dma_map_scope(&map, &pf);
	dma_map_apply(&map, &access, &machine);
	assert_int_equal(machine.function[0].iommu, MACHINE_NONE);
	assert_int_equal(machine.function[1].iommu, 5);
	assert_int_equal(machine.function[3].iommu, 5);
	assert_int_equal(machine.function[3].stream, ID(1, 0x10, 2));
}

static void what_was_lost_counts_against_all(void **state)
{
	static struct dma_map map;

	(void)state;
	memset(&map, 0, sizeof(map));
	endpoint(ID(0, 3, 0));
	assert_int_equal(pci_scan(&access, &machine), 0);
	for (uint32_t i = 0; i < DMA_MAX_RANGES; i++)
		range(&map, DMA_IOMMU, 0, 0, 0xffff, 0, 0);
	dma_map_apply(&map, &access, &machine);
	assert_int_equal(machine.function[0].iommu, 0);
	range(&map, DMA_IOMMU, 0, 0, 0xffff, 0, 0);
	dma_map_apply(&map, &access, &machine);
	assert_int_equal(machine.function[0].iommu, MACHINE_NONE);
	assert_true(machine.function[0].flags & FUNCTION_RESERVED_MEMORY);
}

static void behind_conventional_pci_nothing_is_checked(void **state)
{
	static struct dma_map map;

	(void)state;
	memset(&map, 0, sizeof(map));
	bridge(ID(0, 5, 0), 1, 1);
	add(ID(1, 0, 0), NET);
	range(&map, DMA_IOMMU, 0, 0, 0xffff, 0, 0);
	assert_int_equal(pci_scan(&access, &machine), 0);
	dma_map_apply(&map, &access, &machine);
	assert_int_equal(machine.function[0].iommu, 0);
	assert_int_equal(machine.function[1].iommu, MACHINE_NONE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		T(reads_a_function),
		T(bars_of_every_size),
		T(parts_of_the_machine),
		T(malformed_ones_are_marked),
		T(functions_without_a_first_are_not_there),
		T(segments_and_first_buses),
		T(more_than_there_is_room_for),
		T(own_translation_is_switched_off),
		T(each_isolated_port_has_its_own),
		T(below_a_port_without_acs_all_are_one),
		T(acs_that_does_not_stick_is_none),
		T(behind_a_switch),
		T(functions_of_one_device),
		T(behind_conventional_pci_all_are_one),
		T(bridges_in_circles_end),
		T(vfs_are_switched_on),
		T(vfs_beyond_the_limit),
		T(vfs_of_none),
		T(vfs_without_room),
		T(vfs_on_anothers_bar),
		T(vfs_without_bus_number),
		T(streams_and_device_ids),
		T(scopes_before_ranges),
		T(vfs_are_in_their_pfs_scope),
		T(what_was_lost_counts_against_all),
		T(behind_conventional_pci_nothing_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
