/* SPDX-License-Identifier: Apache-2.0 */
/* The least of a driver for NVMe (Base Specification 2.0c, sections in brackets): admin commands that write 64 bytes to memory. */
#include "guest.h"

/* Registers (3.1.3), and doorbells (NVMe over PCIe 1.0c, 3.1.2). */
#define CC 0x14
#define CSTS 0x1c
#define AQA 0x24
#define ASQ 0x28
#define ACQ 0x30
#define SUBMITTED 0x1000
#define TAKEN 0x1004

#define ENABLE (1U | 6 << 16 | 4 << 20) /* with entries of 64 and 16 bytes */
#define READY 1U
#define FAILED 2U

#define SLOTS 4U
#define GET_LOG_PAGE 2U /* 5.16 */
#define HEALTH_64_BYTES (15U << 16 | 2)
#define ANY_NAMESPACE UINT32_MAX

static volatile uint32_t submission[SLOTS][16] __attribute__((aligned(4096)));
static volatile uint32_t completion[SLOTS][4] __attribute__((aligned(4096)));
static uint64_t registers;
static uint32_t tail, head; /* ever growing */

/* Until the controller's state is @state, or it has failed. */
static bool becomes(uint32_t state)
{
	uint64_t end = clock_now() + device_patience * clock_hertz();

	while ((read32(registers + CSTS) & (READY | FAILED)) != state && clock_now() < end)
		;
	return (read32(registers + CSTS) & (READY | FAILED)) == state;
}

static void queue(uint32_t at, uint64_t wanted, const volatile void *own)
{
	uint64_t place = wanted != 0 ? wanted : (uint64_t)(uintptr_t)own;

	write32(registers + at, (uint32_t)place);
	write32(registers + at + 4, (uint32_t)(place >> 32));
}

bool nvme_place(uint64_t commands, uint64_t completions)
{
	write32(registers + CC, 0);
	becomes(0);
	for (uint32_t i = 0; i < SLOTS; i++)
		completion[i][3] = 0;
	tail = head = 0;
	write32(registers + AQA, (SLOTS - 1) << 16 | (SLOTS - 1));
	queue(ASQ, commands, submission);
	queue(ACQ, completions, completion);
	write32(registers + CC, ENABLE);
	return becomes(READY);
}

bool nvme_start(uint64_t bar)
{
	registers = bar;
	return nvme_place(0, 0);
}

void nvme_kick(void)
{
	device_barrier();
	write32(registers + SUBMITTED, ++tail % SLOTS);
}

/* Entries of a new round have the other phase (4.2.4.1). */
static bool is_done(void)
{
	return (completion[head % SLOTS][3] >> 16 & 1) == (~head / SLOTS & 1);
}

bool nvme_write(uint64_t at)
{
	uint64_t end = clock_now() + device_patience * clock_hertz();
	volatile uint32_t *command = submission[tail % SLOTS];

	command[0] = GET_LOG_PAGE;
	command[1] = ANY_NAMESPACE;
	command[6] = (uint32_t)at;
	command[7] = (uint32_t)(at >> 32);
	command[10] = HEALTH_64_BYTES;
	nvme_kick();
	while (!is_done() && clock_now() < end)
		;
	if (!is_done())
		return false;
	bool good = completion[head % SLOTS][3] >> 17 == 0;

	write32(registers + TAKEN, ++head % SLOTS);
	return good;
}
