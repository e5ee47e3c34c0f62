/* SPDX-License-Identifier: Apache-2.0 */
/* The physical GICv3. Guests own their CPU interface and SGI_base; what is shared is only touched here. */
#include "arm64.h"
#include "gic_regs.h"

#include <bulkhead/its.h>

#define SPI_FIRST 32

static uint64_t dist;
static uint32_t spi_end; /* INTID after the last SPI */
static bool one_security_state;
static bool stop_by_fiq;
static uint64_t pmr_floor; /* the same on all cores */

static uint32_t read32(uint64_t at)
{
	return *(volatile uint32_t *)(uintptr_t)at;
}

static void write32(uint64_t at, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)at = value;
}

static void write8(uint64_t at, uint8_t value)
{
	*(volatile uint8_t *)(uintptr_t)at = value;
}

uint32_t gic_dist_read(uint32_t offset)
{
	return read32(dist + offset);
}

void gic_dist_write(uint32_t offset, uint32_t value)
{
	write32(dist + offset, value);
}

static uint64_t redist(uint32_t cpu)
{
	return machine_facts()->cpu[cpu].gicr.v;
}

uint32_t gic_redist_read(uint32_t cpu, uint32_t offset)
{
	return read32(redist(cpu) + offset);
}

uint32_t gic_priority(uint32_t cpu, uint32_t intid)
{
	uint32_t word = GICD_IPRIORITYR + (intid & ~3U);

	if (intid >= LPI_FIRST)
		return GIC_PRIORITY;
	word = intid < SPI_FIRST ? gic_redist_read(cpu, GICR_SGI_BASE + word) : gic_dist_read(word);
	return word >> intid % 4 * 8 & 0xff;
}

void gic_open_maintenance(uint32_t cpu)
{
	uint64_t sgi = redist(cpu) + GICR_SGI_BASE;
	uint32_t intid = machine_facts()->arm64.maintenance_ppi;

	write8(sgi + GICD_IPRIORITYR + intid, 0);
	write32(sgi + GICD_ISENABLER, 1U << intid);
	dsb(sy);
}

static void wait_dist(void)
{
	while ((gic_dist_read(GICD_CTLR) & GICD_CTLR_RWP) != 0)
		arch_pause();
}

static void wait_redist(uint64_t frame)
{
	while ((read32(frame + GICR_CTLR) & GICR_CTLR_RWP) != 0)
		arch_pause();
}

void gic_map(const struct machine *machine)
{
	dist = machine->arm64.gicd.v;
	own_map((struct extent){machine->arm64.gicd, 64 * KIB}, PT_DEVICE);
	for (uint32_t i = 0; i < machine->ncpus; i++)
		own_map((struct extent){machine->cpu[i].gicr, 128 * KIB}, PT_DEVICE);
}

/* Everything off and in Group 1; SPIs are opened one by one for those who own them. */
void gic_init(void)
{
	uint32_t enable = GICD_CTLR_ARE | GICD_CTLR_ENABLE_GRP1;

	gic_dist_write(GICD_CTLR, 0);
	wait_dist();
	one_security_state = (gic_dist_read(GICD_CTLR) & GICD_CTLR_DS) != 0;
	stop_by_fiq = one_security_state && machine_plan()->stop_method == STOP_AUTO;
	spi_end = 32 * ((gic_dist_read(GICD_TYPER) & GICD_TYPER_LINES) + 1);
	for (uint32_t i = SPI_FIRST; i < spi_end; i += 32) {
		gic_dist_write(GICD_ICENABLER + i / 8, UINT32_MAX);
		gic_dist_write(GICD_ICPENDR + i / 8, UINT32_MAX);
		gic_dist_write(GICD_ICACTIVER + i / 8, UINT32_MAX);
		gic_dist_write(GICD_IGROUPR + i / 8, UINT32_MAX);
	}
	for (uint32_t i = SPI_FIRST; i < spi_end; i += 4)
		gic_dist_write(GICD_IPRIORITYR + i, GIC_PRIORITY * 0x01010101U);
	wait_dist();
	if (stop_by_fiq)
		enable |= GICD_CTLR_ENABLE_GRP0;
	gic_dist_write(GICD_CTLR, enable);
	wait_dist();
}

bool gic_one_security_state(void)
{
	return one_security_state;
}

bool gic_stop_by_fiq(void)
{
	return stop_by_fiq;
}

/* No interrupt of this core enabled, pending or active; level-sensitive PPIs; all in Group 1. */
static void reset_redist(uint64_t frame)
{
	uint64_t sgi = frame + GICR_SGI_BASE;

	write32(frame + GICR_WAKER, read32(frame + GICR_WAKER) & ~GICR_WAKER_SLEEP);
	while ((read32(frame + GICR_WAKER) & GICR_WAKER_ASLEEP) != 0)
		arch_pause();
	write32(sgi + GICD_ICENABLER, UINT32_MAX);
	wait_redist(frame);
	write32(sgi + GICD_IGROUPR, UINT32_MAX);
	for (uint32_t i = 0; i < SPI_FIRST; i += 4)
		write32(sgi + GICD_IPRIORITYR + i, GIC_PRIORITY * 0x01010101U);
	write32(sgi + GICD_ICFGR + 4, 0);
	write32(sgi + GICD_ICPENDR, UINT32_MAX);
	write32(sgi + GICD_ICACTIVER, UINT32_MAX);
	dsb(sy);
}

/* ICC_CTLR_EL1.PRIbits says how many active-priority registers there are (12.2.2). */
static void reset_interface(void)
{
	uint64_t pri_bits = (read_icc(ICC_CTLR_EL1) >> 8 & 7) + 1;

	write_icc(ICC_IGRPEN0_EL1, 0);
	write_icc(ICC_IGRPEN1_EL1, 0);
	write_icc(ICC_CTLR_EL1, 0);
	write_icc(ICC_BPR1_EL1, 0);
	reset_active_priorities(ICC, EL1, pri_bits);
	isb();
}

/*
 * Idle in EL2: only the doorbell and the hypervisor's timer are enabled, to wake WFI. LPIs have no enable bit of a
 * core's own: the mask keeps back those of a vCPU that is off, and on the management core those that guests masked.
 */
void gic_cpu_idle(uint32_t cpu)
{
	uint64_t frame = redist(cpu);
	uint32_t timer = machine_facts()->arm64.timer_ppi[3];

	write_icc(ICC_SRE_EL2, 0xf);
	isb();
	write_icc(ICC_SRE_EL1, 7);
	write_icc(ICH_HCR_EL2, 0);
	isb();
	reset_interface();
	reset_redist(frame);
	write8(frame + GICR_SGI_BASE + GICD_IPRIORITYR + DOORBELL_SGI, GIC_PRIORITY_WAKES);
	write8(frame + GICR_SGI_BASE + GICD_IPRIORITYR + timer, GIC_PRIORITY_WAKES);
	write32(frame + GICR_SGI_BASE + GICD_ISENABLER, 1U << DOORBELL_SGI | 1U << timer);
	dsb(sy);
	write_icc(ICC_PMR_EL1, 0xff);
	uint64_t implemented = read_icc(ICC_PMR_EL1); /* the low bits are not there (12.2.18) */
	pmr_floor = implemented & -implemented;
	write_icc(ICC_PMR_EL1, GIC_PRIORITY);
	write_icc(ICC_IGRPEN0_EL1,
		  stop_by_fiq ? 1 : 0); /* a stop signal must not block the doorbell */
	write_icc(ICC_IGRPEN1_EL1, 1);
	isb();
}

void gic_acknowledge(void)
{
	uint64_t intid = read_icc(ICC_IAR1_EL1);

	if (intid < GIC_SPECIAL)
		write_icc(ICC_EOIR1_EL1, intid);
	if (stop_by_fiq) {
		intid = read_icc(ICC_IAR0_EL1);
		if (intid < GIC_SPECIAL)
			write_icc(ICC_EOIR0_EL1, intid);
	}
	isb();
}

/*
 * The reset state a guest expects, and the traps: TC takes ICC_SGIxR, PMR,
 * CTLR, RPR and DIR (12.4.6) so that no SGI leaves the VM and the mask never
 * closes for the stop signal. Group 0 on the interface stays the hypervisor's.
 */
void gic_cpu_guest(uint32_t cpu, bool lists)
{
	reset_interface();
	reset_redist(redist(cpu));
	write_icc(ICC_PMR_EL1, gic_pmr_floor());
	write_icc(ICC_IGRPEN0_EL1, gic_stop_by_fiq() ? 1 : 0);
	write_icc(ICH_VMCR_EL2, 0); /* with FMO = 1 the guest's Group 0 registers are these */
	write_icc(ICH_HCR_EL2, ICH_HCR_TC);
	if (lists)
		lists_reset();
	isb();
}

uint64_t gic_pmr_floor(void)
{
	return pmr_floor;
}

/* The value of ICC_SGIxR_EL1 for one core (12.2.20). */
static uint64_t sgi_to(uint64_t hwid, uint32_t intid)
{
	uint64_t aff0 = hwid & 0xff;
	uint64_t aff1 = hwid >> 8 & 0xff;
	uint64_t aff2 = hwid >> 16 & 0xff;
	uint64_t aff3 = hwid >> 32 & 0xff;

	return aff3 << 48 | (aff0 / 16) << 44 | aff2 << 32 | (uint64_t)intid << 24 | aff1 << 16 |
	       1ULL << (aff0 % 16);
}

void gic_send_sgi(uint64_t hwid, uint32_t intid)
{
	dsb(ish);
	write_icc(ICC_SGI1R_EL1, sgi_to(hwid, intid));
	isb();
}

void gic_send_sgi_group0(uint64_t hwid, uint32_t intid)
{
	dsb(ish);
	write_icc(ICC_SGI0R_EL1, sgi_to(hwid, intid));
	isb();
}

/*
 * The guest owns these registers and may have switched the signals off: enabled,
 * highest priority, in their groups; and nothing else, so that no interrupt of
 * the guest's own stands before them.
 */
void gic_prepare_stop(uint32_t cpu)
{
	uint64_t sgi = redist(cpu) + GICR_SGI_BASE;
	uint32_t signals = 1U << DOORBELL_SGI | 1U << STOP_SGI;
	uint32_t groups = read32(sgi + GICD_IGROUPR) | 1U << DOORBELL_SGI;

	if (stop_by_fiq)
		groups &= ~(1U << STOP_SGI);
	write32(sgi + GICD_ICENABLER, ~signals);
	write8(sgi + GICD_IPRIORITYR + DOORBELL_SGI, 0);
	write8(sgi + GICD_IPRIORITYR + STOP_SGI, 0);
	write32(sgi + GICD_IGROUPR, groups);
	write32(sgi + GICD_ISENABLER, signals);
	dsb(sy);
}

void gic_spi_off(uint32_t intid)
{
	uint32_t word = intid / 32 * 4;
	uint32_t bit = 1U << intid % 32;

	gic_dist_write(GICD_ICENABLER + word, bit);
	wait_dist();
	gic_dist_write(GICD_ICPENDR + word, bit);
	gic_dist_write(GICD_ICACTIVER + word, bit);
}

void gic_spi_wakes(uint32_t intid)
{
	write8(dist + GICD_IPRIORITYR + intid, GIC_PRIORITY_WAKES);
}

void gic_spi_route(uint32_t intid, uint64_t hwid)
{
	*(volatile uint64_t *)(uintptr_t)(dist + GICD_IROUTER + 8ULL * intid) = hwid;
}

void gic_spi_pend(uint32_t intid, bool on)
{
	gic_dist_write((on ? GICD_ISPENDR : GICD_ICPENDR) + intid / 32 * 4, 1U << intid % 32);
}

void gic_spi_again(uint32_t intid)
{
	gic_spi_pend(intid, true);
	gic_dist_write(GICD_ICACTIVER + intid / 32 * 4, 1U << intid % 32);
}
