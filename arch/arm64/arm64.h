/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of arch/arm64 share. Register fields: Arm ARM (DDI 0487) D19, GIC: IHI 0069H. */
#ifndef ARM64_ARM64_H
#define ARM64_ARM64_H

#include <bulkhead/arch.h>
#include <bulkhead/log.h>

#define read_sysreg(name)                                                                          \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");                       \
		value_;                                                                            \
	})
#define write_sysreg(name, v)                                                                      \
	__asm__ volatile("msr " #name ", %x0" ::"rZ"((uint64_t)(v)) : "memory")

#define isb() __asm__ volatile("isb" ::: "memory")
#define dsb(scope) __asm__ volatile("dsb " #scope ::: "memory")

/* Fields of identification registers are 4 bits wide. */
static inline unsigned id_field(uint64_t reg, unsigned shift)
{
	return (unsigned)(reg >> shift) & 0xf;
}

/* ---- features of this core, by its identification registers (D19.2) ---- */

static inline bool has_sve(void)
{
	return id_field(read_sysreg(id_aa64pfr0_el1), 32) != 0;
}

static inline bool has_sme(void)
{
	return id_field(read_sysreg(id_aa64pfr1_el1), 24) != 0;
}

static inline bool has_pmu(void)
{
	unsigned version = id_field(read_sysreg(id_aa64dfr0_el1), 8);

	return version != 0 && version != 0xf;
}

static inline bool has_pauth(void)
{
	uint64_t isar1 = read_sysreg(id_aa64isar1_el1);

	return (isar1 & 0xff0) != 0 || id_field(isar1, 24) != 0 || id_field(isar1, 28) != 0 ||
	       id_field(read_sysreg(S3_0_C0_C6_2), 12) != 0; /* ID_AA64ISAR2_EL1.APA3 */
}

static inline bool has_scxtnum(void)
{
	return id_field(read_sysreg(id_aa64pfr0_el1), 56) >= 2 ||
	       id_field(read_sysreg(id_aa64pfr1_el1), 32) != 0;
}

/* ---- boot.S ---- */

void arm64_enter(uint64_t root, uint64_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
	__attribute__((noreturn));
void arm64_secondary(void);

/* ---- guest.S ---- */

enum exit_kind { EXIT_KIND_SYNC, EXIT_KIND_IRQ, EXIT_KIND_FIQ, EXIT_KIND_SERROR };

/* Enters the guest; returns how it came back. */
uint64_t arm64_run_guest(struct arch_cpu *cpu);

/* The guest's FP, SIMD registers to zero; predicates and FFR too with @sve. */
void arm64_zero_simd(uint64_t sve);

/* ---- el2.c: what a guest may do on this core ---- */

/* VTCR_EL2: the format of guests' tables. */
uint64_t el2_vtcr(void);

void el2_init(void);
void el2_enter_idle(void);
void el2_enter_guest(const struct vm *vm);

/* ---- reset.c ---- */

/* Every EL1 and EL0 register a guest could have left something in, to its reset value. */
void reset_el1(void);

/* ---- gic.c: the physical interrupt controller ---- */

#define DOORBELL_SGI 7 /* Linux uses 0 to 6; 8 to 15 may belong to the secure world */
#define STOP_SGI 6 /* in Group 0, once a guest is to end */

void gic_map(const struct machine *machine);
void gic_init(void);
void gic_cpu_idle(uint32_t cpu);
/* @lists: the guest's interrupts come by list registers. */
void gic_cpu_guest(uint32_t cpu, bool lists);
/* In EL2: takes what woke this core out of both groups. */
void gic_acknowledge(void);
void gic_send_sgi(uint64_t hwid, uint32_t intid);
void gic_send_sgi_group0(uint64_t hwid, uint32_t intid);
void gic_prepare_stop(uint32_t cpu);
bool gic_one_security_state(void);
void gic_spi_off(uint32_t intid);
/* Makes SPI @intid one of those that reach an idle core. */
void gic_spi_wakes(uint32_t intid);
void gic_spi_route(uint32_t intid, uint64_t hwid);
void gic_spi_pend(uint32_t intid, bool on);
/* Pending instead of active. */
void gic_spi_again(uint32_t intid);
uint32_t gic_dist_read(uint32_t offset);
void gic_dist_write(uint32_t offset, uint32_t value);
uint32_t gic_redist_read(uint32_t cpu, uint32_t offset);
/* Of an SGI, PPI or SPI, as its owner set it; all LPIs have the same. */
uint32_t gic_priority(uint32_t cpu, uint32_t intid);
/* The maintenance interrupt of core @cpu passes whatever mask. */
void gic_open_maintenance(uint32_t cpu);

/* The lowest priority mask at which the stop signal still gets through. */
uint64_t gic_pmr_floor(void);

/* True when stops may use a Group 0 SGI, taken as FIQ to EL2. */
bool gic_stop_by_fiq(void);

/* ---- lists.c: interrupts of a VM that does not take them itself (plan_vm.virtual_interrupts) ---- */

/* This core's list registers empty, its interrupts open. */
void lists_reset(void);
/* Takes what is pending at this core for its guest. */
void lists_take(const struct cpu *cpu);
/* True when its guest has not taken all of that. */
bool lists_pending(void);
/* A vCPU of @vm goes off here: LPIs and SPIs that it has not taken are pending again, wherever they belong by now. */
void lists_give_back(struct vm *vm);

/* ---- smmuv3.c ---- */

/* Registers of the IOMMUs, and the tables of theirs and of the ITS, in the own space. */
void smmu_map(void);

/* ---- exits ---- */

/* Each returns NULL, or what was illegal. */
const char *vgic_dist(struct vm *vm, struct mmio *access);
bool vgic_has_its(const struct vm *vm);
const char *vgic_redist(struct vm *vm, struct mmio *access);
const char *vgic_sysreg(struct cpu *cpu, uint32_t reg, bool write, uint64_t *value);
const char *sbsa_uart(struct vm *vm, struct mmio *access);

/* PSCI and SMCCC: true when the vCPU goes on, else @result says how it ended. */
bool psci_call(struct cpu *cpu, enum vcpu_result *result);

/* PSCI of the firmware, by SMC. */
int64_t psci_firmware(uint64_t function, uint64_t a, uint64_t b, uint64_t c);

#define PSCI_CPU_ON 0xc4000003U
#define PSCI_SYSTEM_OFF 0x84000008U

/* A system register as ESR_ELx.ISS names it (D19.2.37, ISS encoding of MSR and MRS). */
#define SYSREG(op0, op1, crn, crm, op2)                                                            \
	((op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)

#endif
