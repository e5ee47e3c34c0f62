/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers in which one tenant could leave something for the next: what EL1 can write, by the architecture's
 * encoding, because not every assembler knows every name. Those that a processor lacks are undefined and stepped over.
 * What an exception of the guest itself changes comes first. Left out: what turns on the MMU, masks or traps the test
 * itself (SCTLR, CPACR, VBAR, the stack, ELR, interrupt groups), and counters that run.
 */
#ifndef GUEST_REGISTERS_H
#define GUEST_REGISTERS_H

#define GUEST_REGISTERS(X)                                                                         \
	X(spsr_el1, S3_0_C4_C0_0)                                                                  \
	X(esr_el1, S3_0_C5_C2_0)                                                                   \
	X(far_el1, S3_0_C6_C0_0)                                                                   \
	X(zcr_el1, S3_0_C1_C2_0)                                                                   \
	X(smpri_el1, S3_0_C1_C2_4)                                                                 \
	X(smcr_el1, S3_0_C1_C2_6)                                                                  \
	X(rgsr_el1, S3_0_C1_C0_5)                                                                  \
	X(gcr_el1, S3_0_C1_C0_6)                                                                   \
	X(ttbr0_el1, S3_0_C2_C0_0)                                                                 \
	X(ttbr1_el1, S3_0_C2_C0_1)                                                                 \
	X(tcr_el1, S3_0_C2_C0_2)                                                                   \
	X(tcr2_el1, S3_0_C2_C0_3)                                                                  \
	X(apiakeylo_el1, S3_0_C2_C1_0)                                                             \
	X(apiakeyhi_el1, S3_0_C2_C1_1)                                                             \
	X(apibkeylo_el1, S3_0_C2_C1_2)                                                             \
	X(apibkeyhi_el1, S3_0_C2_C1_3)                                                             \
	X(apdakeylo_el1, S3_0_C2_C2_0)                                                             \
	X(apdakeyhi_el1, S3_0_C2_C2_1)                                                             \
	X(apdbkeylo_el1, S3_0_C2_C2_2)                                                             \
	X(apdbkeyhi_el1, S3_0_C2_C2_3)                                                             \
	X(apgakeylo_el1, S3_0_C2_C3_0)                                                             \
	X(apgakeyhi_el1, S3_0_C2_C3_1)                                                             \
	X(sp_el0, S3_0_C4_C1_0)                                                                    \
	X(afsr0_el1, S3_0_C5_C1_0)                                                                 \
	X(afsr1_el1, S3_0_C5_C1_1)                                                                 \
	X(errselr_el1, S3_0_C5_C3_1)                                                               \
	X(tfsr_el1, S3_0_C5_C6_0)                                                                  \
	X(tfsre0_el1, S3_0_C5_C6_1)                                                                \
	X(par_el1, S3_0_C7_C4_0)                                                                   \
	X(pmintenset_el1, S3_0_C9_C14_1)                                                           \
	X(mair_el1, S3_0_C10_C2_0)                                                                 \
	X(pire0_el1, S3_0_C10_C2_2)                                                                \
	X(pir_el1, S3_0_C10_C2_3)                                                                  \
	X(amair_el1, S3_0_C10_C3_0)                                                                \
	X(lorsa_el1, S3_0_C10_C4_0)                                                                \
	X(lorea_el1, S3_0_C10_C4_1)                                                                \
	X(lorn_el1, S3_0_C10_C4_2)                                                                 \
	X(lorc_el1, S3_0_C10_C4_3)                                                                 \
	X(disr_el1, S3_0_C12_C1_1)                                                                 \
	X(contextidr_el1, S3_0_C13_C0_1)                                                           \
	X(tpidr_el1, S3_0_C13_C0_4)                                                                \
	X(scxtnum_el1, S3_0_C13_C0_7)                                                              \
	X(cntkctl_el1, S3_0_C14_C1_0)                                                              \
	X(csselr_el1, S3_2_C0_C0_0)                                                                \
	X(svcr, S3_3_C4_C2_2)                                                                      \
	X(fpcr, S3_3_C4_C4_0)                                                                      \
	X(fpsr, S3_3_C4_C4_1)                                                                      \
	X(pmcr_el0, S3_3_C9_C12_0)                                                                 \
	X(pmcntenset_el0, S3_3_C9_C12_1)                                                           \
	X(pmovsset_el0, S3_3_C9_C14_3)                                                             \
	X(pmselr_el0, S3_3_C9_C12_5)                                                               \
	X(pmccntr_el0, S3_3_C9_C13_0)                                                              \
	X(pmuserenr_el0, S3_3_C9_C14_0)                                                            \
	X(pmevcntr0_el0, S3_3_C14_C8_0)                                                            \
	X(pmevcntr1_el0, S3_3_C14_C8_1)                                                            \
	X(pmevtyper0_el0, S3_3_C14_C12_0)                                                          \
	X(pmevtyper1_el0, S3_3_C14_C12_1)                                                          \
	X(pmccfiltr_el0, S3_3_C14_C15_7)                                                           \
	X(tpidr_el0, S3_3_C13_C0_2)                                                                \
	X(tpidrro_el0, S3_3_C13_C0_3)                                                              \
	X(tpidr2_el0, S3_3_C13_C0_5)                                                               \
	X(scxtnum_el0, S3_3_C13_C0_7)                                                              \
	X(cntp_ctl_el0, S3_3_C14_C2_1)                                                             \
	X(cntp_cval_el0, S3_3_C14_C2_2)                                                            \
	X(cntv_ctl_el0, S3_3_C14_C3_1)                                                             \
	X(cntv_cval_el0, S3_3_C14_C3_2)                                                            \
	X(mdccint_el1, S2_0_C0_C2_0)                                                               \
	X(mdscr_el1, S2_0_C0_C2_2)                                                                 \
	X(dbgbvr0_el1, S2_0_C0_C0_4)                                                               \
	X(dbgbcr0_el1, S2_0_C0_C0_5)                                                               \
	X(dbgbvr1_el1, S2_0_C0_C1_4)                                                               \
	X(dbgbcr1_el1, S2_0_C0_C1_5)                                                               \
	X(dbgbvr5_el1, S2_0_C0_C5_4)                                                               \
	X(dbgbcr5_el1, S2_0_C0_C5_5)                                                               \
	X(dbgwvr0_el1, S2_0_C0_C0_6)                                                               \
	X(dbgwcr0_el1, S2_0_C0_C0_7)                                                               \
	X(dbgwvr3_el1, S2_0_C0_C3_6)                                                               \
	X(dbgwcr3_el1, S2_0_C0_C3_7)                                                               \
	X(dbgclaimclr_el1, S2_0_C7_C9_6)                                                           \
	X(dbgclaimset_el1, S2_0_C7_C8_6)                                                           \
	X(osdtrrx_el1, S2_0_C0_C0_2)                                                               \
	X(osdtrtx_el1, S2_0_C0_C3_2)                                                               \
	X(oseccr_el1, S2_0_C0_C6_2)                                                                \
	X(osdlr_el1, S2_0_C1_C3_4)                                                                 \
	X(icc_pmr_el1, S3_0_C4_C6_0)                                                               \
	X(icc_ap1r0_el1, S3_0_C12_C9_0)                                                            \
	X(icc_bpr1_el1, S3_0_C12_C12_3)                                                            \
	X(icc_bpr0_el1, S3_0_C12_C8_3)                                                             \
	X(icc_ctlr_el1, S3_0_C12_C12_4)                                                            \
	X(icc_igrpen0_el1, S3_0_C12_C12_6)                                                         \
	X(icc_igrpen1_el1, S3_0_C12_C12_7)

/* Offsets in GICR_SGI_BASE of a guest's own page. */
#define GUEST_GIC_REGISTERS(X)                                                                     \
	X(gicr_isenabler0, 0x100)                                                                  \
	X(gicr_ispendr0, 0x200)                                                                    \
	X(gicr_isactiver0, 0x300)                                                                  \
	X(gicr_ipriorityr0, 0x400)                                                                 \
	X(gicr_ipriorityr3, 0x40c)                                                                 \
	X(gicr_ipriorityr6, 0x418)                                                                 \
	X(gicr_icfgr1, 0xc04)                                                                      \
	X(gicr_igrpmodr0, 0xd00)                                                                   \
	X(gicr_nsacr, 0xe00)

#endif
