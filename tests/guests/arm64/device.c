/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device guest on Arm: what it may tell its ITS, and what it must not. Two may do the same beside each other: their
 * LPIs have the same numbers.
 */
#include "device/device.h"

#include <bulkhead/its.h>

#define GICD_ISPENDR 0x0200
#define ALL_DEVICES 0x400 /* of the machine's DeviceIDs and requester ids, more than there are */

volatile uint32_t lpis[LPIS_SEEN], strange_lpis;

void device_interrupt(uint32_t interrupt)
{
	if (interrupt >= LPI_FIRST && interrupt < LPI_FIRST + LPIS_SEEN)
		lpis[interrupt - LPI_FIRST]++;
	else if (interrupt >= LPI_FIRST)
		strange_lpis++;
}

uint32_t device_interrupts(void)
{
	return lpis[0];
}

uint32_t device_strays(void)
{
	return strange_lpis;
}

bool device_begin(void)
{
	bool found = rng_start();

	interrupts_on();
	its_start();
	if (!found)
		say("no device\n");
	return found;
}

void device_route(void)
{
	its_map(0, LPI_FIRST, 0);
	rng_message(0, DOORBELL, 0);
}

/* Leaves an interrupt pending that nobody takes. */
static void leave(void)
{
	if (!device_begin())
		return;
	mask_all();
	its_map(0, LPI_FIRST, 0);
	its_command(ITS_INT | ITS_DEVICE, 0, 0);
	say("left\n");
}

/* What is masked waits; what is discarded is lost. */
static void mask_it(void)
{
	bool kept, lost;

	if (!device_begin())
		return;
	its_map(1, LPI_FIRST, 0);
	its_mask(1, LPI_FIRST, true);
	its_command(ITS_INT | ITS_DEVICE, 1, 0);
	kept = device_wait(0);
	its_mask(1, LPI_FIRST, false);
	kept = kept && device_wait(1);
	its_mask(1, LPI_FIRST, true);
	its_command(ITS_INT | ITS_DEVICE, 1, 0);
	its_command(ITS_DISCARD | ITS_DEVICE, 1, 0);
	its_map(1, LPI_FIRST, 0);
	lost = device_wait(1);
	say("mask: kept %u, lost %u\n", (uint64_t)kept, (uint64_t)lost);
}

static volatile bool second_is_deaf, second_may_go;

/* The second vCPU: its interrupts come, and it takes none before it goes off. */
static void deaf(void)
{
	interrupts_on();
	mask_all();
	second_is_deaf = true;
	while (!second_may_go)
		;
}

/* An LPI and an SPI pend at a vCPU that does not take them; then they move, and the vCPU goes off. */
static void go_off(void)
{
	uint32_t console = console_interrupt(), before;
	bool early;

	if (!device_begin())
		return;
	its_map(0, LPI_FIRST, 1);
	console_interrupt_on();
	second_on(deaf);
	while (!second_is_deaf)
		;
	gic_enable(1, console, 0x80);
	before = console_interrupts;
	write32(GUEST_GICD_BASE + GICD_ISPENDR + console / 32 * 4, 1U << console % 32);
	its_command(ITS_INT | ITS_DEVICE, 0, 0);
	early = !device_wait(0) || console_interrupts != before;
	its_command(ITS_MOVI | ITS_DEVICE, 0, 0);
	gic_enable(0, console, 0x80);
	second_may_go = true;
	while (!second_is_off())
		;
	device_patience = BUSY_HOST;
	say("gone: early %u, LPI %u, SPI %u\n", (uint64_t)early, (uint64_t)device_wait(1),
	    (uint64_t)(console_interrupts != before));
}

/* ---- attacks ---- */

/* Messages with any data, to addresses around the doorbell: of events that are not mapped, and of others' devices. */
static void forge(void)
{
	uint64_t seen = 0;

	if (!device_begin())
		return;
	its_map(0, LPI_FIRST, 0);
	for (uint32_t data = 1; data < 0x10000; data = data * 2 + 1) {
		rng_message(0, DOORBELL, data);
		rng_write((uint64_t)(uintptr_t)rng_buffer);
	}
	rng_message(0, DOORBELL - 0x10040 + 0x80, 0x1000); /* GITS_CBASER */
	rng_write((uint64_t)(uintptr_t)rng_buffer);
	for (uint32_t i = 0; i < LPIS_SEEN; i++)
		seen += lpis[i];
	say("survived: %u interrupts, %u strange\n", seen, (uint64_t)strange_lpis);
}

static void flood_device(uint64_t device)
{
	its_command(ITS_MAPD | device << 32, 5, GITS_VALID | (uint64_t)(uintptr_t)rng_buffer);
	its_command(ITS_MAPTI | device << 32, (uint64_t)LPI_FIRST << 32, 0);
	its_command(ITS_MOVI | device << 32, 0, 1);
	its_command(ITS_INT | device << 32, 0, 0);
	its_command(ITS_CLEAR | device << 32, 0, 0);
	its_command(ITS_INV | device << 32, 0, 0);
	its_command(ITS_DISCARD | device << 32, 0, 0);
	its_command(ITS_MAPD | device << 32, 5, 0);
}

/* All commands for all devices but its own, in turn. */
static void foreign_devices(void)
{
	if (!device_begin())
		return;
	for (uint64_t device = 0; device < ALL_DEVICES; device++)
		if (device << 32 != ITS_DEVICE)
			flood_device(device);
	say("survived: %u interrupts, %u strange\n", (uint64_t)lpis[0], (uint64_t)strange_lpis);
}

/* Collections of its own number for every redistributor there may be, and its event on each. */
static void overlapping_collections(void)
{
	uint32_t moved = 0;

	if (!device_begin())
		return;
	its_map(0, LPI_FIRST, 0);
	for (uint64_t target = 1; target < 0x400; target++) {
		its_command(ITS_MAPC, 0, GITS_VALID | target << 16);
		its_command(ITS_MAPC, 0, GITS_VALID | target << 16 | target);
		its_command(ITS_MOVI | ITS_DEVICE, 0, target);
		its_command(0x0e, 0, target << 16); /* MOVALL */
		its_command(ITS_MOVI | ITS_DEVICE, 0, 0);
		its_command(ITS_INT | ITS_DEVICE, 0, 0);
		moved += !device_wait((uint32_t)target);
		if (moved > 1)
			break;
	}
	say("survived: %u moved away\n", (uint64_t)moved);
}

/* Tables and queues that stand at `at=`. */
static void malformed_tables(void)
{
	uint64_t at = argument_number("at", 0), stalled;

	if (!device_begin())
		return;
	write32(GUEST_ITS_BASE + GITS_CTLR, 0);
	for (uint32_t i = 0; i < GITS_BASERS; i++)
		write64(GUEST_ITS_BASE + GITS_BASER + 8 * i, GITS_VALID | 1ULL << 62 | at | 0xff);
	write64(GUEST_ITS_BASE + GITS_CBASER, GITS_VALID | at | 0xff);
	write32(GUEST_ITS_BASE + GITS_CTLR, GITS_CTLR_ENABLED);
	write64(GUEST_ITS_BASE + GITS_CWRITER, 0xfffe0);
	stalled = read64(GUEST_ITS_BASE + GITS_CREADR) & GITS_CREADR_STALLED;
	write64(GUEST_GICR_BASE + GICR_PROPBASER, at | 0xf);
	write64(GUEST_GICR_BASE + GICR_PENDBASER, at);
	its_start();
	its_map(0, LPI_FIRST, 0);
	its_command(ITS_INT | ITS_DEVICE, 0, 0);
	say("survived: stalled %u, then %u interrupts\n", stalled, (uint64_t)device_wait(1));
}

/* Its LPIs' tables at `at=`: what is not its own memory masks them all. */
static void foreign_lpi_tables(void)
{
	if (!rng_start())
		return;
	interrupts_on();
	write64(GUEST_GICR_BASE + GICR_PROPBASER,
		argument_number("at", 0) | (LPI_GUEST_ID_BITS - 1));
	write64(GUEST_GICR_BASE + GICR_PENDBASER, argument_number("at", 0));
	write32(GUEST_GICR_BASE, GICR_CTLR_ENABLE_LPIS);
	its_start();
	its_map(0, LPI_FIRST, 0);
	its_command(ITS_INT | ITS_DEVICE, 0, 0);
	say("survived: %u interrupts\n", (uint64_t)!device_wait(0));
}

/* As a device would, but it is none. */
static void ring(void)
{
	write32(DOORBELL, 0);
	say("survived: it rang\n");
}

/* A full queue of the dearest commands, again and again. */
static void command_storm(void)
{
	if (!device_begin())
		return;
	its_map(0, LPI_FIRST, 0);
	say("holding\n");
	FOREVER
	{
		its_command(ITS_MAPC, 0, GITS_VALID | 1 << 16);
		its_command(ITS_MAPC, 0, GITS_VALID);
		its_command(ITS_INVALL, 0, 0);
	}
}

const struct behaviour arch_behaviours[] = {
	{"leave", leave},
	{"mask", mask_it},
	{"go-off", go_off},
	{"forge", forge},
	{"foreign-devices", foreign_devices},
	{"overlapping-collections", overlapping_collections},
	{"malformed-tables", malformed_tables},
	{"foreign-lpi-tables", foreign_lpi_tables},
	{"ring", ring},
	{"command-storm", command_storm},
	{NULL, NULL},
};
