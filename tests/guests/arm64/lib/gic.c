/* SPDX-License-Identifier: Apache-2.0 */
/* GICv3, as the guest sees it: IHI 0069H. */
#include "guest.h"

#define GICD_CTLR 0x0000
#define GIC_ISENABLER 0x0100
#define GIC_IPRIORITYR 0x0400
#define GIC_IROUTER 0x6000
#define GICR_TYPER 0x0008

#define ICC_PMR "S3_0_C4_C6_0"
#define ICC_SGI1R "S3_0_C12_C11_5"
#define ICC_IAR1 "S3_0_C12_C12_0"
#define ICC_EOIR1 "S3_0_C12_C12_1"
#define ICC_IGRPEN1 "S3_0_C12_C12_7"

void on_interrupt(void);

void interrupts_on(void)
{
	write32(GUEST_GICD_BASE + GICD_CTLR, 2);
	write_sysreg(ICC_PMR, 0xff);
	write_sysreg(ICC_IGRPEN1, 1);
	isb();
	unmask_irq();
}

void gic_enable(uint32_t vcpu, uint32_t intid, uint8_t priority)
{
	uint64_t base = intid < 32 ? GIC_SGI_BASE + vcpu * GUEST_GICR_STRIDE : GUEST_GICD_BASE;

	if (intid >= 32)
		write64(base + GIC_IROUTER + 8 * intid, gic_affinity(vcpu));
	*(volatile uint8_t *)(base + GIC_IPRIORITYR + intid) = priority;
	write32(base + GIC_ISENABLER + intid / 32 * 4, 1U << intid % 32);
	dsb();
}

uint64_t gic_affinity(uint32_t vcpu)
{
	uint64_t affinity = read64(GUEST_GICR_BASE + vcpu * GUEST_GICR_STRIDE + GICR_TYPER) >> 32;

	return (affinity & 0xffffff) | (affinity >> 24) << 32;
}

uint64_t gic_sgi_value(uint64_t affinity, uint32_t intid)
{
	return (affinity >> 32 & 0xff) << 48 | (affinity >> 4 & 0xf) << 44 |
	       (affinity >> 16 & 0xff) << 32 | (uint64_t)intid << 24 |
	       (affinity >> 8 & 0xff) << 16 | 1ULL << (affinity & 0xf);
}

void gic_send_sgi(uint64_t affinity, uint32_t intid)
{
	dsb();
	write_sysreg(ICC_SGI1R, gic_sgi_value(affinity, intid));
	isb();
}

void ipi_enable(uint32_t vcpu, uint32_t ipi)
{
	gic_enable(vcpu, ipi, 0x80);
}

void ipi_send(uint32_t vcpu, uint32_t ipi)
{
	gic_send_sgi(gic_affinity(vcpu), ipi);
}

void on_interrupt(void)
{
	uint64_t intid = read_sysreg(ICC_IAR1) & 0xffffff;

	if (intid >= GIC_SPURIOUS && intid < GIC_LPI_FIRST)
		return;
	handle_interrupt((uint32_t)intid);
	write_sysreg(ICC_EOIR1, intid);
	isb();
}
