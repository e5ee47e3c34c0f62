/* SPDX-License-Identifier: Apache-2.0 */
/* Why a guest came back, and what happens then. An exception class without a handler is illegal. */
#include "arm64.h"
#include "gic_regs.h"
#include "its.h"

#include <bulkhead/pci.h>

/* ESR_EL2 (D19.2.37) */
#define ESR_EC(esr) ((unsigned)((esr) >> 26) & 0x3f)
#define ESR_ISS(esr) ((uint32_t)(esr)&0x1ffffff)
#define ABORT_ISV (1U << 24)
#define ABORT_S1PTW (1U << 7)
#define ABORT_WRITE (1U << 6)

/* One exit on its way through the handlers. */
struct guest_exit {
	struct cpu *cpu;
	uint64_t syndrome;
	uint64_t address; /* guest-physical, for aborts */
	const char *illegal; /* what was wrong; NULL: the guest goes on or @result says why not */
	enum exit_reason reason;
	enum vcpu_result result;
	bool leave;
};

static void skip_instruction(void)
{
	write_sysreg(elr_el2, read_sysreg(elr_el2) + 4);
}

static void on_hvc(struct guest_exit *exit)
{
	exit->reason = EXIT_CALL;
	exit->leave = !psci_call(exit->cpu, &exit->result);
}

/* A trapped SMC has not been executed (D1.3.1): step over it. */
static void on_smc(struct guest_exit *exit)
{
	skip_instruction();
	on_hvc(exit);
}

static void on_sysreg(struct guest_exit *exit)
{
	uint32_t iss = ESR_ISS(exit->syndrome);
	uint32_t reg = iss & ~(0x1fU << 5 | 1U);
	uint32_t rt = iss >> 5 & 0x1f;
	bool write = (iss & 1) == 0;
	uint64_t value = write && rt != 31 ? exit->cpu->arch.regs[rt] : 0;

	exit->reason = reg == SYSREG(3, 0, 12, 11, 5) ? EXIT_IPI : EXIT_REGISTER;
	exit->illegal = vgic_sysreg(exit->cpu, reg, write, &value);
	if (exit->illegal != NULL)
		return;
	if (!write && rt != 31)
		exit->cpu->arch.regs[rt] = value;
	skip_instruction();
}

/* The value as the load's register gets it: SSE sign-extends, SF says to 64 or 32 bits. */
static uint64_t extend(uint64_t value, uint32_t size, uint32_t iss)
{
	unsigned unused = 64 - size * 8;

	value = value << unused >> unused;
	if ((iss & 1U << 21) != 0)
		value = (uint64_t)((int64_t)(value << unused) >> unused);
	return (iss & 1U << 15) != 0 ? value : value & UINT32_MAX;
}

/* A function that has gone from its port under its driver's feet (PCIe 6.0 2.3.2). */
static const char *pci_absent(struct vm *vm, struct mmio *access)
{
	access->value = ~0ULL;
	return vm_plan(vm)->nports != 0 ? NULL : "access to a window for ports that are not there";
}

static const char *pci_config(struct vm *vm, struct mmio *access)
{
	pci_config_access(vm, access);
	return NULL;
}

/* The emulated devices of a VM; an address that is none of theirs is nobody's. */
static const struct {
	uint64_t base;
	uint64_t size; /* 0: one stride for each vCPU */
	enum exit_reason reason;
	const char *(*access)(struct vm *vm, struct mmio *access);
} devices[] = {
	{GUEST_UART_BASE, PAGE_SIZE, EXIT_CONSOLE, sbsa_uart},
	{GUEST_GICD_BASE, 64 * KIB, EXIT_INTC, vgic_dist},
	{GUEST_GICR_BASE, 0, EXIT_INTC, vgic_redist},
	{GUEST_ITS_BASE, ITS_BYTES, EXIT_INTC, its_guest_access},
	{GUEST_ECAM_BASE, GUEST_ECAM_SIZE, EXIT_PCI, pci_config},
	{GUEST_WINDOW_END - PLAN_MAX_PORTS * GUEST_PORT_WINDOW, PLAN_MAX_PORTS *GUEST_PORT_WINDOW,
	 EXIT_PCI, pci_absent},
};

static const char *access_device(struct guest_exit *exit, struct mmio *access)
{
	const struct plan_vm *plan = vm_plan(exit->cpu->vm);

	for (uint32_t i = 0; i < ARRAY_SIZE(devices); i++) {
		uint64_t size =
			devices[i].size != 0 ? devices[i].size : plan->ncores * GUEST_GICR_STRIDE;

		if (devices[i].base == GUEST_ITS_BASE && !vgic_has_its(exit->cpu->vm))
			continue;
		if (!range_inside(exit->address, access->size, devices[i].base, size) ||
		    (devices[i].reason == EXIT_CONSOLE && plan->console == 0) ||
		    (devices[i].reason == EXIT_PCI && plan->nfunctions == 0))
			continue;
		exit->reason = devices[i].reason;
		access->offset = exit->address - devices[i].base;
		if (!is_aligned(access->offset, access->size))
			return "misaligned access to a device";
		return devices[i].access(exit->cpu->vm, access);
	}
	return access->write ? "store to unowned memory" : "load from unowned memory";
}

/* HPFAR_EL2 has the page, FAR_EL2 the rest (D19.2.66). */
static uint64_t fault_address(void)
{
	return (read_sysreg(hpfar_el2) & ~0xfULL) << 8 | (read_sysreg(far_el2) & 0xfff);
}

static void on_data_abort(struct guest_exit *exit)
{
	uint32_t iss = ESR_ISS(exit->syndrome);
	uint32_t rt = iss >> 16 & 0x1f;
	struct mmio access = {.size = 1U << (iss >> 22 & 3), .write = (iss & ABORT_WRITE) != 0};

	exit->address = fault_address();
	if ((iss & ABORT_S1PTW) != 0) {
		exit->illegal = "page-table walk of unowned memory";
		return;
	}
	if ((iss & ABORT_ISV) == 0) {
		exit->illegal = access.write
					? "store to unowned memory, of a kind no device takes"
					: "load from unowned memory, of a kind no device takes";
		return;
	}
	if (access.write && rt != 31)
		access.value = extend(exit->cpu->arch.regs[rt], access.size, 1U << 15);
	exit->illegal = access_device(exit, &access);
	if (exit->illegal != NULL)
		return;
	if (!access.write && rt != 31)
		exit->cpu->arch.regs[rt] = extend(access.value, access.size, iss);
	skip_instruction();
}

static void on_fetch_abort(struct guest_exit *exit)
{
	exit->address = fault_address();
	exit->illegal = (ESR_ISS(exit->syndrome) & ABORT_S1PTW) != 0
				? "page-table walk of unowned memory"
				: "fetch from unowned memory";
}

static void (*const handlers[64])(struct guest_exit *exit) = {
	[0x16] = on_hvc,	 [0x17] = on_smc,	 [0x18] = on_sysreg,
	[0x20] = on_fetch_abort, [0x24] = on_data_abort,
};

/* Group 0 is the hypervisor's; an interrupt that the guest put there itself is its own mistake. */
static void on_fiq(struct guest_exit *exit)
{
	uint64_t intid = read_icc(ICC_IAR0_EL1);

	exit->reason = EXIT_REGISTER;
	if (intid >= GIC_SPECIAL)
		return;
	write_icc(ICC_EOIR0_EL1, intid);
	if (intid != STOP_SGI)
		exit->illegal = "interrupt put into Group 0";
}

static void handle(struct guest_exit *exit, uint64_t kind)
{
	if (kind == EXIT_KIND_FIQ) {
		on_fiq(exit);
	} else if (kind == EXIT_KIND_IRQ && vm_plan(exit->cpu->vm)->virtual_interrupts != 0) {
		exit->reason = EXIT_INTERRUPT;
		lists_take(exit->cpu);
	} else if (kind == EXIT_KIND_SYNC && handlers[ESR_EC(exit->syndrome)] != NULL) {
		handlers[ESR_EC(exit->syndrome)](exit);
	} else {
		exit->illegal = "trapped instruction that no guest may use";
	}
	if (exit->illegal == NULL)
		return;
	exit->reason = EXIT_ILLEGAL;
	exit->result = VCPU_ILLEGAL;
	exit->leave = true;
}

enum vcpu_result arch_vcpu_run(struct cpu *cpu, struct vcpu_fault *fault)
{
	struct guest_exit exit;

	do {
		uint64_t kind = arm64_run_guest(&cpu->arch);

		if (__atomic_load_n(&cpu->mailbox.command, __ATOMIC_ACQUIRE) != COMMAND_NONE) {
			cpu->exits[EXIT_STOP]++;
			return VCPU_STOPPED;
		}
		exit = (struct guest_exit){
			.cpu = cpu, .syndrome = read_sysreg(esr_el2), .reason = EXIT_ILLEGAL};
		handle(&exit, kind);
		cpu->exits[exit.reason]++;
	} while (!exit.leave);

	if (exit.result == VCPU_ILLEGAL)
		*fault = (struct vcpu_fault){exit.illegal, exit.syndrome, exit.address,
					     read_sysreg(elr_el2)};
	return exit.result;
}
