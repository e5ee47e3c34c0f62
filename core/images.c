/* SPDX-License-Identifier: Apache-2.0 */
/* Images that come from the card piece by piece, straight into the memory of the VM they are for. */
#include "control.h"

#include <blake2.h>

#include <string.h>

/* What is on its way to each VM. A card that comes back may go on where it was, or begin again. */
static struct stream {
	uint32_t image;
	uint64_t at;
	blake2b_state hash;
} streams[CONFIG_MAX_VMS];

static uint32_t planned(const struct plan_vm *plan)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < PLAN_MAX_IMAGES; i++)
		bits |= (uint32_t)(plan->image[i].size != 0) << i;
	return bits;
}

static enum bh_error begin(struct vm *vm, struct stream *stream, uint32_t image)
{
	if (vm->state == VM_STOPPED)
		vm_load_begin(vm);
	stream->image = image;
	stream->at = 0;
	vm->images &= ~(1U << image);
	return blake2b_init(&stream->hash, DIGEST_BYTES) == 0 ? BH_OK : BH_BAD_DIGEST;
}

static enum bh_error end(struct vm *vm, struct stream *stream, const uint8_t *digest)
{
	uint8_t found[DIGEST_BYTES];

	if (blake2b_final(&stream->hash, found, sizeof(found)) != 0 ||
	    memcmp(found, digest, DIGEST_BYTES) != 0)
		return BH_BAD_DIGEST;
	vm->images |= 1U << stream->image;
	if (vm->images == planned(vm_plan(vm)))
		vm_load_end(vm);
	return BH_OK;
}

enum bh_error image_receive(struct vm *vm, uint32_t image, uint64_t offset, const void *data,
			    uint32_t size, const uint8_t *digest)
{
	const struct plan_vm *plan = vm_plan(vm);
	struct stream *stream = &streams[vm->index];
	enum bh_error error = BH_OK;

	if (plan_vm_kept(plan) || (vm->state != VM_STOPPED && vm->state != VM_LOADING))
		return BH_WRONG_STATE;
	if (image >= PLAN_MAX_IMAGES || size == 0 ||
	    !range_inside(offset, size, 0, plan->image[image].size) ||
	    (digest != NULL) != (offset + size == plan->image[image].size))
		return BH_BAD_VALUE;
	if (offset == 0)
		error = begin(vm, stream, image);
	else if (vm->state != VM_LOADING || stream->image != image || stream->at != offset)
		return BH_BAD_VALUE;
	if (error == BH_OK && blake2b_update(&stream->hash, data, size) != 0)
		error = BH_BAD_DIGEST;
	if (error != BH_OK)
		return error;
	vm_receive(plan, image, offset, data, size);
	stream->at = offset + size;
	if (digest == NULL)
		return BH_OK;
	stream->at = 0; /* whatever comes next begins anew */
	return end(vm, stream, digest);
}
