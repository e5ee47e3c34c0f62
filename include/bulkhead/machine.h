/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine as firmware describes it (ACPI or FDT), in one struct. Filled
 * once by boot/ (or by bhmanifest from a machine description), never changed
 * afterwards. Fixed size, no pointers: it is handed to the resident core as is.
 */
#ifndef BULKHEAD_MACHINE_H
#define BULKHEAD_MACHINE_H

#include <bulkhead/types.h>

#define MACHINE_MAX_MEMORY 128 /* extents of usable RAM */
#define MACHINE_MAX_ECAM 8
#define MACHINE_MAX_SMMU 8
#define MACHINE_MAX_IOAPIC 16
#define MACHINE_MAX_IOMMU 16
#define MACHINE_MAX_FUNCTIONS 64
#define MACHINE_MAX_BARS 6
#define MACHINE_MAX_CAPS 8
#define MACHINE_NONE UINT32_MAX /* no such function, no IOMMU */
#define MACHINE_SPI_COUNT 988 /* SPIs are INTIDs 32 to 1019 (IHI 0069H 2.2) */

/* Which architecture the facts below are about: the planner works for both on any host. */
enum machine_arch { MACHINE_ARM64, MACHINE_X86 };

struct machine_cpu {
	uint64_t hwid; /* Arm: MPIDR_EL1 affinity fields; x86: APIC id */
	pa_t gicr; /* Arm: RD_base of its redistributor; 0 while not known */
	uint32_t node; /* NUMA node */
	uint32_t core_id; /* hardware threads of one core share it */
};

/* Usable RAM: what is free once firmware's boot services have gone. Sorted, no overlaps. */
struct machine_memory {
	struct extent extent;
	uint32_t node;
	uint32_t reserved;
};

struct machine_ecam {
	pa_t base;
	uint16_t segment;
	uint8_t bus_first;
	uint8_t bus_last;
	uint32_t reserved;
};

/* A memory BAR as firmware placed it. Both of a 64-bit BAR's registers are at the first one's index. */
struct machine_bar {
	pa_t base;
	uint64_t size; /* a power of two; 0: no memory BAR here */
	uint32_t flags; /* the low four bits of its register (PCIe 6.0 7.5.1.2.1) */
	/* x86: the pages that hold MSI-X structures, which no guest may have */
	uint32_t kept_page;
	uint32_t kept_pages;
	uint32_t reserved;
};

/* A capability that a guest may see: [offset, offset + length) of configuration space. */
struct machine_cap {
	uint8_t id;
	uint8_t offset;
	uint16_t length;
};

#define FUNCTION_BRIDGE (1U << 0)
#define FUNCTION_FLR (1U << 1) /* can be reset by itself (PCIe 6.0 6.6.2) */
#define FUNCTION_VF (1U << 2)
#define FUNCTION_PF (1U << 3) /* has VFs that are on: it belongs to the hypervisor */
#define FUNCTION_RESERVED_MEMORY (1U << 4) /* firmware keeps memory for its DMA: RMRR, RMR, IVMD */
#define FUNCTION_MALFORMED (1U << 5) /* its capabilities cannot be trusted */
#define FUNCTION_HOST (1U << 6) /* a host bridge, ISA bridge or other part of the machine */

#define FUNCTION_SHARED_PAGES (1U << 7) /* a BAR has no address, or not whole pages of its own */

/* A PCI function: in the order of the scan, so that a function's bridge or PF comes before it. */
struct machine_function {
	/* segment << 16 | bus << 8 | device << 3 | function: the low half is its requester id */
	uint32_t id;
	uint32_t device; /* its device id << 16 | its vendor id */
	uint32_t class_code; /* as at offset 8, with the revision */
	uint32_t flags; /* FUNCTION_* */
	/* functions that the IOMMU cannot tell apart, or that reach each other without it, have the same */
	uint32_t group;
	uint32_t pf; /* of a VF: index of its PF; else MACHINE_NONE */
	uint32_t iommu; /* index in arm64.smmu or x86.iommu; MACHINE_NONE: its DMA is not checked */
	uint32_t stream; /* Arm: its StreamID there; x86: its requester id */
	uint32_t msi_device; /* Arm: its DeviceID at the ITS */
	uint16_t pcie; /* offset of its PCIe capability; 0: none */
	uint16_t msix; /* of MSI-X */
	uint16_t msix_vectors;
	uint8_t msix_bar; /* where the table stands, and */
	uint8_t pba_bar; /* the pending bits */
	uint32_t msix_offset; /* in that BAR */
	uint32_t pba_offset;
	uint32_t ncaps;
	/* those that a guest sees, in the order of offsets */
	struct machine_cap cap[MACHINE_MAX_CAPS];
	struct machine_bar bar[MACHINE_MAX_BARS];
};

/* GICv3 and the timers' PPIs; INTIDs as in the GIC architecture (PPIs are 16 to 31). 0 means absent. */
struct machine_arm64 {
	pa_t gicd;
	pa_t its;
	uint32_t gic_version; /* 2, 3 or 4; 0 when unknown */
	uint32_t timer_ppi[4]; /* secure physical, physical, virtual, hypervisor */
	uint32_t pmu_ppi;
	uint32_t maintenance_ppi; /* of the list registers (IHI 0069H 6.4) */
	uint32_t psci_smc; /* 1: PSCI by SMC */
	uint32_t spi_count; /* implemented SPIs; 0 when unknown */
	/* SPIs some table or AML mentions (bit n: INTID 32 + n), so not free for software use. */
	uint8_t spi_used[(MACHINE_SPI_COUNT + 7) / 8];
	uint32_t nsmmu;
	pa_t smmu[MACHINE_MAX_SMMU];
	/* 1: this GIC has not been shown to take LPIs of one number on several cores for several interrupts */
	uint32_t one_lpi_owner;
	uint32_t lpis_tested; /* 1: here the loader has seen that it does */
};

struct machine_ioapic {
	pa_t base;
	uint32_t gsi_base; /* the first global system interrupt it takes (ACPI 6.5 5.2.12.3) */
	uint16_t id; /* as the MADT has it */
	uint16_t requester; /* its requester id at the IOMMU that checks its interrupts; 0: none */
};

/* What x86 has besides; interrupts are ACPI's global system interrupts. */
struct machine_x86 {
	uint64_t tsc_hz; /* ticks per second, counted or read by the loader */
	uint32_t pm1_control; /* I/O port of PM1a_CNT, to switch the machine off; 0: none */
	uint32_t s5_type; /* SLP_TYPa of \\_S5 */
	pa_t trampoline; /* a reserved page below 1 MiB with the code that the other cores begin with */
	uint32_t nioapics;
	uint32_t niommus;
	struct machine_ioapic ioapic[MACHINE_MAX_IOAPIC];
	pa_t iommu[MACHINE_MAX_IOMMU]; /* registers: DMAR DRHD or IVRS IVHD */
	uint32_t iommu_is_amd; /* 1: AMD-Vi, 0: VT-d */
	uint16_t own_1g; /* 1: page tables may have leaves of 1 GiB: the hypervisor's */
	uint16_t guest_1g; /* and a guest's */
};

struct machine {
	char name[64]; /* for people: "QEMU virt (ACPI)" */
	uint32_t ncpus;
	uint32_t boot_cpu; /* index of the core the firmware started us on */
	struct machine_cpu cpu[CONFIG_MAX_CPUS];
	uint32_t nmemory;
	uint32_t necam;
	struct machine_memory memory[MACHINE_MAX_MEMORY];
	struct machine_ecam ecam[MACHINE_MAX_ECAM];
	uint32_t nfunctions;
	uint32_t reserved;
	struct machine_function function[MACHINE_MAX_FUNCTIONS];
	pa_t uart; /* for the log; Arm: PL011 or SBSA UART; x86: the I/O port of a 16550; 0: none */
	uint32_t uart_irq; /* its INTID, on x86 its global system interrupt; 0: none */
	uint32_t arch; /* enum machine_arch */
	struct machine_arm64 arm64;
	struct machine_x86 x86;
};

#endif
