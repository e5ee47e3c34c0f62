/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt command register: the one register of the local APIC that reaches beyond it. SDM vol. 3 11.12.9. */
#include "x86.h"

#define ICR_VECTOR 0xffU
#define ICR_MODE(value) ((value) >> 8 & 7)
#define ICR_LOGICAL (1U << 11)
#define ICR_ASSERT (1U << 14)
#define ICR_LEVEL (1U << 15)
#define ICR_SHORTHAND(value) ((value) >> 18 & 3)
#define ICR_BROADCAST UINT32_MAX

#define INIT_MICROSECONDS 10000 /* how long a sibling may take to go off */

enum { MODE_FIXED, MODE_LOWEST, MODE_SMI, MODE_RESERVED, MODE_NMI, MODE_INIT, MODE_STARTUP };
enum { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

static uint64_t hwid_of(const struct vm *vm, uint32_t vcpu)
{
	return machine_facts()->cpu[vm_plan(vm)->core[vcpu]].hwid;
}

/* In x2APIC mode the logical id follows from the physical one: cluster 31:16, one bit of 15:0 (11.12.10.2). */
static uint32_t logical_id(uint64_t hwid)
{
	return (uint32_t)(hwid >> 4) << 16 | 1U << (hwid & 0xf);
}

/* True when @value's destination includes vCPU @vcpu. A broadcast means all of the VM's. */
static bool is_target(const struct cpu *self, uint32_t vcpu, uint64_t value)
{
	uint64_t hwid = hwid_of(self->vm, vcpu);
	uint32_t destination = (uint32_t)(value >> 32);
	uint32_t logical = logical_id(hwid);

	if (ICR_SHORTHAND(value) != TO_DESTINATION)
		return ICR_SHORTHAND(value) != (vcpu == self->vcpu ? TO_OTHERS : TO_SELF);
	if (destination == ICR_BROADCAST || (value & ICR_LOGICAL) == 0)
		return destination == ICR_BROADCAST || destination == hwid;
	return logical >> 16 == destination >> 16 && (logical & destination & 0xffff) != 0;
}

/* All of a destination that the VM's cores do not account for is somebody else's. */
static bool is_foreign(const struct cpu *self, uint64_t value)
{
	uint32_t destination = (uint32_t)(value >> 32);
	uint32_t found = 0;

	for (uint32_t i = 0; i < vm_plan(self->vm)->ncores; i++)
		if (is_target(self, i, value))
			found |= logical_id(hwid_of(self->vm, i));
	if (ICR_SHORTHAND(value) != TO_DESTINATION || destination == ICR_BROADCAST)
		return false;
	return (value & ICR_LOGICAL) != 0 ? (destination & ~found & 0xffff) != 0 : found == 0;
}

/* A vCPU that runs is brought out by its doorbell, so that the SIPI that follows finds it off. */
static void send_init(struct cpu *self, uint32_t vcpu)
{
	struct vcpu_shared *target = &self->vm->shared.vcpu[vcpu];
	uint64_t end = arch_ticks() + INIT_MICROSECONDS * arch_tick_rate() / 1000000;

	if (__atomic_load_n(&target->power, __ATOMIC_ACQUIRE) != VCPU_POWER_ON)
		return;
	__atomic_store_n(&target->init, 1, __ATOMIC_RELEASE);
	if (vcpu == self->vcpu) {
		self->arch.rung = 1; /* seen before this one enters again */
		return;
	}
	arch_doorbell(vm_plan(self->vm)->core[vcpu]);
	while (__atomic_load_n(&target->power, __ATOMIC_ACQUIRE) == VCPU_POWER_ON &&
	       __atomic_load_n(&self->mailbox.command, __ATOMIC_ACQUIRE) == COMMAND_NONE &&
	       arch_ticks() < end)
		arch_pause();
}

static void send_one(struct cpu *self, uint32_t vcpu, uint64_t value)
{
	uint32_t vector = value & ICR_VECTOR;

	switch (ICR_MODE(value)) {
	case MODE_INIT:
		send_init(self, vcpu);
		break;
	case MODE_STARTUP: /* ignored by a vCPU that is on, as by a processor that does not wait for it */
		vcpu_power_on(self->vm, vcpu, (uint64_t)vector * PAGE_SIZE, 0);
		break;
	case MODE_NMI:
		apic_send(hwid_of(self->vm, vcpu), ICR_ASSERT | MODE_NMI << 8);
		break;
	default:
		if (vector >= VECTOR_FIRST)
			apic_send(hwid_of(self->vm, vcpu), ICR_ASSERT | vector);
		break;
	}
}

const char *icr_write(struct cpu *cpu, uint64_t value)
{
	uint32_t mode = ICR_MODE(value);

	if (mode == MODE_SMI || mode == MODE_RESERVED || mode > MODE_STARTUP)
		return "IPI of a kind that no guest may send";
	if (is_foreign(cpu, value))
		return "IPI to a foreign core";
	if (mode == MODE_INIT && (value & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
		return NULL; /* INIT's end: nothing happens (11.6.1) */
	for (uint32_t i = 0; i < vm_plan(cpu->vm)->ncores; i++) {
		if (!is_target(cpu, i, value))
			continue;
		send_one(cpu, i, value);
		if (mode == MODE_LOWEST) /* one of them, whichever */
			break;
	}
	return NULL;
}
