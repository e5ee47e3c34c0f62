/* SPDX-License-Identifier: Apache-2.0 */
/* PCI functions with configuration space and registers that behave, and the parts of the arch contract about them. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

#define HOST_ECAM_BASE (HOST_DEVICES_BASE + GIB)
#define HOST_BAR_BASE (HOST_DEVICES_BASE + 2 * GIB)
#define BAR_BYTES 0x4000ULL
#define CAP_PCIE 0x40U
#define CAP_MSIX 0x80U
#define CAP_VENDOR 0xa0U
#define MAX_STORES 1024

static struct host_function {
	uint8_t config[PAGE_SIZE];
	uint8_t bar[BAR_BYTES];
	uint64_t silent_until; /* ticks */
	uint64_t reset_ticks; /* how long it is silent after a reset */
	uint64_t pending_until;
	uint32_t resets;
	bool open;
} functions[HOST_MAX_FUNCTIONS];

static struct host_store stores[MAX_STORES];
static uint32_t nstores;
static struct dma_fault faults[64];
static uint32_t nfaults;
static bool msix_trapped;

static uint32_t get(const struct host_function *f, uint32_t at)
{
	uint32_t value;

	memcpy(&value, &f->config[at], 4);
	return value;
}

static void set(struct host_function *f, uint32_t at, uint32_t value)
{
	memcpy(&f->config[at], &value, 4);
}

/* As after a reset: no BAR, no command. */
static void reset(struct host_function *f)
{
	memset(f->config, 0, sizeof(f->config));
	set(f, 0x00, 0x1041 << 16 | 0x1af4);
	set(f, 0x04, 1U << 20);
	set(f, 0x08, 0x02000001);
	set(f, 0x0c, 0x00800000); /* of several */
	set(f, 0x2c, 0x11001af4);
	set(f, 0x30, 0xfeb00001); /* an expansion ROM */
	set(f, 0x34, CAP_PCIE);
	set(f, 0x3c, 0x010b); /* line and pin */
	set(f, CAP_PCIE, 0x0002 << 16 | CAP_MSIX << 8 | 0x10);
	set(f, CAP_PCIE + 4, 1U << 28 | 0x8001);
	set(f, CAP_PCIE + 8, 0x2010);
	set(f, CAP_PCIE + 12, 0x00011c11);
	set(f, CAP_MSIX, (HOST_VECTORS - 1) << 16 | 0x60 << 8 | 0x11);
	set(f, CAP_MSIX + 4, 0x1000);
	set(f, CAP_MSIX + 8, 0x2000);
	set(f, 0x60, CAP_VENDOR << 8 | 0x01); /* power management, which no guest sees */
	set(f, CAP_VENDOR, 0x01140009);
	set(f, CAP_VENDOR + 4, 0xabcdef01);
	set(f, CAP_VENDOR + 16, 0xffeeddcc);
	memset(f->bar, 0x77, sizeof(f->bar));
}

/* Room for the tables of the VM's first function, from what the pool has besides: VMs stand behind it in their order. */
static void make_room(struct boot_info *info, uint32_t vm)
{
	uint64_t bytes = (VM_FUNCTION_PAGES + VM_DMA_PAGES + VM_MSIX_PAGES + 2) * PAGE_SIZE;

	info->pool.size -= bytes;
	for (uint32_t i = 0; i <= vm; i++)
		info->plan.vm[i].hypervisor.base.v -= bytes;
	info->plan.vm[vm].hypervisor.size += bytes;
}

void host_add_function(struct boot_info *info, uint32_t vm)
{
	struct machine *machine = &info->machine;
	uint32_t index = machine->nfunctions++;
	struct machine_function *function = &machine->function[index];

	if (index >= HOST_MAX_FUNCTIONS)
		abort();
	machine->necam = 1;
	machine->ecam[0] = (struct machine_ecam){.base = pa(HOST_ECAM_BASE), .bus_last = 1};
	*function = (struct machine_function){
		.id = 1U << 8 | index << 3,
		.device = 0x1041 << 16 | 0x1af4,
		.class_code = 0x02000001,
		.flags = FUNCTION_FLR,
		.group = index,
		.pf = MACHINE_NONE,
		.iommu = 0,
		.stream = 0x100 + index,
		.pcie = CAP_PCIE,
		.msix = CAP_MSIX,
		.msix_vectors = HOST_VECTORS,
		.msix_bar = 2,
		.pba_bar = 2,
		.msix_offset = 0x1000,
		.pba_offset = 0x2000,
		.ncaps = 3,
		.cap = {{0x10, CAP_PCIE, 60}, {0x11, CAP_MSIX, 12}, {0x09, CAP_VENDOR, 18}},
	};
	function->bar[2] = (struct machine_bar){.base = pa(HOST_BAR_BASE + index * BAR_BYTES),
						.size = BAR_BYTES,
						.flags = 0xc,
						.kept_page = msix_trapped ? 1 : 0,
						.kept_pages = msix_trapped ? 2 : 0};
	reset(&functions[index]);
	functions[index].reset_ticks = HOST_SECOND / 10;
	if (vm == PLAN_NONE)
		return;
	make_room(info, vm);
	struct plan_vm *plan = &info->plan.vm[vm];
	struct plan_function *given = &plan->function[plan->nfunctions++];

	*given = (struct plan_function){.function = index, .id = (2 + index) << 3};
	given->bar[2] = gpa(GUEST_WINDOW_BASE + index * BAR_BYTES);
}

/* ---- What tests do to them and see of them ---- */

uint8_t *host_config(uint32_t function)
{
	return functions[function].config;
}

bool host_function_open(uint32_t function)
{
	return functions[function].open;
}

uint32_t host_function_resets(uint32_t function)
{
	return functions[function].resets;
}

void host_function_slow(uint32_t function, uint64_t reset_ticks)
{
	functions[function].reset_ticks = reset_ticks;
}

void host_function_pending(uint32_t function, uint64_t until)
{
	functions[function].pending_until = until;
}

const struct host_store *host_stores(uint32_t *count)
{
	*count = nstores;
	return stores;
}

void host_forget_stores(void)
{
	nstores = 0;
}

void host_dma_fault(uint32_t stream, uint64_t address)
{
	if (nfaults == ARRAY_SIZE(faults))
		abort();
	faults[nfaults++] = (struct dma_fault){.stream = stream, .address = address, .write = true};
}

void host_trap_msix(bool on)
{
	msix_trapped = on;
}

/* ---- Their registers ---- */

/* The bytes at @at, and whose; NULL: nothing answers there. */
static uint8_t *device_at(pa_t at, struct host_function **function)
{
	uint64_t offset = at.v - HOST_ECAM_BASE - MIB;
	uint64_t index = offset / PAGE_SIZE / 8;

	if (host_access(at) != (HOST_MAY_READ | HOST_MAY_WRITE))
		host_break("the hypervisor touches 0x%lx, which is not mapped so", at.v);
	if (at.v >= HOST_BAR_BASE) {
		offset = at.v - HOST_BAR_BASE;
		*function = &functions[offset / BAR_BYTES];
		return &(*function)->bar[offset % BAR_BYTES];
	}
	if (index >= HOST_MAX_FUNCTIONS || offset / PAGE_SIZE % 8 != 0)
		return NULL;
	*function = &functions[index];
	return host_now() >= (*function)->silent_until ? &(*function)->config[offset % PAGE_SIZE]
						       : NULL;
}

/* Registers of the card are memory that a test looks at. */
static bool is_function(pa_t at)
{
	return at.v >= HOST_ECAM_BASE && at.v < HOST_BAR_BASE + sizeof(functions);
}

uint32_t arch_device_load(pa_t at, uint32_t size)
{
	struct host_function *f = NULL;
	uint32_t value = 0;

	if (!is_aligned(at.v, size))
		host_break("a device's register at 0x%lx is read misaligned", at.v);
	if (!is_function(at)) {
		memcpy(&value, pa_to_ptr(at), size);
		return value;
	}
	uint8_t *from = device_at(at, &f);

	value = ~0U;
	if (from == NULL)
		return value >> (32 - 8 * size);
	f->config[CAP_PCIE + 10] = host_now() < f->pending_until ? 1 << 5 : 0;
	value = 0;
	memcpy(&value, from, size);
	return value;
}

/* Command, BARs, device control and MSI-X control take what they are given. */
static void store_config(struct host_function *f, uint32_t at, uint32_t size, uint32_t value)
{
	uint32_t word = at & ~3U;
	bool bar = word >= 0x10 && word < 0x28;

	if (!bar && word != 4 && word != CAP_PCIE + 8 && word != CAP_MSIX)
		host_break("configuration space at 0x%x is written", at);
	memcpy(&f->config[at], &value, size);
	if (word != CAP_PCIE + 8 || (get(f, word) & 1U << 15) == 0)
		return;
	host_trace(HOST_FUNCTION_RESET, NULL, (uint64_t)(f - functions), 0);
	f->resets++;
	reset(f);
	f->silent_until = host_now() + f->reset_ticks;
}

void arch_device_store(pa_t at, uint32_t size, uint32_t value)
{
	struct host_function *f = NULL;

	if (!is_aligned(at.v, size))
		host_break("a device's register at 0x%lx is written misaligned", at.v);
	if (!is_function(at)) {
		memcpy(pa_to_ptr(at), &value, size);
		return;
	}
	uint8_t *to = device_at(at, &f);

	if (to == NULL)
		return;
	if (nstores < MAX_STORES)
		stores[nstores++] = (struct host_store){at.v & 0xffffff, size, value};
	if (at.v >= HOST_BAR_BASE)
		memcpy(to, &value, size);
	else
		store_config(f, at.v % PAGE_SIZE, size, value);
}

/* ---- The contract ---- */

const struct pt_format *arch_dma_format(void)
{
	return arch_guest_format();
}

void arch_vm_map_dma(const struct page_table *table)
{
	(void)table;
}

void arch_function_set(const struct vm *vm, uint32_t slot, bool open)
{
	uint32_t index = vm_plan(vm)->function[slot].function;
	struct host_function *f = &functions[index];

	host_trace(open ? HOST_FUNCTION_OPEN : HOST_FUNCTION_CLOSE, vm, index, 0);
	if ((get(f, 4) & 4) != 0 && host_now() >= f->silent_until)
		host_break("function %u is a bus master while its DMA changes hands", index);
	f->open = open;
}

/* No guest here has a TLB. */
bool arch_vm_unmapped(const struct vm *vm)
{
	(void)vm;
	return true;
}

void arch_port_notify(struct vm *vm, uint32_t address, uint32_t data)
{
	(void)vm;
	(void)address;
	(void)data;
}

void arch_own_function_open(uint32_t function, pa_t root)
{
	(void)function;
	(void)root;
}

bool arch_dma_fault(struct dma_fault *fault)
{
	if (nfaults == 0)
		return false;
	*fault = faults[0];
	memmove(&faults[0], &faults[1], --nfaults * sizeof(faults[0]));
	return true;
}
