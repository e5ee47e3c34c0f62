/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run-time records: one struct cpu per machine core, one struct vm per
 * planned VM. Of fixed size, without pointers into code. What other cores may
 * touch stands in separate structs: struct mailbox and struct vm_shared.
 */
#ifndef BULKHEAD_VM_H
#define BULKHEAD_VM_H

#include <bulkhead/arch_cpu.h>
#include <bulkhead/plan.h>
#include <bulkhead/types.h>

/* ---- Exits ---- */

/* Why a guest came to the hypervisor. Counted per core; all of them may be 0 in steady state. */
#define EXIT_REASONS(X)                                                                            \
	X(EXIT_CALL, "call") /* PSCI and other HVC/SMC */                                          \
	X(EXIT_IPI, "ipi") /* sending an IPI */                                                    \
	X(EXIT_INTC, "intc") /* set-up of the interrupt controller */                              \
	X(EXIT_INTERRUPT, "interrupt") /* Arm: one for a VM with virtual-interrupts */             \
	X(EXIT_PCI, "pci") /* configuration space and MSI-X tables */                              \
	X(EXIT_CONSOLE, "console") /* the mediated UART */                                         \
	X(EXIT_REGISTER, "register") /* a trapped system register or MSR */                        \
	X(EXIT_PORT, "port") /* x86: an I/O port, the console's apart */                           \
	X(EXIT_CPUID, "cpuid") /* x86: forced by VMX */                                            \
	X(EXIT_NMI, "nmi") /* x86: an NMI that went back to the guest */                           \
	X(EXIT_STOP, "stop") /* the manager's stop */                                              \
	X(EXIT_ILLEGAL, "illegal")

enum exit_reason {
#define EXIT_NAME(name, text) name,
	EXIT_REASONS(EXIT_NAME)
#undef EXIT_NAME
		EXIT_REASON_COUNT
};

/* What an illegal operation was: for the log and the manager. */
struct vcpu_fault {
	const char *what; /* static text: "load from unowned memory" */
	uint64_t syndrome; /* ESR_EL2, exit reason */
	uint64_t address; /* guest-physical, where there is one */
	uint64_t pc;
};

/* A trapped load or store of 1, 2, 4 or 8 bytes. */
struct mmio {
	uint64_t offset; /* in the device */
	uint64_t value;
	uint32_t size;
	bool write;
};

/* How arch_vcpu_run() ended. */
enum vcpu_result {
	VCPU_STOPPED, /* the mailbox holds a command */
	VCPU_OFF, /* the vCPU switched itself off */
	VCPU_SYSTEM_OFF,
	VCPU_SYSTEM_RESET,
	VCPU_ILLEGAL, /* struct vcpu_fault says what */
};

/* ---- Cores ---- */

enum core_command { COMMAND_NONE, COMMAND_START, COMMAND_STOP, COMMAND_SCRUB };

enum core_state {
	CORE_OFFLINE,
	CORE_IDLE, /* in the hypervisor, ready for a VM */
	CORE_RUNNING, /* has a vCPU, in the guest or switched off by it */
	CORE_PARKED, /* has left its guest for good */
	CORE_LOST, /* did not answer a stop: quarantined until reset */
};

enum core_event { EVENT_NONE, EVENT_OFF, EVENT_RESET, EVENT_ABORT };

/*
 * All that a core manager and the system manager share. command: set by the
 * system manager when COMMAND_NONE, taken by the core. state: written by the
 * core (CORE_LOST by the system manager). event and fault: written by the core
 * when EVENT_NONE, taken by the system manager.
 */
struct mailbox {
	uint32_t command;
	uint32_t vm; /* index of the VM the command is about */
	uint32_t state;
	uint32_t event;
	struct vcpu_fault fault;
} __attribute__((aligned(64)));

/* A core's own record; only that core writes it, but for the mailbox. */
struct cpu {
	struct arch_cpu arch; /* first: assembly finds it at the record's address */
	uint64_t hwid;
	uint32_t index;
	uint32_t vcpu; /* which vCPU of its VM this core runs */
	struct vm *vm; /* NULL: none */
	uint64_t exits[EXIT_REASON_COUNT]; /* since its VM was started */
	struct mailbox mailbox;
};

/* ---- VMs ---- */

#define VM_STATES(X)                                                                               \
	X(VM_NEW, "new") /* its memory may hold anything */                                        \
	X(VM_SCRUBBING, "scrubbing") /* its cores write zeroes */                                  \
	X(VM_STOPPED, "stopped") /* memory zero, cores idle */                                     \
	X(VM_LOADING, "loading") /* images on their way into its memory, which is mapped */        \
	X(VM_LOADED, "loaded") /* images in its memory */                                          \
	X(VM_RUNNING, "running")                                                                   \
	X(VM_STOPPING, "stopping") /* its cores are leaving the guest */                           \
	X(VM_QUARANTINED, "quarantined") /* a core is lost: keeps all it has until reset */

enum vm_state {
#define VM_STATE_NAME(name, text) name,
	VM_STATES(VM_STATE_NAME)
#undef VM_STATE_NAME
		VM_STATE_COUNT
};

/* The word for @state. */
const char *vm_state_name(enum vm_state state);

/* True when a VM may go from @from to @to. Pure (core/vm_state.c). */
bool vm_state_allows(enum vm_state from, enum vm_state to);

enum vcpu_power { VCPU_POWER_OFF, VCPU_POWER_CLAIMED, VCPU_POWER_PENDING, VCPU_POWER_ON };

/* One vCPU's power state (PSCI; on x86 INIT and SIPI): a sibling claims it OFF -> CLAIMED, fills in, -> PENDING; its own core -> ON, -> OFF. */
struct vcpu_shared {
	uint32_t power;
	uint32_t init; /* x86: a sibling sent INIT: the vCPU goes off at its next exit */
	uint64_t entry;
	uint64_t context;
};

#define CONSOLE_RX_SIZE 256
#define CONSOLE_TX_SIZE (CONFIG_CONSOLE_RING_KIB * KIB)

/*
 * Single producer, single consumer: tx from the VM's cores (under tx_lock) to
 * the system manager, rx the other way. Indices run freely.
 */
struct console {
	uint32_t tx_lock;
	uint32_t tx_head;
	uint32_t tx_tail;
	uint32_t rx_head;
	uint32_t rx_tail;
	uint32_t dropped; /* bytes the guest wrote into a full ring */
	uint8_t rx[CONSOLE_RX_SIZE];
};

/* What all cores of one VM, and the system manager, may touch. */
struct vm_shared {
	struct console console;
	struct arch_vm arch;
	uint32_t
		pci_lock; /* held around what a guest does to functions' registers, and changes of what is there */
	uint32_t pci_cut; /* bit n: the bus mastering of function n stays off */
	uint32_t
		pci_present; /* bit n: the guest finds function n; a port's may go, under the lock */
	uint32_t pci_given_back; /* bit n: the guest has switched its slot off */
	uint32_t ports_raised; /* bit n: port n wants an interrupt */
	uint32_t port[PLAN_MAX_PORTS][PORT_BYTES / 4]; /* their configuration space */
	/* bit n: all ones were written to BAR n, so that it reads as its size */
	uint32_t bar_sizing[PLAN_MAX_FUNCTIONS];
	struct vcpu_shared vcpu[CONFIG_MAX_CPUS];
};

struct vm {
	uint32_t index; /* in the plan */
	uint32_t state; /* enum vm_state; written by the system manager */
	pa_t stage2; /* root */
	pa_t dma; /* root of what its functions reach; 0: it has none */
	pa_t msix; /* x86: what it wrote into MSI-X tables; 0: it has no functions */
	uint8_t *tx; /* the console's ring of CONSOLE_TX_SIZE bytes */
	uint64_t restart_first; /* ticks at which the current restart window began */
	uint32_t restarts; /* in that window */
	uint32_t images; /* those that are in its memory, a bit for each plan_image_slot */
	uint32_t dma_faults; /* since it was started */
	uint64_t started; /* ticks */
	uint32_t line_length; /* of the console line being mirrored */
	char line[120];
	struct vm_shared shared;
};

/* True when the guest finds function @slot of @vm's plan. */
static inline bool pci_present(const struct vm *vm, uint32_t slot)
{
	return (__atomic_load_n(&vm->shared.pci_present, __ATOMIC_RELAXED) >> slot & 1) != 0;
}

/* The frozen plan of @vm, and the machine it was made for. */
const struct plan_vm *vm_plan(const struct vm *vm);
const struct machine *machine_facts(void);
const struct plan *machine_plan(void);

/* The record of machine core @index, and of the VM in slot @index of the plan: NULL where that is vacant. */
struct cpu *cpu_record(uint32_t index);
struct vm *vm_record(uint32_t index);

/* ---- Called by arch code on an exit ---- */

/*
 * Switches on vCPU @vcpu of @vm at @entry with @context as its argument.
 * BH_WRONG_STATE when it is on or on its way, BH_NO_SUCH_CORE when there is none.
 */
enum bh_error vcpu_power_on(struct vm *vm, uint32_t vcpu, uint64_t entry, uint64_t context);

/* The guest wrote @byte: into the ring, dropped and counted when it is full. Wakes the system manager when it slept. */
void console_put(struct vm *vm, uint8_t byte);

/* The next byte for the guest; -1 when there is none. */
int console_get(struct vm *vm);

/* True when console_get() would return a byte. */
bool console_pending(struct vm *vm);

/* Wakes the system manager. */
void system_manager_wake(void);

#endif
