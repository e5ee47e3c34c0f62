/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSRs in which one tenant could leave something for the next, with what a dirty guest writes there. Those that a
 * processor lacks, or a guest may not touch, take an exception and are left out. Counters that run are not here.
 */
#ifndef GUEST_REGISTERS_H
#define GUEST_REGISTERS_H

#define ADDRESS 0x5a5a5a5a5a58ULL /* canonical */
#define MASKED 0x1005aULL /* of a local vector table: an entry that is masked */

#define GUEST_MSRS(X)                                                                              \
	X(sysenter_cs, 0x174, 0x58)                                                                \
	X(sysenter_esp, 0x175, ADDRESS)                                                            \
	X(sysenter_eip, 0x176, ADDRESS)                                                            \
	X(pat, 0x277, 0x0406040604060406ULL)                                                       \
	X(debugctl, 0x1d9, 2)                                                                      \
	X(star, 0xc0000081, 0x5a5a5a5a5a5a5a58ULL)                                                 \
	X(lstar, 0xc0000082, ADDRESS)                                                              \
	X(cstar, 0xc0000083, ADDRESS)                                                              \
	X(sfmask, 0xc0000084, 0x5a58)                                                              \
	X(fs_base, 0xc0000100, ADDRESS)                                                            \
	X(gs_base, 0xc0000101, ADDRESS)                                                            \
	X(kernel_gs_base, 0xc0000102, ADDRESS)                                                     \
	X(tsc_aux, 0xc0000103, 0x5a5a)                                                             \
	X(efer, 0xc0000080, 0xd01) /* SCE, LME, LMA, NXE */                                        \
	X(xss, 0xda0, 0x100)                                                                       \
	X(u_cet, 0x6a0, 3)                                                                         \
	X(s_cet, 0x6a2, 2)                                                                         \
	X(pl0_ssp, 0x6a4, ADDRESS)                                                                 \
	X(pl3_ssp, 0x6a7, ADDRESS)                                                                 \
	X(interrupt_ssp_table, 0x6a8, ADDRESS)                                                     \
	X(spec_ctrl, 0x48, 4)                                                                      \
	X(ds_area, 0x600, ADDRESS)                                                                 \
	X(perf_global_ctrl, 0x38f, 1)                                                              \
	X(fixed_ctr_ctrl, 0x38d, 0x30)                                                             \
	X(evntsel0, 0x186, 0x5a)                                                                   \
	X(pmc0, 0xc1, 0x5a5a)                                                                      \
	X(amd_evntsel0, 0xc0010000, 0x5a)                                                          \
	X(amd_pmc0, 0xc0010004, 0x5a5a)                                                            \
	X(amd_evntsel_core0, 0xc0010200, 0x5a)                                                     \
	X(amd_pmc_core0, 0xc0010201, 0x5a5a)                                                       \
	X(dr0_mask, 0xc0011027, 0x5a)                                                              \
	X(dr1_mask, 0xc0011019, 0x5a)                                                              \
	X(tpr, 0x808, 0x50)                                                                        \
	X(svr, 0x80f, 0x1ff)                                                                       \
	X(lvt_cmci, 0x82f, MASKED)                                                                 \
	X(lvt_timer, 0x832, MASKED)                                                                \
	X(lvt_thermal, 0x833, MASKED)                                                              \
	X(lvt_perf, 0x834, MASKED)                                                                 \
	X(lvt_lint0, 0x835, MASKED)                                                                \
	X(lvt_lint1, 0x836, MASKED)                                                                \
	X(lvt_error, 0x837, MASKED)                                                                \
	X(timer_initial, 0x838, 0xffffffff)                                                        \
	X(timer_divide, 0x83e, 0xb)

/* Control and debug registers, with what is written. */
#define GUEST_REGISTERS(X)                                                                         \
	X(cr8, "cr8", 5)                                                                           \
	X(dr0, "dr0", ADDRESS)                                                                     \
	X(dr1, "dr1", ADDRESS)                                                                     \
	X(dr2, "dr2", ADDRESS)                                                                     \
	X(dr3, "dr3", ADDRESS)                                                                     \
	X(dr6, "dr6", 0xffff4ff1) /* B0, BS */                                                     \
	X(dr7, "dr7", 0x500) /* exact, nothing enabled */

#endif
