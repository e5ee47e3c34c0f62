/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: a pool that only gives at start-up, one page-table walker for every
 * format, the ledger of who owns which extent, and the hypervisor's own
 * address space.
 */
#ifndef BULKHEAD_MM_H
#define BULKHEAD_MM_H

#include <bulkhead/boot_info.h>
#include <bulkhead/error.h>
#include <bulkhead/types.h>

/* ---- Page pool: counted by the planner, taken once, never given back. ---- */

struct page_pool {
	pa_t next;
	uint64_t pages; /* left */
};

/* Takes @pages zeroed, contiguous pages aligned to their size (a power of two, else to one page); pa 0 when they are not there. */
pa_t pool_take(struct page_pool *pool, uint64_t pages);

/* ---- Page tables: geometry and policy are data, one walker walks everything. ---- */

enum pt_attr {
	PT_TEXT, /* own space: read, execute */
	PT_RODATA, /* own space: read */
	PT_DATA, /* own space: read, write */
	PT_DEVICE, /* own space: registers */
	PT_GUEST_RAM, /* guest: read, write, execute */
	PT_GUEST_DEVICE, /* guest: registers, never execute */
	PT_GUEST_DATA, /* guest: read, write: memory that stands in for registers */
	PT_ATTR_COUNT
};

#define PT_MAX_LEVELS 5

/*
 * A format of page tables. Level 0 is the root. An entry at level l resolves
 * the address bits from shift[l] up. leaf_levels has bit l set where a leaf may
 * stand; a leaf at level l is address | leaf_bits[l] | attr[a].
 */
struct pt_format {
	uint32_t levels;
	uint32_t leaf_levels;
	uint8_t shift[PT_MAX_LEVELS];
	uint16_t entries[PT_MAX_LEVELS];
	uint64_t address_mask; /* bits of an entry that hold an address */
	uint64_t valid; /* set in every entry that translates */
	uint64_t table_bits; /* of an entry that points to a table, and */
	uint64_t level_unit; /* as often as there are levels below it (AMD-Vi; elsewhere 0) */
	/* above the last level: (entry & type_mask) == these bits means table */
	uint64_t type_mask;
	uint64_t leaf_bits[PT_MAX_LEVELS];
	uint64_t attr[PT_ATTR_COUNT]; /* 0: this format has no such kind of page */
};

/* A tree of tables; built where it is used, so nothing that persists points into code. */
struct page_table {
	const struct pt_format *format;
	struct page_pool *pool; /* where new tables come from */
	pa_t root;
};

/*
 * Maps [@at, @at + @size) to [@to, ...) with the largest leaves that fit; all
 * multiples of PAGE_SIZE. Only ever writes over entries that are not valid, so
 * no break-before-make is needed (Arm ARM D8.16.1); every store leaves a valid
 * tree. BH_OVERLAP when a page is mapped already, BH_NO_MEMORY when the pool is empty, BH_BAD_VALUE when the format cannot express the range or attribute;
 * then what was mapped so far stays. The caller does what its TLB needs.
 */
enum bh_error pt_map(const struct page_table *table, uint64_t at, pa_t to, uint64_t size,
		     enum pt_attr attr);

/*
 * Takes the tables that leaves of @leaf bytes (PAGE_SIZE or BLOCK_SIZE) in the range need,
 * so that no later pt_map() of such or larger ones takes any. BH_NO_MEMORY when the pool is empty.
 */
enum bh_error pt_reserve(const struct page_table *table, uint64_t at, uint64_t size, uint64_t leaf);

/*
 * Takes the leaves of exactly the ranges that pt_map() mapped out again; the
 * tables stay for the next map. Where nothing is mapped, nothing happens. The
 * caller invalidates the TLB.
 */
void pt_unmap(const struct page_table *table, uint64_t at, uint64_t size);

/* Finds the leaf for @at: its target in @to (may be NULL), its entry as the result; 0 when there is none. */
uint64_t pt_lookup(const struct page_table *table, uint64_t at, pa_t *to);

/*
 * Makes every root entry that points somewhere valid (@on) or invalid, keeping
 * its address: in constant time the whole space is there or gone. Nothing may be
 * mapped or unmapped while it is off.
 */
void pt_switch(const struct page_table *table, bool on);

/* ---- A guest's physical space, from the plan. ---- */

struct vm;

/*
 * Builds @vm's space with tables from @pool, RAM, registers and BARs, switched
 * off; sets vm->stage2, and vm->dma if it has functions. Panics when the pool is short: it was counted.
 */
void guest_space_build(struct vm *vm, struct page_pool *pool);

/* The tables of @vm's space, for pt_switch() and pt_lookup(). */
struct page_table guest_space(const struct vm *vm);

/* The root of tables for a function of the hypervisor's own: @extent at its own address, and nothing else. */
pa_t own_dma_space(struct page_pool *pool, struct extent extent);

/* As pt_map(), for the plan's own pages: panics when it cannot be. */
void guest_map(const struct page_table *table, gpa_t at, struct extent to, enum pt_attr attr);

/* ---- Ledger: the one owner of every extent of RAM. ---- */

enum owner_kind { OWNER_FREE, OWNER_HYPERVISOR, OWNER_IMAGES, OWNER_VM };

struct ledger_entry {
	struct extent extent;
	uint32_t kind; /* enum owner_kind */
	uint32_t vm; /* index, for OWNER_VM; also for OWNER_HYPERVISOR outside plan.core */
};

/*
 * The machine's RAM split at both ends of everything a good plan can own at
 * once: the core, the image store, each slot's RAM and its extent for the
 * hypervisor. Free memory that adjoins is one entry. What memory holds, the
 * state of its VM says; whoever is given some has it zeroed first.
 */
#define LEDGER_MAX                                                                                 \
	(MACHINE_MAX_MEMORY +                                                                      \
	 2 * (1 + CONFIG_MAX_VMS * (PLAN_MAX_IMAGES + CONFIG_MAX_REGIONS_PER_VM + 1)))

struct ledger {
	uint32_t count;
	uint32_t reserved;
	uint64_t total; /* bytes of RAM, as the machine has them */
	struct ledger_entry entry[LEDGER_MAX]; /* sorted, no overlaps, no gaps but the machine's */
};

/* Everything in @machine's memory is free. */
void ledger_init(struct ledger *ledger, const struct machine *machine);

/*
 * Gives the free @extent to an owner. BH_OVERLAP unless all of it is free,
 * BH_TOO_MANY when the ledger is full: no plan that plan_check() lets pass gets
 * there. Then nothing has changed.
 */
enum bh_error ledger_take(struct ledger *ledger, struct extent extent, enum owner_kind kind,
			  uint32_t vm);

/*
 * Gives back what one ledger_take() gave: @extent is free, and one with free
 * neighbours. Needs no room, so it cannot fail for that. BH_BAD_VALUE, and
 * nothing has changed, unless @extent is exactly what one owner has.
 */
enum bh_error ledger_give(struct ledger *ledger, struct extent extent);

/* The index of the entry that holds @at; ledger->count when none does. */
uint32_t ledger_find(const struct ledger *ledger, pa_t at);

/* The ledger's own invariants, that no RAM was lost, and that it says what @plan says: BH_OK or BH_BAD_PLAN. */
enum bh_error ledger_check(const struct ledger *ledger, const struct plan *plan);

/* ---- The hypervisor's own address space: everything at its physical address, W^X. ---- */

/* Maps @extent at its own address. Panics when that cannot be: the plan counted the tables. */
void own_map(struct extent extent, enum pt_attr attr);

/* Takes the tables that a later own_map() of whole blocks in @extent needs; nothing is mapped. */
void own_reserve(struct extent extent);

/* Takes it out again and out of every core's TLB. */
void own_unmap(struct extent extent);

/*
 * Builds the space with tables from @pool, which stays in use until
 * own_space_seal(): text, rodata, data, boot_info read-only, and the registers
 * of the arch code. Stacks and records are mapped by who takes them.
 */
void own_space_build(const struct boot_info *info, struct page_pool *pool);

/* From here on own_map() takes no more tables. */
void own_space_seal(void);

/* The root, for arch_space_use(). */
pa_t own_space_root(void);

#endif
