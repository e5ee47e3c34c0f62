/* SPDX-License-Identifier: Apache-2.0 */
/* The device guest on x86: messages of its own making, in its MSI-X table (SDM vol. 3 11.11). */
#include "guest.h"

#define VECTOR 0x68 /* the console has 0x60 */
#define DOORBELL 0xfee00000ULL
#define REMAPPABLE (1U << 4) /* VT-d 5.1.5.2: with an entry's index from bit 5 on */
#define INDEXES 8192

static volatile uint32_t interrupts, strays;

void device_interrupt(uint32_t interrupt)
{
	if (interrupt == VECTOR - VECTOR_BASE)
		interrupts++;
	else
		strays++;
}

uint32_t device_interrupts(void)
{
	return interrupts;
}

uint32_t device_strays(void)
{
	return strays;
}

bool device_begin(void)
{
	bool found = rng_start();

	interrupts_on();
	if (!found)
		say("no device\n");
	return found;
}

void device_route(void)
{
	rng_message(0, DOORBELL | cpu_id() << 12, VECTOR);
}

static void try_message(uint64_t address, uint32_t data)
{
	rng_message(0, address, data);
	rng_write((uint64_t)(uintptr_t)rng_buffer);
}

/* Messages to every core but its own, of every kind, by logical ids, and to other places. */
static void forge(void)
{
	uint64_t own = cpu_id();

	if (!device_begin())
		return;
	for (uint64_t id = 0; id < 16; id++)
		if (id != own)
			try_message(DOORBELL | id << 12, VECTOR);
	for (uint32_t mode = 2; mode < 8; mode++)
		try_message(DOORBELL | own << 12, mode << 8 | VECTOR);
	try_message(DOORBELL | own << 12, 3);
	try_message(DOORBELL | 0xff << 12, VECTOR);
	try_message(DOORBELL | 0xff << 12 | 4, VECTOR);
	try_message(1ULL << 32 | DOORBELL | own << 12, VECTOR);
	try_message(0xfec00000, VECTOR);
	try_message((uint64_t)(uintptr_t)rng_buffer, VECTOR);
	say("survived: %u interrupts, %u strange\n", (uint64_t)interrupts, (uint64_t)strays);
}

/* Messages that name every entry of the interrupt remapping table, those of other functions among them. */
static void forge_index(void)
{
	if (!device_begin())
		return;
	for (uint64_t index = 0; index < INDEXES; index += 8)
		try_message(DOORBELL | REMAPPABLE | index << 5, 0);
	say("survived: %u interrupts, %u strange\n", (uint64_t)interrupts, (uint64_t)strays);
}

/* One message after the other, to vectors of its own: each is taken as it was written. */
static void remap(void)
{
	uint64_t own = cpu_id();
	uint32_t good = 0;

	if (!device_begin())
		return;
	for (uint32_t vector = VECTOR + 1; vector <= VECTOR + 16; vector++) {
		uint32_t before = strays;
		uint64_t end = clock_now() + clock_hertz();

		try_message(DOORBELL | own << 12, vector);
		while (strays == before && clock_now() < end)
			;
		good += strays == before + 1;
	}
	say("survived: %u of 16\n", (uint64_t)good);
}

const struct behaviour arch_behaviours[] = {
	{"forge", forge},
	{"forge-index", forge_index},
	{"remap", remap},
	{NULL, NULL},
};
