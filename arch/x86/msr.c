/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which MSRs a guest may use, as a table. What is not in it is denied: #GP, as
 * for an MSR that does not exist. SDM vol. 4; APM Appendix A.
 */
#include "x86.h"

#define FEATURE_CONTROL_LOCKED 1ULL /* and VMX not enabled in it */
#define VM_CR_OFF 0x18ULL /* SVMDIS, LOCK: "disabled by firmware" (APM 15.30.1) */
#define MISC_ENABLE_NO_BTS_PEBS (3ULL << 11)
#define MSR_MISC_ENABLE 0x1a0
#define MTRR_WRITE_BACK 0x806ULL /* enabled, default type write-back (SDM vol. 3 12.11.2.1) */
#define MTRR_CAP_NONE 0x400ULL /* write-combining, no ranges */
#define EFER_ALLOWED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR)
#define RANGE_MSRS 0x2000U
#define LVT_MODE(value) ((value) >> 8 & 7)
#define LVT_SMI 2
#define LVT_INIT 5

enum access {
	DENY, /* #GP */
	PASS, /* no exit */
	REAL, /* read: exits, gives what the hardware has */
	VALUE, /* read: exits, gives the row's value */
	IGNORE, /* write: exits, does nothing */
	OWN, /* exits to a function of its own, below */
};

#define WIPED 1 /* zero between guests */

static const struct rule {
	uint32_t first;
	uint32_t last;
	uint8_t read;
	uint8_t write;
	uint8_t wipe;
	uint64_t value;
} rules[] = {
	/* A guest's own state, which nothing outside its core looks at. */
	{0x174, 0x176, PASS, PASS, WIPED, 0}, /* SYSENTER */
	{MSR_PAT, MSR_PAT, PASS, PASS, 0, 0}, /* a field of the control block on both */
	{0xc0000081, 0xc0000084, PASS, PASS, WIPED, 0}, /* STAR, LSTAR, CSTAR, SFMASK */
	{MSR_FS_BASE, MSR_GS_BASE, PASS, PASS, 0, 0}, /* in the control block */
	{MSR_KERNEL_GS_BASE, MSR_KERNEL_GS_BASE, PASS, PASS, WIPED, 0},
	{0xc0000103, 0xc0000103, PASS, PASS, WIPED, 0}, /* TSC_AUX */
	{0xda0, 0xda0, PASS, PASS, WIPED, 0}, /* XSS */
	{0x1c4, 0x1c5, PASS, PASS, WIPED, 0}, /* XFD */
	{0x6a0, 0x6a8, PASS, PASS, WIPED, 0}, /* CET */
	{0xe1, 0xe1, PASS, PASS, WIPED, 0}, /* UMWAIT_CONTROL */
	/* Speculation controls act on this core. */
	{MSR_SPEC_CTRL, MSR_SPEC_CTRL, PASS, PASS, WIPED, 0},
	{0x49, 0x49, DENY, PASS, 0, 0}, /* PRED_CMD */
	{0x10b, 0x10b, DENY, PASS, 0, 0}, /* FLUSH_CMD */
	{0x10a, 0x10a, REAL, DENY, 0, 0}, /* ARCH_CAPABILITIES */
	{0x122, 0x122, PASS, PASS, WIPED, 0}, /* TSX_CTRL */
	/* Counters of this core. */
	{0xc1, 0xc8, PASS, PASS, WIPED, 0},
	{0x186, 0x18d, PASS, PASS, WIPED, 0},
	{0x309, 0x30c, PASS, PASS, WIPED, 0},
	{0x38d, 0x390, PASS, PASS, WIPED, 0},
	{0x4c1, 0x4c8, PASS, PASS, WIPED, 0},
	{0xc0010000, 0xc0010007, PASS, PASS, WIPED, 0},
	{0xc0010200, 0xc001020b, PASS, PASS, WIPED, 0},
	{0xe7, 0xe8, PASS, DENY, 0, 0}, /* MPERF, APERF */
	{0xc00000e7, 0xc00000e8, PASS, DENY, 0, 0},
	/* The clock is the machine's: the hypervisor and the other cores compare theirs with it. */
	{MSR_TSC, MSR_TSC, PASS, IGNORE, 0, 0},
	{0x3b, 0x3b, PASS, IGNORE, 0, 0}, /* TSC_ADJUST: Linux looks once per second */
	{0x6e0, 0x6e0, PASS, PASS, 0, 0}, /* TSC_DEADLINE: the APIC's */
	/* The local APIC is the guest's, but for what reaches beyond it. */
	/* Moved or off, the hypervisor would lose it. */
	{MSR_APIC_BASE, MSR_APIC_BASE, REAL, OWN, 0, 0},
	{MSR_X2APIC, 0x82e, PASS, PASS, 0, 0},
	{0x82f, 0x82f, VALUE, IGNORE, 0, 0x10000}, /* LVT of CMCI: masked, as there are no banks */
	{MSR_X2APIC_ICR, MSR_X2APIC_ICR, PASS, OWN, 0, 0}, /* IPIs to foreign cores */
	{0x831, 0x832, PASS, PASS, 0, 0},
	{0x833, 0x837, PASS, OWN, 0, 0}, /* LVTs may not deliver SMI or INIT */
	{0x838, 0x83f, PASS, PASS, 0, 0},
	/* Long mode and NX are the guest's; SVM's enable bit is not. */
	{MSR_EFER, MSR_EFER, OWN, OWN, 0, 0},
	{MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, VALUE, DENY, 0, FEATURE_CONTROL_LOCKED},
	{MSR_VM_CR, MSR_VM_CR, VALUE, IGNORE, 0, VM_CR_OFF},
	/* Linux clears it when it goes down. */
	{MSR_VM_HSAVE_PA, MSR_VM_HSAVE_PA, VALUE, IGNORE, 0, 0},
	/* The machine's MTRRs speak of its own addresses and alias memory types: a guest sees write-back only. */
	{MSR_MTRR_CAP, MSR_MTRR_CAP, VALUE, DENY, 0, MTRR_CAP_NONE},
	{MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, VALUE, IGNORE, 0, MTRR_WRITE_BACK},
	{0xc0010010, 0xc0010010, VALUE, IGNORE, 0, 0}, /* SYSCFG: memory types, encryption */
	/* IORR, TOP_MEM, NB_CFG: the machine's memory map. */
	{0xc0010016, 0xc001001f, VALUE, IGNORE, 0, 0},
	/* Microcode is the machine's: the revision may be read, an update not started (0x79, 0xc0010020 denied). */
	{0x8b, 0x8b, REAL, IGNORE, 0, 0},
	/* Machine checks belong to the hypervisor: no banks. */
	{0x179, 0x17a, VALUE, IGNORE, 0, 0},
	/* A last-branch or single-step trace of the core would go on in the hypervisor. */
	{MSR_DEBUGCTL, MSR_DEBUGCTL, VALUE, IGNORE, 0, 0},
	/* BTS and PEBS write to memory: said to be absent. (Processor trace, 0x560 to 0x57f, writes to physical memory: denied.) */
	{MSR_MISC_ENABLE, MSR_MISC_ENABLE, OWN, IGNORE, 0, 0},
	/* Configuration of the processor that others share: read only. */
	{0x17, 0x17, REAL, DENY, 0, 0}, /* PLATFORM_ID */
	{0xce, 0xcf, REAL, DENY, 0, 0}, /* PLATFORM_INFO, CORE_CAPABILITIES */
	{0x1b0, 0x1b0, VALUE, IGNORE, 0, 0}, /* ENERGY_PERF_BIAS */
	{0x345, 0x345, VALUE, DENY, 0, 0}, /* PERF_CAPABILITIES: no PEBS */
	{0xc0010015, 0xc0010015, REAL, IGNORE, 0, 0}, /* HWCR */
	{0xc0011020, 0xc0011029, REAL, IGNORE, 0, 0}, /* LS_CFG to DE_CFG */
	/* Instruction-based sampling: its NMI may be routed anywhere. */
	{0xc0011030, 0xc001103f, VALUE, IGNORE, 0, 0},
};

static const struct rule *find(uint32_t msr)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (msr >= rules[i].first && msr <= rules[i].last)
			return &rules[i];
	return NULL;
}

static void open_bit(uint32_t bit)
{
	x86_msr_bitmap[bit / 8] &= (uint8_t) ~(1U << bit % 8);
}

/* What the bitmap has no bit for exits always. */
static void open_msr(uint32_t msr, bool read, bool write)
{
	static const uint32_t ranges[] = {0, 0xc0000000, 0xc0010000};

	for (uint32_t i = 0; i < ARRAY_SIZE(ranges) && i < vendor->msr_ranges; i++) {
		uint32_t bit = (i * RANGE_MSRS + (msr - ranges[i])) * vendor->msr_stride;

		if (msr < ranges[i] || msr - ranges[i] >= RANGE_MSRS)
			continue;
		if (read)
			open_bit(bit);
		if (write)
			open_bit(bit + vendor->msr_write);
	}
}

void msr_init(void)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(rules); i++)
		for (uint32_t msr = rules[i].first; msr <= rules[i].last; msr++)
			open_msr(msr, rules[i].read == PASS, rules[i].write == PASS);
}

void msr_wipe(void)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(rules); i++)
		for (uint32_t msr = rules[i].first; rules[i].wipe && msr <= rules[i].last; msr++)
			x86_try_wrmsr(msr, 0);
}

/* SDM vol. 3 10.8.5: LME changes only with paging off; LMA is the processor's. */
static bool write_efer(struct cpu *cpu, uint64_t value)
{
	uint64_t now = cpu->arch.efer;
	bool paging = (cpu->arch.cr0 & CR0_PG) != 0;

	if ((value & ~(uint64_t)EFER_ALLOWED) != 0 || (paging && ((value ^ now) & EFER_LME) != 0))
		return false;
	cpu->arch.efer = (value & ~(uint64_t)EFER_LMA) | (now & EFER_LMA);
	return true;
}

/* False: #GP. */
static bool write_own(struct guest_exit *exit, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_EFER:
		return write_efer(exit->cpu, value);
	case MSR_APIC_BASE:
		return value == rdmsr(MSR_APIC_BASE);
	case MSR_X2APIC_ICR:
		exit->reason = EXIT_IPI;
		exit->illegal = icr_write(exit->cpu, value);
		return true;
	default: /* an LVT */
		return LVT_MODE(value) != LVT_SMI && LVT_MODE(value) != LVT_INIT &&
		       x86_try_wrmsr(msr, value);
	}
}

static bool write_msr(struct guest_exit *exit, uint32_t msr, uint64_t value)
{
	const struct rule *rule = find(msr);

	if (rule == NULL || rule->write == DENY)
		return false;
	return rule->write == IGNORE || write_own(exit, msr, value);
}

static bool read_own(struct cpu *cpu, uint32_t msr, uint64_t *value)
{
	if (msr == MSR_EFER) {
		*value = cpu->arch.efer;
		return true;
	}
	if (!x86_try_rdmsr(msr, value))
		return false;
	*value |= MISC_ENABLE_NO_BTS_PEBS;
	return true;
}

static bool read_msr(struct cpu *cpu, uint32_t msr, uint64_t *value)
{
	const struct rule *rule = find(msr);

	if (rule == NULL || rule->read == DENY)
		return false;
	*value = rule->value;
	if (rule->read == REAL)
		return x86_try_rdmsr(msr, value);
	return rule->read == VALUE || read_own(cpu, msr, value);
}

void msr_access(struct guest_exit *exit)
{
	uint64_t *rax = &exit->cpu->arch.regs[REG_RAX];
	uint64_t *rdx = &exit->cpu->arch.regs[REG_RDX];
	uint32_t msr = (uint32_t)exit->cpu->arch.regs[REG_RCX];
	uint64_t value = *rdx << 32 | (*rax & UINT32_MAX);

	if (exit->hw.write ? !write_msr(exit, msr, value) : !read_msr(exit->cpu, msr, &value)) {
		inject(exit->cpu, VECTOR_GP);
		return;
	}
	if (!exit->hw.write) {
		*rax = value & UINT32_MAX;
		*rdx = value >> 32;
	}
	if (exit->illegal == NULL)
		skip(exit);
}
