/* SPDX-License-Identifier: Apache-2.0 */
/* GICv3 registers: IHI 0069H 12.9 (distributor), 12.11 (redistributor), 12.2 (CPU interface). */
#ifndef ARM64_GIC_REGS_H
#define ARM64_GIC_REGS_H

#define GICD_CTLR 0x0000
#define GICD_TYPER 0x0004
#define GICD_IIDR 0x0008
#define GICD_IGROUPR 0x0080
#define GICD_ISENABLER 0x0100
#define GICD_ICENABLER 0x0180
#define GICD_ISPENDR 0x0200
#define GICD_ICPENDR 0x0280
#define GICD_ISACTIVER 0x0300
#define GICD_ICACTIVER 0x0380
#define GICD_IPRIORITYR 0x0400
#define GICD_ICFGR 0x0c00
#define GICD_IROUTER 0x6000
#define GIC_ID_REGISTERS 0xffd0

#define GICD_CTLR_ENABLE_GRP0 (1U << 0) /* when DS = 1 */
#define GICD_CTLR_ENABLE_GRP1 (1U << 1)
#define GICD_CTLR_ARE (1U << 4)
#define GICD_CTLR_DS (1U << 6)
#define GICD_CTLR_RWP (1U << 31)

#define GICD_TYPER_LINES 0x1fU
#define GICD_TYPER_SECURITY (1U << 10)
#define GICD_TYPER_LPIS (1U << 17)
#define GICD_TYPER_ID_BITS (0x1fU << 19)
#define GICD_TYPER_A3V (1U << 24)
#define GICD_TYPER_NO_1N (1U << 25)
#define GICD_TYPER_RSS (1U << 26)

#define GICR_CTLR 0x0000
#define GICR_IIDR 0x0004
#define GICR_TYPER 0x0008
#define GICR_WAKER 0x0014
#define GICR_SGI_BASE 0x10000

#define GICR_CTLR_RWP (1U << 3)
#define GICR_TYPER_PLPIS (1U << 0)
#define GICR_TYPER_LAST (1U << 4)
#define GICR_WAKER_SLEEP (1U << 1)
#define GICR_WAKER_ASLEEP (1U << 2)

#define GIC_PRIORITY 0xa0
#define GIC_PRIORITY_WAKES 0x80 /* of what an idle core takes: LPIs that pend there have to wait */
#define GIC_PPI_FIRST 16
#define GIC_SPECIAL 1020 /* INTIDs from here on are no interrupts (2.2) */

#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_AP0R0_EL1 S3_0_C12_C8_4
#define ICC_AP0R1_EL1 S3_0_C12_C8_5
#define ICC_AP0R2_EL1 S3_0_C12_C8_6
#define ICC_AP0R3_EL1 S3_0_C12_C8_7
#define ICC_AP1R0_EL1 S3_0_C12_C9_0
#define ICC_AP1R1_EL1 S3_0_C12_C9_1
#define ICC_AP1R2_EL1 S3_0_C12_C9_2
#define ICC_AP1R3_EL1 S3_0_C12_C9_3
#define ICC_IAR0_EL1 S3_0_C12_C8_0
#define ICC_EOIR0_EL1 S3_0_C12_C8_1
#define ICC_DIR_EL1 S3_0_C12_C11_1
#define ICC_RPR_EL1 S3_0_C12_C11_3
#define ICC_SGI1R_EL1 S3_0_C12_C11_5
#define ICC_SGI0R_EL1 S3_0_C12_C11_7
#define ICC_IAR1_EL1 S3_0_C12_C12_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_BPR1_EL1 S3_0_C12_C12_3
#define ICC_CTLR_EL1 S3_0_C12_C12_4
#define ICC_SRE_EL1 S3_0_C12_C12_5
#define ICC_IGRPEN0_EL1 S3_0_C12_C12_6
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7
#define ICC_SRE_EL2 S3_4_C12_C9_5
#define ICH_HCR_EL2 S3_4_C12_C11_0
#define ICH_VTR_EL2 S3_4_C12_C11_1
#define ICH_ELRSR_EL2 S3_4_C12_C11_5
#define ICH_VMCR_EL2 S3_4_C12_C11_7
#define ICH_AP0R0_EL2 S3_4_C12_C8_0
#define ICH_AP0R1_EL2 S3_4_C12_C8_1
#define ICH_AP0R2_EL2 S3_4_C12_C8_2
#define ICH_AP0R3_EL2 S3_4_C12_C8_3
#define ICH_AP1R0_EL2 S3_4_C12_C9_0
#define ICH_AP1R1_EL2 S3_4_C12_C9_1
#define ICH_AP1R2_EL2 S3_4_C12_C9_2
#define ICH_AP1R3_EL2 S3_4_C12_C9_3

#define ICH_HCR_EN (1U << 0) /* the virtual CPU interface */
#define ICH_HCR_UIE (1U << 1) /* maintenance interrupt when no or one list register is in use */
#define ICH_HCR_TC (1U << 10)

/* A macro argument is expanded before it becomes a name. */
#define read_icc(name) read_sysreg_named(name)
#define read_sysreg_named(name) read_sysreg(name)
#define write_icc(name, v) write_sysreg_named(name, v)
#define write_sysreg_named(name, v) write_sysreg(name, v)

/* No priority is active: in ICC_AP<n>R<m>_EL1 or ICH_AP<n>R<m>_EL2, of which @bits says how many there are (12.2.2, 12.4.1). */
#define reset_active_priorities(interface, level, bits)                                            \
	do {                                                                                       \
		write_icc(interface##_AP0R0_##level, 0);                                           \
		write_icc(interface##_AP1R0_##level, 0);                                           \
		if ((bits) >= 6) {                                                                 \
			write_icc(interface##_AP0R1_##level, 0);                                   \
			write_icc(interface##_AP1R1_##level, 0);                                   \
		}                                                                                  \
		if ((bits) >= 7) {                                                                 \
			write_icc(interface##_AP0R2_##level, 0);                                   \
			write_icc(interface##_AP0R3_##level, 0);                                   \
			write_icc(interface##_AP1R2_##level, 0);                                   \
			write_icc(interface##_AP1R3_##level, 0);                                   \
		}                                                                                  \
	} while (0)

#endif
