/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two guests that write anything into the registers and command queues of their ITS, and change their memory at any
 * time: the model of the physical ITS aborts on any command that concerns what is not theirs.
 */
#include "tests/unit/its_model.h"

#define QUEUE 0x10000ULL
#define TABLE 0x20000ULL
#define STEP_BYTES 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Commands with fields near what is right, else hardly one would get past the first check. */
static void queue_command(uint32_t vm, const uint8_t *step)
{
	uint64_t command[ITS_COMMAND_WORDS] = {
		step[2] | (uint64_t)step[3] << 32 | (uint64_t)(step[4] & 3) << 40,
		step[5] | (uint64_t)(LPI_FIRST + step[6] - 4U) << 32,
		step[7] | (uint64_t)(step[8] & 7) << 16 | (uint64_t)(step[8] & 0x80) << 56,
		0,
	};
	uint64_t at = model_access(vm, GITS_CWRITER, 8, false, 0) % PAGE_SIZE;

	memcpy(&model_ram[vm][QUEUE + at], command, sizeof(command));
	model_access(vm, GITS_CWRITER, 8, true, (at + ITS_COMMAND_BYTES) % PAGE_SIZE);
}

static void step_once(const uint8_t *step)
{
	uint32_t vm = step[0] & 1;
	uint64_t value;
	struct mmio access = {.size = 1U << (step[1] & 3), .write = (step[1] & 4) != 0};

	memcpy(&value, step + 4, sizeof(value));
	if (model_vits[vm].devices == 0) /* it has no events: what it is may still be chosen */
		model_plan[vm].virtual_interrupts = step[0] >> 3 & 1;
	switch (step[0] >> 1 & 3) {
	case 0:
	case 1:
		queue_command(vm, step);
		break;
	case 2:
		model_access(vm, (step[2] | (uint64_t)step[3] << 8) & ~7ULL, access.size,
			     access.write, value);
		break;
	default:
		model_ram[vm][TABLE + step[2]] = step[4];
		access.offset = (step[3] & 0xf8U);
		access.value = value;
		vits_redist(&model_vits[vm], 0, &access);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool once;

	if (!once)
		model_reset();
	once = true;
	for (uint32_t vm = 0; vm < MODEL_VMS; vm++) {
		memset(&model_vits[vm], 0, sizeof(model_vits[vm]));
		memset(model_ram[vm] + QUEUE, 0, PAGE_SIZE);
		memset(model_ram[vm] + TABLE, 0, PAGE_SIZE);
		model_vits[vm].propbaser = GUEST_RAM_BASE + TABLE;
		model_access(vm, GITS_CBASER, 8, true, GITS_VALID | (GUEST_RAM_BASE + QUEUE));
		model_access(vm, GITS_CTLR, 4, true, GITS_CTLR_ENABLED);
	}
	for (; size >= STEP_BYTES; data += STEP_BYTES, size -= STEP_BYTES)
		step_once(data);
	model_close(0);
	model_close(1);
	return 0;
}
