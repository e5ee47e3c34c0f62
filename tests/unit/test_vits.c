/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's ITS: what becomes of its registers and of each of its commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "its_model.h"

#define QUEUE 0x10000ULL /* in the guest's memory */
#define TABLE 0x20000ULL
#define MAX_WORK 1200U /* commands of one access: WORK_PER_ACCESS, and all events of a VM twice */

static int set_up(void **state)
{
	(void)state;
	model_close(0);
	model_close(1);
	model_reset();
	return 0;
}

static uint64_t read_register(uint32_t vm, uint64_t offset)
{
	return model_access(vm, offset, 8, false, 0);
}

static void write_register(uint32_t vm, uint64_t offset, uint64_t value)
{
	model_access(vm, offset, 8, true, value);
}

/* As a driver does: tables, a queue of one page, LPI configuration, on. */
static void switch_on(uint32_t vm)
{
	struct mmio table = {.offset = GICR_PROPBASER,
			     .value = (GUEST_RAM_BASE + TABLE) | (LPI_GUEST_ID_BITS - 1),
			     .size = 8,
			     .write = true};

	assert_true(vits_redist(&model_vits[vm], 0, &table));
	write_register(vm, GITS_CBASER, GITS_VALID | (GUEST_RAM_BASE + QUEUE));
	model_access(vm, GITS_CTLR, 4, true, GITS_CTLR_ENABLED);
}

static void put(uint32_t vm, uint64_t at, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t command[ITS_COMMAND_WORDS] = {a, b, c, 0};

	memcpy(&model_ram[vm][QUEUE + at], command, sizeof(command));
}

static void command(uint32_t vm, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t at = read_register(vm, GITS_CWRITER);
	uint64_t next = (at + ITS_COMMAND_BYTES) % PAGE_SIZE;

	put(vm, at, a, b, c);
	write_register(vm, GITS_CWRITER, next);
	assert_int_equal(read_register(vm, GITS_CREADR), next);
}

static uint64_t about(uint64_t what, uint64_t device)
{
	return what | device << 35;
}

static void map_device(uint32_t vm, uint64_t device)
{
	command(vm, about(ITS_MAPD, device), 5, GITS_VALID | GUEST_RAM_BASE);
}

static void map_collection(uint32_t vm, uint64_t collection, uint64_t vcpu)
{
	command(vm, ITS_MAPC, 0, GITS_VALID | vcpu << 16 | collection);
}

static void map_event(uint32_t vm, uint64_t device, uint64_t event, uint64_t lpi,
		      uint64_t collection)
{
	command(vm, about(ITS_MAPTI, device), event | lpi << 32, collection);
}

static void mask(uint32_t vm, uint64_t device, uint64_t event, uint32_t lpi, bool masked)
{
	model_ram[vm][TABLE + lpi - LPI_FIRST] = masked ? 0xa0 : 0xa1;
	command(vm, about(ITS_INV, device), event, 0);
}

/* Event 0 of the VM's device 2 is LPI 8192, enabled, on its first vCPU. */
static void map_one(uint32_t vm)
{
	switch_on(vm);
	map_device(vm, 2);
	map_collection(vm, 0, 0);
	map_event(vm, 2, 0, LPI_FIRST, 0);
	mask(vm, 2, 0, LPI_FIRST, false);
}

static void expect(uint32_t device, uint32_t event, uint32_t lpi, uint32_t home)
{
	assert_int_equal(model_events[device][event].lpi, lpi);
	if (lpi != 0)
		assert_int_equal(model_events[device][event].home, home);
}

static void nothing_is_mapped(void)
{
	for (uint32_t device = 0; device < MODEL_DEVICES; device++)
		for (uint32_t id = 0; id < PLAN_MAX_VECTORS; id++)
			expect(device, id, 0, 0);
}

/* A message of a device: what the ITS does with it. */
static void message(uint32_t device, uint32_t event)
{
	assert_int_not_equal(model_events[device][event].lpi, 0);
	*model_pends(&model_events[device][event]) = 1;
}

static bool takes(uint32_t core, uint32_t lpi)
{
	bool pending = model_pending[core][lpi - LPI_FIRST] != 0;

	model_pending[core][lpi - LPI_FIRST] = 0;
	return pending;
}

/* ---- registers ---- */

static void says_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(read_register(0, GITS_TYPER) & 0xfff0f,
			 GITS_TYPER_PHYSICAL | (ITS_EVENT_BITS - 1) << 8 | 10 << 13);
	assert_int_equal(model_access(0, 0xffe8, 4, false, 0), 0x3b);
	assert_int_equal(model_access(0, GITS_CTLR, 4, false, 0), GITS_CTLR_QUIESCENT);
	assert_int_equal(model_access(0, GITS_IIDR, 4, false, 0), 0);
	assert_int_equal(read_register(0, 0x200), 0);
}

static void keeps_its_tables_until_it_is_on(void **state)
{
	uint64_t devices = GITS_VALID | GUEST_RAM_BASE | 1ULL << 10 | 7ULL << 59 | 3;

	(void)state;
	write_register(0, GITS_BASER, devices | 1ULL << 62 | 2ULL << 56);
	assert_int_equal(read_register(0, GITS_BASER), devices | 1ULL << 56 | 7ULL << 48);
	model_access(0, GITS_BASER + 8 + 4, 4, true, GITS_VALID >> 32);
	assert_int_equal(read_register(0, GITS_BASER + 8), GITS_VALID | 4ULL << 56 | 7ULL << 48);
	assert_int_equal(read_register(0, GITS_BASER + 16), 0);
	switch_on(0);
	assert_int_equal(model_access(0, GITS_CTLR, 4, false, 0), GITS_CTLR_ENABLED);
	write_register(0, GITS_BASER, 0);
	write_register(0, GITS_CBASER, 0);
	assert_int_equal(read_register(0, GITS_BASER), devices | 1ULL << 56 | 7ULL << 48);
	assert_int_equal(read_register(0, GITS_CBASER),
			 GITS_VALID | GITS_COHERENT | (GUEST_RAM_BASE + QUEUE));
}

static void keeps_lpi_tables_until_they_are_on(void **state)
{
	struct mmio access = {.offset = GUEST_GICR_STRIDE, .value = 1, .size = 4, .write = true};
	struct mmio table = {.offset = GUEST_GICR_STRIDE + GICR_PENDBASER,
			     .value = 0x1000,
			     .size = 8,
			     .write = true};

	(void)state;
	assert_true(vits_redist(&model_vits[0], 1, &table));
	assert_true(vits_redist(&model_vits[0], 1, &access));
	table.value = 0x2000;
	assert_true(vits_redist(&model_vits[0], 1, &table));
	table.write = access.write = false;
	assert_true(vits_redist(&model_vits[0], 1, &table));
	assert_int_equal(table.value, 0x1000);
	access.value = 0;
	assert_true(vits_redist(&model_vits[0], 1, &access));
	assert_int_equal(access.value, GICR_CTLR_ENABLE_LPIS);
	access.offset = 0;
	assert_true(vits_redist(&model_vits[0], 0, &access));
	assert_int_equal(access.value, 0);
	access.offset = 4;
	assert_false(vits_redist(&model_vits[0], 0, &access));
	access.offset = 0x40;
	assert_false(vits_redist(&model_vits[0], 0, &access));
}

/* ---- the queue ---- */

static void takes_nothing_while_it_is_off(void **state)
{
	(void)state;
	write_register(0, GITS_CBASER, GITS_VALID | (GUEST_RAM_BASE + QUEUE));
	put(0, 0, about(ITS_MAPD, 2), 5, GITS_VALID);
	write_register(0, GITS_CWRITER, ITS_COMMAND_BYTES);
	assert_int_equal(read_register(0, GITS_CREADR), 0);
	assert_int_equal(model_vits[0].devices, 0);
	model_access(0, GITS_CTLR, 4, true, GITS_CTLR_ENABLED);
	assert_int_equal(read_register(0, GITS_CREADR), ITS_COMMAND_BYTES);
	assert_int_equal(model_vits[0].devices, 1);
}

static void stalls_at_a_queue_that_is_not_memory(void **state)
{
	(void)state;
	write_register(0, GITS_CBASER, GITS_VALID | GUEST_GICD_BASE);
	model_access(0, GITS_CTLR, 4, true, GITS_CTLR_ENABLED);
	write_register(0, GITS_CWRITER, ITS_COMMAND_BYTES);
	assert_int_equal(read_register(0, GITS_CREADR), GITS_CREADR_STALLED);
	write_register(0, GITS_CWRITER, ITS_COMMAND_BYTES | 1); /* Retry */
	assert_int_equal(read_register(0, GITS_CREADR), GITS_CREADR_STALLED);
	model_access(0, GITS_CTLR, 4, true, 0);
	map_one(0);
	expect(0, 0, LPI_FIRST, 1);
}

static void stalls_where_its_memory_ends(void **state)
{
	(void)state;
	write_register(0, GITS_CBASER, GITS_VALID | (GUEST_RAM_BASE + MODEL_RAM - PAGE_SIZE) | 1);
	model_access(0, GITS_CTLR, 4, true, GITS_CTLR_ENABLED);
	write_register(0, GITS_CWRITER, PAGE_SIZE + ITS_COMMAND_BYTES);
	for (int i = 0; i < 4; i++)
		read_register(0, GITS_CREADR);
	assert_int_equal(read_register(0, GITS_CREADR), PAGE_SIZE | GITS_CREADR_STALLED);
}

static void ignores_offsets_beyond_the_queue(void **state)
{
	(void)state;
	switch_on(0);
	write_register(0, GITS_CWRITER, PAGE_SIZE);
	assert_int_equal(read_register(0, GITS_CREADR), 0);
}

static void goes_round(void **state)
{
	(void)state;
	map_one(0);
	for (int i = 0; i < 300; i++)
		mask(0, 2, 0, LPI_FIRST, i % 2 == 0);
	expect(0, 0, LPI_FIRST, 1);
}

/* However much waits, an access ends soon: a core in EL2 hears no stop. */
static void a_full_queue_takes_many_accesses(void **state)
{
	uint32_t accesses = 0;

	(void)state;
	map_one(0);
	model_access(0, GITS_CTLR, 4, true, 0);
	write_register(0, GITS_CBASER, GITS_VALID | (GUEST_RAM_BASE + QUEUE) | 15);
	for (uint64_t at = 0; at < 16 * PAGE_SIZE; at += ITS_COMMAND_BYTES)
		put(0, at, about(ITS_INT, 2), 0, 0);
	model_access(0, GITS_CTLR, 4, true, GITS_CTLR_ENABLED);
	write_register(0, GITS_CWRITER, 16 * PAGE_SIZE - ITS_COMMAND_BYTES);
	do {
		model_commands = 0;
		read_register(0, GITS_CREADR);
		assert_in_range(model_commands, 0, 64);
		accesses++;
	} while (read_register(0, GITS_CREADR) != 16 * PAGE_SIZE - ITS_COMMAND_BYTES);
	assert_in_range(accesses, 10, 40);
}

static void the_dearest_commands_are_bounded_too(void **state)
{
	(void)state;
	switch_on(0);
	map_device(0, 3);
	map_collection(0, 0, 0);
	for (uint64_t id = 0; id < PLAN_MAX_VECTORS; id++) {
		model_ram[0][TABLE + id] = 1;
		map_event(0, 3, id, LPI_FIRST + id, 0);
	}
	for (uint64_t i = 0; i < 64; i++)
		put(0, (read_register(0, GITS_CWRITER) + i * ITS_COMMAND_BYTES) % PAGE_SIZE,
		    ITS_MAPC, 0, GITS_VALID | (i + 1) % 2 << 16);
	model_commands = 0;
	write_register(0, GITS_CWRITER,
		       (read_register(0, GITS_CWRITER) + 64ULL * ITS_COMMAND_BYTES) % PAGE_SIZE);
	assert_in_range(model_commands, PLAN_MAX_VECTORS, MAX_WORK);
}

/* ---- commands ---- */

static void a_masked_event_waits_until_it_is_unmasked(void **state)
{
	(void)state;
	switch_on(0);
	map_device(0, 2);
	map_collection(0, 0, 0);
	map_event(0, 2, 0, LPI_FIRST, 0);
	expect(0, 0, LPI_FIRST, MODEL_CORES);
	message(0, 0);
	assert_false(takes(1, LPI_FIRST));
	mask(0, 2, 0, LPI_FIRST, false);
	expect(0, 0, LPI_FIRST, 1);
	assert_true(takes(1, LPI_FIRST));
	assert_false(takes(1, LPI_FIRST));
}

static void invall_looks_at_all_of_a_collection(void **state)
{
	(void)state;
	map_one(0);
	map_collection(0, 1, 1);
	map_event(0, 2, 1, LPI_FIRST + 1, 1);
	model_ram[0][TABLE] = 0;
	model_ram[0][TABLE + 1] = 1;
	command(0, ITS_INVALL, 0, 1);
	expect(0, 0, LPI_FIRST, 1);
	expect(0, 1, LPI_FIRST + 1, 2);
	command(0, ITS_INVALL, 0, 0);
	expect(0, 0, LPI_FIRST, MODEL_CORES);
}

static void events_move_with_pending_interrupts(void **state)
{
	(void)state;
	map_one(0);
	map_collection(0, 1, 1);
	message(0, 0);
	command(0, about(ITS_MOVI, 2), 0, 1);
	expect(0, 0, LPI_FIRST, 2);
	assert_true(takes(2, LPI_FIRST));
}

static void a_collection_that_moves_takes_its_events_along(void **state)
{
	(void)state;
	map_one(0);
	message(0, 0);
	map_collection(0, 0, 1);
	expect(0, 0, LPI_FIRST, 2);
	assert_true(takes(2, LPI_FIRST));
	command(0, ITS_MAPC, 0, 0);
	expect(0, 0, LPI_FIRST, MODEL_CORES);
	map_collection(0, 0, 0);
	expect(0, 0, LPI_FIRST, 1);
}

static void int_and_clear(void **state)
{
	(void)state;
	map_one(0);
	command(0, about(ITS_INT, 2), 0, 0);
	assert_true(takes(1, LPI_FIRST));
	command(0, about(ITS_INT, 2), 0, 0);
	command(0, about(ITS_CLEAR, 2), 0, 0);
	assert_false(takes(1, LPI_FIRST));
	command(0, about(ITS_INT, 2), 1, 0); /* not mapped */
	command(0, about(ITS_INT, 3), 0, 0);
}

static void mapping_an_event_anew_discards_it_first(void **state)
{
	(void)state;
	map_one(0);
	message(0, 0);
	map_event(0, 2, 0, LPI_FIRST + 5, 0);
	expect(0, 0, LPI_FIRST + 5, MODEL_CORES);
	assert_false(takes(1, LPI_FIRST));
}

static void mapi_takes_the_event_as_the_interrupt(void **state)
{
	(void)state;
	map_one(0);
	command(0, about(ITS_MAPI, 2), 1, 0); /* an event of 1 is no LPI */
	expect(0, 1, 0, 0);
}

static void discard_forgets(void **state)
{
	(void)state;
	map_one(0);
	message(0, 0);
	command(0, about(ITS_DISCARD, 2), 0, 0);
	assert_false(takes(1, LPI_FIRST));
	nothing_is_mapped();
	command(0, about(ITS_DISCARD, 2), 0, 0);
}

static void a_device_mapped_again_has_no_events(void **state)
{
	(void)state;
	map_one(0);
	map_device(0, 2);
	nothing_is_mapped();
	map_event(0, 2, 0, LPI_FIRST, 0);
	command(0, about(ITS_MAPD, 2), 0, 0);
	nothing_is_mapped();
	map_event(0, 2, 0, LPI_FIRST, 0);
	nothing_is_mapped();
}

static void foreign_and_malformed_commands_do_nothing(void **state)
{
	static const uint64_t devices[] = {0, 1, 3, 4, 31, 32, 0x20, 1 << 20};

	(void)state;
	switch_on(1);
	map_collection(1, 0, 0);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		map_device(1, devices[i]);
		map_event(1, devices[i], 0, LPI_FIRST, 0);
	}
	command(1, ITS_MAPD | (2ULL << 3 | 1) << 32, 5, GITS_VALID); /* 00:02.1 */
	map_event(1, 2, 0, LPI_FIRST, 0); /* before MAPD */
	nothing_is_mapped();
	map_device(1, 2);
	map_event(1, 2, 8, LPI_FIRST, 0);
	map_event(1, 2, UINT32_MAX, LPI_FIRST, 0);
	for (uint64_t lpi = 0; lpi < LPI_FIRST; lpi += 31)
		map_event(1, 2, 0, lpi, 0);
	map_event(1, 2, 0, LPI_OWN_FIRST, 0);
	map_event(1, 2, 0, UINT32_MAX, 0);
	map_event(1, 2, 0, LPI_FIRST, CONFIG_MAX_CPUS);
	for (uint64_t what = 0; what < 256; what++) {
		if (what != ITS_MAPTI && what != ITS_MAPC)
			command(1, what, UINT64_MAX, UINT64_MAX);
	}
	nothing_is_mapped();
}

static void collections_are_of_its_own_cores(void **state)
{
	(void)state;
	map_one(0);
	map_collection(0, 0, 2);
	expect(0, 0, LPI_FIRST, 1);
	map_collection(0, 0, UINT32_MAX);
	map_collection(0, CONFIG_MAX_CPUS, 0);
	command(0, about(ITS_MOVI, 2), 0, CONFIG_MAX_CPUS);
	expect(0, 0, LPI_FIRST, 1);
	command(0, about(ITS_MOVI, 2), 0, 7); /* not mapped */
	expect(0, 0, LPI_FIRST, MODEL_CORES);
}

static void an_interrupt_belongs_to_one_event(void **state)
{
	(void)state;
	map_one(0);
	map_event(0, 2, 1, LPI_FIRST, 0);
	expect(0, 1, 0, 0);
	map_one(1); /* another VM's is another */
	expect(2, 0, LPI_FIRST, 3);
	map_event(1, 2, 0, LPI_FIRST, 0);
	expect(2, 0, LPI_FIRST, 3);
}

static void configuration_outside_its_memory_is_masked(void **state)
{
	(void)state;
	map_one(0);
	model_vits[0].propbaser = GUEST_GICD_BASE;
	command(0, about(ITS_INV, 2), 0, 0);
	expect(0, 0, LPI_FIRST, MODEL_CORES);
}

/* ---- virtual interrupts ---- */

/* The guest's INTID is its own affair; the physical one is that of the machine's function and the event. */
static void virtual_interrupts_have_numbers_of_their_own(void **state)
{
	(void)state;
	model_plan[0].virtual_interrupts = 1;
	map_one(0);
	expect(0, 0, LPI_OWN_FIRST, 1);
	assert_int_equal(model_vits[0].event[0][0].lpi, LPI_FIRST);
	map_device(0, 3);
	map_event(0, 3, PLAN_MAX_VECTORS - 1, LPI_FIRST + 1, 0);
	expect(1, PLAN_MAX_VECTORS - 1, LPI_OWN_FIRST + 2 * PLAN_MAX_VECTORS - 1, MODEL_CORES);
	model_plan[1].virtual_interrupts = 1;
	map_one(1);
	expect(2, 0, LPI_OWN_FIRST + 2 * PLAN_MAX_VECTORS, 3);
}

/* It waits alone where nobody takes it: another VM's masked interrupt of the guest's number has nothing to do with it. */
static void a_virtual_interrupt_waits_alone(void **state)
{
	(void)state;
	model_plan[0].virtual_interrupts = 1;
	map_one(0);
	map_one(1);
	mask(0, 2, 0, LPI_FIRST, true);
	mask(1, 2, 0, LPI_FIRST, true);
	message(2, 0);
	mask(0, 2, 0, LPI_FIRST, false);
	mask(1, 2, 0, LPI_FIRST, false);
	assert_false(takes(1, LPI_OWN_FIRST));
	assert_true(takes(3, LPI_FIRST));
	mask(0, 2, 0, LPI_FIRST, true);
	message(0, 0);
	mask(0, 2, 0, LPI_FIRST, false);
	assert_true(takes(1, LPI_OWN_FIRST));
}

/* What a core that goes off has not taken pends where the event is by now; what is discarded does not. */
static void an_interrupt_that_was_not_taken_comes_again(void **state)
{
	struct guest_its its;

	(void)state;
	map_one(0);
	map_collection(0, 1, 1);
	command(0, about(ITS_MOVI, 2), 0, 1);
	its = model_its(0);
	vits_pend(&its, LPI_FIRST);
	assert_true(takes(2, LPI_FIRST));
	vits_pend(&its, LPI_FIRST + 1);
	model_close(0);
	vits_pend(&its, LPI_FIRST);
	assert_false(takes(1, LPI_FIRST) || takes(2, LPI_FIRST));
}

/* ---- two VMs, one INTID ---- */

static void masked_alone_nothing_is_added(void **state)
{
	(void)state;
	map_one(0);
	mask(0, 2, 0, LPI_FIRST, true);
	mask(0, 2, 0, LPI_FIRST, false);
	assert_false(takes(1, LPI_FIRST));
}

/* Both wait in one place, where two interrupts are one pending bit: neither may lose its own. */
static void masked_together_neither_loses_its_interrupt(void **state)
{
	(void)state;
	for (uint32_t both = 1; both < 4; both++) {
		map_one(0);
		map_one(1);
		mask(0, 2, 0, LPI_FIRST, true);
		mask(1, 2, 0, LPI_FIRST, true);
		if ((both & 1) != 0)
			message(0, 0);
		if ((both & 2) != 0)
			message(2, 0);
		mask(0, 2, 0, LPI_FIRST, false);
		mask(1, 2, 0, LPI_FIRST, false);
		assert_true(takes(1, LPI_FIRST) || (both & 1) == 0);
		assert_true(takes(3, LPI_FIRST) || (both & 2) == 0);
		set_up(NULL);
	}
}

static void who_goes_takes_no_others_interrupt_with_him(void **state)
{
	(void)state;
	map_one(0);
	map_one(1);
	mask(0, 2, 0, LPI_FIRST, true);
	mask(1, 2, 0, LPI_FIRST, true);
	message(0, 0);
	model_close(1);
	mask(0, 2, 0, LPI_FIRST, false);
	assert_true(takes(1, LPI_FIRST));
	mask(0, 2, 0, LPI_FIRST, true); /* alone from here on */
	mask(0, 2, 0, LPI_FIRST, false);
	assert_false(takes(1, LPI_FIRST));
}

static void closing_leaves_nothing(void **state)
{
	(void)state;
	map_one(0);
	message(0, 0);
	map_one(1);
	message(2, 0);
	model_close(0);
	assert_false(takes(1, LPI_FIRST));
	assert_true(takes(3, LPI_FIRST));
	expect(2, 0, LPI_FIRST, 3);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is),
		TEST(virtual_interrupts_have_numbers_of_their_own),
		TEST(a_virtual_interrupt_waits_alone),
		TEST(an_interrupt_that_was_not_taken_comes_again),
		TEST(keeps_its_tables_until_it_is_on),
		TEST(keeps_lpi_tables_until_they_are_on),
		TEST(takes_nothing_while_it_is_off),
		TEST(stalls_at_a_queue_that_is_not_memory),
		TEST(stalls_where_its_memory_ends),
		TEST(ignores_offsets_beyond_the_queue),
		TEST(goes_round),
		TEST(a_full_queue_takes_many_accesses),
		TEST(the_dearest_commands_are_bounded_too),
		TEST(a_masked_event_waits_until_it_is_unmasked),
		TEST(invall_looks_at_all_of_a_collection),
		TEST(events_move_with_pending_interrupts),
		TEST(a_collection_that_moves_takes_its_events_along),
		TEST(int_and_clear),
		TEST(mapping_an_event_anew_discards_it_first),
		TEST(mapi_takes_the_event_as_the_interrupt),
		TEST(discard_forgets),
		TEST(a_device_mapped_again_has_no_events),
		TEST(foreign_and_malformed_commands_do_nothing),
		TEST(collections_are_of_its_own_cores),
		TEST(an_interrupt_belongs_to_one_event),
		TEST(configuration_outside_its_memory_is_masked),
		TEST(masked_alone_nothing_is_added),
		TEST(masked_together_neither_loses_its_interrupt),
		TEST(who_goes_takes_no_others_interrupt_with_him),
		TEST(closing_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
