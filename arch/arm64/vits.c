/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's ITS (IHI 0069H 5.3, 12.19): its registers are kept, its commands are copied one by one, checked, and turned
 * into commands of the hypervisor's own. Tables of the guest are never walked but for one byte of its LPI configuration.
 * A command that is not as it should be is ignored, as an ITS may do (5.3.2).
 *
 * Events keep the guest's INTIDs; those of a VM with virtual interrupts have INTIDs of their own (lists.c).
 * All VMs share one configuration table, in which every LPI is enabled. One that a guest masks goes to the collection
 * where nobody takes interrupts. There two VMs' events of one INTID are one pending bit: who leaves is sent an
 * interrupt when another has been there with him, which may be one too many, but never one too few.
 */
#include "vits.h"

#define WORK_PER_ACCESS                                                                            \
	64 /* commands, looks at the guest's memory: a core in EL2 does not hear a stop */
#define DEVICE_BITS 11 /* bus 0, and one behind each port */
static_assert(1 + PLAN_MAX_PORTS <= 1U << (DEVICE_BITS - 8), "each has 256 ids");

#define COLLECTION_BITS 16
#define ITT_ENTRY_BYTES 8
#define WRITABLE_BASER                                                                             \
	(GITS_VALID | 7ULL << 59 | 7ULL << 53 |                                                    \
	 0xffffffffffffULL) /* not Indirect, Type, Entry_Size */
#define WRITABLE_CBASER (GITS_VALID | 0xffffffffff000ULL | 0xff)
#define QUEUE_OFFSETS 0xfffe0ULL /* of GITS_CWRITER and GITS_CREADR */
#define PROPBASER_ADDRESS 0xffffffffff000ULL
#define PIDR2 0xffe8
#define PIDR2_GICV3 0x3b

#define SHARED 0x80 /* two or more have been here since nobody was */
static uint8_t
	parked[LPI_GUEST_COUNT]; /* how many events with this INTID are where nobody takes them */
static_assert(CONFIG_MAX_VMS < SHARED, "each VM has an INTID once at most");
static_assert(LPI_OWN(MACHINE_MAX_FUNCTIONS, 0) <= 1U << LPI_ID_BITS,
	      "each event of each function has one");

static uint32_t parking(const struct guest_its *its)
{
	return its->machine->ncpus;
}

static const struct machine_function *function_of(const struct guest_its *its, uint32_t slot)
{
	return &its->machine->function[its->plan->function[slot].function];
}

static uint32_t vectors_of(const struct guest_its *its, uint32_t slot)
{
	uint32_t vectors =
		function_of(its, slot)->msix != 0 ? function_of(its, slot)->msix_vectors : 0;

	return vectors < PLAN_MAX_VECTORS ? vectors : PLAN_MAX_VECTORS;
}

/* The function that the guest knows by this DeviceID, its requester id. */
static uint32_t slot_of(const struct guest_its *its, uint32_t device)
{
	for (uint32_t i = 0; i < its->plan->nfunctions; i++)
		if ((its->present >> i & 1) != 0 && its->plan->function[i].id == device)
			return i;
	return PLAN_NONE;
}

/* The event that a command names, of a device that is mapped; NULL when there is none. */
static struct vits_event *event_of(const struct guest_its *its, const uint64_t *command,
				   uint32_t *slot, uint32_t *id)
{
	*slot = slot_of(its, (uint32_t)(command[0] >> 32));
	*id = (uint32_t)command[1];
	if (*slot == PLAN_NONE || (its->state->devices & 1U << *slot) == 0 ||
	    *id >= vectors_of(its, *slot))
		return NULL;
	return &its->state->event[*slot][*id];
}

/* The core whose redistributor stands for physical collection @home. */
static uint32_t core_of(const struct guest_its *its, uint32_t home)
{
	return home == parking(its) ? its->parking_core : home;
}

static void send(const struct guest_its *its, enum its_command what, uint32_t slot, uint32_t id,
		 uint32_t home)
{
	uint32_t lpi = its->state->event[slot][id].lpi;

	if (its->plan->virtual_interrupts != 0)
		lpi = LPI_OWN(its->plan->function[slot].function, id);
	its_command(what, function_of(its, slot)->msi_device, id, what == ITS_MAPTI ? lpi : 0,
		    what == ITS_MAPTI || what == ITS_MOVI ? home : 0);
	its_sync(core_of(its, home));
}

static void park(const struct guest_its *its, const struct vits_event *event)
{
	uint8_t *count = &parked[event->lpi - LPI_FIRST];

	if (its->plan->virtual_interrupts != 0)
		return;
	(*count)++;
	if ((*count & ~SHARED) > 1)
		*count |= SHARED;
}

/* True when somebody else's interrupt may have been taken for this one's, or the other way round. */
static bool unpark(const struct guest_its *its, const struct vits_event *event)
{
	uint8_t *count = &parked[event->lpi - LPI_FIRST];
	bool shared = (*count & SHARED) != 0;

	if (its->plan->virtual_interrupts != 0)
		return false;
	(*count)--;
	if (*count == SHARED)
		*count = 0;
	return shared;
}

/* Where an event belongs now: to its vCPU's core, unless it is masked or its collection is not mapped. */
static uint32_t home_of(const struct guest_its *its, const struct vits_event *event)
{
	uint32_t vcpu = its->state->collection[event->collection];

	return event->enabled == 0 || vcpu == 0 ? parking(its) : its->plan->core[vcpu - 1];
}

static void settle(struct guest_its *its, uint32_t slot, uint32_t id)
{
	struct vits_event *event = &its->state->event[slot][id];
	uint32_t home = home_of(its, event), old = event->home;
	bool again;

	if (home == old)
		return;
	its->work++;
	event->home = (uint16_t)home;
	send(its, ITS_MOVI, slot, id, home);
	its_sync(core_of(its, old));
	if (home == parking(its))
		park(its, event);
	again = old == parking(its) && unpark(its, event);
	if (again)
		send(its, ITS_INT, slot, id, home);
}

/* Bit 0 of the LPI's byte in the guest's table (5.1.1); what cannot be read is masked. */
static void look(struct guest_its *its, struct vits_event *event)
{
	uint64_t table = its->state->propbaser & PROPBASER_ADDRESS;
	const volatile uint8_t *byte =
		its_guest_memory(its->plan, gpa(table + event->lpi - LPI_FIRST), 1);

	its->work++;
	event->enabled = byte != NULL && (*byte & LPI_ENABLED) != 0;
}

static void discard(struct guest_its *its, uint32_t slot, uint32_t id)
{
	struct vits_event *event = &its->state->event[slot][id];

	if (event->lpi == 0)
		return;
	its->work++;
	send(its, ITS_DISCARD, slot, id, event->home);
	if (event->home == parking(its))
		unpark(its, event);
	*event = (struct vits_event){.lpi = 0};
}

void vits_forget(struct guest_its *its, uint32_t slot)
{
	for (uint32_t id = 0; id < PLAN_MAX_VECTORS; id++)
		discard(its, slot, id);
}

/* The event with INTID @lpi: PLAN_MAX_VECTORS for each function's slot before its own, and its id; PLAN_NONE: no event has it. */
static uint32_t find_lpi(const struct guest_its *its, uint32_t lpi)
{
	for (uint32_t at = 0; at < its->plan->nfunctions * PLAN_MAX_VECTORS; at++)
		if (its->state->event[at / PLAN_MAX_VECTORS][at % PLAN_MAX_VECTORS].lpi == lpi)
			return at;
	return PLAN_NONE;
}

void vits_pend(struct guest_its *its, uint32_t lpi)
{
	uint32_t at = find_lpi(its, lpi), slot = at / PLAN_MAX_VECTORS, id = at % PLAN_MAX_VECTORS;

	if (at != PLAN_NONE)
		send(its, ITS_INT, slot, id, its->state->event[slot][id].home);
}

/* The physical DeviceID is mapped as long as the VM has the function; the guest's translation table is of no use. */
static void map_device(struct guest_its *its, const uint64_t *command)
{
	uint32_t slot = slot_of(its, (uint32_t)(command[0] >> 32));

	if (slot == PLAN_NONE)
		return;
	vits_forget(its, slot);
	its->state->devices &= ~(1U << slot);
	if ((command[2] & GITS_VALID) != 0)
		its->state->devices |= 1U << slot;
}

/* Does @what to all events of a collection. */
static void for_collection(struct guest_its *its, uint32_t collection, bool look_again)
{
	for (uint32_t slot = 0; slot < its->plan->nfunctions; slot++) {
		for (uint32_t id = 0; id < PLAN_MAX_VECTORS; id++) {
			struct vits_event *event = &its->state->event[slot][id];

			if (event->lpi == 0 || event->collection != collection)
				continue;
			if (look_again)
				look(its, event);
			settle(its, slot, id);
		}
	}
}

static void map_collection(struct guest_its *its, const uint64_t *command)
{
	uint32_t collection = command[2] & 0xffff;
	uint64_t vcpu = command[2] >> 16 & 0xffffffffULL;
	bool valid = (command[2] & GITS_VALID) != 0;

	if (collection >= CONFIG_MAX_CPUS || (valid && vcpu >= its->plan->ncores))
		return;
	its->state->collection[collection] = valid ? (uint16_t)(vcpu + 1) : 0;
	for_collection(its, collection, false);
}

/* An event that is mapped already is mapped anew, which takes a DISCARD first (5.3.11). */
static void map_event(struct guest_its *its, const uint64_t *command, uint64_t lpi)
{
	uint32_t slot, id, collection = command[2] & 0xffff;
	struct vits_event *event = event_of(its, command, &slot, &id);

	if (event == NULL || collection >= CONFIG_MAX_CPUS || lpi < LPI_FIRST ||
	    lpi >= LPI_OWN_FIRST)
		return;
	discard(its, slot, id);
	if (find_lpi(its, (uint32_t)lpi) != PLAN_NONE)
		return;
	*event = (struct vits_event){.lpi = (uint16_t)lpi, .collection = (uint16_t)collection};
	look(its, event);
	event->home = (uint16_t)home_of(its, event);
	if (event->home == parking(its))
		park(its, event);
	send(its, ITS_MAPTI, slot, id, event->home);
}

/* Commands about an event that is mapped. */
static void on_event(struct guest_its *its, const uint64_t *command, enum its_command what)
{
	uint32_t slot, id, collection = command[2] & 0xffff;
	struct vits_event *event = event_of(its, command, &slot, &id);

	if (event == NULL || event->lpi == 0)
		return;
	switch (what) {
	case ITS_INT:
	case ITS_CLEAR:
		send(its, what, slot, id, event->home);
		break;
	case ITS_DISCARD:
		discard(its, slot, id);
		break;
	case ITS_INV:
		look(its, event);
		settle(its, slot, id);
		break;
	case ITS_MOVI:
		if (collection >= CONFIG_MAX_CPUS)
			break;
		event->collection = (uint16_t)collection;
		settle(its, slot, id);
		break;
	default:
		break;
	}
}

/* SYNC and MOVALL have nothing left to do: each command is done, and pending interrupts moved, before the next. */
static void run(struct guest_its *its, const uint64_t *command)
{
	enum its_command what = (enum its_command)(command[0] & 0xff);

	switch (what) {
	case ITS_MAPD:
		map_device(its, command);
		break;
	case ITS_MAPC:
		map_collection(its, command);
		break;
	case ITS_MAPTI:
		map_event(its, command, command[1] >> 32);
		break;
	case ITS_MAPI:
		map_event(its, command, (uint32_t)command[1]);
		break;
	case ITS_INVALL:
		for_collection(its, command[2] & 0xffff, true);
		break;
	default:
		on_event(its, command, what);
		break;
	}
}

/* Copies a command, so that the guest cannot change it after it was checked. */
static bool fetch(struct guest_its *its, uint64_t *command)
{
	gpa_t at = gpa((its->state->cbaser & PROPBASER_ADDRESS) + its->state->creadr);
	const volatile uint64_t *from = its_guest_memory(its->plan, at, ITS_COMMAND_BYTES);

	for (uint32_t i = 0; from != NULL && i < ITS_COMMAND_WORDS; i++)
		command[i] = from[i];
	return from != NULL;
}

/* A queue that cannot be read stalls, until it is written again (5.3.2). */
static void run_queue(struct guest_its *its)
{
	struct vits *state = its->state;
	uint64_t size = ((state->cbaser & 0xff) + 1) * PAGE_SIZE;
	uint64_t command[ITS_COMMAND_WORDS];

	if (state->control == 0 || (state->cbaser & GITS_VALID) == 0 || state->cwriter >= size)
		return;
	while (state->creadr != state->cwriter && its->work++ < WORK_PER_ACCESS) {
		if ((state->creadr & GITS_CREADR_STALLED) != 0)
			return;
		if (!fetch(its, command)) {
			state->creadr |= GITS_CREADR_STALLED;
			return;
		}
		run(its, command);
		state->creadr = (state->creadr + ITS_COMMAND_BYTES) % size;
	}
}

/* A part of a 64-bit register, of which the guest may write the bits @writable. */
static void access64(uint64_t *value, uint64_t writable, struct mmio *access)
{
	uint32_t shift = (uint32_t)(access->offset & 7) * 8;
	uint64_t lanes = (access->size >= 8 ? UINT64_MAX : (1ULL << access->size * 8) - 1) << shift;

	writable &= lanes;
	if (access->write)
		*value = (*value & ~writable) | (access->value << shift & writable);
	else
		access->value = (*value & lanes) >> shift;
}

static uint32_t collection_bits(void)
{
	uint32_t bits = 1;

	while (CONFIG_MAX_CPUS >> bits != 0)
		bits++;
	return bits < COLLECTION_BITS ? bits : COLLECTION_BITS;
}

static uint64_t typer(void)
{
	return GITS_TYPER_PHYSICAL | (ITT_ENTRY_BYTES - 1) << 4 | (ITS_EVENT_BITS - 1) << 8 |
	       (DEVICE_BITS - 1) << 13 | GITS_TYPER_CIL | (uint64_t)(collection_bits() - 1) << 32;
}

/* What cannot be written. */
static uint64_t constant(const struct vits *state, uint64_t offset)
{
	switch (offset) {
	case GITS_CTLR:
		return state->control != 0 ? GITS_CTLR_ENABLED : GITS_CTLR_QUIESCENT;
	case GITS_TYPER:
		return typer();
	case PIDR2:
		return PIDR2_GICV3;
	default:
		return 0;
	}
}

static void write_control(struct vits *state, const struct mmio *access)
{
	if (access->write && access->offset == GITS_CTLR)
		state->control = (uint32_t)access->value & GITS_CTLR_ENABLED;
}

/* GITS_CBASER and tables may change while the ITS is off; the queue then begins anew (12.19.2). */
static void access_base(struct vits *state, uint64_t offset, struct mmio *access)
{
	static const uint64_t kind[2] = {(uint64_t)GITS_BASER_DEVICES << 56 | 7ULL << 48,
					 (uint64_t)GITS_BASER_COLLECTIONS << 56 | 7ULL << 48};
	uint64_t writable = state->control == 0 ? UINT64_MAX : 0;
	uint32_t table = (uint32_t)(offset - GITS_BASER) / 8;

	if (offset == GITS_CBASER) {
		access64(&state->cbaser, writable & WRITABLE_CBASER, access);
		state->cbaser |= GITS_COHERENT;
		if (access->write && writable != 0)
			state->creadr = state->cwriter = 0;
		return;
	}
	state->baser[table] |= kind[table];
	access64(&state->baser[table], writable & WRITABLE_BASER, access);
}

void vits_access(struct guest_its *its, struct mmio *access)
{
	struct vits *state = its->state;
	uint64_t offset = align_down(access->offset, 8), value;

	if (offset == GITS_CBASER || offset == GITS_BASER || offset == GITS_BASER + 8) {
		access_base(state, offset, access);
	} else if (offset == GITS_CWRITER) {
		access64(&state->cwriter, QUEUE_OFFSETS, access);
		if (access->write)
			state->creadr &= ~GITS_CREADR_STALLED;
		run_queue(its);
	} else if (offset == GITS_CREADR) {
		run_queue(its);
		access64(&state->creadr, 0, access);
	} else {
		write_control(state, access);
		value = constant(state, offset);
		access64(&value, 0, access);
	}
}

bool vits_redist(struct vits *state, uint32_t vcpu, struct mmio *access)
{
	uint64_t lpis = state->lpis[vcpu];
	uint64_t writable = lpis == 0 ? UINT64_MAX : 0; /* tables in use stay (12.11.2) */

	switch (access->offset % GUEST_GICR_STRIDE & ~4ULL) {
	case 0: /* GICR_CTLR; GICR_IIDR stands beside it */
		if ((access->offset & 4) != 0)
			return false;
		access64(&lpis, GICR_CTLR_ENABLE_LPIS & writable, access);
		state->lpis[vcpu] = (uint8_t)lpis;
		return true;
	case GICR_PROPBASER:
		access64(&state->propbaser, writable, access);
		return true;
	case GICR_PENDBASER:
		access64(&state->pendbaser[vcpu], writable & ~GICR_PENDBASER_ZERO, access);
		return true;
	default:
		return false;
	}
}
