/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's VMX: SDM 24 to 28. The control block of this core's guest is current from reset() to leave(). */
#include "vmcs.h"

#include <string.h>

#include "x86.h"

#define GUEST_VPID 1 /* 0 is the host's; a core only ever runs one guest */
#define INVEPT_ALL 2
#define INVVPID_ONE 1

#define TYPE_NMI 2
#define EVENT_VECTOR(event) ((event)&0xff)
#define EVENT_BITS (EVENT_VALID | EVENT_ERROR | 0x7ffU) /* what an exit reports has more */

/* SDM 18.2.3; two bits are 0 when there is something to report. */
#define DR6_HITS 0xfULL
#define DR6_REPORTED 0x600fULL
#define DR6_INVERTED 0x10800ULL
#define DR7_GD (1ULL << 13)
#define RFLAGS_TF (1U << 8)

/*
 * Bits of CR0 and CR4 that are not the guest's; it reads back what it wrote. VMX needs NE and VMXE;
 * an exit would leave CD and NW as they are; a machine check without MCE would stop the machine.
 */
#define CR0_OWNED ((uint64_t)(CR0_NE | CR0_NW | CR0_CD))
#define CR0_SET ((uint64_t)CR0_NE)
#define CR4_OWNED ((uint64_t)(CR4_VMXE | CR4_MCE))

/* run.S */
enum vmx_run {
	VMX_NOT_RUN, /* something was to be looked at before */
	VMX_EXITED,
	VMX_REFUSED,
};

enum vmx_run vmx_run(struct cpu *cpu);
void vmx_exit(void);

struct field {
	uint32_t field;
	uint64_t value;
};

static uint64_t vmread(uint32_t field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

/* False when the processor has no such field. */
static bool try_vmwrite(uint32_t field, uint64_t value)
{
	bool ok;

	__asm__ volatile("vmwrite %2, %1" : "=@cca"(ok) : "r"((uint64_t)field), "r"(value));
	return ok;
}

static void vmwrite(uint32_t field, uint64_t value)
{
	BH_CHECK(try_vmwrite(field, value));
}

static void write_fields(const struct field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++)
		vmwrite(fields[i].field, fields[i].value);
}

/* VMXON, VMCLEAR and VMPTRLD take the address of a page's address. */
#define vmx_page(instruction, page)                                                                \
	do {                                                                                       \
		uint64_t page_ = (page).v;                                                         \
		bool ok_;                                                                          \
		__asm__ volatile(instruction " %1" : "=@cca"(ok_) : "m"(page_) : "memory");        \
		BH_CHECK(ok_);                                                                     \
	} while (0)

/* INVEPT and INVVPID: all that this core remembers of a guest (SDM 29.4.3). */
static void flush(struct cpu *cpu)
{
	(void)cpu;
	uint64_t all[2] = {0, 0};
	uint64_t one[2] = {GUEST_VPID, 0};
	bool ok;

	__asm__ volatile("invept %1, %2"
			 : "=@cca"(ok)
			 : "m"(all), "r"((uint64_t)INVEPT_ALL)
			 : "memory");
	BH_CHECK(ok);
	__asm__ volatile("invvpid %1, %2"
			 : "=@cca"(ok)
			 : "m"(one), "r"((uint64_t)INVVPID_ONE)
			 : "memory");
	BH_CHECK(ok);
}

static void set_revision(pa_t page)
{
	*(uint32_t *)pa_to_ptr(page) = (uint32_t)rdmsr(MSR_VMX_BASIC) & VMX_BASIC_REVISION;
}

/* The boot core comes here twice. */
static void cpu_init(struct cpu *cpu)
{
	uint64_t cr0 = read_cr(0) | rdmsr(MSR_VMX_CR0_FIXED0);
	uint64_t cr4 = read_cr(4) | rdmsr(MSR_VMX_CR4_FIXED0) | CR4_VMXE;
	uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

	if ((read_cr(4) & CR4_VMXE) != 0)
		return;
	if ((control & FEATURE_LOCK) == 0)
		wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_LOCK | FEATURE_VMX);
	write_cr(0, cr0 & rdmsr(MSR_VMX_CR0_FIXED1));
	write_cr(4, cr4 & rdmsr(MSR_VMX_CR4_FIXED1));
	set_revision(cpu_page(cpu, PAGE_HOST));
	vmx_page("vmxon", cpu_page(cpu, PAGE_HOST));
}

/* SDM Appendix A.2: what must be 1 in the low half of the capability, what may be in the high one. */
static uint64_t control(uint32_t capability, uint32_t need, uint32_t wish)
{
	uint64_t allowed = rdmsr(capability);
	uint32_t may = (uint32_t)(allowed >> 32);

	BH_CHECK((need & ~may) == 0);
	return need | (wish & may) | (uint32_t)allowed;
}

/* A VMCS has no initial contents (SDM 25.11.3): all fields that there are, and are not read-only, begin as zero. */
static void write_zeroes(void)
{
	uint32_t last = (uint32_t)rdmsr(MSR_VMX_VMCS_ENUM) & VMCS_INDEX;

	for (uint32_t group = 0; group <= VMCS_LAST_GROUP; group += VMCS_GROUP)
		for (uint32_t index = 0; index <= last; index += 2)
			try_vmwrite(group + index, 0);
}

/* What CPUID shows a guest it can use, where that needs a control. */
#define SECONDARY_WISHES                                                                           \
	(SECONDARY_RDTSCP | SECONDARY_INVPCID | SECONDARY_XSAVES | SECONDARY_USER_WAIT)

static void write_controls(const struct cpu *cpu)
{
	uint64_t secondary =
		control(MSR_VMX_SECONDARY, SECONDARY_EPT | SECONDARY_VPID | SECONDARY_UNRESTRICTED,
			SECONDARY_WISHES);
	const struct field fields[] = {
		{VMCS_PIN, control(MSR_VMX_TRUE_PIN, PIN_NMI | PIN_VIRTUAL_NMI, 0)},
		{VMCS_PRIMARY,
		 control(MSR_VMX_TRUE_PRIMARY,
			 PRIMARY_PORT_EXITS | PRIMARY_MSR_BITMAPS | PRIMARY_SECONDARY, 0)},
		{VMCS_SECONDARY, secondary},
		{VMCS_EXIT, control(MSR_VMX_TRUE_EXIT,
				    EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT |
					    EXIT_SAVE_EFER | EXIT_LOAD_EFER,
				    0)},
		{VMCS_ENTRY, control(MSR_VMX_TRUE_ENTRY,
				     ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER, 0)},
		{VMCS_EXCEPTIONS, 1U << VECTOR_DB | 1U << VECTOR_AC | 1U << VECTOR_MC},
		{VMCS_MSR_BITMAP, ptr_to_pa(x86_msr_bitmap).v},
		{VMCS_EPT, cpu->vm->stage2.v | EPT_POINTER_WB_4_LEVELS},
		{VMCS_VPID, GUEST_VPID},
		{VMCS_LINK, UINT64_MAX},
		{VMCS_CR0_MASK, CR0_OWNED},
		{VMCS_CR4_MASK, CR4_OWNED},
	};

	write_fields(fields, ARRAY_SIZE(fields));
	/* By XRSTORS a guest could start what the MSR bitmap denies it: a trace to physical memory, IPIs to foreign cores. */
	if ((secondary & SECONDARY_XSAVES) != 0)
		vmwrite(VMCS_XSS_BITMAP, ~(uint64_t)XSS_GUEST);
}

static void write_host(const struct cpu *cpu)
{
	const struct field fields[] = {
		{VMCS_HOST_ES, SELECTOR_DATA},
		{VMCS_HOST_ES + 2, SELECTOR_CODE},
		{VMCS_HOST_ES + 4, SELECTOR_DATA},
		{VMCS_HOST_ES + 6, SELECTOR_DATA},
		{VMCS_HOST_ES + 12, SELECTOR_TSS},
		{VMCS_HOST_GS_BASE, (uint64_t)(uintptr_t)cpu},
		{VMCS_HOST_TR_BASE, (uint64_t)(uintptr_t)cpu->arch.tss},
		{VMCS_HOST_GDTR_BASE, (uint64_t)(uintptr_t)cpu->arch.gdt},
		{VMCS_HOST_IDTR_BASE, desc_idt()},
		{VMCS_HOST_CR0, read_cr(0)},
		{VMCS_HOST_CR3, read_cr(3)},
		{VMCS_HOST_CR4, read_cr(4)},
		{VMCS_HOST_PAT, rdmsr(MSR_PAT)},
		{VMCS_HOST_EFER, rdmsr(MSR_EFER)},
		{VMCS_HOST_RIP, (uint64_t)(uintptr_t)vmx_exit},
	};

	write_fields(fields, ARRAY_SIZE(fields));
}

static void write_segments(const struct x86_segment *cs)
{
	const struct x86_segment *data = &X86_DATA;
	const struct x86_segment *segments[] = {data, cs,   data,      data,
						data, data, &X86_LDTR, &X86_TR};

	for (uint32_t i = 0; i < ARRAY_SIZE(segments); i++) {
		uint32_t attr = segments[i]->attr;

		vmwrite(VMCS_GUEST_ES + 2 * i, segments[i]->selector);
		vmwrite(VMCS_GUEST_ES_LIMIT + 2 * i, segments[i]->limit);
		vmwrite(VMCS_GUEST_ES_RIGHTS + 2 * i,
			attr == 0 ? SEGMENT_UNUSABLE : (attr & 0xff) | (attr & 0xf00) << 4);
		vmwrite(VMCS_GUEST_ES_BASE + 2 * i, segments[i]->base);
	}
}

static void write_guest(const struct x86_segment *cs)
{
	static const struct field fields[] = {
		{VMCS_GUEST_GDTR_LIMIT, X86_TABLE_LIMIT},
		{VMCS_GUEST_IDTR_LIMIT, X86_TABLE_LIMIT},
		{VMCS_GUEST_CR0, (X86_CR0 & ~CR0_OWNED) | CR0_SET},
		{VMCS_CR0_SHADOW, X86_CR0},
		{VMCS_GUEST_CR4, CR4_OWNED},
		{VMCS_GUEST_PAT, PAT_RESET},
		{VMCS_GUEST_DR7, X86_DR7},
		{VMCS_GUEST_RFLAGS, RFLAGS_RESERVED},
	};

	write_fields(fields, ARRAY_SIZE(fields));
	write_segments(cs);
}

/* Each reset() flushes the TLB before any guest runs again. */
static void leave(struct cpu *cpu)
{
	vmx_page("vmclear", cpu_page(cpu, PAGE_VMCB));
	memset(pa_to_ptr(cpu_page(cpu, PAGE_VMCB)), 0, PAGE_SIZE);
	cpu->arch.launched = 0;
}

static void reset(struct cpu *cpu, const struct x86_segment *cs)
{
	pa_t vmcs = cpu_page(cpu, PAGE_VMCB);

	set_revision(vmcs);
	vmx_page("vmclear", vmcs);
	vmx_page("vmptrld", vmcs);
	write_zeroes();
	write_controls(cpu);
	write_host(cpu);
	write_guest(cs);
	flush(cpu);
}

/* The exit leaves to us what #DB does to DR6 and DR7 (SDM 28.1). */
static void set_debug_status(void)
{
	uint64_t reported = vmread(VMCS_QUALIFICATION);
	uint64_t dr6;

	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	dr6 = (dr6 & ~DR6_HITS) | X86_DR6 | (reported & DR6_REPORTED);
	dr6 ^= reported & DR6_INVERTED;
	__asm__ volatile("mov %0, %%dr6" ::"r"(dr6));
	vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~DR7_GD);
}

/* The NMI that ended the run is taken here, and with its handler's IRET others may come again (SDM 28.5.5). */
static void take_nmi(struct x86_exit *exit)
{
	exit->kind = X86_NMI;
	__asm__ volatile("int $2" ::: "memory");
}

static void decode_exception(struct x86_exit *exit)
{
	uint32_t event = (uint32_t)vmread(VMCS_EXIT_EVENT) & EVENT_BITS;

	if (EVENT_TYPE(event) == TYPE_NMI) {
		take_nmi(exit);
		return;
	}
	if (EVENT_VECTOR(event) == VECTOR_MC) {
		exit->kind = X86_ILLEGAL;
		exit->what = X86_MACHINE_CHECK;
		return;
	}
	if (EVENT_VECTOR(event) == VECTOR_DB)
		set_debug_status();
	exit->kind = X86_EXCEPTION;
	exit->event = event;
}

static void open_nmi_window(bool on)
{
	uint64_t controls = vmread(VMCS_PRIMARY) & ~(uint64_t)PRIMARY_NMI_WINDOW;

	vmwrite(VMCS_PRIMARY, controls | (on ? PRIMARY_NMI_WINDOW : 0));
}

/*
 * MOV to CR0 or CR4 that changes an owned bit: the guest is to see it changed,
 * and then the same instruction does not exit again. What the processor would
 * have refused of those bits: NW without CD, and VMXE where there is no VMX.
 */
static void decode_cr(struct cpu *cpu)
{
	uint64_t access = vmread(VMCS_QUALIFICATION);
	uint64_t value = CR_REGISTER(access) == REG_RSP ? vmread(VMCS_GUEST_RSP)
							: cpu->arch.regs[CR_REGISTER(access)];
	bool is_cr0 = CR_NUMBER(access) == 0;

	if (is_cr0 ? (value & (CR0_NW | CR0_CD)) == CR0_NW : (value & CR4_VMXE) != 0)
		inject(cpu, VECTOR_GP);
	else
		vmwrite(is_cr0 ? VMCS_CR0_SHADOW : VMCS_CR4_SHADOW, value);
}

/* The guest sees its own value of the bits that are not its own. */
static uint64_t own_value(uint32_t field, uint32_t shadow, uint64_t owned)
{
	return (vmread(field) & ~owned) | (vmread(shadow) & owned);
}

static void decode_msr(struct arch_cpu *arch, struct x86_exit *exit)
{
	exit->write = exit->code == REASON_WRMSR;
	arch->efer = vmread(VMCS_GUEST_EFER);
	arch->cr0 = own_value(VMCS_GUEST_CR0, VMCS_CR0_SHADOW, CR0_OWNED);
}

static void decode_port(struct x86_exit *exit)
{
	uint64_t access = vmread(VMCS_QUALIFICATION);

	exit->port = PORT_NUMBER(access);
	exit->size = PORT_SIZE(access);
	exit->write = (access & PORT_IN) == 0;
	exit->string = (access & PORT_STRING) != 0;
}

static void decode_memory(struct cpu *cpu, struct x86_exit *exit)
{
	uint64_t access = vmread(VMCS_QUALIFICATION);

	cpu->arch.cr4 = vmread(VMCS_GUEST_CR4);
	exit->address = vmread(VMCS_EXIT_ADDRESS);
	exit->write = (access & EPT_WRITE) != 0;
	exit->fetch = (access & EPT_FETCH) != 0;
	exit->walk = (access & EPT_LINEAR) != 0 && (access & EPT_FINAL) == 0;
	exit->cr3 = vmread(VMCS_GUEST_CR3);
	exit->code_64 = (vmread(VMCS_GUEST_EFER) & EFER_LMA) != 0 &&
			(vmread(VMCS_GUEST_ES_RIGHTS + 2) & RIGHTS_L) != 0;
}

static const struct x86_known known[] = {
	[REASON_EXCEPTION_OR_NMI] = {X86_EXCEPTION, 0, NULL},
	[REASON_TRIPLE_FAULT] = {X86_TRIPLE_FAULT, 0, NULL},
	[REASON_INIT] = {X86_ILLEGAL, 0, X86_FOREIGN_INIT},
	[REASON_NMI_WINDOW] = {X86_NMI, 0, NULL},
	[REASON_TASK_SWITCH] = {X86_ILLEGAL, 0, X86_TASK_SWITCH},
	[REASON_CPUID] = {X86_CPUID, 0, NULL},
	[REASON_GETSEC] = {X86_UNDEFINED, 0, NULL},
	[REASON_INVD] = {X86_INVD, 0, NULL},
	[REASON_VMCALL... REASON_VMXON] = {X86_UNDEFINED, 0, NULL},
	[REASON_CR] = {X86_REGISTER, 0, NULL},
	[REASON_PORT] = {X86_PORT, 0, NULL},
	[REASON_RDMSR... REASON_WRMSR] = {X86_MSR, 0, NULL},
	[REASON_MACHINE_CHECK] = {X86_ILLEGAL, 0, X86_MACHINE_CHECK},
	[REASON_EPT_VIOLATION] = {X86_MEMORY, 0, NULL},
	[REASON_INVEPT] = {X86_UNDEFINED, 0, NULL},
	[REASON_INVVPID] = {X86_UNDEFINED, 0, NULL},
	[REASON_XSETBV] = {X86_XSETBV, 0, NULL},
	[REASON_XSAVES... REASON_XRSTORS] = {X86_UNDEFINED, 0, NULL},
	[REASON_SEAMCALL... REASON_TDCALL] = {X86_UNDEFINED, 0, NULL},
};

static void decode(struct cpu *cpu, struct x86_exit *exit)
{
	exit->code = (uint32_t)vmread(VMCS_EXIT_REASON) & ~REASON_FAILED;
	exit_known(known, ARRAY_SIZE(known), exit);
	exit->length = (uint32_t)vmread(VMCS_EXIT_LENGTH);
	if (exit->kind == X86_CPUID)
		cpu->arch.cr4 = own_value(VMCS_GUEST_CR4, VMCS_CR4_SHADOW, CR4_OWNED);
	else if (exit->kind == X86_MSR)
		decode_msr(&cpu->arch, exit);
	else if (exit->kind == X86_EXCEPTION)
		decode_exception(exit);
	else if (exit->kind == X86_REGISTER)
		decode_cr(cpu);
	else if (exit->kind == X86_PORT)
		decode_port(exit);
	else if (exit->kind == X86_MEMORY)
		decode_memory(cpu, exit);
	if (exit->code != REASON_NMI_WINDOW)
		return;
	open_nmi_window(false);
	cpu->arch.guest_nmi = 1;
}

/* When the guest cannot take an NMI now, it exits as soon as it can. */
static void give_nmi(struct arch_cpu *arch)
{
	bool later =
		arch->event != 0 || (vmread(VMCS_BLOCKING) & (BLOCKING_MOV_SS | BLOCKING_NMI)) != 0;

	arch->guest_nmi = 0;
	if (later)
		open_nmi_window(true);
	else
		arch->event = EVENT_NMI;
}

/* Nothing is held off any more by the instruction before. */
static void clear_blocking(void)
{
	vmwrite(VMCS_BLOCKING, vmread(VMCS_BLOCKING) & ~(uint64_t)(BLOCKING_STI | BLOCKING_MOV_SS));
}

/* Behind the instruction that exited; if a debugger steps through the guest, this was a step. */
static void step_to(uint64_t pc)
{
	vmwrite(VMCS_GUEST_RIP, pc);
	clear_blocking();
	if ((vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF) != 0)
		vmwrite(VMCS_PENDING_DEBUG, vmread(VMCS_PENDING_DEBUG) | PENDING_SINGLE_STEP);
}

/* Until the next exit, which clears its valid bit (SDM 25.8.3). An instruction's needs its length; real mode has no error codes. */
static void write_event(const struct arch_cpu *arch)
{
	bool real = (vmread(VMCS_GUEST_CR0) & CR0_PE) == 0;

	vmwrite(VMCS_EVENT, real ? arch->event & ~EVENT_ERROR : arch->event);
	vmwrite(VMCS_EVENT_ERROR, arch->event_error);
	vmwrite(VMCS_EVENT_LENGTH, vmread(VMCS_EXIT_LENGTH));
	clear_blocking();
}

/* An exit after which the guest goes on keeps no event from being delivered, but for #AC, which takes its place (SDM 28.2.4). */
static void enter(struct cpu *cpu, struct x86_exit *exit)
{
	if (cpu->arch.guest_nmi != 0)
		give_nmi(&cpu->arch);
	if (exit->kind == X86_MSR) /* the last one still */
		vmwrite(VMCS_GUEST_EFER, cpu->arch.efer);
	if (cpu->arch.pc != vmread(VMCS_GUEST_RIP))
		step_to(cpu->arch.pc);
	if (cpu->arch.event != 0)
		write_event(&cpu->arch);
	switch (vmx_run(cpu)) {
	case VMX_NOT_RUN:
		exit->kind = X86_AGAIN;
		break;
	case VMX_REFUSED:
		exit->kind = X86_ILLEGAL;
		exit->what = "control block that the processor refuses";
		exit->code = vmread(VMCS_INSTRUCTION_ERROR);
		break;
	case VMX_EXITED:
		cpu->arch.pc = vmread(VMCS_GUEST_RIP);
		cpu->arch.event = 0;
		decode(cpu, exit);
		break;
	}
}

const struct vendor vmx = {
	.format = &x86_ept_format,
	.cpu_init = cpu_init,
	.reset = reset,
	.enter = enter,
	.flush = flush,
	.leave = leave,
	.msr_ranges = 2, /* SDM 25.6.9: reads of two ranges, then writes */
	.msr_stride = 1,
	.msr_write = 2 * 0x2000,
};
