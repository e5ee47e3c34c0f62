/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with a virtio-rng of its own: `do=` says whether it uses it well, or has it reach for
 * what is not its own. What interrupts need is each architecture's.
 */
#include "guest.h"

#define ROUNDS 100

static volatile bool asked;
volatile uint32_t console_interrupts;

void handle_interrupt(uint32_t interrupt)
{
	if (interrupt != console_interrupt()) {
		device_interrupt(interrupt);
		return;
	}
	console_interrupts++;
	while (console_get() >= 0)
		asked = true;
}

bool device_wait(uint32_t count)
{
	uint64_t end =
		clock_now() + (count == 0 ? clock_hertz() / 10 : device_patience * clock_hertz());

	while ((count == 0 || device_interrupts() < count) && clock_now() < end)
		;
	return device_interrupts() == count;
}

/* Neither random bytes nor what an NVMe says of its health are all zero. */
static bool good_request(void)
{
	uint32_t set = 0;

	for (uint32_t i = 0; i < sizeof(rng_buffer); i++)
		rng_buffer[i] = 0;
	if (!rng_write((uint64_t)(uintptr_t)rng_buffer))
		return false;
	for (uint32_t i = 0; i < sizeof(rng_buffer); i++)
		set |= rng_buffer[i];
	return set != 0;
}

/* Each request is answered in memory and by one interrupt. */
static void use_it(void)
{
	uint32_t good = 0;

	if (!device_begin())
		return;
	device_patience = BUSY_HOST;
	device_route();
	for (uint32_t i = 1; i <= ROUNDS; i++)
		good += good_request() && device_wait(i);
	say("device: %u of %u requests, %u interrupts, %u strange\n", (uint64_t)good,
	    (uint64_t)ROUNDS, (uint64_t)device_interrupts(), (uint64_t)device_strays());
}

/* Without end, and says how it goes when a key is typed. */
static void watch(void)
{
	uint32_t requests = 0, wrong = 0;

	if (!device_begin())
		return;
	device_patience = BUSY_HOST;
	console_interrupt_on();
	device_route();
	say("peer: on\n");
	FOREVER
	{
		wrong += !good_request();
		wrong += !device_wait(++requests);
		if (asked)
			say("peer: requests %u wrong %u strange %u\n", (uint64_t)requests,
			    (uint64_t)wrong, (uint64_t)device_strays());
		asked = false;
	}
}

/* Holds on to the device with requests and interrupts without end. */
static void storm(void)
{
	if (!device_begin())
		return;
	device_route();
	say("holding\n");
	FOREVER good_request();
}

/* `at=`: where the device is to write; `with=` 1 to 3: where it finds that part of its queue instead. */
static void dma(void)
{
	uint64_t at = argument_number("at", 0), with = argument_number("with", 0);
	bool done;

	if (!device_begin())
		return;
	if (with != 0)
		rng_place(with == 1 ? at : 0, with == 2 ? at : 0, with == 3 ? at : 0);
	done = with != 0 ? good_request() : rng_write(at);
	say("survived: done %u\n", (uint64_t)done);
}

/* Has it reach for foreign memory as fast as it can, starting it anew whenever it gives up. */
static void dma_flood(void)
{
	if (!device_begin())
		return;
	say("holding\n");
	FOREVER
	{
		rng_place(argument_number("at", 0), 0, 0);
		rng_kick();
	}
}

const struct behaviour behaviours[] = {
	{"use", use_it}, {"watch", watch},	   {"storm", storm},
	{"dma", dma},	 {"dma-flood", dma_flood}, {NULL, NULL},
};
