/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arch contract: what an architecture must do for the core, duty by duty.
 * Implemented by arch/arm64, arch/x86 and the fake machine arch/host.
 */
#ifndef BULKHEAD_ARCH_H
#define BULKHEAD_ARCH_H

#include <bulkhead/boot_info.h>
#include <bulkhead/mm.h>
#include <bulkhead/vm.h>

/* ---- Start-up ---- */

/* Finds what this processor offers; BH_BAD_MACHINE with the reason in @report. Boot core, before anything else. */
enum bh_error arch_probe(const struct boot_info *info, struct bh_report *report);

/* Maps the registers the arch code itself uses (interrupt controller) with own_map(). */
void arch_map_registers(const struct machine *machine);

/* Leaves the current tables and stack for good: own tables at @root, stack top @stack, then @entry(@cpu). */
void arch_enter(pa_t root, va_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
	__attribute__((noreturn));

/* The same for another core: starts it; it arrives at @entry(@cpu) on own tables. BH_NO_SUCH_CORE when firmware refuses. */
enum bh_error arch_cpu_on(pa_t root, va_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu));

/* Brings the shared interrupt controller into a known state: everything off. Boot core, once. */
void arch_machine_init(void);

/* Brings this core into the state in which it may idle: traps, vectors, interrupt interface. */
void arch_cpu_init(struct cpu *cpu);

/* This core's record; NULL until arch_enter() or arch_cpu_on() brought it here. */
struct cpu *arch_this_cpu(void);

/* ---- Time ---- */

/* A counter that runs at arch_tick_rate() per second and agrees between cores. */
uint64_t arch_ticks(void);
uint64_t arch_tick_rate(void);

/* ---- Sleeping and waking ---- */

/* Wakes core @cpu out of arch_wait(); in a guest it is seen at the guest's next exit. Ordered after all earlier stores. */
void arch_doorbell(uint32_t cpu);

/* Sleeps until a doorbell, the UART's input or @deadline (ticks; 0: none). May return early. */
void arch_wait(uint64_t deadline);

/* Tells the processor that this is a waiting loop. */
void arch_pause(void);

/* ---- Memory ---- */

/* Stores a page-table entry so that every walker (other cores, IOMMU) sees it. */
void arch_pt_store(uint64_t *entry, uint64_t value);

/* The geometry of the hypervisor's own tables and of guests' tables. */
const struct pt_format *arch_own_format(void);
const struct pt_format *arch_guest_format(void);

/* Makes new leaves of the own space visible to this core (after pt_map). */
void arch_own_mapped(void);

/*
 * Invalidates [@extent] of the own space on this core, and on every other before that next runs a
 * guest or wakes; where the hardware broadcasts, at once.
 */
void arch_own_unmapped(struct extent extent);

/* Writes zeroes and makes them visible to observers without caches (a guest with its MMU off, a device). */
void arch_zero(void *at, uint64_t size);

/* Makes what was written visible to such observers, and to instruction fetch. */
void arch_publish(const void *at, uint64_t size);

/* Orders memory accesses before it against those after it, as a coherent device sees them. */
void arch_dma_fence(void);

/*
 * One access of 1, 2 or 4 bytes to a register that is mapped with own_map(),
 * aligned to its size. In order with each other; in a form that processors take
 * for PCI configuration space.
 */
uint32_t arch_device_load(pa_t at, uint32_t size);
void arch_device_store(pa_t at, uint32_t size, uint32_t value);

/* ---- VMs ---- */

/* Maps into @table, with guest_map(), the registers that @vm touches directly. Its RAM is mapped already. */
void arch_vm_map_registers(const struct vm *vm, const struct page_table *table);

/* Lifecycle start step 6: memory and I/O mappings on. Constant time. */
void arch_vm_install(struct vm *vm);

/* Lifecycle stop: mappings off and out of every TLB; what its cores do next brings them to the hypervisor. */
void arch_vm_remove(struct vm *vm);

/*
 * What was taken out of @vm's space while it may be running is in no core's TLB any more when this returns; false when
 * a core does not answer.
 */
bool arch_vm_unmapped(const struct vm *vm);

/*
 * Signals core @cpu so that it leaves its guest. @attempt 0 is the strongest
 * signal this machine offers, 1 and up are others for a core that has not
 * answered (docs/lifecycle.md). False: there is no such attempt.
 */
bool arch_stop_kick(uint32_t cpu, uint32_t attempt);

/* Which signals arch_stop_kick() has here, for the log. */
const char *arch_stop_method(void);

/* After its cores have left: @vm's interrupts off, nothing pending or active. */
void arch_vm_quiesce(struct vm *vm);

/* The console has input: raises its interrupt. */
void arch_console_notify(struct vm *vm);

/* ---- PCI functions: their DMA and interrupts. Registers were mapped by arch_map_registers(). ---- */

/* The geometry of the tables that an IOMMU walks for a VM's functions. */
const struct pt_format *arch_dma_format(void);

/* Maps into @table what functions of a VM reach besides its RAM: on Arm the ITS' doorbell. */
void arch_vm_map_dma(const struct page_table *table);

/*
 * With @open: opens the DMA of function @slot of @vm's plan to vm->dma and to nothing else, and lets its
 * interrupts through to @vm's cores only. Its bus mastering is off.
 * Without: blocks its DMA and its interrupts. When this returns no translation is cached
 * and nothing it wrote before is on its way. Its bus mastering is off.
 */
void arch_function_set(const struct vm *vm, uint32_t slot, bool open);

/*
 * Opens the DMA of the machine's function @function, which is the hypervisor's own (the card's), to
 * the tables at @root. No interrupts.
 */
void arch_own_function_open(uint32_t function, pa_t root);

/*
 * vm->shared.ports_raised may have changed: sets a line of the VM's by it, or sends the MSI with @address
 * and @data of the port for which it did. @address 0: no message. Under pci_lock.
 */
void arch_port_notify(struct vm *vm, uint32_t address, uint32_t data);

/* A DMA that an IOMMU refused. */
struct dma_fault {
	uint32_t iommu;
	uint32_t stream; /* as in struct machine_function */
	uint64_t address; /* as the function used it; 0 when not known */
	bool write;
};

/* The next of them, oldest first; false when there is none. Takes it off the IOMMU's list; never waits. */
bool arch_dma_fault(struct dma_fault *fault);

/* ---- vCPUs, each on its own core ---- */

/* Architectural reset of this core's vCPU: starts at @entry with @context; nothing of an earlier guest is left. */
void arch_vcpu_reset(struct cpu *cpu, uint64_t entry, uint64_t context);

/* Runs the guest until it cannot go on; counts exits in cpu->exits. @fault is filled for VCPU_ILLEGAL. */
enum vcpu_result arch_vcpu_run(struct cpu *cpu, struct vcpu_fault *fault);

/* This core has left its guest: wipes the guest's registers and restores the idle state of arch_cpu_init(). */
void arch_vcpu_leave(struct cpu *cpu);

/* ---- UART and power ---- */

void arch_uart_put(char c);

/* The next character of the operator; -1 when there is none. */
int arch_uart_get(void);

void arch_power_off(void) __attribute__((noreturn));

/* Stops this core for good after a panic. */
void arch_halt(void) __attribute__((noreturn));

#endif
