/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of x86 that the hostile guest breaks with one instruction; what takes more is in hostile/. */
#include "hostile/hostile.h"

/* ---- operations of one instruction, which is the first of its function ---- */

#define OP(name, instruction)                                                                      \
	uint64_t op_##name(uint64_t at, uint64_t with);                                            \
	__asm__("\t.text\n\t.balign 16\nop_" #name ":\n\t" instruction "\n\tret\n")

/* Those without a name that both assemblers know. */
#define OP_BYTES(name, bytes) OP(name, ".byte " bytes)

#define JOIN "\n\tshl $32, %rdx\n\tor %rdx, %rax" /* EDX:EAX to RAX */

OP(load, "mov (%rdi), %rax");
OP(load_byte, "mov (%rdi), %al");
OP(load_half, "mov (%rdi), %ax");
OP(load_word, "mov (%rdi), %eax");
OP(load_simd, "movups (%rdi), %xmm0");
OP(store, "mov %rsi, (%rdi)");
OP(store_byte, "mov %sil, (%rdi)");
OP(store_half, "mov %si, (%rdi)");
OP(store_word, "mov %esi, (%rdi)");
OP(store_simd, "movups %xmm0, (%rdi)");
OP(exchange, "xchg %rsi, (%rdi)");
OP(add_locked, "lock addl $1, (%rdi)");
OP(store_string, "rep stosb");
OP(fetch, "jmp *%rdi");
OP(flush, "clflush (%rdi)");
OP_BYTES(zero_line, "0x0f, 0x01, 0xfc"); /* CLZERO */
OP(root, "mov %rdi, %cr3");
OP(rdmsr, "rdmsr" JOIN);
OP(wrmsr, "wrmsr");
OP(icr, "wrmsr");
OP(cr0, "mov %rsi, %cr0");
OP(cr4, "mov %rsi, %cr4");
OP(dr7, "mov %rsi, %dr7");
OP(dr_read, "mov %dr7, %rax");
OP(xsetbv, "xsetbv");
OP(in_byte, "in %dx, %al");
OP(in_half, "in %dx, %ax");
OP(in_word, "in %dx, %eax");
OP(out_byte, "out %al, %dx");
OP(out_half, "out %ax, %dx");
OP(out_word, "out %eax, %dx");
OP(in_string, "insb");
OP(out_string, "outsb");
OP(rep_in, "rep insb");
OP(rep_out, "rep outsb");
OP(rdpmc, "rdpmc" JOIN);
OP(wbinvd, "wbinvd");
OP_BYTES(wbnoinvd, "0xf3, 0x0f, 0x09");
OP(invd, "invd");
OP(monitor, "monitor");
OP(mwait, "mwait");
OP_BYTES(monitorx, "0x0f, 0x01, 0xfa");
OP_BYTES(mwaitx, "0x0f, 0x01, 0xfb");
OP(cpuid, "cpuid");
OP(rsm, "rsm");
OP_BYTES(icebp, "0xf1");
/* AMD SVM (APM vol. 3 ch. 4) */
OP_BYTES(vmrun, "0x0f, 0x01, 0xd8");
OP_BYTES(vmmcall, "0x0f, 0x01, 0xd9");
OP_BYTES(vmload, "0x0f, 0x01, 0xda");
OP_BYTES(vmsave, "0x0f, 0x01, 0xdb");
OP_BYTES(stgi, "0x0f, 0x01, 0xdc");
OP_BYTES(clgi, "0x0f, 0x01, 0xdd");
OP_BYTES(skinit, "0x0f, 0x01, 0xde");
OP_BYTES(invlpga, "0x0f, 0x01, 0xdf");
OP_BYTES(invlpgb, "0x0f, 0x01, 0xfe");
OP_BYTES(tlbsync, "0x0f, 0x01, 0xff");
OP_BYTES(vmgexit, "0xf3, 0x0f, 0x01, 0xd9");
OP_BYTES(rmpadjust, "0xf3, 0x0f, 0x01, 0xfe");
OP_BYTES(psmash, "0xf3, 0x0f, 0x01, 0xff");
OP_BYTES(rmpupdate, "0xf2, 0x0f, 0x01, 0xfe");
OP_BYTES(pvalidate, "0xf2, 0x0f, 0x01, 0xff");
/* Intel VMX (SDM vol. 3 31), SMX, SGX, TDX, PCONFIG */
OP(vmxon, "vmxon (%rdi)");
OP(vmxoff, "vmxoff");
OP(vmcall, "vmcall");
OP(vmlaunch, "vmlaunch");
OP(vmresume, "vmresume");
OP(vmread, "vmread %rcx, %rax");
OP(vmwrite, "vmwrite %rax, %rcx");
OP(vmptrld, "vmptrld (%rdi)");
OP(vmptrst, "vmptrst (%rdi)");
OP(vmclear, "vmclear (%rdi)");
OP(invept, "invept (%rdi), %rax");
OP(invvpid, "invvpid (%rdi), %rax");
OP_BYTES(vmfunc, "0x0f, 0x01, 0xd4");
OP_BYTES(getsec, "0x0f, 0x37");
OP_BYTES(encls, "0x0f, 0x01, 0xcf");
OP_BYTES(enclu, "0x0f, 0x01, 0xd7");
OP_BYTES(enclv, "0x0f, 0x01, 0xc0");
OP_BYTES(seamcall, "0x66, 0x0f, 0x01, 0xcf");
OP_BYTES(tdcall, "0x66, 0x0f, 0x01, 0xcc");
OP_BYTES(pconfig, "0x0f, 0x01, 0xc5");
OP(nothing, "nop");

/* ---- operands ---- */

struct operands {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi;
};

uint64_t run_with(uint64_t (*run)(uint64_t at, uint64_t with), const struct operands *o);
__asm__("\t.text\nrun_with:\n"
	"\tpush %rbx\n"
	"\tmov %rdi, %r11\n"
	"\tmov 0(%rsi), %rax\n"
	"\tmov 8(%rsi), %rbx\n"
	"\tmov 16(%rsi), %rcx\n"
	"\tmov 24(%rsi), %rdx\n"
	"\tmov 40(%rsi), %rdi\n"
	"\tmov 32(%rsi), %rsi\n"
	"\tcall *%r11\n"
	"\tpop %rbx\n"
	"\tret\n");

/* How the operands are arranged when not as most take them; set by what prepares an operation. */
static void (*arrange)(struct operands *o, uint64_t at, uint64_t with);

static uint8_t string[4096];

static void arrange_port(struct operands *o, uint64_t at, uint64_t with)
{
	*o = (struct operands){.rdx = at, .rax = with};
}

static void arrange_string(struct operands *o, uint64_t at, uint64_t with)
{
	*o = (struct operands){.rdx = at,
			       .rcx = with,
			       .rsi = (uint64_t)(uintptr_t)string,
			       .rdi = (uint64_t)(uintptr_t)string};
}

/* RAX is an address, as for VMRUN and MONITOR; the rest is 0. */
static void arrange_rax(struct operands *o, uint64_t at, uint64_t with)
{
	*o = (struct operands){.rax = at, .rdi = at, .rcx = with};
}

uint64_t operate(uint64_t (*run)(uint64_t at, uint64_t with), uint64_t at, uint64_t with)
{
	struct operands o = {
		.rdi = at, .rsi = with, .rcx = at, .rax = with & UINT32_MAX, .rdx = with >> 32};

	if (arrange != NULL)
		arrange(&o, at, with);
	return run_with(run, &o);
}

/* ---- what stands before an operation ---- */

#define WINDOW (1ULL << 39)
#define FOREIGN_TABLE (2ULL << 39) /* a virtual address whose table is anywhere */
#define PAGE_TABLE 7ULL /* present, writable, user: SDM vol. 3 4.5.4 */
#define PAGE_LEAF 0x87ULL

static uint64_t level4[512] __attribute__((aligned(4096)));
static uint64_t identity[512] __attribute__((aligned(4096)));
static uint64_t window[512] __attribute__((aligned(4096)));

static uint64_t address_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* Everything below 512 GiB at its own address, and the GiB of @at in a window. */
static void map(uint64_t at)
{
	for (uint64_t i = 0; i < 512; i++)
		identity[i] = i << 30 | PAGE_LEAF;
	window[0] = (at & ~(GIB - 1)) | PAGE_LEAF;
	level4[0] = address_of(identity) | PAGE_TABLE;
	level4[1] = address_of(window) | PAGE_TABLE;
	write_register("cr3", address_of(level4));
}

/* @at is guest-physical; what is too high to stand at its own address is seen through the window. */
static void prepare_memory(uint64_t *at, uint64_t *with)
{
	(void)with;
	map(*at);
	if (*at >= WINDOW)
		*at = WINDOW + (*at & (GIB - 1));
}

static void prepare_simd(uint64_t *at, uint64_t *with)
{
	prepare_memory(at, with);
	write_register("cr4", read_register("cr4") | CR4_OSFXSR);
}

/* @with bytes from @at, at least one. */
static void arrange_store_string(struct operands *o, uint64_t at, uint64_t with)
{
	*o = (struct operands){.rdi = at, .rcx = with == 0 ? 1 : with};
}

static void prepare_store_string(uint64_t *at, uint64_t *with)
{
	prepare_memory(at, with);
	arrange = arrange_store_string;
}

static void prepare_zero_line(uint64_t *at, uint64_t *with)
{
	prepare_memory(at, with);
	arrange = arrange_rax;
}

static void prepare_walk(uint64_t *at, uint64_t *with)
{
	(void)with;
	map(0);
	level4[2] = *at | PAGE_TABLE;
	*at = FOREIGN_TABLE;
}

static void prepare_port(uint64_t *at, uint64_t *with)
{
	(void)at, (void)with;
	arrange = arrange_port;
}

static void prepare_string(uint64_t *at, uint64_t *with)
{
	(void)at, (void)with;
	arrange = arrange_string;
}

static void prepare_rax(uint64_t *at, uint64_t *with)
{
	(void)at, (void)with;
	arrange = arrange_rax;
}

static void prepare_icr(uint64_t *at, uint64_t *with)
{
	(void)with;
	*at = X2APIC_ICR;
}

static void prepare_svme(uint64_t *at, uint64_t *with)
{
	*at = MSR_EFER;
	*with = rdmsr(MSR_EFER) | EFER_SVME;
}

static void prepare_lme(uint64_t *at, uint64_t *with)
{
	*at = MSR_EFER;
	*with = rdmsr(MSR_EFER) & ~EFER_LME;
}

static void prepare_apic_off(uint64_t *at, uint64_t *with)
{
	*at = MSR_APIC_BASE;
	*with = rdmsr(MSR_APIC_BASE) & ~0xc00ULL;
}

static void prepare_apic_xapic(uint64_t *at, uint64_t *with)
{
	*at = MSR_APIC_BASE;
	*with = rdmsr(MSR_APIC_BASE) & ~0x400ULL;
}

static void prepare_apic_move(uint64_t *at, uint64_t *with)
{
	*at = MSR_APIC_BASE;
	*with = rdmsr(MSR_APIC_BASE) ^ 0x1000;
}

static void prepare_apic_same(uint64_t *at, uint64_t *with)
{
	*at = MSR_APIC_BASE;
	*with = rdmsr(MSR_APIC_BASE);
}

static void prepare_cr0_set(uint64_t *at, uint64_t *with)
{
	(void)at;
	*with |= read_register("cr0");
}

static void prepare_cr0_clear(uint64_t *at, uint64_t *with)
{
	(void)at;
	*with = read_register("cr0") & ~*with;
}

static void prepare_cr4_set(uint64_t *at, uint64_t *with)
{
	(void)at;
	*with |= read_register("cr4");
}

static void prepare_cr4_clear(uint64_t *at, uint64_t *with)
{
	(void)at;
	*with = read_register("cr4") & ~*with;
}

static void prepare_vmxe(uint64_t *at, uint64_t *with)
{
	(void)at;
	*with = read_register("cr4") | CR4_VMXE;
}

static void prepare_smxe(uint64_t *at, uint64_t *with)
{
	(void)at;
	*with = read_register("cr4") | CR4_SMXE;
}

static void prepare_xsetbv(uint64_t *at, uint64_t *with)
{
	(void)at, (void)with;
	write_register("cr4", read_register("cr4") | CR4_OSXSAVE);
}

/* An interrupt in 10 ms, so that nobody sleeps for ever. */
static void prepare_mwait(uint64_t *at, uint64_t *with)
{
	(void)with;
	interrupts_on();
	timer_on(100);
	__asm__ volatile("monitor" ::"a"(string), "c"(0), "d"(0));
	*at = 0;
}

static const struct operation operations[] = {
	{"load", op_load, prepare_memory},
	{"load-byte", op_load_byte, prepare_memory},
	{"load-half", op_load_half, prepare_memory},
	{"load-word", op_load_word, prepare_memory},
	{"load-simd", op_load_simd, prepare_simd},
	{"store", op_store, prepare_memory},
	{"store-byte", op_store_byte, prepare_memory},
	{"store-half", op_store_half, prepare_memory},
	{"store-word", op_store_word, prepare_memory},
	{"store-simd", op_store_simd, prepare_simd},
	{"store-string", op_store_string, prepare_store_string},
	{"exchange", op_exchange, prepare_memory},
	{"add-locked", op_add_locked, prepare_memory},
	{"zero-line", op_zero_line, prepare_zero_line},
	{"fetch", op_fetch, prepare_memory},
	{"flush", op_flush, prepare_memory},
	{"walk", op_load, prepare_walk},
	{"root", op_root, NULL},
	{"rdmsr", op_rdmsr, NULL},
	{"wrmsr", op_wrmsr, NULL},
	{"icr", op_icr, prepare_icr},
	{"efer-svme", op_wrmsr, prepare_svme},
	{"efer-lme", op_wrmsr, prepare_lme},
	{"apic-off", op_wrmsr, prepare_apic_off},
	{"apic-xapic", op_wrmsr, prepare_apic_xapic},
	{"apic-move", op_wrmsr, prepare_apic_move},
	{"apic-same", op_wrmsr, prepare_apic_same},
	{"cr0-set", op_cr0, prepare_cr0_set},
	{"cr0-clear", op_cr0, prepare_cr0_clear},
	{"cr4-set", op_cr4, prepare_cr4_set},
	{"cr4-clear", op_cr4, prepare_cr4_clear},
	{"cr4-vmxe", op_cr4, prepare_vmxe},
	{"cr4-smxe", op_cr4, prepare_smxe},
	{"dr7", op_dr7, NULL},
	{"dr-read", op_dr_read, NULL},
	{"xsetbv", op_xsetbv, prepare_xsetbv},
	{"in-byte", op_in_byte, prepare_port},
	{"in-half", op_in_half, prepare_port},
	{"in-word", op_in_word, prepare_port},
	{"out-byte", op_out_byte, prepare_port},
	{"out-half", op_out_half, prepare_port},
	{"out-word", op_out_word, prepare_port},
	{"in-string", op_in_string, prepare_string},
	{"out-string", op_out_string, prepare_string},
	{"rep-in", op_rep_in, prepare_string},
	{"rep-out", op_rep_out, prepare_string},
	{"rdpmc", op_rdpmc, NULL},
	{"wbinvd", op_wbinvd, NULL},
	{"wbnoinvd", op_wbnoinvd, NULL},
	{"invd", op_invd, NULL},
	{"monitor", op_monitor, prepare_rax},
	{"mwait", op_mwait, prepare_mwait},
	{"monitorx", op_monitorx, prepare_rax},
	{"mwaitx", op_mwaitx, prepare_mwait},
	{"cpuid", op_cpuid, NULL},
	{"rsm", op_rsm, NULL},
	{"icebp", op_icebp, NULL},
	{"vmrun", op_vmrun, prepare_rax},
	{"vmmcall", op_vmmcall, prepare_rax},
	{"vmload", op_vmload, prepare_rax},
	{"vmsave", op_vmsave, prepare_rax},
	{"stgi", op_stgi, NULL},
	{"clgi", op_clgi, NULL},
	{"skinit", op_skinit, prepare_rax},
	{"invlpga", op_invlpga, prepare_rax},
	{"invlpgb", op_invlpgb, prepare_rax},
	{"tlbsync", op_tlbsync, NULL},
	{"vmgexit", op_vmgexit, NULL},
	{"rmpadjust", op_rmpadjust, prepare_rax},
	{"psmash", op_psmash, prepare_rax},
	{"rmpupdate", op_rmpupdate, prepare_rax},
	{"pvalidate", op_pvalidate, prepare_rax},
	{"vmxon", op_vmxon, NULL},
	{"vmxoff", op_vmxoff, NULL},
	{"vmcall", op_vmcall, prepare_rax},
	{"vmlaunch", op_vmlaunch, NULL},
	{"vmresume", op_vmresume, NULL},
	{"vmread", op_vmread, NULL},
	{"vmwrite", op_vmwrite, NULL},
	{"vmptrld", op_vmptrld, NULL},
	{"vmptrst", op_vmptrst, NULL},
	{"vmclear", op_vmclear, NULL},
	{"invept", op_invept, NULL},
	{"invvpid", op_invvpid, NULL},
	{"vmfunc", op_vmfunc, NULL},
	{"getsec", op_getsec, NULL},
	{"encls", op_encls, NULL},
	{"enclu", op_enclu, NULL},
	{"enclv", op_enclv, NULL},
	{"seamcall", op_seamcall, NULL},
	{"tdcall", op_tdcall, NULL},
	{"pconfig", op_pconfig, NULL},
	{"nothing", op_nothing, NULL},
	{NULL, NULL, NULL},
};

static void do_any_operation(void)
{
	do_operation(operations);
}

const struct behaviour arch_behaviours[] = {
	{"rdmsr-sweep", sweep_rdmsr},
	{"wrmsr-sweep", sweep_wrmsr},
	{"in-sweep", sweep_in},
	{"out-sweep", sweep_out},
	{"config-sweep", sweep_config},
	{"vectors", bad_vectors},
	{"descriptors", bad_descriptors},
	{"triple-fault", triple_fault},
	{"task-switch", task_switch},
	{"task-gate", task_gate},
	{"ipi-others", ipi_others},
	{"nmi-self", nmi_self},
	{"msi", message},
	{"exception-loop", exception_loop},
	{"debug-storm", debug_storm},
	{"alignment-storm", alignment_storm},
	{"spin-protected", spin_protected},
	{"sleep-apic-off", sleep_apic_off},
	{"sleep-nmi", sleep_nmi},
	{"sleep-mwait", sleep_mwait},
	{"call-storm", call_storm},
	{"nmi-storm", nmi_storm},
	{"pend-all", pend_all},
	{"init-self", init_self},
	{"", do_any_operation}, /* whatever is not one of these */
	{NULL, NULL},
};
