/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The card's vsock function: found through the firmware's PCI protocols (UEFI
 * 2.10 14.4), its registers through its virtio capabilities (virtio 1.2 4.1.4).
 * The resident core gets addresses and needs to know nothing of PCI.
 */
#include "loader.h"

#include <efipciio.h>
#include <string.h>

#include <bulkhead/format.h>

#define VIRTIO_VSOCK 0x10531af4U /* vendor and device (virtio 1.2 4.1.2, 5.10.1) */
#define PCI_STATUS 0x06
#define PCI_STATUS_CAPABILITIES 0x10U
#define PCI_CAPABILITIES 0x34
#define PCI_CAPABILITY_VENDOR 0x09
#define PCI_MAX_CAPABILITIES 48 /* more cannot stand in 192 bytes */
#define NO_BAR 0xffU

/* struct virtio_pci_cap and, for notifications, virtio_pci_notify_cap */
struct virtio_cap {
	uint8_t id;
	uint8_t next;
	uint8_t length;
	uint8_t type;
	uint8_t bar;
	uint8_t padding[3];
	uint32_t offset;
	uint32_t size;
	uint32_t multiplier;
};

static_assert(sizeof(struct virtio_cap) == 20, "virtio 1.2 4.1.4.4");

enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_TYPES };

/* ACPI's QWORD address space descriptor, as GetBarAttributes() returns it (UEFI 2.10 table 14-2). */
struct bar_descriptor {
	uint8_t tag;
	uint8_t length[2];
	uint8_t resource; /* 0: memory */
	uint8_t flags[2];
	uint64_t granularity, first, last, offset, size;
} __attribute__((packed));

static EFI_GUID pci_io_guid = EFI_PCI_IO_PROTOCOL_GUID;

static EFI_STATUS read_config(EFI_PCI_IO_PROTOCOL *pci, uint32_t at, UINTN bytes, void *to)
{
	return pci->Pci.Read(pci, EfiPciIoWidthUint8, at, bytes, to);
}

static bool is_at(EFI_PCI_IO_PROTOCOL *pci, const char *function)
{
	UINTN segment, bus, device, number;
	char name[32];

	if (EFI_ERROR(pci->GetLocation(pci, &segment, &bus, &device, &number)))
		return false;
	bh_format(name, sizeof(name), "%04x:%02x:%02x.%u", (unsigned int)segment, (unsigned int)bus,
		  (unsigned int)device, (unsigned int)number);
	return strcmp(name, function) == 0;
}

static EFI_PCI_IO_PROTOCOL *find_function(struct loader *l, const char *function)
{
	EFI_PCI_IO_PROTOCOL *found = NULL, *pci;
	EFI_HANDLE *handles;
	UINTN count;

	if (EFI_ERROR(l->services->LocateHandleBuffer(ByProtocol, &pci_io_guid, NULL, &count,
						      &handles)))
		return NULL;
	for (UINTN i = 0; i < count && found == NULL; i++) {
		if (!EFI_ERROR(
			    l->services->HandleProtocol(handles[i], &pci_io_guid, (void **)&pci)) &&
		    is_at(pci, function))
			found = pci;
	}
	l->services->FreePool(handles);
	return found;
}

/* The first capability of each type is the one to use (virtio 1.2 4.1.4). */
static void read_caps(EFI_PCI_IO_PROTOCOL *pci, struct virtio_cap *caps)
{
	uint16_t status = 0;
	uint8_t at = 0;

	read_config(pci, PCI_STATUS, sizeof(status), &status);
	if (status & PCI_STATUS_CAPABILITIES)
		read_config(pci, PCI_CAPABILITIES, 1, &at);
	for (int i = 0; i < PCI_MAX_CAPABILITIES && at >= 0x40; i++) {
		struct virtio_cap cap = {0};

		if (EFI_ERROR(read_config(pci, at & 0xfcU, sizeof(cap), &cap)))
			return;
		if (cap.id == PCI_CAPABILITY_VENDOR && cap.type < CAP_TYPES &&
		    caps[cap.type].id == 0)
			caps[cap.type] = cap;
		at = cap.next;
	}
}

/* Where firmware put BAR @bar; empty when it is no memory. */
static struct extent bar_extent(struct loader *l, EFI_PCI_IO_PROTOCOL *pci, uint8_t bar)
{
	struct extent extent = {pa(0), 0};
	struct bar_descriptor *d;
	uint64_t register_value = 0;

	if (bar > 5 || EFI_ERROR(pci->GetBarAttributes(pci, bar, NULL, (void **)&d)))
		return extent;
	if (d->resource == 0 && d->size != 0) {
		read_config(pci, 0x10U + bar * 4U, bar < 5 ? 8 : 4, &register_value);
		if ((register_value & 6) != 4) /* PCIe 6.0 7.5.1.2.1: 64 bits wide */
			register_value = (uint32_t)register_value;
		extent = (struct extent){pa(align_down(register_value, 16)), d->size};
	}
	l->services->FreePool(d);
	return extent;
}

static bool fits(const struct virtio_cap *cap, const struct virtio_cap *first, struct extent bar,
		 uint32_t need)
{
	return cap->id != 0 && cap->bar == first->bar && cap->size >= need &&
	       is_aligned(cap->offset, 4) && range_inside(cap->offset, cap->size, 0, bar.size);
}

static enum bh_error place(struct loader *l, const char *name, EFI_PCI_IO_PROTOCOL *pci,
			   struct plan_card *card)
{
	struct virtio_cap caps[CAP_TYPES] = {{.id = 0}};
	const struct virtio_cap *common = &caps[CAP_COMMON];
	struct extent bar;

	read_caps(pci, caps);
	bar = bar_extent(l, pci, common->id != 0 ? common->bar : NO_BAR);
	if (!fits(common, common, bar, CARD_COMMON_BYTES) ||
	    !fits(&caps[CAP_NOTIFY], common, bar, 2) || !fits(&caps[CAP_DEVICE], common, bar, 8) ||
	    !is_aligned(bar.base.v, PAGE_SIZE))
		return bh_fail(&l->report, BH_NO_DEVICE,
			       "/host: card: %s has not all of its virtio registers in one memory "
			       "BAR of whole pages",
			       name);
	card->registers = (struct extent){bar.base, align_up(bar.size, PAGE_SIZE)};
	for (uint32_t i = 0; i < l->machine->nmemory; i++)
		if (extent_overlap(card->registers, l->machine->memory[i].extent))
			return bh_fail(&l->report, BH_NO_DEVICE,
				       "/host: card: the registers of %s are where memory is",
				       name);
	card->common = common->offset;
	card->notify = caps[CAP_NOTIFY].offset;
	card->notify_size = caps[CAP_NOTIFY].size;
	card->notify_multiplier = caps[CAP_NOTIFY].multiplier;
	card->device = caps[CAP_DEVICE].offset;
	return BH_OK;
}

enum bh_error find_card(struct loader *l)
{
	const struct manifest_host *host = &l->manifest->host;
	struct plan_card *card = &l->info->plan.card;
	EFI_PCI_IO_PROTOCOL *pci;
	enum bh_error error;
	uint32_t id = 0;

	if (host->card[0] == '\0')
		return BH_OK;
	pci = find_function(l, host->card);
	if (pci != NULL)
		read_config(pci, 0, sizeof(id), &id);
	if (id != VIRTIO_VSOCK)
		return bh_fail(&l->report, BH_NO_DEVICE, "/host: card: %s is %s", host->card,
			       pci != NULL ? "no virtio vsock function" : "not there");
	error = place(l, host->card, pci, card);
	if (error != BH_OK)
		return error;
	if (EFI_ERROR(pci->Attributes(pci, EfiPciIoAttributeOperationEnable,
				      EFI_PCI_IO_ATTRIBUTE_MEMORY | EFI_PCI_IO_ATTRIBUTE_BUS_MASTER,
				      NULL)))
		return bh_fail(&l->report, BH_FIRMWARE,
			       "/host: card: firmware does not let %s reach memory", host->card);
	card->port = host->card_port;
	card->present = 1;
	return BH_OK;
}
