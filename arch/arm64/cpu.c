/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of the arch contract: start-up, time, sleeping, vCPUs. */
#include "arm64.h"
#include "gic_regs.h"
#include "its.h"

#include <bulkhead/format.h>

#include <string.h>

/* PARange of at least 40 bits, 4 KiB granule at stage 2 (D19.2.83), PSCI by SMC, a GICv3 with affinity routing. */
enum bh_error arch_probe(const struct boot_info *info, struct bh_report *report)
{
	uint64_t mmfr0 = read_sysreg(id_aa64mmfr0_el1);
	unsigned granule = id_field(mmfr0, 40);

	if ((read_sysreg(CurrentEL) >> 2 & 3) != 2)
		return bh_fail(report, BH_BAD_MACHINE, "machine: not started at EL2");
	if (id_field(read_sysreg(S3_0_C0_C7_4), 24) != 0) /* ID_AA64MMFR4_EL1.E2H0 */
		return bh_fail(report, BH_BAD_MACHINE, "machine: HCR_EL2.E2H cannot be 0");
	if (id_field(mmfr0, 0) < 2)
		return bh_fail(report, BH_BAD_MACHINE,
			       "machine: physical addresses have fewer than 40 bits");
	if (granule == 1 || (granule == 0 && id_field(mmfr0, 28) == 0xf))
		return bh_fail(report, BH_BAD_MACHINE, "machine: no 4 KiB granule at stage 2");
	if (info->machine.arm64.gic_version < 3 || info->machine.arm64.psci_smc == 0)
		return bh_fail(report, BH_BAD_MACHINE, "machine: GICv3 and PSCI by SMC are needed");
	return BH_OK;
}

void arch_map_registers(const struct machine *machine)
{
	gic_map(machine);
	smmu_map();
	its_map();
	if (machine->uart.v != 0)
		own_map((struct extent){machine->uart, PAGE_SIZE}, PT_DEVICE);
}

void arch_enter(pa_t root, va_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
{
	arm64_enter(root.v, stack.v, cpu, entry);
}

enum bh_error arch_cpu_on(pa_t root, va_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
{
	cpu->arch.start_root = root.v;
	cpu->arch.start_stack = stack.v;
	cpu->arch.start_entry = (uint64_t)(uintptr_t)entry;
	arch_publish(cpu, sizeof(*cpu)); /* read with the MMU off */
	return psci_firmware(PSCI_CPU_ON, cpu->hwid, (uint64_t)(uintptr_t)arm64_secondary,
			     (uint64_t)(uintptr_t)cpu) == 0
		       ? BH_OK
		       : BH_NO_SUCH_CORE;
}

/* The UART's input goes to the management core; all else belongs to nobody yet. */
void arch_machine_init(void)
{
	const struct machine *machine = machine_facts();
	uint32_t irq = machine->uart_irq;

	gic_init();
	if (machine->arm64.lpis_tested != 0)
		log_line("GIC: LPIs of one number at two cores are two interrupts, by test");
	if (irq == 0)
		return;
	gic_spi_wakes(irq);
	gic_spi_route(irq, machine->cpu[machine_plan()->management_core].hwid);
	gic_dist_write(GICD_ISENABLER + irq / 32 * 4, 1U << irq % 32);
}

void arch_cpu_init(struct cpu *cpu)
{
	el2_init();
	gic_cpu_idle(cpu->index);
	its_cpu_init(cpu->index);
}

struct cpu *arch_this_cpu(void)
{
	/* Zero until boot.S sets it: firmware does not use it, but may leave anything there. */
	uint64_t record = read_sysreg(tpidr_el2);
	const struct plan *plan = machine_plan();

	return range_inside(record, 1, plan->core.base.v, plan->core.size)
		       ? (struct cpu *)(uintptr_t)record
		       : NULL;
}

uint64_t arch_ticks(void)
{
	isb(); /* the counter may be read early (D12.2.2) */
	return read_sysreg(cntpct_el0);
}

uint64_t arch_tick_rate(void)
{
	return read_sysreg(cntfrq_el0);
}

void arch_doorbell(uint32_t cpu)
{
	gic_send_sgi(machine_facts()->cpu[cpu].hwid, DOORBELL_SGI);
}

/* Interrupts stay masked: a pending one ends WFI and is acknowledged here (D1.7.2). */
void arch_wait(uint64_t deadline)
{
	if (deadline != 0) {
		write_sysreg(cnthp_cval_el2, deadline);
		write_sysreg(cnthp_ctl_el2, 1);
		isb();
	}
	dsb(sy);
	__asm__ volatile("wfi" ::: "memory");
	write_sysreg(cnthp_ctl_el2, 0);
	isb();
	gic_acknowledge();
}

void arch_pause(void)
{
	__asm__ volatile("yield" ::: "memory");
}

void arch_vcpu_reset(struct cpu *cpu, uint64_t entry, uint64_t context)
{
	memset(cpu->arch.regs, 0, sizeof(cpu->arch.regs));
	cpu->arch.regs[0] = context;
	cpu->arch.pmr = 0;
	reset_el1();
	gic_cpu_guest(cpu->index, vm_plan(cpu->vm)->virtual_interrupts != 0);
	el2_enter_guest(cpu->vm);
	__asm__ volatile("ic iallu" ::: "memory");
	dsb(nsh);
	write_sysreg(elr_el2, entry);
	write_sysreg(spsr_el2, 0x3c5); /* EL1h, DAIF masked (C5.2.19) */
	isb();
}

void arch_vcpu_leave(struct cpu *cpu)
{
	memset(cpu->arch.regs, 0, sizeof(cpu->arch.regs));
	reset_el1();
	el2_enter_idle();
	gic_cpu_idle(cpu->index);
}

void arch_vm_quiesce(struct vm *vm)
{
	if (vm_plan(vm)->console_irq != 0)
		gic_spi_off(vm_plan(vm)->console_irq);
}

/*
 * The stage-2 root has gone: whatever makes the core fetch, or leaves WFI, brings
 * it here. A core that waits in EL2 hears the doorbell.
 */
bool arch_stop_kick(uint32_t cpu, uint32_t attempt)
{
	uint64_t hwid = machine_facts()->cpu[cpu].hwid;

	if (attempt != 0)
		return false;
	gic_prepare_stop(cpu);
	gic_send_sgi(hwid, DOORBELL_SGI);
	if (gic_stop_by_fiq())
		gic_send_sgi_group0(hwid, STOP_SGI);
	return true;
}

const char *arch_stop_method(void)
{
	return gic_stop_by_fiq() ? "by SGI and by Group 0 SGI taken as FIQ" : "by SGI";
}

void arch_power_off(void)
{
	psci_firmware(PSCI_SYSTEM_OFF, 0, 0, 0);
	bh_panic("the firmware does not switch the machine off");
}

void arch_halt(void)
{
	for (;;)
		__asm__ volatile("wfi" ::: "memory");
}

void arm64_own_fault(uint64_t kind, uint64_t esr, uint64_t elr, uint64_t far)
	__attribute__((noreturn));

void arm64_own_fault(uint64_t kind, uint64_t esr, uint64_t elr, uint64_t far)
{
	bh_panic("exception %lu in the hypervisor: syndrome 0x%lx, pc 0x%lx, address 0x%lx", kind,
		 esr, elr, far);
}
