/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio.h"

#include <bulkhead/arch.h>

#include <string.h>

/* struct virtio_pci_common_cfg (virtio 1.2 4.1.4.3) */
enum {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	DEVICE_STATUS = 0x14,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_MSIX_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
};

/* 2.1 */
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };

#define NO_VECTOR 0xffffU
#define FEATURE_VERSION_1 0x1U /* bit 32, so of the second word */
#define FEATURE_ACCESS_PLATFORM 0x2U /* bit 33: addresses go through the IOMMU */
#define DESC_WRITE 2U /* 2.7.5 */
#define AVAIL_NO_INTERRUPT 1U
#define RESET_SECONDS 1

static void *reg(const struct plan_card *card, uint32_t offset)
{
	return pa_to_ptr(pa(card->registers.base.v + offset));
}

static uint8_t read8(const struct plan_card *card, uint32_t at)
{
	return *(volatile uint8_t *)reg(card, card->common + at);
}

static void write8(const struct plan_card *card, uint32_t at, uint8_t value)
{
	*(volatile uint8_t *)reg(card, card->common + at) = value;
}

static uint16_t read16(const struct plan_card *card, uint32_t at)
{
	return *(volatile uint16_t *)reg(card, card->common + at);
}

static void write16(const struct plan_card *card, uint32_t at, uint16_t value)
{
	*(volatile uint16_t *)reg(card, card->common + at) = value;
}

static uint32_t read32(const struct plan_card *card, uint32_t at)
{
	return *(volatile uint32_t *)reg(card, card->common + at);
}

static void write32(const struct plan_card *card, uint32_t at, uint32_t value)
{
	*(volatile uint32_t *)reg(card, card->common + at) = value;
}

/* 4.1.3.1: a 64-bit field is written as two of 32 bits. */
static void write64(const struct plan_card *card, uint32_t at, uint64_t value)
{
	write32(card, at, (uint32_t)value);
	write32(card, at + 4, (uint32_t)(value >> 32));
}

static void add_status(const struct plan_card *card, uint8_t bits)
{
	write8(card, DEVICE_STATUS, read8(card, DEVICE_STATUS) | bits);
}

static bool reset(const struct plan_card *card)
{
	uint64_t deadline = arch_ticks() + RESET_SECONDS * arch_tick_rate();

	write8(card, DEVICE_STATUS, 0);
	while (read8(card, DEVICE_STATUS) != 0) /* 4.1.4.3.2 */
		if (arch_ticks() > deadline)
			return false;
	return true;
}

void virtio_reset(const struct plan_card *card)
{
	reset(card);
}

static bool negotiate(const struct plan_card *card)
{
	write32(card, DEVICE_FEATURE_SELECT, 1);
	uint32_t offered = read32(card, DEVICE_FEATURE);

	write32(card, DRIVER_FEATURE_SELECT, 0);
	write32(card, DRIVER_FEATURE, 0);
	write32(card, DRIVER_FEATURE_SELECT, 1);
	write32(card, DRIVER_FEATURE, offered & (FEATURE_VERSION_1 | FEATURE_ACCESS_PLATFORM));
	add_status(card, FEATURES_OK);
	return (offered & FEATURE_VERSION_1) != 0 &&
	       (read8(card, DEVICE_STATUS) & FEATURES_OK) != 0;
}

static bool start_queue(const struct plan_card *card, struct virtq *queue, uint16_t index)
{
	struct virtq_rings *rings = queue->rings;

	write16(card, QUEUE_SELECT, index);
	uint64_t notify = (uint64_t)read16(card, QUEUE_NOTIFY_OFF) * card->notify_multiplier;
	if (read16(card, QUEUE_SIZE) < VIRTQ_SIZE ||
	    !range_inside(notify, sizeof(uint16_t), 0, card->notify_size) || notify % 2 != 0)
		return false;

	memset(rings, 0, sizeof(*rings));
	rings->avail.flags = AVAIL_NO_INTERRUPT;
	*queue = (struct virtq){.rings = rings,
				.notify = reg(card, card->notify + (uint32_t)notify),
				.index = index};
	write16(card, QUEUE_SIZE, VIRTQ_SIZE);
	write16(card, QUEUE_MSIX_VECTOR, NO_VECTOR);
	write64(card, QUEUE_DESC, ptr_to_pa(rings->desc).v);
	write64(card, QUEUE_DRIVER, ptr_to_pa(&rings->avail).v);
	write64(card, QUEUE_DEVICE, ptr_to_pa(&rings->used).v);
	write16(card, QUEUE_ENABLE, 1);
	return true;
}

/* The order of 3.1.1. */
enum bh_error virtio_start(const struct plan_card *card, struct virtq *queues, uint32_t count)
{
	if (!reset(card))
		return BH_NO_DEVICE;
	add_status(card, ACKNOWLEDGE);
	add_status(card, DRIVER);
	if (!negotiate(card))
		return BH_NO_DEVICE;
	for (uint32_t i = 0; i < count; i++)
		if (!start_queue(card, &queues[i], (uint16_t)i))
			return BH_NO_DEVICE;
	add_status(card, DRIVER_OK);
	return BH_OK;
}

void virtq_offer(struct virtq *queue, uint32_t id, pa_t at, uint32_t size, bool writable)
{
	struct virtq_rings *rings = queue->rings;

	rings->desc[id] = (struct virtq_desc){at.v, size, writable ? DESC_WRITE : 0, 0};
	rings->avail.ring[queue->offered++ % VIRTQ_SIZE] = (uint16_t)id;
	queue->outstanding |= (uint64_t)1 << id;
	arch_dma_fence(); /* 2.7.13.3.1: the entry before the index */
	*(volatile uint16_t *)&rings->avail.index = queue->offered;
}

void virtq_kick(const struct virtq *queue)
{
	arch_dma_fence(); /* 2.7.13.4: the index before the notification */
	*(volatile uint16_t *)queue->notify = queue->index;
}

enum bh_error virtq_take(struct virtq *queue, uint32_t *id, uint32_t *length)
{
	struct virtq_rings *rings = queue->rings;

	uint16_t returned = (uint16_t)(*(volatile uint16_t *)&rings->used.index - queue->taken);
	if (returned == 0)
		return BH_WRONG_STATE;
	arch_dma_fence(); /* 2.7.14: the index before the entry */
	const volatile struct virtq_used_item *item = &rings->used.ring[queue->taken % VIRTQ_SIZE];

	*id = item->id;
	*length = item->length;
	if (returned > (uint16_t)(queue->offered - queue->taken) || *id >= VIRTQ_SIZE ||
	    (queue->outstanding >> *id & 1) == 0)
		return BH_NO_DEVICE;
	queue->outstanding &= ~((uint64_t)1 << *id);
	queue->taken++;
	return BH_OK;
}
