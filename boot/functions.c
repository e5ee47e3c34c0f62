/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's PCI functions, and the virtual ones that the manifest wants, found where firmware has them. */
#include "arch.h"

#include <bulkhead/format.h>

/* Configuration space is where ECAM has it (PCIe 6.0 7.2.2); firmware maps it for itself. */
static volatile uint32_t *config(void *context, uint32_t id, uint32_t offset)
{
	const struct loader *l = context;
	uint32_t bus = id >> 8 & 0xff;

	for (uint32_t i = 0; i < l->machine->necam; i++) {
		const struct machine_ecam *e = &l->machine->ecam[i];

		if (e->segment == id >> 16 && e->bus_first <= bus && bus <= e->bus_last)
			return pa_to_ptr(pa(e->base.v + ((uint64_t)(bus - e->bus_first) << 20) +
					    ((id & 0xff) << 12) + offset));
	}
	return NULL;
}

static uint32_t read_config(void *context, uint32_t id, uint32_t offset)
{
	volatile uint32_t *at = config(context, id, offset);

	return at != NULL ? *at : UINT32_MAX;
}

static void write_config(void *context, uint32_t id, uint32_t offset, uint32_t value)
{
	volatile uint32_t *at = config(context, id, offset);

	if (at != NULL)
		*at = value;
}

static void wait(void *context, uint32_t milliseconds)
{
	struct loader *l = context;

	l->services->Stall(milliseconds * 1000ULL);
}

/* The highest number, and one, of a VF of PF @id in a list of names; no less than @wanted. */
static uint32_t highest(char (*const names)[MANIFEST_DEVICE_MAX + 1], uint32_t count, uint32_t id,
			uint32_t wanted)
{
	uint32_t pf, vf;

	for (uint32_t i = 0; i < count; i++)
		if (manifest_function(names[i], &pf, &vf) && pf == id && vf != MACHINE_NONE &&
		    vf >= wanted)
			wanted = vf + 1;
	return wanted;
}

/* How many VFs of PF @id the manifest wants: up to the highest that it names. */
static uint32_t vfs_wanted(struct manifest *manifest, uint32_t id)
{
	uint32_t wanted = highest(manifest->host.vfs, manifest->host.nvfs, id, 0);

	for (uint32_t i = 0; i < manifest->nvms; i++)
		wanted = highest(manifest->vm[i].device, manifest->vm[i].ndevices, id, wanted);
	return wanted;
}

/* Switches on the VFs that the PF of @device has to have; a PF that is not there is left for the planner to refuse. */
static enum bh_error enable_vfs(struct loader *l, const struct pci_access *access,
				const char *device, const char *who)
{
	uint32_t id, vf, pf;

	if (!manifest_function(device, &id, &vf) || vf == MACHINE_NONE)
		return BH_OK;
	pf = pci_find(l->machine, id);
	if (pf == MACHINE_NONE || l->machine->function[pf].flags != FUNCTION_FLR)
		return BH_OK;
	return pci_enable_vfs(access, l->machine, pf, vfs_wanted(l->manifest, id), who, &l->report);
}

#define WHO_MAX (MANIFEST_NAME_MAX + MANIFEST_DEVICE_MAX + 40)

static enum bh_error enable_vms_vfs(struct loader *l, const struct pci_access *access,
				    const struct manifest_vm *vm)
{
	enum bh_error error = BH_OK;
	char who[WHO_MAX];

	for (uint32_t k = 0; k < vm->ndevices && error == BH_OK; k++) {
		bh_format(who, sizeof(who), "/vms/%s: devices: '%s'", vm->name, vm->device[k]);
		error = enable_vfs(l, access, vm->device[k], who);
	}
	return error;
}

/* Those that no VM has yet, and so no planner would miss. */
static enum bh_error enable_hosts_vfs(struct loader *l, const struct pci_access *access)
{
	const struct manifest_host *host = &l->manifest->host;
	enum bh_error error = BH_OK;
	char who[WHO_MAX];
	uint32_t id, vf, pf;

	for (uint32_t i = 0; i < host->nvfs && error == BH_OK; i++) {
		bh_format(who, sizeof(who), "/host: virtual-functions: '%s'", host->vfs[i]);
		manifest_function(host->vfs[i], &id, &vf);
		pf = pci_find(l->machine, id);
		error = enable_vfs(l, access, host->vfs[i], who);
		if (pf == MACHINE_NONE)
			error = bh_fail(&l->report, BH_NO_DEVICE,
					"%s is not there; this machine has %u PCI functions that "
					"can be seen",
					who, l->machine->nfunctions);
	}
	return error;
}

enum bh_error find_functions(struct loader *l)
{
	const struct pci_access access = {read_config, write_config, wait, l};
	enum bh_error error = BH_OK;
	/* While a BAR is sized no driver of the firmware's may reach for its device. */
	EFI_TPL before = l->services->RaiseTPL(TPL_HIGH_LEVEL);
	uint32_t lost = pci_scan(&access, l->machine);

	for (uint32_t i = 0; i < l->manifest->nvms && error == BH_OK; i++)
		error = enable_vms_vfs(l, &access, &l->manifest->vm[i]);
	if (error == BH_OK)
		error = enable_hosts_vfs(l, &access);
	dma_map_apply(&l->dma, &access, l->machine);
	plan_mark_functions(l->machine);
	l->services->RestoreTPL(before);
	arch_check_iommus(l);
	if (lost != 0)
		say(l,
		    "There are %u PCI functions more than this build knows; those behind the "
		    "first %u cannot be given to a VM.",
		    lost, MACHINE_MAX_FUNCTIONS);
	return error;
}
