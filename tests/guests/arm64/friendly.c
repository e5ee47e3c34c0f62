/* SPDX-License-Identifier: Apache-2.0 */
/* What the friendly guest can do on arm64 only: see and leave values in registers. */
#include "guest.h"
#include "registers.h"

/* Reads of registers that this processor lacks leave undefined_count changed. */
#define SHOW(name, encoding)                                                                       \
	{                                                                                          \
		uint32_t before = undefined_count;                                                 \
		uint64_t value = read_sysreg(#encoding);                                           \
		if (undefined_count == before)                                                     \
			say("reg " #name " %x\n", value);                                          \
	}
#define SHOW_GIC(name, offset) say("reg " #name " %x\n", (uint64_t)read32(GIC_SGI_BASE + (offset)));

/* A pattern without the lowest bits: those switch things on, and the test must live on. */
#define DIRTY(name, encoding) write_sysreg(#encoding, 0x5a5a5a5a5a5a5a58ULL);
#define FP_SVE_SME_ON 0x3330000 /* CPACR_EL1 */
#define DIRTY_GIC(name, offset) write32(GIC_SGI_BASE + (offset), 0x5a5a5a5a);

static uint64_t simd_or(void)
{
	uint64_t low, high;

	__asm__ volatile(
		".arch_extension fp\n\t.arch_extension simd\n\t"
		".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, "
		"21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n\t"
		"orr v0.16b, v0.16b, v\\n\\().16b\n\t"
		".endr\n\t"
		"umov %0, v0.d[0]\n\tumov %1, v0.d[1]"
		: "=r"(low), "=r"(high));
	return low | high;
}

static void simd_dirty(void)
{
	__asm__ volatile(
		".arch_extension fp\n\t.arch_extension simd\n\t"
		".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, "
		"20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n\t"
		"movi v\\n\\().16b, #0x5a\n\t"
		".endr");
}

/* All that is SVE's: predicates and the first-fault register, as found in memory. */
static void show_sve(void)
{
	static uint8_t store[16 * 32 + 32];
	uint64_t any = 0;

	if ((read_sysreg("id_aa64pfr0_el1") >> 32 & 0xf) == 0)
		return;
	__asm__ volatile(".arch_extension sve\n\t"
			 ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
			 "str p\\n, [%0, #\\n, mul vl]\n\t"
			 ".endr\n\t"
			 "rdffr p0.b\n\tstr p0, [%0, #16, mul vl]" ::"r"(store)
			 : "memory");
	for (size_t i = 0; i < sizeof(store); i++)
		any |= store[i];
	say("reg sve %x\n", any);
}

static void sve_dirty(void)
{
	if ((read_sysreg("id_aa64pfr0_el1") >> 32 & 0xf) == 0)
		return;
	__asm__ volatile(".arch_extension sve\n\t"
			 "setffr\n\t"
			 ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
			 "ptrue p\\n\\().b\n\t"
			 ".endr");
}

static void show_registers(void)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < 31; i++)
		any |= entry_regs[i];
	say("reg x1-x30 %x\nreg sp %x\nreg vbar_el1 %x\n", any, entry_regs[31], entry_regs[32]);
	say("reg cpacr_el1 %x\n", read_sysreg("cpacr_el1"));
	write_sysreg("cpacr_el1", FP_SVE_SME_ON);
	isb();
	skip_undefined = true;
	GUEST_REGISTERS(SHOW)
	GUEST_GIC_REGISTERS(SHOW_GIC)
	say("reg igroupr0 %x\n", (uint64_t)read32(GIC_SGI_BASE + 0x80));
	say("reg simd %x\n", simd_or());
	show_sve();
	skip_undefined = false;
	say("registers: done\n");
}

static void do_registers(void)
{
	show_registers();
	interrupts_on();
	FOREVER wait_for_interrupt();
}

/* Leaves something everywhere, for the next who runs here. */
static void do_dirty(void)
{
	mask_all();
	write_sysreg("cpacr_el1", FP_SVE_SME_ON);
	write_sysreg("oslar_el1", 0);
	isb();
	simd_dirty();
	sve_dirty();
	skip_undefined = true;
	GUEST_GIC_REGISTERS(DIRTY_GIC)
	GUEST_REGISTERS(DIRTY)
	isb();
	show_registers();
	FOREVER; /* not WFI: the active priorities that stand now let no interrupt through */
}

/* An interrupt that is masked and pending is none to sleep through, asleep in a call or not. */
static void do_doze(void)
{
	interrupts_on();
	mask_all();
	ipi_enable(0, 3);
	ipi_send(0, 3);
	say("doze: asleep\n");
	hvc(PSCI_CPU_SUSPEND, 0, 0, 0);
	wait_for_interrupt();
	say("doze: awake\n");
}

const struct behaviour arch_behaviours[] = {
	{"registers", do_registers},
	{"dirty", do_dirty},
	{"doze", do_doze},
	{NULL, NULL},
};
