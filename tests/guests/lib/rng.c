/* SPDX-License-Identifier: Apache-2.0 */
/* The least of a driver for virtio-rng: virtio 1.2 4.1 (PCI), 2.7 (split queues), 5.4. It writes to memory what nobody can foresee. */
#include "guest.h"

#define OWN (ECAM_BASE + (2 << 15))
#define COMMAND 4
#define CLASS 8
#define CLASS_NVME 0x010802U
#define COMMAND_MEMORY_MASTER 6
#define BARS 0x10
#define CAPABILITIES 0x34
#define CAP_VENDOR 0x09
#define CAP_MSIX 0x11
#define COMMON 1 /* types of virtio capabilities */
#define NOTIFY 2

#define FEATURE_SELECT 0x08 /* struct virtio_pci_common_cfg */
#define FEATURE 0x0c
#define STATUS 0x14
#define QUEUE_SELECT 0x16
#define QUEUE_SIZE 0x18
#define QUEUE_VECTOR 0x1a
#define QUEUE_ENABLE 0x1c
#define QUEUE_OFFSET 0x1e
#define QUEUE_PARTS 0x20
#define FEATURES_HIGH 3U /* VERSION_1, ACCESS_PLATFORM */

#define SLOTS 4
#define WRITES 2 /* of a descriptor: the device writes there */

struct descriptor {
	uint64_t at;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};

struct available {
	uint16_t flags;
	uint16_t index;
	uint16_t ring[SLOTS];
};

struct used {
	uint16_t flags;
	uint16_t index;
	uint32_t ring[SLOTS][2];
};

uint8_t rng_buffer[64] __attribute__((aligned(64)));

static struct {
	struct descriptor descriptor[SLOTS];
	volatile struct available available;
	volatile struct used used;
} queue __attribute__((aligned(4096)));

static uint64_t common, notify, msix;
static bool is_nvme;

static uint64_t bar(uint32_t index)
{
	uint32_t low = read32(OWN + BARS + 4 * index);
	uint64_t high = (low & 6) == 4 ? read32(OWN + BARS + 4 * index + 4) : 0;

	return high << 32 | (low & ~0xfU);
}

static void note(uint64_t cap)
{
	uint8_t type = read8(cap + 3);

	if (read8(cap) == CAP_MSIX)
		msix = bar(read32(cap + 4) & 7) + (read32(cap + 4) & ~7U);
	else if (read8(cap) == CAP_VENDOR && type == COMMON)
		common = bar(read8(cap + 4)) + read32(cap + 8);
	else if (read8(cap) == CAP_VENDOR && type == NOTIFY)
		notify = bar(read8(cap + 4)) + read32(cap + 8);
}

static void find(void)
{
	if (read32(OWN) == UINT32_MAX)
		return;
	for (uint32_t at = read8(OWN + CAPABILITIES), n = 0; at != 0 && n < 48; n++) {
		note(OWN + at);
		if (read8(OWN + at) == CAP_MSIX)
			write16(OWN + at + 2, 0x8000);
		at = read8(OWN + at + 1);
	}
	write16(OWN + COMMAND, COMMAND_MEMORY_MASTER);
	is_nvme = read32(OWN + CLASS) >> 8 == CLASS_NVME;
}

static void part(uint32_t index, uint64_t at)
{
	write32(common + QUEUE_PARTS + 8 * index, (uint32_t)at);
	write32(common + QUEUE_PARTS + 8 * index + 4, (uint32_t)(at >> 32));
}

static uint64_t place(uint64_t wanted, const volatile void *own)
{
	return wanted != 0 ? wanted : (uint64_t)(uintptr_t)own;
}

bool rng_place(uint64_t descriptors, uint64_t available, uint64_t used)
{
	if (is_nvme)
		return nvme_place(descriptors | available, used);
	write8(common + STATUS, 0);
	while (read8(common + STATUS) != 0)
		;
	queue.available.index = queue.used.index = 0;
	write8(common + STATUS, 3);
	write32(common + FEATURE_SELECT, 1);
	write32(common + FEATURE, FEATURES_HIGH);
	write32(common + FEATURE_SELECT, 0);
	write32(common + FEATURE, 0);
	write8(common + STATUS, 11);
	write16(common + QUEUE_SELECT, 0);
	write16(common + QUEUE_SIZE, SLOTS);
	write16(common + QUEUE_VECTOR, 0);
	part(0, place(descriptors, queue.descriptor));
	part(1, place(available, &queue.available));
	part(2, place(used, &queue.used));
	write16(common + QUEUE_ENABLE, 1);
	write8(common + STATUS, 15);
	return (read8(common + STATUS) & 8) != 0;
}

bool rng_start(void)
{
	find();
	if (is_nvme)
		return msix != 0 && nvme_start(bar(0));
	return common != 0 && notify != 0 && msix != 0 && rng_place(0, 0, 0);
}

void rng_kick(void)
{
	if (is_nvme) {
		nvme_kick();
		return;
	}
	device_barrier();
	queue.available.index = (uint16_t)(queue.available.index + 1);
	device_barrier();
	write16(notify, 0); /* queue 0 is at its beginning (4.1.4.4) */
}

uint32_t device_patience = 1;

bool rng_write(uint64_t at)
{
	uint16_t before = queue.used.index;
	uint64_t end = clock_now() + device_patience * clock_hertz();

	if (is_nvme)
		return nvme_write(at);
	queue.descriptor[0] = (struct descriptor){at, sizeof(rng_buffer), WRITES, 0};
	queue.available.ring[queue.available.index % SLOTS] = 0;
	rng_kick();
	while (queue.used.index == before && clock_now() < end)
		;
	return queue.used.index != before;
}

void rng_message(uint32_t vector, uint64_t address, uint32_t data)
{
	uint64_t entry = msix + 16 * vector;

	write32(entry + 12,
		1); /* masked: a part of the new message with one of the old is another */
	write32(entry, (uint32_t)address);
	write32(entry + 4, (uint32_t)(address >> 32));
	write32(entry + 8, data);
	write32(entry + 12, 0);
}
