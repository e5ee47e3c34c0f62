/* SPDX-License-Identifier: Apache-2.0 */
/* RAM in two views, the formats of page tables, and the memory part of the arch contract. */
#include "private.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PHYSICAL_OFFSET ((uint64_t)1 << 43)
#define MAX_PAGES ((uint64_t)1 << 20)

/* The geometry of arm64's tables, so that page counts are checked for what ships. */
#define DESC_ADDRESS 0x0000fffffffff000ULL
#define DESC_READ_ONLY (1ULL << 7)
#define DESC_XN (1ULL << 54)
#define DESC_AF (1ULL << 10)
#define DESC_DEVICE (1ULL << 2)

static const struct pt_format own_format = {
	.levels = 4,
	.leaf_levels = 0xe,
	.shift = {39, 30, 21, 12},
	.entries = {512, 512, 512, 512},
	.address_mask = DESC_ADDRESS,
	.valid = 1,
	.table_bits = 3,
	.type_mask = 3,
	.leaf_bits = {0, 1, 1, 3},
	.attr = {[PT_TEXT] = DESC_AF | DESC_READ_ONLY,
		 [PT_RODATA] = DESC_AF | DESC_READ_ONLY | DESC_XN,
		 [PT_DATA] = DESC_AF | DESC_XN,
		 [PT_DEVICE] = DESC_AF | DESC_DEVICE | DESC_XN},
};

static const struct pt_format guest_format = {
	.levels = 3,
	.leaf_levels = 0x7,
	.shift = {30, 21, 12},
	.entries = {1024, 512, 512},
	.address_mask = DESC_ADDRESS,
	.valid = 1,
	.table_bits = 3,
	.type_mask = 3,
	.leaf_bits = {1, 1, 3},
	.attr = {[PT_GUEST_RAM] = DESC_AF, [PT_GUEST_DEVICE] = DESC_AF | DESC_DEVICE | DESC_XN},
};

void (*host_pt_stored)(uint64_t *entry);

static uint64_t ram_bytes;
static bool enforced;
static uint8_t access_now[MAX_PAGES]; /* of each page of RAM, as the processor has it */

const struct pt_format *arch_own_format(void)
{
	return &own_format;
}

const struct pt_format *arch_guest_format(void)
{
	return &guest_format;
}

void arch_pt_store(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
	if (host_pt_stored != NULL)
		host_pt_stored(entry);
}

uint64_t host_ram_size(void)
{
	return ram_bytes;
}

bool host_ram_holds(uint64_t at, uint64_t size)
{
	return range_inside(at, size, HOST_RAM_BASE, ram_bytes);
}

uint8_t *host_physical(pa_t at)
{
	if (!host_ram_holds(at.v, 1))
		abort();
	return pa_to_ptr(pa(at.v + PHYSICAL_OFFSET));
}

/* ---- The own tables, walked by this machine's own hardware, not by mm/ ---- */

/* The entry that translates @at (0: none), and in @size what it spans. */
static uint64_t translate(uint64_t at, uint64_t *size)
{
	uint64_t node = own_space_root().v;
	uint64_t entry = 0;

	for (uint32_t level = 0; level < own_format.levels; level++) {
		const uint64_t *entries = pa_to_ptr(pa(node));

		*size = 1ULL << own_format.shift[level];
		entry = entries[(at >> own_format.shift[level]) % 512];
		if ((entry & 1) == 0)
			return 0;
		if (level + 1 == own_format.levels || (entry & 3) == 1)
			break;
		node = entry & DESC_ADDRESS;
	}
	if (at - align_down(at, *size) + (entry & DESC_ADDRESS) != at)
		host_break("own space: 0x%lx is mapped to another address", at);
	return entry;
}

static uint8_t access_of(uint64_t entry)
{
	uint32_t access = 0;

	if (entry != 0)
		access = HOST_MAY_READ | ((entry & DESC_READ_ONLY) == 0 ? HOST_MAY_WRITE : 0) |
			 ((entry & DESC_XN) == 0 ? HOST_MAY_EXECUTE : 0);
	if ((access & HOST_MAY_WRITE) != 0 && (access & HOST_MAY_EXECUTE) != 0)
		host_break("own space: a page is both writable and executable");
	return (uint8_t)access;
}

uint32_t host_access(pa_t at)
{
	uint64_t size;

	return access_of(translate(at.v, &size));
}

static void protect(uint64_t at, uint64_t size, uint32_t access)
{
	int flags = (access & HOST_MAY_READ ? PROT_READ : 0) |
		    (access & HOST_MAY_WRITE ? PROT_WRITE : 0);

	if (size != 0 && mprotect(pa_to_ptr(pa(at)), size, flags) != 0)
		abort();
}

/* Brings the protection of [from, from + size) to what the tables say now. */
static void synchronise(uint64_t from, uint64_t size)
{
	uint64_t end = from + size;
	uint64_t changed = 0; /* bytes before @at with @wanted, not protected yet */
	uint8_t wanted = 0;

	for (uint64_t at = from, span = 0; at < end; at += span) {
		uint8_t access = access_of(translate(at, &span));
		uint64_t stop = align_down(at, span) + span;

		span = (stop < end ? stop : end) - at;
		for (uint64_t page = at; page < at + span; page += PAGE_SIZE) {
			uint8_t *now = &access_now[(page - HOST_RAM_BASE) / PAGE_SIZE];

			if (*now == access || (changed != 0 && wanted != access)) {
				protect(page - changed, changed, wanted);
				changed = 0;
			}
			if (*now != access)
				changed += PAGE_SIZE;
			wanted = access;
			*now = access;
		}
	}
	protect(end - changed, changed, wanted);
}

void arch_own_mapped(void)
{
	if (enforced)
		synchronise(HOST_RAM_BASE, ram_bytes);
}

void arch_own_unmapped(struct extent extent)
{
	host_trace(HOST_OWN_UNMAPPED, NULL, extent.base.v, extent.size);
	if (enforced && host_ram_holds(extent.base.v, extent.size))
		synchronise(extent.base.v, extent.size);
}

void host_ram_need(uint64_t at, uint64_t size, uint32_t access)
{
	for (uint64_t page = align_down(at, PAGE_SIZE); page < at + size; page += PAGE_SIZE)
		if ((host_access(pa(page)) & access) != access)
			host_break("the hypervisor touches 0x%lx, which is not mapped so", page);
}

void arch_zero(void *at, uint64_t size)
{
	uint64_t from = ptr_to_pa(at).v;

	host_trace(HOST_ZERO, NULL, from, size);
	if (enforced)
		host_ram_need(from, size, HOST_MAY_READ | HOST_MAY_WRITE);
	for (uint64_t done = 0; done < size; done += 64 * KIB) {
		uint64_t left = size - done;

		memset((uint8_t *)at + done, 0, left < 64 * KIB ? left : 64 * KIB);
		host_yield(MODE_READY);
	}
}

void arch_publish(const void *at, uint64_t size)
{
	if (enforced && size != 0)
		host_ram_need(ptr_to_pa(at).v, size, HOST_MAY_READ);
}

void arch_dma_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ---- Making RAM ---- */

static struct sigaction before;

/* An access to RAM that the own tables do not allow; everything else is for who came before. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	uint64_t at = ptr_to_pa(info->si_addr).v;

	(void)context;
	if (host_ram_holds(at, 1) && host_self() != NULL)
		host_break("the hypervisor touches 0x%lx, which is not mapped so", at);
	sigaction(number, &before, NULL);
}

static void catch_faults(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	if (before.sa_handler == SIG_DFL && before.sa_flags == 0)
		sigaction(SIGSEGV, &action, &before);
}

void host_ram_enforce(void)
{
	enforced = true;
	catch_faults();
	memset(access_now, 0xff, ram_bytes / PAGE_SIZE);
	synchronise(HOST_RAM_BASE, ram_bytes);
}

static void *view(int file, uint64_t at)
{
	void *wanted = pa_to_ptr(pa(at));
	void *got = mmap(wanted, ram_bytes, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, file, 0);

	if (got != wanted)
		abort();
	return got;
}

void host_ram_make(uint64_t bytes)
{
	int file = memfd_create("ram", MFD_CLOEXEC);

	if (ram_bytes != 0 || bytes > MAX_PAGES * PAGE_SIZE)
		abort();
	ram_bytes = align_up(bytes, BLOCK_SIZE);
	if (file < 0 || ftruncate(file, (off_t)ram_bytes) != 0)
		abort();
	view(file, HOST_RAM_BASE);
	memset(view(file, HOST_RAM_BASE + PHYSICAL_OFFSET), HOST_GARBAGE, ram_bytes);
	close(file);
}
