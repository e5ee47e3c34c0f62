/* SPDX-License-Identifier: Apache-2.0 */
/* A core without a trace of the guest it ran: every register of EL1 and EL0 to its reset value. Arm ARM D19.2. */
#include "arm64.h"

/* Value and control of break- or watchpoint @n; the numbers are part of the register's name. */
#define RESET(n, value, control)                                                                   \
	case n:                                                                                    \
		write_sysreg(S2_0_C0_C##n##_##value, 0);                                           \
		write_sysreg(S2_0_C0_C##n##_##control, 0);                                         \
		__attribute__((fallthrough));

#define RESET_ALL(value, control)                                                                  \
	RESET(15, value, control)                                                                  \
	RESET(14, value, control)                                                                  \
	RESET(13, value, control)                                                                  \
	RESET(12, value, control)                                                                  \
	RESET(11, value, control)                                                                  \
	RESET(10, value, control)                                                                  \
	RESET(9, value, control)                                                                   \
	RESET(8, value, control)                                                                   \
	RESET(7, value, control)                                                                   \
	RESET(6, value, control)                                                                   \
	RESET(5, value, control)                                                                   \
	RESET(4, value, control)                                                                   \
	RESET(3, value, control)                                                                   \
	RESET(2, value, control)                                                                   \
	RESET(1, value, control)                                                                   \
	RESET(0, value, control)

/* As many as there are: ID_AA64DFR0_EL1.BRPs and WRPs are one less than their number. */
static void reset_debug(void)
{
	uint64_t dfr0 = read_sysreg(id_aa64dfr0_el1);

	switch (id_field(dfr0, 12)) {
		RESET_ALL(4, 5) /* DBGBVR, DBGBCR */
	default:
		break;
	}
	switch (id_field(dfr0, 20)) {
		RESET_ALL(6, 7) /* DBGWVR, DBGWCR */
	default:
		break;
	}
}

/* All counters zero, off and without an event; PMSELR_EL0 chooses which one PMXEVTYPER_EL0 is. */
static void reset_pmu(void)
{
	uint64_t counters = read_sysreg(pmcr_el0) >> 11 & 0x1f;

	write_sysreg(pmcr_el0, 6);
	write_sysreg(pmcntenclr_el0, UINT32_MAX);
	write_sysreg(pmintenclr_el1, UINT32_MAX);
	write_sysreg(pmovsclr_el0, UINT32_MAX);
	write_sysreg(pmuserenr_el0, 0);
	write_sysreg(pmccfiltr_el0, 0);
	for (uint64_t i = 0; i < counters; i++) {
		write_sysreg(pmselr_el0, i);
		isb();
		write_sysreg(pmxevtyper_el0, 0);
	}
	write_sysreg(pmselr_el0, 0);
}

static void reset_optional(void)
{
	if (has_pmu())
		reset_pmu();
	if (id_field(read_sysreg(id_aa64pfr0_el1), 28) != 0) /* FEAT_RAS */
		write_sysreg(S3_0_C12_C1_1, 0); /* DISR_EL1 */
	if (has_pauth()) {
		write_sysreg(S3_0_C2_C1_0, 0); /* APIAKey */
		write_sysreg(S3_0_C2_C1_1, 0);
		write_sysreg(S3_0_C2_C1_2, 0); /* APIBKey */
		write_sysreg(S3_0_C2_C1_3, 0);
		write_sysreg(S3_0_C2_C2_0, 0); /* APDAKey */
		write_sysreg(S3_0_C2_C2_1, 0);
		write_sysreg(S3_0_C2_C2_2, 0); /* APDBKey */
		write_sysreg(S3_0_C2_C2_3, 0);
		if (id_field(read_sysreg(id_aa64isar1_el1), 24) != 0 ||
		    id_field(read_sysreg(id_aa64isar1_el1), 28) != 0) {
			write_sysreg(S3_0_C2_C3_0, 0); /* APGAKey */
			write_sysreg(S3_0_C2_C3_1, 0);
		}
	}
	if (has_sme()) {
		write_sysreg(S3_3_C4_C2_2, 0); /* SVCR: leaves streaming mode, ZA gone */
		write_sysreg(S3_0_C1_C2_6, 0); /* SMCR_EL1 */
		write_sysreg(S3_3_C13_C0_5, 0); /* TPIDR2_EL0 */
	}
	if (has_sve())
		write_sysreg(S3_0_C1_C2_0, 0); /* ZCR_EL1 */
	if (has_scxtnum()) {
		write_sysreg(S3_3_C13_C0_7, 0);
		write_sysreg(S3_0_C13_C0_7, 0);
	}
}

void reset_el1(void)
{
	write_sysreg(sctlr_el1, 0x30d00800); /* RES1 bits; MMU and caches off */
	write_sysreg(cpacr_el1, 0);
	write_sysreg(ttbr0_el1, 0);
	write_sysreg(ttbr1_el1, 0);
	write_sysreg(tcr_el1, 0);
	write_sysreg(mair_el1, 0);
	write_sysreg(amair_el1, 0);
	write_sysreg(vbar_el1, 0);
	write_sysreg(esr_el1, 0);
	write_sysreg(far_el1, 0);
	write_sysreg(afsr0_el1, 0);
	write_sysreg(afsr1_el1, 0);
	write_sysreg(par_el1, 0);
	write_sysreg(contextidr_el1, 0);
	write_sysreg(tpidr_el0, 0);
	write_sysreg(tpidrro_el0, 0);
	write_sysreg(tpidr_el1, 0);
	write_sysreg(csselr_el1, 0);
	write_sysreg(sp_el0, 0);
	write_sysreg(sp_el1, 0);
	write_sysreg(elr_el1, 0);
	write_sysreg(spsr_el1, 0);
	write_sysreg(cntkctl_el1, 0);
	write_sysreg(cntv_ctl_el0, 0);
	write_sysreg(cntv_cval_el0, 0);
	write_sysreg(cntp_ctl_el0, 0);
	write_sysreg(cntp_cval_el0, 0);
	write_sysreg(mdscr_el1, 0);
	write_sysreg(mdccint_el1, 0);
	write_sysreg(dbgclaimclr_el1, 0xff);
	write_sysreg(oslar_el1, 1); /* the OS lock is on after reset (D19.3.23) */
	reset_debug();
	reset_optional();
	arm64_zero_simd(has_sve());
	isb();
}
