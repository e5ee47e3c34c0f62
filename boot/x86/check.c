/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processor must offer. CPUID: SDM vol. 2, CPUID; APM vol. 3, Appendix E. VMX's
 * capabilities: SDM vol. 3, Appendix A. SVM's: APM vol. 2, 15.4 and 15.30.
 */
#include "arch.h"

#include "cpu.h"

#define LEAF_FEATURES 1U
#define FEATURES_ECX_VMX (1U << 5)
#define FEATURES_ECX_X2APIC (1U << 21)
#define LEAF_EXTENDED_FEATURES 0x80000001U
#define EXTENDED_ECX_SVM (1U << 2)
#define EXTENDED_EDX_NX (1U << 20)
#define LEAF_ADDRESS_SIZES 0x80000008U
#define LEAF_SVM 0x8000000aU
#define SVM_EDX_NP (1U << 0)
#define SVM_EDX_LOCK (1U << 2) /* what is locked can be unlocked with a key */
#define CR4_LA57 (1U << 12)

#define MSR_FEATURE_CONTROL 0x3a
#define FEATURE_CONTROL_LOCKED (1U << 0)
#define FEATURE_CONTROL_VMX (1U << 2) /* outside SMX */
#define MSR_VM_CR 0xc0010114
#define VM_CR_LOCK (1U << 3)
#define VM_CR_SVMDIS (1U << 4)

#define MSR_VMX_BASIC 0x480
#define MSR_VMX_PIN 0x48d /* these four are the true ones */
#define MSR_VMX_PROC 0x48e
#define MSR_VMX_EXIT 0x48f
#define MSR_VMX_ENTRY 0x490
#define MSR_VMX_PROC2 0x48b
#define MSR_VMX_EPT_VPID 0x48c

/* One bit that must be allowed to be 1: in a control's MSR the upper half says so. */
struct capability {
	uint32_t msr;
	uint32_t bit;
	const char *what;
};

/* In this order: an MSR is there only when the bits before it are. */
static const struct capability vmx_needs[] = {
	{MSR_VMX_BASIC, 55, "controls in their true form"},
	{MSR_VMX_PIN, 32 + 3, "NMI exiting"},
	{MSR_VMX_PIN, 32 + 5, "virtual NMIs"},
	{MSR_VMX_PROC, 32 + 22, "NMI-window exiting"},
	{MSR_VMX_PROC, 32 + 24, "exits at every access to an I/O port"},
	{MSR_VMX_PROC, 32 + 28, "MSR bitmaps"},
	{MSR_VMX_PROC, 32 + 31, "secondary controls"},
	{MSR_VMX_PROC2, 32 + 1, "EPT (nested page tables)"},
	{MSR_VMX_PROC2, 32 + 5, "VPID"},
	{MSR_VMX_PROC2, 32 + 7, "unrestricted guests"},
	{MSR_VMX_EPT_VPID, 6, "EPT with 4 levels"},
	{MSR_VMX_EPT_VPID, 14, "write-back EPT tables"},
	{MSR_VMX_EPT_VPID, 16, "EPT with 2 MiB pages"},
	{MSR_VMX_EPT_VPID, 20, "INVEPT"},
	{MSR_VMX_EPT_VPID, 26, "INVEPT for all contexts"},
	{MSR_VMX_EPT_VPID, 32, "INVVPID"},
	{MSR_VMX_EPT_VPID, 32 + 9, "INVVPID for one context"},
	{MSR_VMX_EXIT, 32 + 9, "exits to long mode"},
	{MSR_VMX_EXIT, 32 + 18, "saving PAT at exits"},
	{MSR_VMX_EXIT, 32 + 19, "loading PAT at exits"},
	{MSR_VMX_EXIT, 32 + 20, "saving EFER at exits"},
	{MSR_VMX_EXIT, 32 + 21, "loading EFER at exits"},
	{MSR_VMX_ENTRY, 32 + 9, "entries to long mode"},
	{MSR_VMX_ENTRY, 32 + 14, "loading PAT at entries"},
	{MSR_VMX_ENTRY, 32 + 15, "loading EFER at entries"},
};

static enum bh_error lacks(struct loader *l, const char *what)
{
	return bh_fail(&l->report, BH_BAD_MACHINE, "the processor lacks %s", what);
}

static enum bh_error check_vmx(struct loader *l)
{
	uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

	if ((control & FEATURE_CONTROL_LOCKED) && !(control & FEATURE_CONTROL_VMX))
		return bh_fail(
			&l->report, BH_BAD_MACHINE,
			"firmware has VMX switched off and locked (IA32_FEATURE_CONTROL is 0x%llx); "
			"switch virtualization on in its setup",
			(unsigned long long)control);
	for (size_t i = 0; i < ARRAY_SIZE(vmx_needs); i++) {
		const struct capability *c = &vmx_needs[i];

		if (!(rdmsr(c->msr) >> c->bit & 1))
			return bh_fail(&l->report, BH_BAD_MACHINE, "the processor's VMX lacks %s",
				       c->what);
	}
	return BH_OK;
}

static enum bh_error check_svm(struct loader *l)
{
	uint64_t control = rdmsr(MSR_VM_CR);
	uint32_t features = cpuid(LEAF_SVM, 0).edx;
	const char *lock = features & SVM_EDX_LOCK ? "locked with a key" : "locked";

	if (control & VM_CR_SVMDIS)
		return bh_fail(
			&l->report, BH_BAD_MACHINE,
			"firmware has SVM switched off and %s (VM_CR.SVMDIS; VM_CR is 0x%llx); "
			"switch virtualization on in its setup",
			control & VM_CR_LOCK ? lock : "not locked", (unsigned long long)control);
	if (!(features & SVM_EDX_NP))
		return lacks(l, "nested page tables (NPT)");
	return BH_OK;
}

/* What both vendors' processors must have. */
static enum bh_error check_common(struct loader *l)
{
	uint32_t address_bits = cpuid(LEAF_ADDRESS_SIZES, 0).eax >> 8 & 0xff;

	if (!(cpuid(LEAF_FEATURES, 0).ecx & FEATURES_ECX_X2APIC))
		return lacks(l, "x2APIC, or firmware hides it");
	if (!(cpuid(LEAF_EXTENDED_FEATURES, 0).edx & EXTENDED_EDX_NX))
		return lacks(l, "no-execute pages (NX), or firmware hides them");
	if (address_bits < 48)
		return bh_fail(&l->report, BH_BAD_MACHINE,
			       "the processor has addresses of %u bits; 48 are needed",
			       address_bits);
	if (read_cr4() & CR4_LA57)
		return bh_fail(&l->report, BH_BAD_MACHINE,
			       "firmware runs with page tables of 5 levels; switch them off in its "
			       "setup");
	return BH_OK;
}

enum bh_error arch_check_processor(struct loader *l)
{
	enum bh_error error = check_common(l);

	if (error != BH_OK)
		return error;
	if (cpuid(LEAF_FEATURES, 0).ecx & FEATURES_ECX_VMX)
		return check_vmx(l);
	if (cpuid(LEAF_EXTENDED_FEATURES, 0).ecx & EXTENDED_ECX_SVM)
		return check_svm(l);
	return lacks(l, "virtualization (SVM or VMX), or firmware hides it");
}
