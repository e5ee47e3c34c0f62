/* SPDX-License-Identifier: Apache-2.0 */
/* What only arm64 has. guest.h includes this. */
#ifndef GUEST_ARCH_H
#define GUEST_ARCH_H

#define read_sysreg(name)                                                                          \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mrs %0, " name : "=r"(value_)::"memory");                        \
		value_;                                                                            \
	})
#define write_sysreg(name, v) __asm__ volatile("msr " name ", %x0" ::"rZ"((uint64_t)(v)) : "memory")
#define isb() __asm__ volatile("isb" ::: "memory")
#define dsb() __asm__ volatile("dsb sy" ::: "memory")
#define wait_for_interrupt() __asm__ volatile("wfi" ::: "memory")
#define mask_all() __asm__ volatile("msr daifset, #0xf" ::: "memory")
#define unmask_irq() __asm__ volatile("msr daifclr, #2" ::: "memory")
#define sleep_once()                                                                               \
	do {                                                                                       \
		wait_for_interrupt();                                                              \
		unmask_irq();                                                                      \
		isb();                                                                             \
		mask_all();                                                                        \
	} while (0)

/*
 * Device registers: plain instructions only, because one with write-back gives
 * the hypervisor no syndrome to emulate it by (Arm ARM D19.2.37, ISV).
 */
#define DEVICE(bits, instruction, width)                                                           \
	static inline uint##bits##_t read##bits(uint64_t at)                                       \
	{                                                                                          \
		uint64_t v;                                                                        \
                                                                                                   \
		__asm__ volatile("ldr" instruction " %" width "0, [%1]"                            \
				 : "=r"(v)                                                         \
				 : "r"(at)                                                         \
				 : "memory");                                                      \
		return (uint##bits##_t)v;                                                          \
	}                                                                                          \
	static inline void write##bits(uint64_t at, uint##bits##_t v)                              \
	{                                                                                          \
		__asm__ volatile("str" instruction " %" width "0, [%1]" ::"r"((uint64_t)v),        \
				 "r"(at)                                                           \
				 : "memory");                                                      \
	}

DEVICE(8, "b", "w")
DEVICE(16, "h", "w")
DEVICE(32, "", "w")
DEVICE(64, "", "x")

#define ECAM_BASE GUEST_ECAM_BASE
#define device_barrier() dsb()

/* start.S: x0 to x30 at entry (x0 as 0), SP, VBAR_EL1; where PSCI CPU_ON starts the second vCPU. */
extern uint64_t entry_regs[33];
void second_start(void);

/* ---- fdt.c ---- */

/* Big-endian cell @cell of property @name in the first node whose name begins with @node; NULL and 0 when there is none. */
const void *fdt_property(const void *fdt, const char *node, const char *name);
uint32_t fdt_cell(const void *property, unsigned cell);

struct range guest_ram(void);

/* ---- uart.c: the SBSA UART ---- */

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_IMSC 0x38
#define UART_MIS 0x40
#define UART_FR_RXFE (1U << 4)
#define UART_FR_TXFF (1U << 5)
#define UART_INT_RX (1U << 4 | 1U << 6)

/* ---- psci.c ---- */

#define PSCI_CPU_SUSPEND 0xc4000001U
#define PSCI_CPU_OFF 0x84000002U
#define PSCI_CPU_ON 0xc4000003U
#define PSCI_AFFINITY_INFO 0xc4000004U
#define PSCI_SYSTEM_OFF 0x84000008U
#define PSCI_SYSTEM_RESET 0x84000009U
#define PSCI_NOT_SUPPORTED (-1)
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_ALREADY_ON (-4)

int64_t hvc(uint64_t function, uint64_t a, uint64_t b, uint64_t c);
int64_t smc(uint64_t function, uint64_t a, uint64_t b, uint64_t c);

/* ---- gic.c ---- */

#define GIC_SGI_BASE (GUEST_GICR_BASE + 0x10000) /* of vCPU 0 */
#define GIC_SPURIOUS 1020
#define GIC_LPI_FIRST 8192
#define TIMER_INTERRUPT 27 /* the virtual timer's PPI */

/* Enables SGI, PPI (of @vcpu) or SPI @intid at @priority. */
void gic_enable(uint32_t vcpu, uint32_t intid, uint8_t priority);

/* Affinity (as ICC_SGI1R_EL1 and MPIDR_EL1 know it) of vCPU @vcpu. */
uint64_t gic_affinity(uint32_t vcpu);

/* What ICC_SGI1R_EL1 takes to send SGI @intid to @affinity. */
uint64_t gic_sgi_value(uint64_t affinity, uint32_t intid);
void gic_send_sgi(uint64_t affinity, uint32_t intid);

/* ---- exception.c ---- */

/* While true, an undefined instruction is stepped over and counted. */
extern bool skip_undefined;
extern volatile uint32_t undefined_count;

#endif
