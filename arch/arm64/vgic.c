/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mediation of what several VMs share of the GIC: the distributor (a guest sees
 * and changes only the SPIs it owns), the first frame of each redistributor,
 * and the trapped CPU-interface registers. Touched at set-up only.
 */
#include "arm64.h"
#include "gic_regs.h"
#include "vits.h"

static uint32_t dist_lock;

bool vgic_has_its(const struct vm *vm)
{
	return vm_plan(vm)->nfunctions != 0 && machine_plan()->its.registers.v != 0;
}

/* The distributor's registers that hold some bits for each INTID (IHI 0069H 12.9). */
enum behaviour { RW, SET_CLEAR, ONES };

static const struct {
	uint32_t first;
	uint32_t last;
	uint32_t bits;
	enum behaviour behaviour;
} arrays[] = {
	{GICD_IGROUPR, 0x0ff, 1, ONES}, /* Group 1, always */
	{GICD_ISENABLER, 0x17f, 1, SET_CLEAR}, {GICD_ICENABLER, 0x1ff, 1, SET_CLEAR},
	{GICD_ISPENDR, 0x27f, 1, SET_CLEAR},   {GICD_ICPENDR, 0x2ff, 1, SET_CLEAR},
	{GICD_ISACTIVER, 0x37f, 1, SET_CLEAR}, {GICD_ICACTIVER, 0x3ff, 1, SET_CLEAR},
	{GICD_IPRIORITYR, 0x7fb, 8, RW},       {GICD_ICFGR, 0xcff, 2, RW},
};

static bool owns_spi(const struct vm *vm, uint32_t intid)
{
	return vm_plan(vm)->console_irq == intid;
}

static bool owns_core(const struct vm *vm, uint64_t hwid)
{
	const struct plan_vm *plan = vm_plan(vm);

	for (uint32_t i = 0; i < plan->ncores; i++)
		if (machine_facts()->cpu[plan->core[i]].hwid == hwid)
			return true;
	return false;
}

/* The bits of a 32-bit word of such an array, from INTID @first on, that @vm owns. */
static uint32_t owned_bits(const struct vm *vm, uint32_t first, uint32_t bits)
{
	uint32_t field = (uint32_t)((1ULL << bits) - 1);
	uint32_t mask = 0;

	for (uint32_t i = 0; i < 32 / bits; i++)
		if (owns_spi(vm, first + i))
			mask |= field << i * bits;
	return mask;
}

/* One access to an array; narrower ones than 32 bits work on their part of the word. */
static void access_array(const struct vm *vm, uint32_t i, struct mmio *access)
{
	uint32_t word = (uint32_t)access->offset & ~3U;
	uint32_t shift = (uint32_t)(access->offset & 3) * 8;
	uint32_t lanes = (access->size >= 4 ? UINT32_MAX : (1U << access->size * 8) - 1) << shift;
	uint32_t mask =
		owned_bits(vm, (word - arrays[i].first) * 8 / arrays[i].bits, arrays[i].bits) &
		lanes;
	uint32_t value = (uint32_t)access->value << shift & mask;

	if (!access->write) {
		uint32_t now = arrays[i].behaviour == ONES ? UINT32_MAX : gic_dist_read(word);

		access->value = (now & mask) >> shift;
	} else if (mask != 0 && arrays[i].behaviour == SET_CLEAR) {
		gic_dist_write(word, value);
	} else if (mask != 0 && arrays[i].behaviour == RW) {
		while (__atomic_exchange_n(&dist_lock, 1, __ATOMIC_ACQUIRE) != 0)
			arch_pause();
		gic_dist_write(word, (gic_dist_read(word) & ~mask) | value);
		__atomic_store_n(&dist_lock, 0, __ATOMIC_RELEASE);
	}
}

/* Interrupt routing: to one of the VM's own cores, never "any core". */
static const char *access_router(const struct vm *vm, struct mmio *access)
{
	uint32_t intid = (uint32_t)(access->offset - GICD_IROUTER) / 8;
	uint32_t at = (uint32_t)access->offset;

	if (!owns_spi(vm, intid)) {
		access->value = 0;
		return NULL;
	}
	if (!access->write) {
		access->value = gic_dist_read(at);
		if (access->size == 8)
			access->value |= (uint64_t)gic_dist_read(at + 4) << 32;
		return NULL;
	}
	if (access->size != 8 || !owns_core(vm, access->value))
		return "interrupt routed to a foreign core";
	gic_spi_route(intid, access->value);
	return NULL;
}

/* As many SPIs as the VM needs to reach its own; LPIs with an ITS; no message-based SPIs, no extended ranges. */
static uint32_t guest_typer(const struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);
	uint32_t keep = GICD_TYPER_SECURITY | GICD_TYPER_ID_BITS | GICD_TYPER_A3V | GICD_TYPER_RSS;
	uint32_t lines = plan->console_irq / 32;
	uint32_t typer = (gic_dist_read(GICD_TYPER) & keep) | GICD_TYPER_NO_1N | lines;

	return !vgic_has_its(vm) ? typer
				 : (typer & ~GICD_TYPER_ID_BITS) | GICD_TYPER_LPIS |
					   (LPI_GUEST_ID_BITS - 1) << 19;
}

static uint32_t dist_control(struct vm *vm, const struct mmio *access)
{
	uint32_t writable = GICD_CTLR_ENABLE_GRP0 | GICD_CTLR_ENABLE_GRP1;

	if (access->write)
		vm->shared.arch.gicd_ctlr = (uint32_t)access->value & writable;
	return vm->shared.arch.gicd_ctlr | GICD_CTLR_ARE |
	       (gic_one_security_state() ? GICD_CTLR_DS : 0);
}

const char *vgic_dist(struct vm *vm, struct mmio *access)
{
	uint32_t offset = (uint32_t)access->offset;

	for (uint32_t i = 0; i < ARRAY_SIZE(arrays); i++) {
		if (offset >= arrays[i].first && offset <= arrays[i].last) {
			access_array(vm, i, access);
			return NULL;
		}
	}
	if (offset >= GICD_IROUTER && offset < GICD_IROUTER + 8 * 1020)
		return access_router(vm, access);

	access->value = offset == GICD_CTLR    ? dist_control(vm, access)
			: access->write	       ? 0
			: offset == GICD_TYPER ? guest_typer(vm)
			: offset == GICD_IIDR || offset >= GIC_ID_REGISTERS
				? gic_dist_read(offset & ~3U)
				: 0;
	return NULL;
}

/* The physical affinity, the guest's own numbering, Last where its list ends; physical LPIs with an ITS, no others. */
static uint64_t guest_redist_typer(const struct vm *vm, uint32_t vcpu)
{
	const struct plan_vm *plan = vm_plan(vm);
	uint64_t hwid = machine_facts()->cpu[plan->core[vcpu]].hwid;
	uint64_t affinity = (hwid >> 32 & 0xff) << 24 | (hwid & 0xffffff);

	return affinity << 32 | (uint64_t)vcpu << 8 | (vgic_has_its(vm) ? GICR_TYPER_PLPIS : 0) |
	       (vcpu + 1 == plan->ncores ? GICR_TYPER_LAST : 0);
}

/*
 * RD_base is never the guest's: GICR_PENDBASER would let the GIC write anywhere.
 * It reads as a redistributor that is awake; writes are ignored, but for what a VM with an ITS says of its LPIs, which
 * is kept and never given to the GIC.
 */
const char *vgic_redist(struct vm *vm, struct mmio *access)
{
	uint32_t vcpu = (uint32_t)(access->offset / GUEST_GICR_STRIDE);
	uint32_t offset = (uint32_t)(access->offset % GUEST_GICR_STRIDE);
	uint32_t cpu = vm_plan(vm)->core[vcpu];

	if (vgic_has_its(vm) && vits_redist(&vm->shared.arch.vits, vcpu, access))
		return NULL;
	if (access->write)
		return NULL;
	access->value = 0;
	if (offset == GICR_TYPER)
		access->value = guest_redist_typer(vm, vcpu);
	else if (offset == GICR_TYPER + 4)
		access->value = guest_redist_typer(vm, vcpu) >> 32;
	else if (offset == GICR_IIDR || (offset >= GIC_ID_REGISTERS && offset < GICR_SGI_BASE))
		access->value = gic_redist_read(cpu, offset & ~3U);
	return NULL;
}

/* ICC_SGI1R_EL1 (12.2.20): every target must be one of the VM's own cores. */
static const char *send_sgi(const struct cpu *self, uint64_t value)
{
	const struct plan_vm *plan = vm_plan(self->vm);
	uint32_t intid = value >> 24 & 0xf;
	bool all_others = (value >> 40 & 1) != 0;
	uint64_t targets = value & 0xffff;
	uint64_t range = value >> 44 & 0xf;
	uint64_t cluster =
		(value >> 48 & 0xff) << 32 | (value >> 32 & 0xff) << 16 | (value >> 16 & 0xff) << 8;

	for (uint32_t i = 0; i < plan->ncores; i++) {
		uint64_t hwid = machine_facts()->cpu[plan->core[i]].hwid;
		uint64_t bit = 1ULL << (hwid & 0xf);
		bool hit = (hwid & ~0xffULL) == cluster && (hwid >> 4 & 0xf) == range &&
			   (targets & bit) != 0;

		if (all_others ? i != self->vcpu : hit)
			gic_send_sgi(hwid, intid);
		if (hit)
			targets &= ~bit;
	}
	return all_others || targets == 0 ? NULL : "SGI to a foreign core";
}

/* ICC_PMR_EL1: the guest reads what it wrote; the real mask never goes below the floor. */
static void access_pmr(struct cpu *cpu, bool write, uint64_t *value)
{
	if (!write) {
		*value = cpu->arch.pmr;
		return;
	}
	write_icc(ICC_PMR_EL1, *value);
	cpu->arch.pmr = (*value & 0xff) == 0 ? 0 : read_icc(ICC_PMR_EL1);
	if (cpu->arch.pmr < gic_pmr_floor())
		write_icc(ICC_PMR_EL1, gic_pmr_floor());
}

/* ICC_DIR_EL1 deactivates any INTID: only the core's own and the VM's SPIs (12.2.9). */
static const char *deactivate(const struct vm *vm, uint64_t value)
{
	uint32_t intid = (uint32_t)value & 0xffffff;

	if (intid >= LPI_FIRST && vgic_has_its(vm))
		return NULL; /* LPIs are never active (5.1) */
	if (intid >= 32 && !owns_spi(vm, intid))
		return "deactivation of a foreign interrupt";
	write_icc(ICC_DIR_EL1, value);
	return NULL;
}

const char *vgic_sysreg(struct cpu *cpu, uint32_t reg, bool write, uint64_t *value)
{
	switch (reg) {
	case SYSREG(3, 0, 12, 11, 5): /* ICC_SGI1R_EL1 */
		return write ? send_sgi(cpu, *value) : "access to a denied system register";
	case SYSREG(3, 0, 4, 6, 0):
		access_pmr(cpu, write, value);
		return NULL;
	case SYSREG(3, 0, 12, 12, 4):
		if (write)
			write_icc(ICC_CTLR_EL1, *value & 3); /* CBPR, EOImode */
		else
			*value = read_icc(ICC_CTLR_EL1);
		return NULL;
	case SYSREG(3, 0, 12, 11, 3):
		*value = read_icc(ICC_RPR_EL1);
		return NULL;
	case SYSREG(3, 0, 12, 11, 1):
		return deactivate(cpu->vm, *value);
	default:
		return "access to a denied system register";
	}
}
