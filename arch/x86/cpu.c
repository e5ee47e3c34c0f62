/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of the arch contract: start-up, time, sleeping, vCPUs, power. */
#include "x86.h"

#include <bulkhead/trampoline.h>

#include <string.h>

#define ICR_INIT 0x4500U
#define ICR_STARTUP 0x4600U

#define POWER_OFF_ATTEMPTS 100000U
#define INIT_US 10000U
#define SIPI_US 1000U
#define STARTUP_US 1000000U

#define CPUID_1_ECX_VMX (1U << 5)
#define XCR0_X87 1ULL
#define REAL_CODE 0x09b /* as in a VMCB: type, S, P */

uint8_t x86_msr_bitmap[2 * PAGE_SIZE] __attribute__((aligned(4096)));
uint8_t x86_port_bitmap[3 * PAGE_SIZE] __attribute__((aligned(4096)));

const struct vendor *vendor;
static struct pt_format own_format, guest_format; /* as this processor can have them */

void x86_arrive(void);

static void set_formats(const struct machine_x86 *x86)
{
	own_format = x86_own_format;
	guest_format = *vendor->format;
	if (x86->own_1g == 0)
		own_format.leaf_levels &= ~X86_LEVEL_1G;
	if (x86->guest_1g == 0)
		guest_format.leaf_levels &= ~X86_LEVEL_1G;
}

/* The loader has looked at every feature and said what was missing; here only what chooses. */
enum bh_error arch_probe(const struct boot_info *info, struct bh_report *report)
{
	if (info->machine.arch != MACHINE_X86 || info->machine.x86.trampoline.v == 0)
		return bh_fail(report, BH_BAD_MACHINE, "machine: not described as x86");
	vendor = (cpuid(1, 0).ecx & CPUID_1_ECX_VMX) != 0 ? &vmx : &svm;
	memset(x86_msr_bitmap, 0xff, sizeof(x86_msr_bitmap));
	memset(x86_port_bitmap, 0xff, sizeof(x86_port_bitmap));
	set_formats(&info->machine.x86);
	msr_init();
	desc_init();
	return BH_OK;
}

const struct pt_format *arch_own_format(void)
{
	return &own_format;
}

const struct pt_format *arch_guest_format(void)
{
	return &guest_format;
}

/* While the firmware's tables let us write to the page; then it is code like any other. */
static void fill_trampoline(pa_t page)
{
	uint64_t root = own_space_root().v;

	BH_CHECK(is_aligned(page.v, PAGE_SIZE) && page.v < MIB && root <= UINT32_MAX);
	*(uint64_t *)pa_to_ptr(pa(page.v + TRAMPOLINE_ROOT)) = root;
	*(uint64_t *)pa_to_ptr(pa(page.v + TRAMPOLINE_ARRIVE)) = (uint64_t)(uintptr_t)x86_arrive;
	own_map((struct extent){page, PAGE_SIZE}, PT_TEXT);
}

void arch_map_registers(const struct machine *machine)
{
	fill_trampoline(machine->x86.trampoline);
	iommu_map();
}

void arch_enter(pa_t root, va_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
{
	x86_enter(root.v, stack.v, cpu, entry);
}

/* True when the core that is on its way has arrived, within this time. */
static bool taken(uint64_t microseconds)
{
	uint64_t end = arch_ticks() + microseconds * arch_tick_rate() / 1000000;

	while (__atomic_load_n(&x86_starting, __ATOMIC_ACQUIRE) != NULL) {
		if (arch_ticks() >= end)
			return false;
		arch_pause();
	}
	return true;
}

/* INIT, SIPI and, when nobody came, SIPI again (SDM vol. 3 9.4.4.1). */
enum bh_error arch_cpu_on(pa_t root, va_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
{
	uint32_t startup = ICR_STARTUP | (uint32_t)(machine_facts()->x86.trampoline.v / PAGE_SIZE);

	(void)root; /* is in the trampoline */
	cpu->arch.start_stack = stack.v;
	cpu->arch.start_entry = (uint64_t)(uintptr_t)entry;
	__atomic_store_n(&x86_starting, cpu, __ATOMIC_RELEASE);
	apic_send(cpu->hwid, ICR_INIT);
	taken(INIT_US); /* nobody can arrive yet */
	apic_send(cpu->hwid, startup);
	if (taken(SIPI_US))
		return BH_OK;
	apic_send(cpu->hwid, startup);
	return taken(STARTUP_US) ? BH_OK : BH_NO_SUCH_CORE;
}

/*
 * The loader has switched the interrupt lines off, but for the UART's. No NMI
 * may be sent to a core that has not arrived: its doorbell counts as rung.
 */
void arch_machine_init(void)
{
	for (uint32_t i = 0; i < machine_facts()->ncpus; i++)
		cpu_record(i)->arch.doorbell = 1;
}

void arch_cpu_init(struct cpu *cpu)
{
	apic_cpu_init();
	vendor->cpu_init(cpu);
	__atomic_store_n(&cpu->arch.doorbell, 0, __ATOMIC_SEQ_CST);
}

struct cpu *arch_this_cpu(void)
{
	/* Firmware may leave anything there until desc_load(). */
	uint64_t record = rdmsr(MSR_GS_BASE);
	const struct plan *plan = machine_plan();

	return range_inside(record, 1, plan->core.base.v, plan->core.size)
		       ? (struct cpu *)(uintptr_t)record
		       : NULL;
}

/* The TSC may be read early (SDM vol. 2, RDTSC); all cores' run alike, and no guest may write it. */
uint64_t arch_ticks(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

uint64_t arch_tick_rate(void)
{
	return machine_facts()->x86.tsc_hz;
}

/* One NMI for each time the doorbell is set, so that none is left over for a guest. */
void arch_doorbell(uint32_t cpu)
{
	struct cpu *target = cpu_record(cpu);

	if (__atomic_exchange_n(&target->arch.doorbell, 1, __ATOMIC_SEQ_CST) == 0)
		apic_send(target->hwid, ICR_NMI);
}

void arch_wait(uint64_t deadline)
{
	struct cpu *cpu = arch_this_cpu();

	if (deadline != 0)
		apic_timer(true);
	x86_wait();
	apic_timer(false);
	cpu->arch.guest_nmi = 0; /* there is no guest to give it to */
	own_tlb_flush();
	__atomic_store_n(&cpu->arch.stale, 0, __ATOMIC_RELEASE); /* it left no guest without that */
}

void arch_pause(void)
{
	__asm__ volatile("pause" ::: "memory");
}

/*
 * All extended state to its initial configuration (SDM vol. 1 13.8): XRSTOR
 * from an image that has none, but for MXCSR, which is loaded in any case.
 */
static void reset_extended_state(void)
{
	static const uint32_t none[576 / 4] __attribute__((aligned(64))) = {[6] = 0x1f80};
	struct cpuid all = cpuid(0xd, 0);

	x86_try_xsetbv(0, (uint64_t)all.edx << 32 | all.eax);
	__asm__ volatile("fninit\n\txrstor64 (%0)" ::"r"(none), "a"(UINT32_MAX), "d"(UINT32_MAX)
			 : "memory");
	x86_try_xsetbv(0, XCR0_X87);
}

static void reset_debug(void)
{
	__asm__ volatile("mov %0, %%dr0\n\tmov %0, %%dr1\n\tmov %0, %%dr2\n\tmov %0, %%dr3\n\t"
			 "mov %1, %%dr6\n\tmov %2, %%dr7" ::"r"(0ULL),
			 "r"(X86_DR6), "r"(X86_DR7));
}

/* The guest's control block, and what it leaves in registers that none holds. */
void arch_vcpu_leave(struct cpu *cpu)
{
	vendor->leave(cpu);
	memset(cpu->arch.regs, 0, sizeof(cpu->arch.regs));
	reset_extended_state();
	reset_debug();
	msr_wipe();
	wrmsr(MSR_PAT, PAT_RESET); /* an emulator lets a guest's through to here */
	write_cr(2, 0);
	apic_reset();
	cpu->arch.guest_nmi = 0;
}

/* A VM that starts does so with the code in its boot image, @context; a vCPU that got SIPI in the page that named. */
void arch_vcpu_reset(struct cpu *cpu, uint64_t entry, uint64_t context)
{
	uint64_t start = context == 0 ? entry : context + GUEST_X86_START;
	struct x86_segment cs = {(uint16_t)(start >> 4), REAL_CODE, 0xffff, start};

	own_tlb_flush();
	arch_vcpu_leave(cpu);
	cpu->arch.regs[REG_RDX] = cpuid(1, 0).eax; /* as after INIT */
	cpu->arch.pc = 0;
	cpu->arch.efer = 0;
	cpu->arch.event = 0;
	vendor->reset(cpu, &cs);
}

/* Every store to a console interrupt is an IPI by now: nothing is left to switch off. */
void arch_vm_quiesce(struct vm *vm)
{
	(void)vm;
}

/* The first may find a doorbell whose NMI was lost with a core's reset; the second rings in any case. */
bool arch_stop_kick(uint32_t cpu, uint32_t attempt)
{
	if (attempt == 1)
		__atomic_store_n(&cpu_record(cpu)->arch.doorbell, 0, __ATOMIC_SEQ_CST);
	if (attempt <= 1)
		arch_doorbell(cpu);
	return attempt <= 1;
}

const char *arch_stop_method(void)
{
	return "by NMI";
}

void arch_power_off(void)
{
	const struct machine_x86 *x86 = &machine_facts()->x86;

	/* ACPI 6.5 4.8.3.2.1: SLP_TYP in 12:10, SLP_EN. It may take effect a little later. */
	for (uint32_t i = 0; i < POWER_OFF_ATTEMPTS && x86->pm1_control != 0; i++)
		__asm__ volatile("outw %0, %1" ::"a"((uint16_t)(x86->s5_type << 10 | 1U << 13)),
				 "Nd"((uint16_t)x86->pm1_control)
				 : "memory");
	bh_panic("the firmware gives no way to switch the machine off");
}

void arch_halt(void)
{
	for (;;)
		__asm__ volatile("cli\n\thlt" ::: "memory");
}
