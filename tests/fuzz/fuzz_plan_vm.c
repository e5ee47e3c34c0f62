/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the VM that a card wants in a plan in use: what plan_check lets pass takes nothing of anybody's. */
#include <stdlib.h>
#include <string.h>

#include <bulkhead/mm.h>
#include <bulkhead/planner.h>

#define OTHERS 3 /* two of the manifest, one added later; slot 3 is the card's, 4 vacant */
#define CARD OTHERS
#define VACANT (OTHERS + 1)
#define X86 1 /* in the first byte: of an x86 machine */
#define WHOLE                                                                                      \
	2 /* the bytes are the VM; else they change a good one, each by offset (2) and value */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static struct machine machine;
static struct manifest manifest;
static struct image_info images[2]; /* the first in the store, the second the card's */
static struct plan good[2]; /* by arch, with a good VM in the card's slot */
static struct plan plan;
static struct ledger ledger;
static struct bh_report report;

static void make_machine(void)
{
	machine.ncpus = 8;
	for (uint32_t i = 0; i < 8; i++)
		machine.cpu[i] =
			(struct machine_cpu){.hwid = i, .node = i / 4, .core_id = i == 7 ? 0 : i};
	machine.nmemory = 3;
	machine.memory[0].extent = (struct extent){pa(1 * GIB), 512 * MIB};
	machine.memory[1].extent = (struct extent){pa(1 * GIB + 512 * MIB), 256 * MIB};
	machine.memory[2].extent = (struct extent){pa(8 * GIB), 8 * GIB};
	machine.memory[2].node = 1;
	machine.uart_irq = 33;
	machine.arm64.gic_version = 3;
	machine.arm64.spi_count = 64;
	machine.arm64.spi_used[1] = 0xf5;
}

/* Function 1 is of VM "web", 2 and 3 are one group, 4 has no IOMMU; 0 is the machine's. */
static void make_functions(void)
{
	for (uint32_t i = 0; i < 5; i++) {
		machine.function[i] = (struct machine_function){
			.id = i << 8,
			.flags = i == 0 ? FUNCTION_HOST : FUNCTION_FLR,
			.group = i == 3 ? 2 : i,
			.pf = MACHINE_NONE,
			.iommu = i == 4 ? MACHINE_NONE : 0,
			.stream = i << 8,
			.msi_device = i << 8,
			.bar = {{.base = pa(0x10000000 + i * 0x10000ULL), .size = 0x4000},
				{.base = pa(0x8000000000 + i * 0x10000ULL),
				 .size = 0x1000,
				 .flags = 0xc}},
		};
	}
	machine.nfunctions = 5;
}

static void name_vm(struct manifest_vm *vm, const char *name)
{
	*vm = (struct manifest_vm){
		.ncores = 1, .any_core = 1, .memory = 64 * MIB, .console = 1, .kernel = "kernel"};
	memcpy(vm->name, name, strlen(name) + 1);
}

static void make_good(uint32_t arch)
{
	struct plan *p = &good[arch];
	struct manifest_vm vm;
	uint32_t slot = 0;

	machine.arch = arch;
	images[0] = (struct image_info){
		.name = "kernel",
		.extent = {pa(1 * GIB + 64 * MIB), 4 * MIB},
		.size = 4 * MIB,
		.load_offset = arch == MACHINE_X86 ? MIB : 0,
		.kind = arch == MACHINE_X86 ? KERNEL_BZIMAGE : KERNEL_ARM64_IMAGE,
		.pvh_offset = UINT64_MAX,
	};
	images[1] = images[0];
	images[1].extent = (struct extent){pa(0), 0};
	manifest.host.management_core = MANIFEST_ANY_CORE;
	manifest.nvms = 2;
	name_vm(&manifest.vm[0], "web");
	name_vm(&manifest.vm[1], "db");
	manifest.vm[0].ndevices = 1;
	memcpy(manifest.vm[0].device[0], "0000:01:00.0", 13);
	CHECK(plan_make(&manifest, &machine, images, 1, (struct extent){pa(1 * GIB), 4 * MIB}, p,
			&report) == BH_OK);
	for (uint32_t i = 2; i <= CARD; i++) {
		name_vm(&vm, i == CARD ? "card" : "old");
		vm.ncores = 2;
		vm.ndevices = i == CARD ? 1 : 0;
		memcpy(vm.device[0], "0000:02:00.0", 13);
		CHECK(plan_add(p, &machine, &vm, &images[1], 1, &slot, &report) == BH_OK);
		plan_set_boot(p, slot, (struct extent){pa(0), PAGE_SIZE}, 4000, 0, 0);
	}
	p->nvms = VACANT + 1;
	CHECK(slot == CARD && plan_check(p, &machine, &report) == BH_OK);
}

static void put_bytes(const uint8_t *data, size_t size)
{
	uint8_t *bytes = (uint8_t *)&plan.vm[CARD];

	if (data[0] & WHOLE) {
		memset(bytes, 0, sizeof(plan.vm[CARD]));
		memcpy(bytes, data + 1,
		       size - 1 < sizeof(plan.vm[CARD]) ? size - 1 : sizeof(plan.vm[CARD]));
		return;
	}
	for (size_t i = 1; i + 2 < size; i += 3) {
		size_t offset = data[i] + 256UL * data[i + 1];

		bytes[offset % sizeof(plan.vm[CARD])] = data[i + 2];
	}
}

/* The ledger knows nothing of how plan_check looks for overlaps. */
static enum bh_error take_vm(uint32_t index)
{
	const struct plan_vm *vm = &plan.vm[index];
	enum bh_error error = BH_OK;

	for (uint32_t r = 0; r < vm->nregions && error == BH_OK; r++)
		error = ledger_take(&ledger, vm->region[r].extent, OWNER_VM, index);
	if (error == BH_OK && plan_vm_apart(&plan, vm))
		error = ledger_take(&ledger, vm->hypervisor, OWNER_HYPERVISOR, index);
	return error;
}

static void check_owners(void)
{
	ledger_init(&ledger, &machine);
	CHECK(ledger_take(&ledger, plan.core, OWNER_HYPERVISOR, 0) == BH_OK);
	for (uint32_t i = 0; i < plan.nimages; i++)
		CHECK(ledger_take(&ledger, plan.images[i], OWNER_IMAGES, 0) == BH_OK);
	for (uint32_t i = 0; i < plan.nvms; i++)
		CHECK(take_vm(i) == BH_OK);
	CHECK(ledger_check(&ledger, &plan) == BH_OK);
}

static void check_card(void)
{
	const struct plan_vm *vm = &plan.vm[CARD];

	CHECK(memchr(vm->name, '\0', sizeof(vm->name)) != NULL);
	for (uint32_t i = 0; i < vm->ncores; i++) {
		CHECK(vm->core[i] != 0 && vm->core[i] != 7); /* the management core, its sibling */
		for (uint32_t v = 0; v < OTHERS; v++) {
			for (uint32_t k = 0; k < plan.vm[v].ncores; k++)
				CHECK(plan.vm[v].core[k] != vm->core[i]);
		}
	}
	for (uint32_t v = 0; v < OTHERS; v++)
		CHECK(vm->console_irq == 0 || plan.vm[v].console_irq != vm->console_irq);
	for (uint32_t i = 0; i < PLAN_MAX_IMAGES; i++) {
		const struct plan_image *image = &vm->image[i];
		uint64_t left = 0;

		CHECK(image->size == 0 || plan_translate(vm, image->to, &left).v != 0);
		CHECK(image->size == 0 || image->from.v == 0 || plan_vm_kept(vm));
	}
}

/* Nobody's function but the card's own, checked or trusted, and each BAR in a window. */
static void check_functions(void)
{
	const struct plan_vm *vm = &plan.vm[CARD];

	uint32_t first = vm->nfunctions - vm->nports; /* behind it is what stands in ports */

	CHECK(vm->nfunctions <= PLAN_MAX_FUNCTIONS && vm->nports <= PLAN_MAX_PORTS &&
	      vm->nports <= vm->nfunctions);
	for (uint32_t i = 0; i < vm->nfunctions; i++) {
		const struct plan_function *f = &vm->function[i];

		if (i < first)
			CHECK(f->id % 8 == 0 && f->id >= GUEST_FUNCTION_FIRST << 3 &&
			      f->id < GUEST_PORT_FIRST << 3);
		else
			CHECK(f->id == (i - first + 1) << 8);
		if (i >= first && f->function == MACHINE_NONE)
			continue;
		CHECK(f->function >= 2 && f->function < machine.nfunctions);
		CHECK(f->function != 4 || vm->dma_trusted == 1);
		for (uint32_t b = 0; b < 2; b++) {
			uint64_t at = f->bar[b].v;

			CHECK(at >= GUEST_WINDOW_BASE && is_aligned(at, b == 0 ? 0x4000 : 0x1000));
			CHECK(at < GUEST_WINDOW_END ||
			      (at >= GUEST_X86_WINDOW_BASE && at < GUEST_X86_WINDOW_END) ||
			      (b == 1 && at >= GUEST_HIGH_WINDOW_BASE &&
			       at < GUEST_HIGH_WINDOW_END));
		}
		for (uint32_t k = 0; k < i; k++)
			CHECK(vm->function[k].function != f->function &&
			      vm->function[k].id != f->id);
	}
}

static void no_line(void *context, const char *line)
{
	(void)context;
	(void)line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest_vm more;
	uint32_t slot = 0;

	if (size == 0)
		return 0;
	if (machine.ncpus == 0) {
		make_machine();
		make_functions();
		make_good(MACHINE_ARM64);
		make_good(MACHINE_X86);
	}
	machine.arch = data[0] & X86 ? MACHINE_X86 : MACHINE_ARM64;
	plan = good[machine.arch];
	put_bytes(data, size);
	report.text[0] = '\0';
	if (plan_check(&plan, &machine, &report) != BH_OK) {
		CHECK(report.text[0] != '\0');
		return 0;
	}
	check_owners();
	check_card();
	check_functions();
	plan_print(&plan, &machine, no_line, NULL);
	name_vm(&more, "more");
	if (plan_add(&plan, &machine, &more, &images[1], 1, &slot, &report) == BH_OK) {
		CHECK(plan_check(&plan, &machine, &report) == BH_OK);
		check_owners();
	}
	return 0;
}
