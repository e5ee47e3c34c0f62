/* SPDX-License-Identifier: Apache-2.0 */
/* PSCI: the guests' calls, answered here (DEN0022F, DEN0028F), and our own calls to the firmware. */
#include "arm64.h"
#include "gic_regs.h"

#define PSCI_VERSION 0x84000000U
#define PSCI_CPU_SUSPEND 0x84000001U
#define PSCI_CPU_OFF 0x84000002U
#define PSCI_CPU_ON_32 0x84000003U
#define PSCI_AFFINITY_INFO 0x84000004U
#define PSCI_MIGRATE_INFO_TYPE 0x84000006U
#define PSCI_SYSTEM_RESET 0x84000009U
#define PSCI_FEATURES 0x8400000aU
#define PSCI_SYSTEM_RESET2 0x84000012U
#define SMCCC_VERSION 0x80000000U
#define SMC64 0x40000000U

#define PSCI_SUCCESS 0
#define PSCI_NOT_SUPPORTED (-1)
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_ALREADY_ON (-4)
#define PSCI_ON_PENDING (-5)

int64_t psci_firmware(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	/* SMCCC 1.0 lets the callee use x4 to x17. */
	__asm__ volatile("smc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			   "x15", "x16", "x17", "memory");
	return (int64_t)x0;
}

/* The vCPU with affinity @target; PLAN_NONE when the VM has none such. */
static uint32_t find_vcpu(const struct vm *vm, uint64_t target)
{
	const struct plan_vm *plan = vm_plan(vm);

	for (uint32_t i = 0; i < plan->ncores; i++)
		if (machine_facts()->cpu[plan->core[i]].hwid == target)
			return i;
	return PLAN_NONE;
}

static int64_t cpu_on(struct vm *vm, uint64_t target, uint64_t entry, uint64_t context)
{
	uint32_t vcpu = find_vcpu(vm, target);
	uint64_t left;

	if (vcpu == PLAN_NONE || plan_translate(vm_plan(vm), gpa(entry), &left).v == 0)
		return PSCI_INVALID_PARAMETERS;
	if (vcpu_power_on(vm, vcpu, entry, context) == BH_OK)
		return PSCI_SUCCESS;
	return __atomic_load_n(&vm->shared.vcpu[vcpu].power, __ATOMIC_ACQUIRE) == VCPU_POWER_ON
		       ? PSCI_ALREADY_ON
		       : PSCI_ON_PENDING;
}

/* 0 on, 1 off, 2 on its way (5.7). */
static int64_t affinity_info(const struct vm *vm, uint64_t target, uint64_t level)
{
	uint32_t vcpu = find_vcpu(vm, target);

	if (vcpu == PLAN_NONE || level != 0)
		return PSCI_INVALID_PARAMETERS;
	switch (__atomic_load_n(&vm->shared.vcpu[vcpu].power, __ATOMIC_ACQUIRE)) {
	case VCPU_POWER_ON:
		return 0;
	case VCPU_POWER_OFF:
		return 1;
	default:
		return 2;
	}
}

/*
 * Standby (5.4): sleeps until an interrupt that the guest would see. The mask
 * opens meanwhile so that the manager's doorbell wakes it too; waking without
 * a cause is allowed. What waits in a list register does not wake a core in EL2.
 */
static void suspend(const struct vm *vm)
{
	uint64_t mask = read_icc(ICC_PMR_EL1);
	uint64_t group = read_icc(ICC_IGRPEN1_EL1);

	if (vm_plan(vm)->virtual_interrupts != 0 && lists_pending())
		return;
	write_icc(ICC_PMR_EL1, 0xff);
	write_icc(ICC_IGRPEN1_EL1, 1);
	isb();
	dsb(sy);
	__asm__ volatile("wfi" ::: "memory");
	write_icc(ICC_PMR_EL1, mask);
	write_icc(ICC_IGRPEN1_EL1, group);
	isb();
}

static int64_t features(uint32_t function)
{
	switch (function & ~SMC64) {
	case PSCI_VERSION:
	case PSCI_CPU_SUSPEND:
	case PSCI_CPU_OFF:
	case PSCI_CPU_ON_32:
	case PSCI_AFFINITY_INFO:
	case PSCI_MIGRATE_INFO_TYPE:
	case PSCI_SYSTEM_OFF:
	case PSCI_SYSTEM_RESET:
	case PSCI_SYSTEM_RESET2:
	case PSCI_FEATURES:
	case SMCCC_VERSION:
		return PSCI_SUCCESS;
	default:
		return PSCI_NOT_SUPPORTED;
	}
}

bool psci_call(struct cpu *cpu, enum vcpu_result *result)
{
	uint64_t *x = cpu->arch.regs;
	uint32_t function = (uint32_t)x[0];
	uint64_t mask = (function & SMC64) != 0 ? UINT64_MAX : UINT32_MAX;
	int64_t answer = PSCI_NOT_SUPPORTED;

	switch (function) {
	case PSCI_VERSION:
	case SMCCC_VERSION:
		answer = 0x10001; /* 1.1 */
		break;
	case PSCI_CPU_SUSPEND:
	case PSCI_CPU_SUSPEND | SMC64:
		suspend(cpu->vm);
		answer = PSCI_SUCCESS;
		break;
	case PSCI_CPU_ON_32:
	case PSCI_CPU_ON:
		answer = cpu_on(cpu->vm, x[1] & mask, x[2] & mask, x[3] & mask);
		break;
	case PSCI_AFFINITY_INFO:
	case PSCI_AFFINITY_INFO | SMC64:
		answer = affinity_info(cpu->vm, x[1] & mask, x[2] & mask);
		break;
	case PSCI_MIGRATE_INFO_TYPE:
		answer = 2; /* no trusted OS to migrate */
		break;
	case PSCI_FEATURES:
		answer = features((uint32_t)x[1]);
		break;
	case PSCI_CPU_OFF:
		if (vm_plan(cpu->vm)->virtual_interrupts != 0)
			lists_give_back(cpu->vm);
		*result = VCPU_OFF;
		return false;
	case PSCI_SYSTEM_OFF:
		*result = VCPU_SYSTEM_OFF;
		return false;
	case PSCI_SYSTEM_RESET:
	case PSCI_SYSTEM_RESET2:
	case PSCI_SYSTEM_RESET2 | SMC64:
		*result = VCPU_SYSTEM_RESET;
		return false;
	default: /* never passed to firmware */
		break;
	}
	x[0] = (uint64_t)answer;
	return true;
}
