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

static uint32_t load(const struct plan_card *card, uint32_t at, uint32_t size)
{
	return arch_device_load(pa(card->registers.base.v + card->common + at), size);
}

static void store(const struct plan_card *card, uint32_t at, uint32_t size, uint32_t value)
{
	arch_device_store(pa(card->registers.base.v + card->common + at), size, value);
}

/* 4.1.3.1: a 64-bit field is written as two of 32 bits. */
static void store_64(const struct plan_card *card, uint32_t at, uint64_t value)
{
	store(card, at, 4, (uint32_t)value);
	store(card, at + 4, 4, (uint32_t)(value >> 32));
}

static void add_status(const struct plan_card *card, uint8_t bits)
{
	store(card, DEVICE_STATUS, 1, load(card, DEVICE_STATUS, 1) | bits);
}

bool virtio_reset(const struct plan_card *card)
{
	uint64_t deadline = arch_ticks() + RESET_SECONDS * arch_tick_rate();

	store(card, DEVICE_STATUS, 1, 0);
	while (load(card, DEVICE_STATUS, 1) != 0) /* 4.1.4.3.2 */
		if (arch_ticks() > deadline)
			return false;
	return true;
}

static bool negotiate(const struct plan_card *card)
{
	store(card, DEVICE_FEATURE_SELECT, 4, 1);
	uint32_t offered = load(card, DEVICE_FEATURE, 4);

	store(card, DRIVER_FEATURE_SELECT, 4, 0);
	store(card, DRIVER_FEATURE, 4, 0);
	store(card, DRIVER_FEATURE_SELECT, 4, 1);
	store(card, DRIVER_FEATURE, 4, offered & (FEATURE_VERSION_1 | FEATURE_ACCESS_PLATFORM));
	add_status(card, FEATURES_OK);
	return (offered & FEATURE_VERSION_1) != 0 &&
	       (load(card, DEVICE_STATUS, 1) & FEATURES_OK) != 0;
}

static bool start_queue(const struct plan_card *card, struct virtq *queue, uint16_t index)
{
	struct virtq_rings *rings = queue->rings;

	store(card, QUEUE_SELECT, 2, index);
	uint64_t notify = (uint64_t)load(card, QUEUE_NOTIFY_OFF, 2) * card->notify_multiplier;
	if (load(card, QUEUE_SIZE, 2) < VIRTQ_SIZE ||
	    !range_inside(notify, sizeof(uint16_t), 0, card->notify_size) || notify % 2 != 0)
		return false;

	memset(rings, 0, sizeof(*rings));
	rings->avail.flags = AVAIL_NO_INTERRUPT;
	*queue = (struct virtq){.rings = rings,
				.notify = pa(card->registers.base.v + card->notify + notify),
				.index = index};
	store(card, QUEUE_SIZE, 2, VIRTQ_SIZE);
	store(card, QUEUE_MSIX_VECTOR, 2, NO_VECTOR);
	store_64(card, QUEUE_DESC, ptr_to_pa(rings->desc).v);
	store_64(card, QUEUE_DRIVER, ptr_to_pa(&rings->avail).v);
	store_64(card, QUEUE_DEVICE, ptr_to_pa(&rings->used).v);
	store(card, QUEUE_ENABLE, 2, 1);
	return true;
}

/* The order of 3.1.1. */
enum bh_error virtio_start(const struct plan_card *card, struct virtq *queues, uint32_t count)
{
	if (!virtio_reset(card))
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
	arch_device_store(queue->notify, sizeof(queue->index), queue->index);
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
