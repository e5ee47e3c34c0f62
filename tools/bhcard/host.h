/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server: its connection, what is known of it, its VMs. What is wanted of a
 * VM is written down before anything is done about it; what is, is always asked
 * of the hypervisor. So the daemon, the connection or the machine may go at any
 * time: host_sync.c compares both and vm_settle() goes on from there.
 */
#ifndef BHCARD_HOST_H
#define BHCARD_HOST_H

#include "facts.h"
#include "journal.h"
#include "link.h"
#include "spec.h"
#include "store.h"

/* As the hypervisor says it (docs/control-protocol.md); absent: it does not know the VM. */
#define VM_WORDS(X)                                                                                \
	X(IS_ABSENT, "absent")                                                                     \
	X(IS_NEW, "new")                                                                           \
	X(IS_SCRUBBING, "scrubbing")                                                               \
	X(IS_STOPPED, "stopped")                                                                   \
	X(IS_LOADING, "loading")                                                                   \
	X(IS_LOADED, "loaded")                                                                     \
	X(IS_RUNNING, "running")                                                                   \
	X(IS_STOPPING, "stopping")                                                                 \
	X(IS_QUARANTINED, "quarantined")

enum vm_is {
#define VM_WORD_NAME(name, text) name,
	VM_WORDS(VM_WORD_NAME)
#undef VM_WORD_NAME
		VM_IS_COUNT
};

/* How far a VM that is wanted running has come. */
enum vm_phase { PHASE_IDLE, PHASE_STARTING, PHASE_RUNNING };

/* A VM on its way out: its entry goes too, or only what it was configured to be. */
enum vm_leaving { LEAVING_NOT, LEAVING_FORGET, LEAVING_CLEAR };

struct host;
struct op;

struct vm {
	struct host *host;
	struct vm *next;
	char name[MANIFEST_NAME_MAX + 1];

	/* What is wanted: in state.json. */
	bool is_ours; /* false: somebody else's, found on the machine */
	json_t *json; /* VmSpec */
	json_t *ch; /* VmConfig, when it was created by Cloud Hypervisor's API */
	json_t *ch_ids; /* the names that API gave to functions in ports: {id: function} */
	struct spec spec;
	bool want_running;
	enum vm_phase phase;
	enum vm_leaving leaving;
	struct stored_image image[2]; /* kernel, initrd */
	char planned[DIGEST_HEX]; /* of the struct plan_vm it was created with; empty: none */
	uint64_t boot_id; /* of the machine's start during which the above was last true */

	/* What is: told by the hypervisor. */
	enum vm_is is;
	bool is_kept; /* the boot manifest's */
	bool is_seen; /* in the list of this connection */
	uint32_t slot;
	uint32_t kept_restarts;
	uint32_t dropped;

	/* What is being done. */
	struct op *op;
	bool is_plugging; /* a plug or unplug is on its way */
	bool is_asking; /* an info is on its way */
	bool ask_again;
	enum ending ending;
	struct restart_count count;
	uint64_t
		grace_until; /* as now_ms(): so long it may end by itself; 0: it was not asked to */
	struct event *timer;
	struct fail last_error;

	struct spool *console;
	struct feed output;
	void *api; /* its own API socket, the hooks' */
};

/* For who serves a socket for each VM. */
struct host_hooks {
	void (*vm_added)(void *context, struct vm *vm);
	void (*vm_removed)(void *context, struct vm *vm);
};

struct host {
	struct event_base *base;
	char name[64];
	struct store store;
	struct link *link; /* NULL: not connected */
	bool is_synced; /* all VMs of this connection are known */
	bool is_known; /* @facts were told once */
	struct facts facts;
	uint64_t hello_at; /* seconds, when it was */
	char refused[320]; /* why the last connection was refused; empty: it was not */
	struct plan plan; /* rebuilt from list and info */
	struct vm *vms;
	struct spool *log;
	struct feed log_lines;
	struct journal journal;
	uint64_t log_dropped;
	const struct host_hooks *hooks;
	void *hooks_context;
};

/* ---- host.c ---- */

/* Reads what is stored. NULL with @fail. */
struct host *host_new(struct event_base *base, const char *name, const char *state,
		      const struct host_hooks *hooks, void *hooks_context, struct fail *fail);
void host_free(struct host *host);

/* The hypervisor has dialled: takes @bev over. A connection that was there is dropped. */
void host_attach(struct host *host, struct bufferevent *bev);

struct vm *host_find(struct host *host, const char *name);

/* A VM of ours by @json, a VmSpec. NULL with @fail. */
struct vm *host_add(struct host *host, const json_t *json, struct fail *fail);

/* Forgets @vm, its images and its console. */
void host_remove(struct vm *vm);

/* Writes down what is wanted. */
bool host_save(struct host *host, struct fail *fail);

/* What the VM is to be from now on; for one that is bare. Takes @image over too. */
bool vm_configure(struct vm *vm, const json_t *json, const json_t *ch, struct fail *fail);

/* Another image, while the VM is stopped. */
bool vm_set_image(struct vm *vm, unsigned int which, const struct stored_image *image,
		  struct fail *fail);
bool vm_may_change(const struct vm *vm, struct fail *fail);

/* Tells listeners of the machine's events; @vm and @why may be NULL. */
void host_event(struct host *host, const char *vm, const char *kind, const char *why);

const char *vm_word(enum vm_is is);

/* The same as people see it (openapi.yaml, Vm.state). */
const char *vm_state_word(const struct vm *vm);

/* What the hypervisor has of @vm; NULL when it does not know it. */
const struct plan_vm *vm_plan_of(const struct vm *vm);

/* Of a clock that only goes forward. */
uint64_t now_ms(void);
uint64_t now_seconds(void);

/* ---- host_state.c: state.json ---- */

bool host_restore(struct host *host, struct fail *fail);
json_t *host_state(const struct host *host);

/* A VM's record without anything; it is in the host's list. NULL when there is no memory. */
struct vm *host_new_vm(struct host *host, const char *name);

/* ---- host_sync.c: what the hypervisor says ---- */

extern const struct link_callbacks host_link_callbacks;

/* Asks for @vm's info; vm_settle() follows. */
void vm_ask(struct vm *vm);

/* ---- vm_settle.c: compares what is wanted with what is, and begins what is needed ---- */

/*
 * @vm is stopped when it runs still at @until; 0: it is not. Written down for a VM that
 * is not ours; one of ours is not wanted running, and so is stopped after a restart too.
 */
bool vm_set_grace(struct vm *vm, uint64_t until, struct fail *fail);

void vm_settle(struct vm *vm);

/* It ended, or something was heard of it, as @kind of event says. */
void vm_heard(struct vm *vm, const char *kind);

#endif
