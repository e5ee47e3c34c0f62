/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery.h"

#include <stdlib.h>
#include <string.h>

struct delivery {
	struct link *link;
	struct cargo *cargo;
	delivery_done_fn *done; /* NULL once it was called */
	void *context;
	uint32_t image; /* the next piece is of this one, */
	uint64_t offset; /* from here */
	struct digest *digest;
	uint32_t in_flight;
	bool is_broken; /* a piece could not be sent */
	char vm[MANIFEST_NAME_MAX + 1];
};

static void release(struct delivery *d)
{
	uint8_t sum[DIGEST_BYTES];

	if (d->done || d->in_flight != 0)
		return;
	if (d->digest)
		digest_end(d->digest, sum);
	cargo_free(d->cargo);
	free(d);
}

static void finish(struct delivery *d, const struct answer *answer)
{
	delivery_done_fn *done = d->done;

	d->done = NULL;
	if (done)
		done(d->context, answer);
}

static void fill(struct delivery *d);

static void on_answer(void *context, const struct answer *answer)
{
	const struct answer broken = {.error = BH_BAD_MESSAGE, .detail = "it cannot be sent"};
	struct delivery *d = context;

	d->in_flight--;
	if (answer->lost || answer->error != BH_OK)
		finish(d, answer);
	else if (d->done)
		fill(d);
	if (d->in_flight == 0)
		finish(d, d->is_broken ? &broken : answer);
	release(d);
}

static bool send_piece(struct delivery *d, const uint8_t *data, uint32_t size, bool is_last)
{
	uint8_t sum[DIGEST_BYTES];
	struct payload m;

	if (!d->digest && !(d->digest = digest_new()))
		return false;
	digest_add(d->digest, data, size);
	payload_begin(&m);
	payload_string(&m, "vm", d->vm);
	payload_u32(&m, "image", d->image);
	payload_u64(&m, "offset", d->offset);
	payload_bytes(&m, "data", data, size);
	if (is_last) {
		digest_end(d->digest, sum);
		d->digest = NULL;
		payload_bytes(&m, "digest", sum, sizeof(sum));
	}
	return link_request(d->link, MESSAGE_IMAGE, &m, on_answer, d);
}

/* Sends what the window has room for. */
static void fill(struct delivery *d)
{
	while (d->image < PLAN_MAX_IMAGES && d->in_flight < LINK_WINDOW && !d->is_broken) {
		struct bytes bytes = cargo_bytes(d->cargo, (enum plan_image_slot)d->image);
		uint64_t left = bytes.size - d->offset;
		uint32_t piece = left < FRAME_DATA_MAX ? (uint32_t)left : (uint32_t)FRAME_DATA_MAX;

		if (piece != 0 && !send_piece(d, bytes.data + d->offset, piece, piece == left))
			d->is_broken = true;
		else if (piece != 0)
			d->in_flight++;
		d->offset += piece;
		if (d->offset == bytes.size) {
			d->image++;
			d->offset = 0;
		}
	}
}

bool delivery_begin(struct link *link, const char *vm, struct cargo *cargo, delivery_done_fn *done,
		    void *context)
{
	struct delivery *d = calloc(1, sizeof(*d));

	if (!d) {
		cargo_free(cargo);
		return false;
	}
	*d = (struct delivery){.link = link, .cargo = cargo, .done = done, .context = context};
	memcpy(d->vm, vm, strlen(vm) + 1);
	fill(d);
	if (d->in_flight != 0)
		return true;
	d->done = NULL;
	release(d);
	return false;
}
