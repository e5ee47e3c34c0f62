/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that follow a script, and the part of the arch contract about VMs. */
#include "private.h"

#include <bulkhead/log.h>
#include <bulkhead/pci.h>

#include <setjmp.h>
#include <string.h>

struct host_guest {
	struct cpu *cpu;
	struct vcpu_fault *fault;
	jmp_buf leave;
	enum vcpu_result result;
};

static struct host_guest guests[CONFIG_MAX_CPUS];
static host_guest_fn *scripts[CONFIG_MAX_VMS];
static uint32_t stop_attempts = 2;

void host_guest_set(uint32_t vm, host_guest_fn *guest)
{
	scripts[vm] = guest;
}

void host_stop_attempts(uint32_t count)
{
	stop_attempts = count;
}

bool host_in_guest(uint32_t core)
{
	return host_core(core)->in_guest;
}

/* ---- VMs ---- */

/* The same pages as on arm64, so that the pool's size is checked for what ships. */
void arch_vm_map_registers(const struct vm *vm, const struct page_table *table)
{
	const struct plan_vm *plan = vm_plan(vm);

	host_trace(HOST_VM_BUILD, vm, 0, 0);
	for (uint32_t i = 0; i < plan->ncores; i++) {
		pa_t frame = machine_facts()->cpu[plan->core[i]].gicr;

		guest_map(table, gpa(GUEST_GICR_BASE + i * GUEST_GICR_STRIDE + 64 * KIB),
			  (struct extent){pa(frame.v + 64 * KIB), PAGE_SIZE}, PT_GUEST_DEVICE);
	}
}

void arch_vm_install(struct vm *vm)
{
	struct page_table table = guest_space(vm);

	host_trace(HOST_VM_INSTALL, vm, 0, 0);
	pt_switch(&table, true);
}

void arch_vm_remove(struct vm *vm)
{
	struct page_table table = guest_space(vm);

	host_trace(HOST_VM_REMOVE, vm, 0, 0);
	pt_switch(&table, false);
}

bool arch_stop_kick(uint32_t cpu, uint32_t attempt)
{
	struct host_core *core = host_core(cpu);

	if (attempt >= stop_attempts)
		return false;
	host_trace(HOST_KICK, NULL, attempt, cpu);
	if (core->kick <= attempt)
		core->kick = attempt + 1;
	core->doorbell = true;
	return true;
}

const char *arch_stop_method(void)
{
	return "by script";
}

void arch_vm_quiesce(struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);

	host_trace(HOST_VM_QUIESCE, vm, 0, 0);
	for (uint32_t i = 0; i < plan->ncores; i++)
		if (host_in_guest(plan->core[i]))
			host_break("VM %u is quiesced while core %u runs it", vm->index,
				   plan->core[i]);
	vm->shared.arch.input = 0;
}

void arch_console_notify(struct vm *vm)
{
	vm->shared.arch.input = 1;
	host_core(vm_plan(vm)->core[0])->doorbell = true;
}

/* ---- vCPUs ---- */

/* A reset of the interrupt interface loses what has not been seen. */
void arch_vcpu_reset(struct cpu *cpu, uint64_t entry, uint64_t context)
{
	struct host_core *core = host_core(cpu->index);

	host_trace(HOST_VCPU_RESET, cpu->vm, entry, 0);
	cpu->arch = (struct arch_cpu){.pc = entry, .ready = 1};
	cpu->arch.regs[0] = context;
	core->doorbell = false;
	core->kick = 0;
}

void arch_vcpu_leave(struct cpu *cpu)
{
	struct host_core *core = host_core(cpu->index);

	host_trace(HOST_VCPU_LEAVE, cpu->vm, 0, 0);
	cpu->arch = (struct arch_cpu){0};
	core->doorbell = false;
	core->kick = 0;
}

static void leave(struct host_guest *guest, enum vcpu_result result) __attribute__((noreturn));

static void leave(struct host_guest *guest, enum vcpu_result result)
{
	guest->result = result;
	longjmp(guest->leave, 1);
}

/* After every exit: is it the manager's stop? */
static void leave_if_commanded(struct host_guest *guest)
{
	struct cpu *cpu = guest->cpu;

	if (__atomic_load_n(&cpu->mailbox.command, __ATOMIC_ACQUIRE) == COMMAND_NONE)
		return;
	cpu->exits[EXIT_STOP]++;
	leave(guest, VCPU_STOPPED);
}

static void illegal(struct host_guest *guest, const char *what, uint64_t address)
	__attribute__((noreturn));

static void illegal(struct host_guest *guest, const char *what, uint64_t address)
{
	struct cpu *cpu = guest->cpu;

	leave_if_commanded(guest);
	cpu->exits[EXIT_ILLEGAL]++;
	*guest->fault = (struct vcpu_fault){what, 0xbad, address, cpu->arch.pc};
	leave(guest, VCPU_ILLEGAL);
}

static uint8_t *translate(struct host_guest *guest, uint64_t at)
{
	struct page_table table = guest_space(guest->cpu->vm);
	pa_t to = pa(0);

	if (pt_lookup(&table, at, &to) == 0 || !host_ram_holds(to.v, 1))
		return NULL;
	return host_physical(to);
}

/* One instruction: others run, then the guest fetches, which faults when stage 2 has gone. */
static void step(struct host_guest *guest, enum core_mode mode)
{
	struct host_core *core = host_core(guest->cpu->index);

	host_yield(mode);
	core->doorbell = false;
	if (translate(guest, guest->cpu->arch.pc) == NULL)
		illegal(guest, "fetch from unowned memory", guest->cpu->arch.pc);
}

enum vcpu_result arch_vcpu_run(struct cpu *cpu, struct vcpu_fault *fault)
{
	struct host_core *core = host_core(cpu->index);
	struct host_guest *guest = &guests[cpu->index];

	if (cpu->arch.ready == 0 || cpu->vm == NULL)
		host_break("core %u enters a guest without a reset", cpu->index);
	for (uint32_t i = 0; i < HOST_REGS; i++)
		if ((i > 0 && cpu->arch.regs[i] != 0) || cpu->arch.simd[i] != 0)
			host_break("core %u shows a guest what another left", cpu->index);
	host_trace(HOST_VCPU_RUN, cpu->vm, 0, 0);
	guest->cpu = cpu;
	guest->fault = fault;
	cpu->arch.ready = 0;
	core->in_guest = true;
	if (setjmp(guest->leave) == 0) {
		step(guest, MODE_READY);
		memset(cpu->arch.simd, 0x5a, sizeof(cpu->arch.simd));
		scripts[cpu->vm->index](guest);
		for (;;)
			step(guest, MODE_SLEEPS);
	}
	core->in_guest = false;
	return guest->result;
}

/* ---- What scripts do ---- */

uint32_t guest_vcpu(const struct host_guest *guest)
{
	return guest->cpu->vcpu;
}

uint64_t guest_entry(const struct host_guest *guest)
{
	return guest->cpu->arch.pc;
}

uint64_t guest_context(const struct host_guest *guest)
{
	return guest->cpu->arch.regs[0];
}

void guest_pause(struct host_guest *guest)
{
	step(guest, MODE_READY);
}

void guest_sleep(struct host_guest *guest)
{
	step(guest, guest->cpu->vm->shared.arch.input == 0 ? MODE_SLEEPS : MODE_READY);
}

void guest_hang(struct host_guest *guest, uint32_t attempt)
{
	struct host_core *core = host_core(guest->cpu->index);

	core->deaf = attempt;
	host_yield(MODE_SLEEPS);
	core->deaf = 0;
	for (;;)
		step(guest, MODE_READY);
}

uint8_t guest_load(struct host_guest *guest, uint64_t at)
{
	step(guest, MODE_READY);
	const uint8_t *byte = translate(guest, at);

	if (byte == NULL)
		illegal(guest, "load from unowned memory", at);
	return *byte;
}

void guest_store(struct host_guest *guest, uint64_t at, uint8_t value)
{
	step(guest, MODE_READY);
	uint8_t *byte = translate(guest, at);

	if (byte == NULL)
		illegal(guest, "store to unowned memory", at);
	*byte = value;
}

void guest_print(struct host_guest *guest, const char *text)
{
	for (; *text != '\0'; text++) {
		step(guest, MODE_READY);
		leave_if_commanded(guest);
		guest->cpu->exits[EXIT_CONSOLE]++;
		console_put(guest->cpu->vm, (uint8_t)*text);
	}
}

int guest_read(struct host_guest *guest)
{
	struct vm *vm = guest->cpu->vm;

	step(guest, MODE_READY);
	leave_if_commanded(guest);
	guest->cpu->exits[EXIT_CONSOLE]++;
	int c = console_get(vm);

	if (!console_pending(vm))
		vm->shared.arch.input = 0;
	return c;
}

static uint64_t access_config(struct host_guest *guest, struct mmio access)
{
	step(guest, MODE_READY);
	leave_if_commanded(guest);
	guest->cpu->exits[EXIT_PCI]++;
	pci_config_access(guest->cpu->vm, &access);
	return access.value;
}

uint32_t guest_config_load(struct host_guest *guest, uint64_t offset, uint32_t size)
{
	uint64_t value = access_config(guest, (struct mmio){.offset = offset, .size = size});

	return (uint32_t)(value << (64 - 8 * size) >> (64 - 8 * size));
}

void guest_config_store(struct host_guest *guest, uint64_t offset, uint32_t size, uint32_t value)
{
	access_config(guest,
		      (struct mmio){.offset = offset, .value = value, .size = size, .write = true});
}

static void call(struct host_guest *guest)
{
	step(guest, MODE_READY);
	leave_if_commanded(guest);
	guest->cpu->exits[EXIT_CALL]++;
}

enum bh_error guest_power_on(struct host_guest *guest, uint32_t vcpu, uint64_t entry,
			     uint64_t context)
{
	call(guest);
	return vcpu_power_on(guest->cpu->vm, vcpu, entry, context);
}

void guest_cpu_off(struct host_guest *guest)
{
	call(guest);
	leave(guest, VCPU_OFF);
}

void guest_system_off(struct host_guest *guest)
{
	call(guest);
	leave(guest, VCPU_SYSTEM_OFF);
}

void guest_system_reset(struct host_guest *guest)
{
	call(guest);
	leave(guest, VCPU_SYSTEM_RESET);
}

void guest_illegal(struct host_guest *guest, const char *what)
{
	step(guest, MODE_READY);
	illegal(guest, what, 0);
}
