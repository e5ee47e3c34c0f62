/* SPDX-License-Identifier: Apache-2.0 */
/* All MSRs, all ports, all of the configuration space. */
#include "hostile.h"

/* ---- MSRs: SDM vol. 4, APM vol. 2 appendix A ---- */

static const struct {
	uint32_t first, last;
} msr_ranges[] = {
	{0, 0x2000},
	{0xc0000000, 0xc0002000},
	{0xc0010000, 0xc0012000},
};

void sweep_rdmsr(void)
{
	uint64_t answered = 0, all = 0, value;

	for (size_t i = 0; i < ARRAY_SIZE(msr_ranges); i++)
		for (uint32_t msr = msr_ranges[i].first; msr <= msr_ranges[i].last; msr++, all++)
			answered += try_rdmsr(msr, &value);
	say("survived: %u of %u answered\n", answered, all);
}

/* What acts on more than the guest's own core or memory. */
static const struct {
	uint32_t first, last;
} shared_msrs[] = {
	{0x1b, 0x1b}, /* APIC_BASE */
	{0x3a, 0x3a}, /* FEATURE_CONTROL */
	{0x79, 0x79}, /* BIOS_UPDT_TRIG: microcode */
	{0x9b, 0x9e}, /* SMM_MONITOR_CTL, SMBASE */
	{0x198, 0x19b}, /* power and clock modulation */
	{0x1a0, 0x1a2}, /* MISC_ENABLE, temperature target */
	{0x1aa, 0x1ad}, /* MISC_PWR_MGMT, turbo ratios */
	{0x1b0, 0x1b2}, /* package's energy and thermal interrupts */
	{0x1f2, 0x1f3}, /* SMRR */
	{0x1fc, 0x1fc}, /* POWER_CTL */
	{0x200, 0x21f}, /* variable MTRRs */
	{0x250, 0x250}, /* fixed MTRRs */
	{0x258, 0x259},
	{0x268, 0x26f},
	{0x280, 0x29f}, /* MCi_CTL2 */
	{0x2ff, 0x2ff}, /* MTRR_DEF_TYPE */
	{0x400, 0x47f}, /* machine check banks */
	{0x480, 0x491}, /* VMX capabilities */
	{0x500, 0x503}, /* SGX */
	{0x560, 0x571}, /* processor trace, to physical memory */
	{0x601, 0x660}, /* power limits */
	{0x770, 0x777}, /* hardware P-states */
	{0xc80, 0xc81}, /* debug interface, L3 allocation */
	{0xc8d, 0xc8f}, /* monitoring and allocation of shared caches */
	{0xc0010010, 0xc001001f}, /* SYSCFG, HWCR, IORR, TOP_MEM, NB_CFG */
	{0xc0010020, 0xc0010020}, /* PATCH_LOADER */
	{0xc0010044, 0xc001004a}, /* machine check masks */
	{0xc0010050, 0xc0010056}, /* SMI on I/O */
	{0xc0010058, 0xc0010058}, /* MMIO_CFG_BASE */
	{0xc0010061, 0xc0010071}, /* P-states */
	{0xc0010111, 0xc001011b}, /* SMM, VM_CR, IGNNE, VM_HSAVE_PA, SVM's key, doorbell */
	{0xc0010130, 0xc0010133}, /* SEV */
	{0xc0011020, 0xc0011023}, /* configuration of the core */
	{0xc0011029, 0xc001102d},
	{0xc0011030, 0xc001103f}, /* instruction-based sampling */
};

static uint64_t read_or_0(uint32_t msr)
{
	uint64_t value;

	return try_rdmsr(msr, &value) ? value : 0;
}

/* What takes a write may still ignore it. */
void sweep_wrmsr(void)
{
	uint64_t taken = 0, changed = 0, all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(shared_msrs); i++) {
		for (uint32_t msr = shared_msrs[i].first; msr <= shared_msrs[i].last;
		     msr++, all++) {
			uint64_t before = read_or_0(msr);

			taken += try_wrmsr(msr, before ^ 1);
			taken += try_wrmsr(msr, 0);
			if (read_or_0(msr) == before)
				continue;
			say("msr %x was %x is %x\n", (uint64_t)msr, before, read_or_0(msr));
			changed++;
		}
	}
	say("survived: %u writes to %u taken, %u changed\n", taken, all, changed);
}

/* ---- ports ---- */

#define PORTS 0x10000U

void sweep_in(void)
{
	uint64_t bytes = 0, halves = 0, words = 0;

	for (uint32_t port = 0; port < PORTS; port++) {
		bytes += in8((uint16_t)port) != UINT8_MAX;
		halves += in16((uint16_t)port) != UINT16_MAX;
		words += in32((uint16_t)port) != UINT32_MAX;
	}
	say("survived: %u bytes %u halves %u words answered\n", bytes, halves, words);
}

/* Of its own the guest leaves alone what would end it: console, power, reset. */
static bool is_own(uint32_t port)
{
	return port - GUEST_X86_CONSOLE_PORT < 8 || port == GUEST_X86_SLEEP_PORT ||
	       port == GUEST_X86_RESET_PORT || port == 0x64;
}

void sweep_out(void)
{
	uint64_t written = 0;

	for (uint32_t port = 0; port < PORTS; port++) {
		if (is_own(port))
			continue;
		out8((uint16_t)port, UINT8_MAX);
		out8((uint16_t)port, 0);
		out16((uint16_t)port, UINT16_MAX);
		out32((uint16_t)port, UINT32_MAX);
		written++;
	}
	say("survived: %u ports\n", written);
}

/* ---- PCI configuration space: nobody but the console answers, and it believes nothing ---- */

#define FUNCTIONS 256U

void sweep_config(void)
{
	const uint64_t console = GUEST_X86_ECAM_BASE + (GUEST_X86_CONSOLE_DEVFN << 12);
	uint64_t functions = 0;

	for (uint64_t i = 0; i < FUNCTIONS; i++)
		functions += *(volatile uint16_t *)(uintptr_t)(GUEST_X86_ECAM_BASE + (i << 12)) !=
			     UINT16_MAX;
	for (uint64_t at = console; at < console + PAGE_SIZE; at += 8)
		MEM64(at) = UINT64_MAX;
	say("pattern of ones\n");
	for (uint64_t at = console; at < console + PAGE_SIZE; at += 8)
		MEM64(at) = 0;
	say("survived: %u functions\n", functions);
}
