/* SPDX-License-Identifier: Apache-2.0 */
/* A driver of the guest's own ITS: IHI 0069H 5.3, 12.19. */
#include "device.h"

#include <bulkhead/its.h>

#define SLOTS (ITS_QUEUE_BYTES / ITS_COMMAND_BYTES)

static volatile uint64_t commands[SLOTS][ITS_COMMAND_WORDS] __attribute__((aligned(65536)));
static volatile uint8_t properties[LPI_GUEST_COUNT] __attribute__((aligned(4096)));
static uint8_t pending[2][65536] __attribute__((aligned(65536)));

static uint64_t address(const volatile void *of)
{
	return (uint64_t)(uintptr_t)of;
}

bool its_command(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t at = read64(GUEST_ITS_BASE + GITS_CWRITER);
	uint64_t next = (at + ITS_COMMAND_BYTES) % ITS_QUEUE_BYTES;
	volatile uint64_t *command = commands[at / ITS_COMMAND_BYTES];

	command[0] = a;
	command[1] = b;
	command[2] = c;
	command[3] = 0;
	dsb();
	write64(GUEST_ITS_BASE + GITS_CWRITER, next);
	for (;;) {
		uint64_t read = read64(GUEST_ITS_BASE + GITS_CREADR);

		if (read == next || (read & GITS_CREADR_STALLED) != 0)
			return read == next;
	}
}

void its_start(void)
{
	for (uint32_t vcpu = 0; vcpu < 2; vcpu++) {
		uint64_t redist = GUEST_GICR_BASE + vcpu * GUEST_GICR_STRIDE;

		if (vcpu == 1 && (read64(GUEST_GICR_BASE + 8) & 0x10) != 0)
			break; /* it is alone */
		write64(redist + GICR_PROPBASER, address(properties) | (LPI_GUEST_ID_BITS - 1));
		write64(redist + GICR_PENDBASER, address(pending[vcpu]));
		write32(redist, GICR_CTLR_ENABLE_LPIS);
	}
	write32(GUEST_ITS_BASE + GITS_CTLR, 0);
	write64(GUEST_ITS_BASE + GITS_CBASER, GITS_VALID | address(commands));
	write64(GUEST_ITS_BASE + GITS_CWRITER, 0);
	write32(GUEST_ITS_BASE + GITS_CTLR, GITS_CTLR_ENABLED);
	its_command(ITS_MAPD | ITS_DEVICE, 5, GITS_VALID);
	its_command(ITS_MAPC, 0, GITS_VALID);
	its_command(ITS_MAPC, 0, GITS_VALID | 1 << 16 | 1);
}

void its_mask(uint32_t event, uint32_t lpi, bool masked)
{
	properties[lpi - LPI_FIRST] = masked ? 0xa0 : 0xa1;
	dsb();
	its_command(ITS_INV | ITS_DEVICE, event, 0);
}

void its_map(uint32_t event, uint32_t lpi, uint32_t collection)
{
	its_command(ITS_MAPTI | ITS_DEVICE, event | (uint64_t)lpi << 32, collection);
	its_mask(event, lpi, false);
}
