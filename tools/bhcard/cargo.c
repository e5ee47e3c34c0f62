/* SPDX-License-Identifier: Apache-2.0 */
#include "cargo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bulkhead/guest_boot.h>

#include "boot/kernel_image.h"
#include "text.h"

struct file {
	void *data;
	size_t size;
};

struct cargo {
	struct file file[2]; /* kernel, initrd */
	struct image_info info[2];
	uint32_t ninfos;
	void *flat; /* an ELF kernel as it stands in memory */
	uint64_t boot_size;
	uint64_t boot[GUEST_BOOT_MAX / sizeof(uint64_t)];
};

static bool map_file(const struct store *store, const struct stored_image *image, struct file *file)
{
	int fd = store_open_image(store, image);
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	void *data = MAP_FAILED;

	if (size > 0 && (uint64_t)size == image->size)
		data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	if (data == MAP_FAILED)
		return false;
	*file = (struct file){data, (size_t)size};
	return true;
}

static bool add_image(struct cargo *cargo, const struct store *store,
		      const struct stored_image *image, const char *name, struct fail *fail)
{
	struct file *file = &cargo->file[cargo->ninfos];
	struct image_info *info = &cargo->info[cargo->ninfos];

	if (!map_file(store, image, file))
		return fail_with(fail, 400, "BH_NO_IMAGE",
				 "its %s is missing on the card; upload it again", name);
	kernel_image_probe(file->data, file->size, info);
	text_copy(info->name, sizeof(info->name), name);
	cargo->ninfos++;
	return true;
}

static bool flatten(struct cargo *cargo, struct fail *fail)
{
	struct image_info *kernel = &cargo->info[0];
	uint64_t flat = 0;

	if (kernel->kind != KERNEL_ELF)
		return true;
	cargo->flat = malloc(kernel->part.size);
	if (!cargo->flat || kernel_image_flatten(cargo->file[0].data, cargo->file[0].size,
						 cargo->flat, kernel->part.size, &flat) != BH_OK)
		return fail_with(fail, 400, "BH_BAD_IMAGE",
				 "its kernel's segments cannot be laid out");
	return true;
}

struct cargo *cargo_open(const struct store *store, const struct stored_image stored[2],
			 struct fail *fail)
{
	struct cargo *cargo = calloc(1, sizeof(*cargo));

	if (!cargo) {
		fail_with(fail, FAIL_DISK, "out of memory");
		return NULL;
	}
	if (stored[0].size == 0)
		fail_with(fail, 400, "BH_NO_IMAGE", "it has no kernel yet; upload one");
	else if (add_image(cargo, store, &stored[0], SPEC_KERNEL, fail) &&
		 (stored[1].size == 0 || add_image(cargo, store, &stored[1], SPEC_INITRD, fail)) &&
		 flatten(cargo, fail))
		return cargo;
	cargo_free(cargo);
	return NULL;
}

void cargo_free(struct cargo *cargo)
{
	if (!cargo)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cargo->file); i++) {
		if (cargo->file[i].data)
			munmap(cargo->file[i].data, cargo->file[i].size);
	}
	free(cargo->flat);
	free(cargo);
}

const struct image_info *cargo_infos(const struct cargo *cargo, uint32_t *count)
{
	*count = cargo->ninfos;
	return cargo->info;
}

bool cargo_make_boot(struct cargo *cargo, struct plan *plan, uint32_t slot,
		     const struct machine *machine, const char *bootargs, struct fail *fail)
{
	struct bh_report report = {BH_OK, ""};
	uint32_t rng_seed = 0;
	uint32_t kaslr_seed = 0;
	uint64_t room = plan_boot_bytes(machine, plan->vm[slot].ncores);
	enum bh_error error = BH_TOO_BIG;

	if (room <= sizeof(cargo->boot))
		error = guest_boot_make(plan, slot, machine, &cargo->info[0], bootargs, cargo->boot,
					room, &cargo->boot_size, &rng_seed, &kaslr_seed, &report);
	if (error != BH_OK)
		return fail_with_error(fail, error, report.text);
	plan->vm[slot].image[IMAGE_BOOT].size = cargo->boot_size;
	plan->vm[slot].rng_seed_offset = rng_seed;
	plan->vm[slot].kaslr_seed_offset = kaslr_seed;
	return true;
}

struct bytes cargo_bytes(const struct cargo *cargo, enum plan_image_slot image)
{
	const struct image_info *kernel = &cargo->info[0];

	switch (image) {
	case IMAGE_KERNEL: /* of a bzImage without what stands before the part that is copied */
		if (cargo->flat)
			return (struct bytes){cargo->flat, kernel->part.size};
		return (struct bytes){(const uint8_t *)cargo->file[0].data +
					      (cargo->file[0].size - kernel->part.size),
				      kernel->part.size};
	case IMAGE_BOOT:
		return (struct bytes){(const uint8_t *)cargo->boot, cargo->boot_size};
	default:
		return (struct bytes){cargo->file[1].data, cargo->file[1].size};
	}
}

bool cargo_fits(const struct cargo *cargo, const struct plan_vm *vm)
{
	for (int i = 0; i < PLAN_MAX_IMAGES; i++) {
		if (cargo_bytes(cargo, (enum plan_image_slot)i).size != vm->image[i].size)
			return false;
	}
	return true;
}
