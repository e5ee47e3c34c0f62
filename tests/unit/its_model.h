/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A physical ITS for tests and fuzzers of arch/arm64/vits.c: takes the commands that come of guests' commands, and does
 * not let one pass that a hypervisor must not send. Two VMs: cores 1 and 2, core 3; core 0 manages. The first has two functions
 * of 4 and 64 vectors, the other one of 8.
 */
#ifndef TESTS_UNIT_ITS_MODEL_H
#define TESTS_UNIT_ITS_MODEL_H

#include <stdlib.h>
#include <string.h>

#include "arch/arm64/vits.h"

#include <bulkhead/plan.h>

#define MODEL_CORES 4
#define MODEL_DEVICES 3
#define MODEL_VMS 2
#define MODEL_FIRST_DEVICE 0x100 /* physical DeviceIDs */
#define MODEL_RAM (4 * MIB)
#define MODEL_MUST(condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

struct model_event {
	uint32_t lpi; /* 0: not mapped */
	uint32_t home;
};

static struct machine model_machine;
static struct plan_vm model_plan[MODEL_VMS];
static struct vits model_vits[MODEL_VMS];
static uint8_t model_ram[MODEL_VMS][MODEL_RAM];
static struct model_event model_events[MODEL_DEVICES][PLAN_MAX_VECTORS];
static uint8_t model_pending[MODEL_CORES][LPI_COUNT];
static uint32_t model_commands, model_running; /* how many there were; whose access it is */

static inline uint32_t model_owner(uint32_t device)
{
	return device < 2 ? 0 : 1;
}

/* The core whose redistributor has what is sent to collection @home. */
static inline uint32_t model_core(uint32_t home)
{
	return home == MODEL_CORES ? 0 : home;
}

static inline bool model_may_target(uint32_t home)
{
	return home == MODEL_CORES || (model_running == 0 ? home == 1 || home == 2 : home == 3);
}

static inline uint8_t *model_pends(const struct model_event *event)
{
	return &model_pending[model_core(event->home)][event->lpi - LPI_FIRST];
}

static inline void model_move(struct model_event *event, uint64_t home)
{
	uint8_t pending = *model_pends(event);

	MODEL_MUST(model_may_target((uint32_t)home));
	*model_pends(event) = 0;
	event->home = (uint32_t)home;
	*model_pends(event) |= pending;
}

static inline void model_map(struct model_event *event, uint32_t lpi, uint64_t home)
{
	MODEL_MUST(event->lpi == 0 && lpi >= LPI_FIRST && lpi < LPI_FIRST + LPI_COUNT);
	MODEL_MUST(model_may_target((uint32_t)home));
	*event = (struct model_event){lpi, (uint32_t)home};
}

void its_command(enum its_command what, uint32_t device, uint32_t event, uint32_t lpi,
		 uint64_t third)
{
	uint32_t index = device - MODEL_FIRST_DEVICE;
	struct model_event *e;

	model_commands++;
	MODEL_MUST(index < MODEL_DEVICES && model_owner(index) == model_running);
	MODEL_MUST(event < PLAN_MAX_VECTORS);
	e = &model_events[index][event];
	MODEL_MUST(what == ITS_MAPTI || (e->lpi != 0 && lpi == 0));
	switch (what) {
	case ITS_MAPTI:
		model_map(e, lpi, third);
		break;
	case ITS_MOVI:
		model_move(e, third);
		break;
	case ITS_DISCARD:
		*model_pends(e) = 0;
		e->lpi = 0;
		break;
	case ITS_INT:
	case ITS_CLEAR:
		*model_pends(e) = what == ITS_INT;
		break;
	default:
		MODEL_MUST(false);
	}
}

void its_sync(uint32_t cpu)
{
	MODEL_MUST(cpu < MODEL_CORES);
}

const void *its_guest_memory(const struct plan_vm *plan, gpa_t at, uint64_t size)
{
	MODEL_MUST(plan == &model_plan[model_running]);
	if (!range_inside(at.v, size, GUEST_RAM_BASE, MODEL_RAM))
		return NULL;
	return &model_ram[model_running][at.v - GUEST_RAM_BASE];
}

static inline void model_reset(void)
{
	static const uint16_t vectors[MODEL_DEVICES] = {4, 100, 8};

	memset(model_vits, 0, sizeof(model_vits));
	memset(model_ram, 0, sizeof(model_ram));
	memset(model_events, 0, sizeof(model_events));
	memset(model_pending, 0, sizeof(model_pending));
	model_machine = (struct machine){.ncpus = MODEL_CORES, .nfunctions = MODEL_DEVICES};
	for (uint32_t i = 0; i < MODEL_DEVICES; i++) {
		model_machine.function[i].msix = 0x40;
		model_machine.function[i].msix_vectors = vectors[i];
		model_machine.function[i].msi_device = MODEL_FIRST_DEVICE + i;
	}
	model_plan[0] = (struct plan_vm){.ncores = 2, .core = {1, 2}, .nfunctions = 2};
	model_plan[0].function[0] = (struct plan_function){.function = 0, .id = 2 << 3};
	model_plan[0].function[1] = (struct plan_function){.function = 1, .id = 3 << 3};
	model_plan[1] = (struct plan_vm){.ncores = 1, .core = {3}, .nfunctions = 1};
	model_plan[1].function[0] = (struct plan_function){.function = 2, .id = 2 << 3};
}

static inline struct guest_its model_its(uint32_t vm)
{
	model_running = vm;
	return (struct guest_its){&model_vits[vm], &model_plan[vm], &model_machine, ~0U, 0, 0};
}

static inline uint64_t model_access(uint32_t vm, uint64_t offset, uint32_t size, bool write,
				    uint64_t value)
{
	struct guest_its its = model_its(vm);
	struct mmio access = {.offset = offset, .value = value, .size = size, .write = write};

	vits_access(&its, &access);
	return access.value;
}

/* All that VM @vm's ITS had is gone. */
static inline void model_close(uint32_t vm)
{
	struct guest_its its = model_its(vm);

	for (uint32_t slot = 0; slot < model_plan[vm].nfunctions; slot++)
		vits_forget(&its, slot);
	for (uint32_t device = 0; device < MODEL_DEVICES; device++)
		for (uint32_t id = 0; id < PLAN_MAX_VECTORS; id++)
			MODEL_MUST(model_owner(device) != vm || model_events[device][id].lpi == 0);
}

#endif
