/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake machine's controls: what a test may do to it and see of it.
 *
 * One machine per process (tests fork). Cores are coroutines; one runs at a
 * time and a deterministic scheduler chooses the next, so a test that fails
 * fails again. With a schedule other than 0 the scheduler is drawn from that
 * seed and cores are also interrupted inside the hypervisor's code, at every
 * basic block that was compiled with -fsanitize-coverage=trace-pc. Orders of
 * stores that only a weaker memory model allows are not seen.
 *
 * RAM stands at HOST_RAM_BASE, protected as the hypervisor's own tables say:
 * an access to what they do not map ends the machine with HOST_BROKEN. Guests,
 * devices and tests see it through host_physical().
 */
#ifndef ARCH_HOST_HOST_H
#define ARCH_HOST_HOST_H

#include <bulkhead/boot_info.h>
#include <bulkhead/vm.h>

#define HOST_RAM_BASE ((uint64_t)1 << 45)
#define HOST_DEVICES_BASE ((uint64_t)1 << 46) /* nothing is there */
#define HOST_TICK_RATE 1000000
#define HOST_SECOND ((uint64_t)HOST_TICK_RATE)
#define HOST_GARBAGE 0xa5 /* what RAM holds at power-on */

/* ---- Guests ---- */

struct host_guest; /* one vCPU on its core */

/* What a vCPU does from its entry on. When it returns, the vCPU sleeps for ever. */
typedef void host_guest_fn(struct host_guest *guest);

uint32_t guest_vcpu(const struct host_guest *guest);
uint64_t guest_entry(const struct host_guest *guest);
uint64_t guest_context(const struct host_guest *guest);

/* Some instructions. */
void guest_pause(struct host_guest *guest);

/* Sleeps until an interrupt. */
void guest_sleep(struct host_guest *guest);

uint8_t guest_load(struct host_guest *guest, uint64_t at);
void guest_store(struct host_guest *guest, uint64_t at, uint8_t value);

/* Its console. */
void guest_print(struct host_guest *guest, const char *text);
int guest_read(struct host_guest *guest);

enum bh_error guest_power_on(struct host_guest *guest, uint32_t vcpu, uint64_t entry,
			     uint64_t context);

void guest_cpu_off(struct host_guest *guest) __attribute__((noreturn));
void guest_system_off(struct host_guest *guest) __attribute__((noreturn));
void guest_system_reset(struct host_guest *guest) __attribute__((noreturn));
void guest_illegal(struct host_guest *guest, const char *what) __attribute__((noreturn));

/* Sleeps with everything masked: only stop attempt @attempt or a later one gets it out. */
void guest_hang(struct host_guest *guest, uint32_t attempt) __attribute__((noreturn));
#define HOST_FOR_EVER UINT32_MAX

/* ---- Making a machine ---- */

struct host_vm {
	const char *name;
	uint32_t ncores;
	uint32_t mib; /* at least 8 */
	uint32_t autostart;
	uint32_t restart_limit;
	uint32_t restart_window;
	host_guest_fn *guest;
};

/*
 * A machine of @ncpus cores with RAM full of garbage, and what the loader would
 * hand over for @vms; core 0 boots and manages. A test may change it before
 * host_boot().
 */
struct boot_info *host_make(uint32_t ncpus, const struct host_vm *vms, uint32_t nvms);

/* Before host_make(): so much more RAM, that no VM of the boot has. */
void host_spare_ram(uint64_t bytes);

/* What guests do in whatever VM comes into @slot later. */
void host_guest_set(uint32_t slot, host_guest_fn *guest);

/* @count cores with @bytes of RAM and nothing in it. */
void host_create(uint32_t count, uint64_t bytes);

/* The bytes of the image that @slot of every VM gets. */
const uint8_t *host_image(enum plan_image_slot slot, uint64_t *size);

/* Starts the boot core at @entry(@info). host_run() then runs it. */
void host_boot(struct boot_info *info, void (*entry)(const struct boot_info *info));

/* ---- Running it ---- */

enum host_end {
	HOST_RUNS,
	HOST_QUIET, /* every core sleeps, nothing will wake one */
	HOST_BUSY, /* still running when the time was over */
	HOST_OFF, /* arch_power_off() */
	HOST_HALTED, /* arch_halt(), so after a panic */
	HOST_BROKEN, /* the contract was broken; host_broken() says how */
};

enum host_end host_run(void);
enum host_end host_run_for(uint64_t ticks);
const char *host_broken(void);

/* 0: round robin, cores change only when they wait. */
void host_schedule(uint64_t seed);

/* The operator types. */
void host_type(const char *text);

/* All that came out of the UART; host_forget_output() empties it. */
const char *host_output(void);
void host_forget_output(void);

uint64_t host_now(void);
void host_pass(uint64_t ticks);

/* Faults: this core never arrives; firmware refuses it; how many stop attempts there are (2). */
void host_core_dead(uint32_t core);
void host_core_refused(uint32_t core);
void host_stop_attempts(uint32_t count);

/* ---- PCI functions ---- */

#define HOST_MAX_FUNCTIONS 8
#define HOST_VECTORS 100U /* of MSI-X, each function's */

/*
 * Adds a function 01:NN.0 with a 64-bit BAR 2 of 16 KiB, in which the MSI-X table
 * stands at 0x1000 and the pending bits at 0x2000, and gives it to VM @vm as
 * device 2 + NN, unless that is PLAN_NONE. Between host_make() and host_boot().
 */
void host_add_function(struct boot_info *info, uint32_t vm);

/* Its configuration space as it is. */
uint8_t *host_config(uint32_t function);

/* True while the IOMMU lets its DMA through. */
bool host_function_open(uint32_t function);

/* How often it was reset; how long it is silent afterwards, from now on (100 ms); until when it has transactions pending. */
uint32_t host_function_resets(uint32_t function);
void host_function_slow(uint32_t function, uint64_t reset_ticks);
void host_function_pending(uint32_t function, uint64_t until);

/* The hypervisor's stores to them, at most 1,024 since host_forget_stores(). */
struct host_store {
	uint64_t at; /* the low 24 bits */
	uint32_t size;
	uint32_t value;
};

const struct host_store *host_stores(uint32_t *count);
void host_forget_stores(void);

/* The IOMMU refuses a write of the function with this stream. */
void host_dma_fault(uint32_t stream, uint64_t address);

/* Whether the pages of functions' MSI-X structures are kept from guests; before host_make(). */
void host_trap_msix(bool on);

/* A guest's access to its configuration space. */
uint32_t guest_config_load(struct host_guest *guest, uint64_t offset, uint32_t size);
void guest_config_store(struct host_guest *guest, uint64_t offset, uint32_t size, uint32_t value);

/* ---- Looking at it ---- */

/* RAM as everybody but the hypervisor sees it. */
uint8_t *host_physical(pa_t at);
uint64_t host_ram_size(void);

/* How the hypervisor's own tables map @at: some of HOST_MAY_READ, HOST_MAY_WRITE, HOST_MAY_EXECUTE. */
#define HOST_MAY_READ 1U
#define HOST_MAY_WRITE 2U
#define HOST_MAY_EXECUTE 4U
uint32_t host_access(pa_t at);

/* True while @core executes guest code. */
bool host_in_guest(uint32_t core);

/* Called after every store into a page table; NULL: nothing. */
extern void (*host_pt_stored)(uint64_t *entry);

enum host_event_kind {
	HOST_CPU_INIT,
	HOST_VM_BUILD,
	HOST_VM_INSTALL,
	HOST_VM_REMOVE,
	HOST_VM_QUIESCE,
	HOST_KICK, /* value: attempt */
	HOST_VCPU_RESET, /* value: entry */
	HOST_VCPU_RUN,
	HOST_VCPU_LEAVE,
	HOST_ZERO, /* value: address; size */
	HOST_OWN_UNMAPPED, /* value: address; size */
	HOST_FUNCTION_OPEN, /* value: its index, here and below */
	HOST_FUNCTION_CLOSE,
	HOST_FUNCTION_RESET,
};

/* What the hypervisor asked of the machine, in order. */
struct host_event {
	enum host_event_kind kind;
	uint32_t core; /* which asked */
	uint32_t vm; /* PLAN_NONE: none */
	uint64_t value;
	uint64_t size;
};

#define HOST_MAX_EVENTS 65536

/* At most HOST_MAX_EVENTS since host_forget_events(), the first ones. */
const struct host_event *host_events(uint32_t *count);
void host_forget_events(void);

#endif
