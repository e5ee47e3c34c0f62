/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SMMUv3 as the loader sets it up and the resident core uses it: Arm IHI 0070. 5.2: stream table entries, 4:
 * commands, 7.3: events, 6.3: registers.
 */
#ifndef BULKHEAD_SMMUV3_H
#define BULKHEAD_SMMUV3_H

#define SMMU_BYTES 0x20000ULL /* two pages of 64 KiB */

#define SMMU_IDR0 0x0000
#define SMMU_IDR1 0x0004
#define SMMU_IDR5 0x0014
#define SMMU_CR0 0x0020
#define SMMU_CR0ACK 0x0024
#define SMMU_CR1 0x0028
#define SMMU_CR2 0x002c
#define SMMU_GBPA 0x0044
#define SMMU_IRQ_CTRL 0x0050
#define SMMU_GERROR 0x0060
#define SMMU_GERRORN 0x0064
#define SMMU_STRTAB_BASE 0x0080
#define SMMU_STRTAB_BASE_CFG 0x0088
#define SMMU_CMDQ_BASE 0x0090
#define SMMU_CMDQ_PROD 0x0098
#define SMMU_CMDQ_CONS 0x009c
#define SMMU_EVENTQ_BASE 0x00a0
#define SMMU_EVENTQ_PROD 0x100a8
#define SMMU_EVENTQ_CONS 0x100ac

/* Both queues are one page; an index has one bit more than it needs, which tells full from empty. */
#define SMMU_COMMANDS_LOG2 8 /* of 16 bytes */
#define SMMU_EVENTS_LOG2 7 /* of 32 bytes */
#define SMMU_EVENTQ_OVERFLOW (1U << 31) /* OVFLG, and OVACKFLG in CONS */

/* A stream table entry: 8 words of 64 bits. */
#define SMMU_STE_WORDS 8
#define SMMU_STE_VALID (1ULL << 0)
#define SMMU_STE_ABORT (0ULL << 1) /* Config */
#define SMMU_STE_STAGE2 (6ULL << 1)
#define SMMU_STE1_SHAREABILITY_INCOMING (1ULL << 44) /* SHCFG */
#define SMMU_STE2_VTCR(v) ((uint64_t)(v) << 32) /* S2T0SZ to S2PS stand as in VTCR_EL2 */
#define SMMU_STE2_AA64 (1ULL << 51)
#define SMMU_STE2_AFFD (1ULL << 53)
#define SMMU_STE2_RECORD (1ULL << 58) /* S2R: faults become events; S2S = 0: and do not stall */

#define SMMU_CFGI_STE 0x03ULL
#define SMMU_CFGI_ALL 0x04ULL
#define SMMU_TLBI_S12_VMALL 0x28ULL
#define SMMU_TLBI_NSNH_ALL 0x30ULL
#define SMMU_SYNC 0x46ULL

#endif
