/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest may do on a core: the EL2 control registers, and their clean slate. Arm ARM D19.2. */
#include "arm64.h"

#define HCR_VM (1ULL << 0)
#define HCR_SWIO (1ULL << 1) /* set/way invalidation also cleans */
#define HCR_FMO (1ULL << 3)
#define HCR_IMO (1ULL << 4)
#define HCR_AMO (1ULL << 5)
#define HCR_TSC (1ULL << 19) /* SMC traps: never passed to firmware */
#define HCR_TIDCP (1ULL << 20) /* IMPLEMENTATION DEFINED registers may reach beyond the core */
#define HCR_TACR (1ULL << 21)
#define HCR_RW (1ULL << 31)
#define HCR_TERR (1ULL << 36) /* error records may be the whole system's */
#define HCR_APK (1ULL << 40)
#define HCR_API (1ULL << 41)
#define HCR_ENSCXT (1ULL << 53)
#define HCR_ATA (1ULL << 56)

/* Idle in EL2: interrupts target EL2, where they are masked and only wake WFI (D1.7.2). */
#define HCR_IDLE (HCR_RW | HCR_IMO | HCR_FMO | HCR_AMO)

#define CPTR_RES1 0x33ffULL
#define CPTR_TZ (1ULL << 8)
#define CPTR_TSM (1ULL << 12)
#define CPTR_TTA (1ULL << 20)

#define VTCR_RES1 (1ULL << 31)

/* 40-bit IPA, start at level 1, 4 KiB granule, walks write-back inner shareable (D19.2.161). */
uint64_t el2_vtcr(void)
{
	uint64_t range = id_field(read_sysreg(id_aa64mmfr0_el1), 0);

	return VTCR_RES1 | (range < 5 ? range : 5) << 16 | 3ULL << 12 | 1ULL << 10 | 1ULL << 8 |
	       1ULL << 6 | (64 - GUEST_IPA_BITS);
}

/* Fine-grained traps and later extensions: their reset values are unknown, so each is set. */
static void open_extensions(void)
{
	uint64_t mmfr0 = read_sysreg(id_aa64mmfr0_el1);
	uint64_t mmfr1 = read_sysreg(id_aa64mmfr1_el1);

	if (id_field(mmfr0, 56) != 0) { /* FEAT_FGT; bits named n... trap when 0 */
		write_sysreg(S3_4_C1_C1_4, 0xfff4000000000000ULL); /* HFGRTR_EL2 */
		write_sysreg(S3_4_C1_C1_5, 0xfff4000000000000ULL); /* HFGWTR_EL2 */
		write_sysreg(S3_4_C1_C1_6, 0); /* HFGITR_EL2 */
		write_sysreg(S3_4_C3_C1_4, 0); /* HDFGRTR_EL2 */
		write_sysreg(S3_4_C3_C1_5, 0); /* HDFGWTR_EL2 */
		if (id_field(read_sysreg(id_aa64pfr0_el1), 44) != 0)
			write_sysreg(S3_4_C3_C1_6, 0); /* HAFGRTR_EL2 */
	}
	if (id_field(mmfr1, 40) != 0) /* HCRX_EL2: EnAS0, EnALS, EnASR, MSCEn, TCR2En, SCTLR2En */
		write_sysreg(S3_4_C1_C2_2, 7ULL | 1ULL << 11 | 1ULL << 14 | 1ULL << 15);
	if (has_sve())
		write_sysreg(S3_4_C1_C2_0, 0xf); /* ZCR_EL2: all lengths */
	if (has_sme())
		write_sysreg(S3_4_C1_C2_6, 0xfULL | 1ULL << 31 | 1ULL << 30); /* SMCR_EL2 */
}

void el2_init(void)
{
	uint64_t cptr = CPTR_RES1 | CPTR_TTA;

	if (has_sve())
		cptr &= ~CPTR_TZ;
	if (has_sme())
		cptr &= ~CPTR_TSM;
	write_sysreg(cptr_el2, cptr);
	/* All counters to the guest; SPE and TRBE stay EL2's, so their registers trap (E2PB, E2TB = 0). */
	write_sysreg(mdcr_el2, has_pmu() ? read_sysreg(pmcr_el0) >> 11 & 0x1f : 0);
	write_sysreg(hstr_el2, 0);
	write_sysreg(cnthctl_el2, 3); /* EL1 may use the physical counter and timer */
	write_sysreg(cntvoff_el2, 0);
	write_sysreg(cnthp_ctl_el2, 0);
	write_sysreg(vtcr_el2, el2_vtcr());
	write_sysreg(vpidr_el2, read_sysreg(midr_el1));
	write_sysreg(vmpidr_el2, read_sysreg(mpidr_el1));
	isb();
	open_extensions();
	el2_enter_idle();
	/* Whatever ran at EL1 before us left nothing in the TLB. */
	__asm__ volatile("tlbi alle1" ::: "memory");
	dsb(nsh);
	isb();
}

void el2_enter_idle(void)
{
	write_sysreg(hcr_el2, HCR_IDLE);
	write_sysreg(vttbr_el2, 0);
	isb();
}

void el2_enter_guest(const struct vm *vm)
{
	uint64_t hcr = HCR_RW | HCR_VM | HCR_SWIO | HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_TERR;

	if (gic_stop_by_fiq())
		hcr |= HCR_FMO;
	if (vm_plan(vm)->virtual_interrupts != 0)
		hcr |= HCR_IMO;
	if (has_pauth())
		hcr |= HCR_APK | HCR_API;
	if (has_scxtnum())
		hcr |= HCR_ENSCXT;
	if (id_field(read_sysreg(id_aa64pfr1_el1), 8) >= 2)
		hcr |= HCR_ATA;
	write_sysreg(hcr_el2, hcr);
	write_sysreg(vttbr_el2, (uint64_t)vm_plan(vm)->vmid << 48 | vm->stage2.v);
	isb();
}
