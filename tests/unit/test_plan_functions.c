/* SPDX-License-Identifier: Apache-2.0 */
/* PCI functions in plans: who may have which, where the guest finds them, and what is refused. */
#include "plan_fixture.h"

#include <bulkhead/format.h>

#define NET 3 /* indices in struct machine */
#define DISK 4
#define PF 5
#define SATA 9
#define PAIR 10
#define UNCHECKED 12

static uint32_t add_function(uint32_t id, uint32_t flags)
{
	uint32_t index = machine.nfunctions++;

	machine.function[index] = (struct machine_function){
		.id = id,
		.flags = flags,
		.group = index,
		.pf = MACHINE_NONE,
		.iommu = 0,
		.stream = id & 0xffff,
		.msi_device = id & 0xffff,
	};
	return index;
}

static void add_bar(uint32_t index, uint32_t b, uint64_t base, uint64_t size, uint32_t flags)
{
	machine.function[index].bar[b] =
		(struct machine_bar){.base = pa(base), .size = size, .flags = flags};
}

/* Root ports, a network card, a disk, a PF with two VFs, parts of the machine, a device of two functions, one without IOMMU. */
static int set_up_functions(void **state)
{
	set_up(state);
	machine.arm64.nsmmu = 1;
	machine.arm64.smmu[0] = pa(0x09050000);
	machine.arm64.its = pa(0x08080000);
	core = (struct extent){pa(4 * GIB - 8 * MIB), 8 * MIB};
	add_function(0x0000, FUNCTION_HOST);
	add_function(0x0008, FUNCTION_BRIDGE);
	add_function(0x0010, FUNCTION_BRIDGE);
	add_function(0x0100, FUNCTION_FLR);
	add_bar(NET, 1, 0x10600000, 0x1000, 0);
	add_bar(NET, 4, 0x8000000000, 0x4000, 0xc);
	add_function(0x0200, FUNCTION_FLR);
	add_bar(DISK, 0, 0x8000100000, 512 * MIB, 0xc);
	machine.function[DISK].bar[0].base = pa(0x8020000000);
	add_bar(DISK, 2, 0x10500000, 16 * MIB, 0);
	machine.function[DISK].bar[2].base = pa(0x11000000);
	add_function(0x0300, FUNCTION_FLR | FUNCTION_PF);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t vf = add_function(0x0380 + 2 * i, FUNCTION_FLR | FUNCTION_VF);

		machine.function[vf].pf = PF;
		add_bar(vf, 0, 0x8000200000 + i * 0x4000ULL, 0x4000, 0xc);
	}
	add_function(0x00f8, FUNCTION_HOST);
	add_function(0x00fa, FUNCTION_FLR);
	machine.function[SATA].group = SATA - 1;
	add_function(0x0400, FUNCTION_FLR);
	add_function(0x0401, FUNCTION_FLR);
	machine.function[PAIR + 1].group = PAIR;
	add_bar(PAIR, 0, 0x10700000, 0x1000, 0);
	add_bar(PAIR + 1, 0, 0x10701000, 0x1000, 0);
	add_function(0x0500, FUNCTION_FLR);
	machine.function[UNCHECKED].iommu = MACHINE_NONE;
	return 0;
}

static void give(struct manifest_vm *vm, const char *device)
{
	memcpy(vm->device[vm->ndevices++], device, strlen(device) + 1);
}

static struct manifest_vm *vm_with(const char *name, const char *device)
{
	struct manifest_vm *vm = add_vm(name, 64 * MIB);

	give(vm, device);
	return vm;
}

static char printed[8192];
static size_t nprinted;

static void print_line(void *context, const char *line)
{
	(void)context;
	nprinted += bh_format(printed + nprinted, sizeof(printed) - nprinted, "%s\n", line);
}

static void print(void)
{
	nprinted = 0;
	plan_print(&plan, &machine, print_line, NULL);
}

/* --- what is given --- */

static void functions_are_given(void **state)
{
	struct manifest_vm *web = vm_with("web", "0000:01:00.0");
	const struct plan_vm *vm = &plan.vm[0];

	(void)state;
	give(web, "0000:03:00.0/vf1");
	vm_with("db", "0000:03:00.0/vf0");
	make_good();
	assert_int_equal(vm->nfunctions, 2);
	assert_int_equal(vm->dma_trusted, 0);
	assert_int_equal(vm->function[0].function, NET);
	assert_int_equal(vm->function[0].id, 2 << 3);
	assert_int_equal(vm->function[1].function, PF + 2);
	assert_int_equal(vm->function[1].id, 3 << 3);
	/* What can only stand here first, then the largest first. */
	assert_int_equal(vm->function[0].bar[1].v, GUEST_WINDOW_BASE);
	assert_int_equal(vm->function[0].bar[4].v, GUEST_WINDOW_BASE + 0x4000);
	assert_int_equal(vm->function[1].bar[0].v, GUEST_WINDOW_BASE + 0x8000);
	assert_int_equal(vm->function[0].bar[0].v, 0);
	assert_int_equal(plan.vm[1].function[0].function, PF + 1);
	assert_int_equal(plan.card.function, MACHINE_NONE);
}

static void large_wide_bars_go_up(void **state)
{
	(void)state;
	vm_with("web", "0000:02:00.0");
	make_good();
	assert_int_equal(plan.vm[0].function[0].bar[0].v, GUEST_HIGH_WINDOW_BASE);
	assert_int_equal(plan.vm[0].function[0].bar[2].v, GUEST_WINDOW_BASE);
}

static void a_narrow_bar_must_fit_below(void **state)
{
	(void)state;
	vm_with("web", "0000:02:00.0");
	add_bar(DISK, 2, 1 * GIB - 512 * MIB, 512 * MIB, 0);
	refused(BH_NO_DEVICE,
		"/vms/web: devices: '0000:02:00.0' has a BAR 2 of 524288 KiB, for which the "
		"guest has no room; its group: 0000:02:00.0");
}

static void small_wide_bars_go_up_when_it_is_full_below(void **state)
{
	struct manifest_vm *vm = vm_with("web", "0000:02:00.0");

	(void)state;
	give(vm, "0000:01:00.0");
	/* 496 MiB are there: 256, 128 and three times 32 leave 16. */
	add_bar(DISK, 2, 0x30000000, 256 * MIB, 0);
	add_bar(DISK, 3, 0x20000000, 128 * MIB, 0);
	add_bar(DISK, 4, 0x8040000000, 32 * MIB, 4);
	add_bar(NET, 0, 0x1a000000, 32 * MIB, 0);
	add_bar(NET, 2, 0x1c000000, 32 * MIB, 0);
	make_good();
	assert_int_equal(plan.vm[0].function[0].bar[2].v, 0x20000000);
	assert_int_equal(plan.vm[0].function[0].bar[3].v, 0x30000000);
	assert_int_equal(plan.vm[0].function[1].bar[0].v, 0x38000000);
	assert_int_equal(plan.vm[0].function[1].bar[2].v, 0x3a000000);
	assert_int_equal(plan.vm[0].function[1].bar[1].v, 0x3c000000);
	assert_int_equal(plan.vm[0].function[0].bar[4].v, GUEST_HIGH_WINDOW_BASE + 512 * MIB);
	assert_int_equal(plan.vm[0].function[1].bar[4].v, 0x3c004000);
}

static void a_group_as_a_whole(void **state)
{
	struct manifest_vm *vm = vm_with("web", "0000:04:00.1");

	(void)state;
	give(vm, "0000:04:00.0");
	make_good();
	assert_int_equal(plan.vm[0].function[0].function, PAIR + 1);
}

static void trusted_dma(void **state)
{
	(void)state;
	vm_with("web", "0000:05:00.0")->dma_trusted = 1;
	make_good();
	assert_int_equal(plan.vm[0].dma_trusted, 1);
}

/* Of few streams the table is smaller than a page. */
static void tables_are_whole_pages(void **state)
{
	(void)state;
	for (machine.nfunctions = 13; machine.nfunctions > 0; machine.nfunctions--)
		assert_true(is_aligned(plan_iommu_bytes(&machine), PAGE_SIZE));
}

/* With a GIC that nobody has shown to keep LPIs of one number apart. */
static void one_vm_alone_takes_lpis(void **state)
{
	(void)state;
	vm_with("web", "0000:01:00.0");
	vm_with("db", "0000:03:00.0/vf0");
	make_good();
	machine.arm64.one_lpi_owner = 1;
	assert_int_equal(plan_check(&plan, &machine, &report), BH_BAD_PLAN);
	assert_string_equal(report.text, "plan: VM web: takes its LPIs itself, as does VM db");
	plan.vm[0].virtual_interrupts = 1;
	assert_int_equal(plan_check(&plan, &machine, &report), BH_BAD_PLAN);
	assert_string_equal(report.text, "plan: VM web: virtual interrupts 1");
	machine.arm64.maintenance_ppi = 25;
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
	plan.vm[0].virtual_interrupts = 0;
	memset(&plan.vm[1], 0, sizeof(plan.vm[1]));
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

/* There the first takes its own, and the hypervisor those of the others. */
static void the_others_interrupts_are_virtual(void **state)
{
	(void)state;
	machine.arm64.one_lpi_owner = 1;
	machine.arm64.maintenance_ppi = 25;
	vm_with("web", "0000:01:00.0");
	vm_with("db", "0000:03:00.0/vf0");
	make_good();
	assert_int_equal(plan.vm[0].virtual_interrupts, 0);
	assert_int_equal(plan.vm[1].virtual_interrupts, 1);
	print();
	assert_non_null(strstr(printed, "LPIs taken by one VM\n"));
	assert_non_null(strstr(printed, "  interrupts: by list registers, each an exit\n"));
	manifest.vm[0].virtual_interrupts = 1;
	make_good();
	assert_int_equal(plan.vm[0].virtual_interrupts, 1);
	assert_int_equal(plan.vm[1].virtual_interrupts, 0);
}

static void virtual_interrupts_need_list_registers(void **state)
{
	(void)state;
	vm_with("web", "0000:01:00.0")->virtual_interrupts = 1;
	assert_int_equal(make(), BH_BAD_VALUE);
	assert_string_equal(report.text,
			    "/vms/web: virtual-interrupts: 1; this machine has no GIC with list "
			    "registers and their maintenance interrupt");
	machine.arm64.maintenance_ppi = 25;
	make_good();
	assert_int_equal(plan.vm[0].virtual_interrupts, 1);
}

/* --- what is refused --- */

static void kinds_are_refused(void **state)
{
	static const struct {
		const char *device;
		const char *why;
	} cases[] = {
		{"0000:01:00.1",
		 "is not there; this machine has 13 PCI functions that can be seen"},
		{"0001:01:00.0",
		 "is not there; this machine has 13 PCI functions that can be seen"},
		{"0000:03:00.0/vf2",
		 "is not there; this machine has 13 PCI functions that can be seen"},
		{"0000:01:00.0/vf0",
		 "is not there; this machine has 13 PCI functions that can be seen"},
		{"0000:00:00.0", "is a part of the machine itself; its group: 0000:00:00.0"},
		{"0000:00:02.0",
		 "is a bridge, and bridges stay with the machine; its group: 0000:00:02.0"},
		{"0000:03:00.0", "has virtual functions that are on, so it stays with the "
				 "hypervisor; its group: 0000:03:00.0"},
		{"0000:00:1f.2", "cannot be kept apart from 0000:00:1f.0, a part of the machine "
				 "itself; its group: 0000:00:1f.0 0000:00:1f.2"},
		{"0000:05:00.0", "has no IOMMU that checks its DMA; only a VM with dma-trusted may "
				 "have it; its group: 0000:05:00.0"},
	};
	char sentence[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up_functions(state);
		vm_with("web", cases[i].device);
		assert_int_not_equal(make(), BH_OK);
		bh_format(sentence, sizeof(sentence), "/vms/web: devices: '%s' %s", cases[i].device,
			  cases[i].why);
		assert_string_equal(report.text, sentence);
		assert_int_equal(report.error, BH_NO_DEVICE);
	}
}

static void spoilt_functions_are_refused(void **state)
{
	(void)state;
	vm_with("web", "0000:01:00.0");
	machine.function[NET].flags = 0;
	refused(BH_NO_DEVICE,
		"/vms/web: devices: '0000:01:00.0' cannot be reset by itself (it has no "
		"FLR); its group: 0000:01:00.0");
	machine.function[NET].flags = FUNCTION_FLR | FUNCTION_MALFORMED;
	refused(BH_NO_DEVICE,
		"/vms/web: devices: '0000:01:00.0' has malformed capabilities or BARs; "
		"its group: 0000:01:00.0");
	machine.function[NET].flags = FUNCTION_FLR | FUNCTION_RESERVED_MEMORY;
	refused(BH_NO_DEVICE,
		"/vms/web: devices: '0000:01:00.0' has memory that firmware keeps for its "
		"DMA (RMRR, RMR or IVMD); its group: 0000:01:00.0");
}

static void bars_that_share_pages_are_refused(void **state)
{
	(void)state;
	vm_with("web", "0000:01:00.0");
	add_bar(NET, 1, 0x10600000, 0x100, 0);
	refused(BH_NO_DEVICE,
		"/vms/web: devices: '0000:01:00.0' has a BAR 1 (256 bytes at 0x10600000) "
		"that does not fill whole pages of its own; its group: 0000:01:00.0");
	add_bar(NET, 1, 0x10600000, 0x1000, 0);
	add_bar(UNCHECKED, 3, 0x10600f00, 0x100, 0);
	refused(BH_NO_DEVICE,
		"/vms/web: devices: '0000:01:00.0' has a BAR 1 (4096 bytes at 0x10600000) "
		"that does not fill whole pages of its own; its group: 0000:01:00.0");
	add_bar(NET, 1, 0, 0x1000, 0);
	refused(BH_NO_DEVICE, "/vms/web: devices: '0000:01:00.0' has a BAR 1 that firmware gave no "
			      "address; its group: 0000:01:00.0");
}

static void one_owner_for_a_function_and_for_its_group(void **state)
{
	(void)state;
	vm_with("web", "0000:04:00.0");
	vm_with("db", "0000:04:00.1");
	refused(BH_NO_DEVICE,
		"/vms/db: devices: '0000:04:00.1' cannot be kept apart from 0000:04:00.0, a device of "
		"/vms/web; its group: 0000:04:00.0 0000:04:00.1");
	memcpy(manifest.vm[1].device[0], "0000:04:00.0", 13);
	refused(BH_NO_DEVICE,
		"/vms/db: devices: '0000:04:00.0' is a device of /vms/web; its group: "
		"0000:04:00.0 0000:04:00.1");
	/* A VF by the number that it has itself. */
	memcpy(manifest.vm[0].device[0], "0000:03:00.0/vf0", 17);
	memcpy(manifest.vm[1].device[0], "0000:03:10.0", 13);
	refused(BH_NO_DEVICE,
		"/vms/db: devices: '0000:03:10.0' is a device of /vms/web; its group: "
		"0000:03:10.0");
	memcpy(manifest.vm[1].device[0], "0000:03:10.2", 13);
	make_good();
	/* Twice in one VM. */
	manifest.nvms = 1;
	give(&manifest.vm[0], "0000:03:10.0");
	assert_int_equal(make(), BH_NO_DEVICE);
}

static void the_cards_function_stays_its_own(void **state)
{
	(void)state;
	memcpy(manifest.host.card, "0000:04:00.0", 13);
	vm_with("web", "0000:04:00.0");
	refused(BH_NO_DEVICE, "/vms/web: devices: '0000:04:00.0' is the card's; its group: "
			      "0000:04:00.0 0000:04:00.1");
	memcpy(manifest.vm[0].device[0], "0000:04:00.1", 13);
	refused(BH_NO_DEVICE, "/vms/web: devices: '0000:04:00.1' cannot be kept apart from "
			      "0000:04:00.0, the card's; its group: 0000:04:00.0 0000:04:00.1");
	memcpy(manifest.vm[0].device[0], "0000:01:00.0", 13);
	make_good();
	assert_int_equal(plan.card.function, PAIR);
}

static void a_large_group_is_named_as_far_as_it_fits(void **state)
{
	(void)state;
	vm_with("web", "0000:02:00.0");
	machine.function[DISK].flags = 0;
	for (uint32_t i = 0; i < machine.nfunctions; i++)
		machine.function[i].group = 0;
	assert_int_equal(make(), BH_NO_DEVICE);
	assert_non_null(strstr(report.text, "its group: 0000:00:00.0 0000:00:01.0 "));
	assert_non_null(strstr(report.text, " ..."));
}

static void too_much_memory_beside_devices(void **state)
{
	struct manifest_vm *vm = vm_with("web", "0000:01:00.0");

	(void)state;
	vm->memory = 767 * GIB + 2 * MIB;
	refused(BH_TOO_BIG, "/vms/web: memory: 785410 MiB; a VM with devices may have 785408");
	vm->ndevices = 0;
	assert_int_equal(make(), BH_NO_MEMORY);
}

/* --- sizes --- */

static void devices_cost_tables(void **state)
{
	struct manifest_vm *vm = add_vm("web", 3 * GIB);
	uint64_t without = plan_vm_bytes(&machine, vm);

	(void)state;
	vm->ndevices = 2;
	assert_int_equal(plan_vm_bytes(&machine, vm) - without,
			 (VM_DMA_PAGES + 3ULL + 2 * VM_FUNCTION_PAGES + VM_MSIX_PAGES) * PAGE_SIZE);
	machine.arch = MACHINE_X86;
	vm->ndevices = 0;
	without = plan_vm_bytes(&machine, vm);
	vm->ndevices = 2;
	assert_int_equal(plan_vm_bytes(&machine, vm) - without,
			 (VM_DMA_PAGES + 3ULL + 2 * VM_FUNCTION_PAGES + 2) * PAGE_SIZE);
}

static void iommu_tables_stand_before_the_vms(void **state)
{
	uint64_t bytes = plan_iommu_bytes(&machine);

	(void)state;
	vm_with("web", "0000:01:00.0");
	make_good();
	/* 2048 streams of 64 bytes, aligned; 2 queues; 0x501 devices, 13 tables, 3 + 8 for LPIs; room to align. */
	assert_int_equal(bytes, 256 * KIB + 16 * IOMMU_TABLE_BYTES);
	assert_int_equal(plan.iommu_tables.size, bytes);
	assert_int_equal(extent_end(plan.iommu_tables), plan.vm[0].hypervisor.base.v);
	assert_true(extent_inside(plan.iommu_tables, plan.core));
	assert_true(plan_core_bytes(&manifest, &machine, 0) >=
		    bytes + plan_vm_bytes(&machine, &manifest.vm[0]));
}

static void machines_without_need_no_tables(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	machine.arm64.nsmmu = 0;
	machine.arm64.its = pa(0);
	assert_int_equal(plan_iommu_bytes(&machine), 0);
	make_good();
	assert_int_equal(plan.iommu_tables.size, 0);
	machine.arm64.nsmmu = 1;
	machine.nfunctions = 0;
	assert_int_equal(plan_iommu_bytes(&machine), 0);
	machine.arch = MACHINE_X86;
	assert_int_equal(plan_iommu_bytes(&machine), 0);
}

static void tables_of_x86(void **state)
{
	(void)state;
	machine.arch = MACHINE_X86;
	machine.x86.niommus = 2;
	/* A queue and a root each, a page for each of 13 functions; interrupts; room to align. */
	assert_int_equal(plan_iommu_bytes(&machine), (4 + 13) * PAGE_SIZE + 192 * KIB);
	machine.x86.iommu_is_amd = 1;
	/* A queue and a log each; 0x402 devices of 32 bytes, which are 9 pages. */
	assert_int_equal(plan_iommu_bytes(&machine), (4 + 9) * PAGE_SIZE + 192 * KIB);
}

/* --- added later --- */

static void added_vms_get_what_is_left(void **state)
{
	static struct manifest_vm later;
	uint32_t slot = 9;

	(void)state;
	vm_with("web", "0000:04:00.0");
	make_good();
	images[0].extent = (struct extent){pa(0), 0};
	later = manifest.vm[0];
	memcpy(later.name, "later", 6);
	memcpy(later.device[0], "0000:04:00.1", 13);
	assert_int_equal(plan_add(&plan, &machine, &later, images, 1, &slot, &report),
			 BH_NO_DEVICE);
	assert_non_null(strstr(report.text, "a device of /vms/web; its group: "));
	memcpy(later.device[0], "0000:01:00.0", 13);
	assert_int_equal(plan_add(&plan, &machine, &later, images, 1, &slot, &report), BH_OK);
	assert_int_equal(slot, 1);
	plan_set_boot(&plan, 1, (struct extent){pa(0), PAGE_SIZE}, 4000, 0, 0);
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
	assert_int_equal(plan.vm[1].function[0].function, NET);
}

/* --- hot plug --- */

static struct plan_function plugged;

static void a_vm_with_ports(void)
{
	vm_with("web", "0000:03:00.0/vf0")->hotplug_ports = 2;
	make_good();
}

static enum bh_error plug(const char *device)
{
	return plan_plug(&plan, &machine, 0, device, &plugged, &report);
}

/* It is in its port, and the plan is a good one still. */
static void put_into_port(uint32_t port)
{
	struct plan_function *out = &plan.vm[0].function[1 + port];

	assert_int_equal(plugged.id, (port + 1) << 8);
	assert_int_equal(out->function, MACHINE_NONE);
	*out = plugged;
	if (plan_check(&plan, &machine, &report) != BH_OK)
		fail_msg("plan_check: %s", report.text);
}

static void ports_come_behind_the_devices(void **state)
{
	static const gpa_t none[MACHINE_MAX_BARS];
	const struct plan_vm *vm = &plan.vm[0];

	(void)state;
	a_vm_with_ports();
	assert_int_equal(vm->nfunctions, 3);
	assert_int_equal(vm->nports, 2);
	assert_int_equal(vm->function[0].id, 2 << 3);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(vm->function[1 + i].function, MACHINE_NONE);
		assert_int_equal(vm->function[1 + i].id, (i + 1) << 8);
		assert_memory_equal(vm->function[1 + i].bar, none, sizeof(none));
	}
}

static void ports_alone_are_enough(void **state)
{
	struct manifest_vm *want = add_vm("web", 64 * MIB);

	(void)state;
	want->hotplug_ports = PLAN_MAX_PORTS;
	want->console = 0;
	make_good();
	assert_int_equal(plan.vm[0].nfunctions, PLAN_MAX_PORTS);
	assert_int_not_equal(plan.vm[0].console_irq, 0); /* theirs */
}

static void ports_cost_what_devices_do(void **state)
{
	struct manifest_vm *vm = add_vm("web", 3 * GIB);

	(void)state;
	vm->ndevices = 2;
	uint64_t with = plan_vm_bytes(&machine, vm);

	vm->ndevices = 0;
	vm->hotplug_ports = 2;
	assert_int_equal(plan_vm_bytes(&machine, vm), with);
}

static void so_many_devices_and_ports(void **state)
{
	struct manifest_vm *vm = add_vm("web", 64 * MIB);

	(void)state;
	vm->ndevices = PLAN_MAX_FUNCTIONS - 3;
	vm->hotplug_ports = 4;
	refused(BH_TOO_MANY, "/vms/web: 5 devices and 4 hotplug-ports; at most 8 are allowed "
			     "together");
}

static void too_much_memory_beside_ports(void **state)
{
	struct manifest_vm *vm = add_vm("web", 767 * GIB + 2 * MIB);

	(void)state;
	vm->hotplug_ports = 1;
	assert_int_equal(make(), BH_TOO_BIG);
}

/* Seven narrow BARs of 64 MiB fill the window; where the ports have its end, six. */
static void bars_stay_out_of_the_ports_windows(void **state)
{
	struct manifest_vm *web = vm_with("web", "0000:02:00.0");

	(void)state;
	give(web, "0000:01:00.0");
	for (uint32_t b = 0; b < MACHINE_MAX_BARS; b++)
		add_bar(DISK, b, 4 * GIB + (uint64_t)b * 64 * MIB, 64 * MIB, 0);
	add_bar(NET, 1, 5 * GIB, 64 * MIB, 0);
	make_good();
	web->hotplug_ports = 1;
	assert_int_equal(make(), BH_NO_DEVICE);
	assert_non_null(strstr(report.text, "for which the guest has no room"));
}

static void functions_are_plugged(void **state)
{
	static struct plan before;
	uint64_t base = GUEST_WINDOW_END - PLAN_MAX_PORTS * GUEST_PORT_WINDOW;

	(void)state;
	a_vm_with_ports();
	before = plan;
	assert_int_equal(plug("0000:01:00.0"), BH_OK);
	assert_memory_equal(&plan, &before, sizeof(plan));
	assert_int_equal(plugged.function, NET);
	/* What is prefetchable in the second half. */
	assert_int_equal(plugged.bar[1].v, base);
	assert_int_equal(plugged.bar[4].v, base + GUEST_PORT_WINDOW / 2);
	assert_int_equal(plugged.bar[0].v, 0);
	put_into_port(0);
	assert_int_equal(plug("0000:03:00.0/vf1"), BH_OK);
	assert_int_equal(plugged.function, PF + 2);
	assert_int_equal(plugged.bar[0].v, base + GUEST_PORT_WINDOW * 3 / 2);
	put_into_port(1);
	plan.vm[0].function[1] = before.vm[0].function[1];
	assert_int_equal(plug("0000:04:00.1"), BH_OK);
	put_into_port(0);
}

static void a_port_has_room_for_8_mib_of_either_kind(void **state)
{
	(void)state;
	a_vm_with_ports();
	assert_int_equal(plug("0000:02:00.0"), BH_NO_DEVICE);
	assert_string_equal(report.text,
			    "/vms/web: devices: '0000:02:00.0' has BARs for which a port's two "
			    "windows of 8 MiB have no room; its group: 0000:02:00.0");
	machine.function[DISK].bar[0].size = 0;
	machine.function[DISK].bar[2].size = 4 * MIB;
	add_bar(DISK, 3, 0x10900000, MIB, 0);
	add_bar(DISK, 4, 0x8000800000, 8 * MIB, 0xc);
	assert_int_equal(plug("0000:02:00.0"), BH_OK);
	/* The largest first. */
	assert_int_equal(plugged.bar[3].v, plugged.bar[2].v + 4 * MIB);
	assert_int_equal(plugged.bar[4].v, plugged.bar[2].v + 8 * MIB);
	put_into_port(0);
	plan.vm[0].function[1] = plan.vm[0].function[2];
	plan.vm[0].function[1].id = 1 << 8;
	add_bar(DISK, 1, 0x8000400000, 0x1000, 0xc);
	assert_int_equal(plug("0000:02:00.0"), BH_NO_DEVICE);
	machine.function[DISK].bar[1].flags = 0;
	assert_int_equal(plug("0000:02:00.0"), BH_OK);
	put_into_port(0);
}

static void plugs_are_refused(void **state)
{
	static const struct {
		const char *device;
		enum bh_error error;
		const char *sentence;
	} wishes[] = {
		{"eth0", BH_NO_DEVICE, "'eth0' is not there; this machine has 13 PCI functions"},
		{"0000:09:00.0", BH_NO_DEVICE, "is not there"},
		{"0000:03:00.0/vf2", BH_NO_DEVICE, "is not there"},
		{"0000:00:01.0", BH_NO_DEVICE, "is a bridge, and bridges stay with the machine"},
		{"0000:03:00.0", BH_NO_DEVICE, "has virtual functions that are on"},
		{"0000:05:00.0", BH_NO_DEVICE, "has no IOMMU that checks its DMA"},
		{"0000:03:00.0/vf0", BH_NO_DEVICE, "is a device of /vms/web"},
		{"0000:01:00.0", BH_NO_DEVICE, "is a device of /vms/db"},
		{"0000:04:00.1", BH_NO_DEVICE,
		 "cannot be kept apart from 0000:04:00.0, a device of /vms/db"},
		{"0000:00:1f.2", BH_NO_DEVICE, "a part of the machine itself"},
	};
	struct manifest_vm *db;

	(void)state;
	vm_with("web", "0000:03:00.0/vf0")->hotplug_ports = 2;
	db = vm_with("db", "0000:01:00.0");
	give(db, "0000:04:00.0");
	make_good();
	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
		assert_int_equal(plug(wishes[i].device), wishes[i].error);
		if (strstr(report.text, wishes[i].sentence) == NULL)
			fail_msg("%s: %s", wishes[i].device, report.text);
	}
	plan.vm[0].dma_trusted = 1;
	assert_int_equal(plug("0000:05:00.0"), BH_OK);
}

static void a_vm_without_a_free_port(void **state)
{
	(void)state;
	vm_with("web", "0000:03:00.0/vf0")->hotplug_ports = 1;
	make_good();
	assert_int_equal(plug("0000:01:00.0"), BH_OK);
	put_into_port(0);
	assert_int_equal(plug("0000:04:00.0"), BH_TOO_MANY);
	assert_string_equal(report.text,
			    "/vms/web: devices: '0000:04:00.0' finds no free port; the "
			    "VM has 1 (hotplug-ports)");
	vm_with("db", "0000:04:00.0");
	make_good();
	assert_int_equal(plan_plug(&plan, &machine, 1, "0000:01:00.0", &plugged, &report),
			 BH_TOO_MANY);
}

/* --- what people read --- */

static void devices_are_printed(void **state)
{
	(void)state;
	machine.function[PF + 1].device = 0x10ca8086;
	vm_with("web", "0000:03:00.0/vf0");
	make_good();
	print();
	assert_non_null(strstr(printed,
			       "  device: 0000:03:10.0 (8086:10ca, a VF of 0000:03:00.0), in "
			       "the guest 00:02.0, IOMMU 0, stream 0x380\n"
			       "    BAR 0: 0x8000200000-0x8000204000, in the guest at "
			       "0x0020000000\n"));
	assert_null(strstr(printed, "WARNING"));
}

static void ports_are_printed(void **state)
{
	(void)state;
	a_vm_with_ports();
	assert_int_equal(plug("0000:01:00.0"), BH_OK);
	put_into_port(0);
	print();
	assert_non_null(
		strstr(printed, "  device: 0000:01:00.0 (0000:0000), in the guest 01:00.0, "));
	assert_non_null(strstr(printed, "  hot-plug port 1: empty\n"));
}

static void trusted_dma_is_printed_loudly(void **state)
{
	(void)state;
	vm_with("web", "0000:05:00.0")->dma_trusted = 1;
	vm_with("db", "0000:01:00.0")->dma_trusted = 1;
	make_good();
	print();
	assert_non_null(strstr(printed, "in the guest 00:02.0, NO IOMMU\n"));
	assert_non_null(strstr(printed, "WARNING: DMA OF web IS TRUSTED, NOT CHECKED: its devices "
					"reach all memory, other VMs' and the hypervisor's too\n"));
	assert_null(strstr(printed, "DMA OF db"));
}

/* --- pages with MSI-X structures --- */

static void place_msix(uint8_t bar, uint32_t table, uint8_t pba_bar, uint32_t pba)
{
	struct machine_function *f = &machine.function[NET];

	f->msix = 0x70;
	f->msix_vectors = 300; /* 4800 bytes, and 40 of pending bits */
	f->msix_bar = bar;
	f->msix_offset = table;
	f->pba_bar = pba_bar;
	f->pba_offset = pba;
	for (uint32_t b = 0; b < MACHINE_MAX_BARS; b++)
		f->bar[b].kept_page = f->bar[b].kept_pages = 0;
	plan_mark_functions(&machine);
}

static void assert_kept(uint32_t bar, uint32_t page, uint32_t pages)
{
	assert_int_equal(machine.function[NET].bar[bar].kept_page, page);
	assert_int_equal(machine.function[NET].bar[bar].kept_pages, pages);
}

static void pages_of_messages_are_kept_on_x86(void **state)
{
	(void)state;
	machine.arch = MACHINE_X86;
	place_msix(4, 0x1000, 4, 0x3ff0 - 0x30); /* with what is between them */
	assert_kept(4, 1, 3);
	assert_kept(1, 0, 0);
	place_msix(4, 0x2000, 4, 0x800); /* the other way round */
	assert_kept(4, 0, 4);
	place_msix(4, 0x1800, 1, 0x100); /* in two BARs */
	assert_kept(4, 1, 2);
	assert_kept(1, 0, 1);
	place_msix(4, 0x3000, 4, 0); /* beyond its end: malformed */
	assert_kept(4, 0, 0);
	machine.arch = MACHINE_ARM64;
	place_msix(4, 0x1000, 4, 0x3000);
	assert_kept(4, 0, 0);
}

/* --- plans that are broken --- */

#define WEB (plan.vm[0])
#define DB (plan.vm[1])
#define F (WEB.function[0]) /* net */
#define PORT (WEB.function[2])
#define FACTS (machine.function[NET])

/* The loader looks at the machine's BARs once, and marks the functions. */
#define MARKED(change) ((change), plan_mark_functions(&machine))

#define BREAKS(X)                                                                                  \
	X(too_many_functions, WEB.nfunctions = PLAN_MAX_FUNCTIONS + 1, BH_BAD_PLAN)                \
	X(function_missing, F.function = machine.nfunctions, BH_BAD_PLAN)                          \
	X(function_far_away, F.function = UINT32_MAX, BH_BAD_PLAN)                                 \
	X(function_of_another_vm, F = DB.function[0], BH_BAD_PLAN)                                 \
	X(function_twice, WEB.function[1].function = F.function, BH_BAD_PLAN)                      \
	X(group_of_another_vm, DB.function[0].function = PAIR + 1, BH_BAD_PLAN)                    \
	X(group_of_the_card, plan.card.function = PAIR, BH_BAD_PLAN)                               \
	X(group_of_the_machine, FACTS.group = SATA - 1, BH_BAD_PLAN)                               \
	X(bridge, FACTS.flags |= FUNCTION_BRIDGE, BH_BAD_PLAN)                                     \
	X(pf, FACTS.flags |= FUNCTION_PF, BH_BAD_PLAN)                                             \
	X(reserved, FACTS.flags |= FUNCTION_RESERVED_MEMORY, BH_BAD_PLAN)                          \
	X(malformed, FACTS.flags |= FUNCTION_MALFORMED, BH_BAD_PLAN)                               \
	X(host, FACTS.flags |= FUNCTION_HOST, BH_BAD_PLAN)                                         \
	X(no_reset, FACTS.flags &= ~FUNCTION_FLR, BH_BAD_PLAN)                                     \
	X(no_iommu, FACTS.iommu = MACHINE_NONE, BH_BAD_PLAN)                                       \
	X(trust_without_sense, WEB.dma_trusted = 2, BH_BAD_PLAN)                                   \
	X(device_of_the_console, F.id = 1 << 3, BH_BAD_PLAN)                                       \
	X(device_beyond, F.id = 32 << 3, BH_BAD_PLAN)                                              \
	X(device_twice, F.id = WEB.function[1].id, BH_BAD_PLAN)                                    \
	X(bar_not_there, F.bar[1].v = 0, BH_BAD_PLAN)                                              \
	X(bar_that_is_none, F.bar[0].v = GUEST_WINDOW_BASE + MIB, BH_BAD_PLAN)                     \
	X(bar_not_aligned, F.bar[4].v += PAGE_SIZE, BH_BAD_PLAN)                                   \
	X(bar_before_the_window, F.bar[1].v = GUEST_WINDOW_BASE - PAGE_SIZE, BH_BAD_PLAN)          \
	X(bar_on_the_ecam, F.bar[1].v = GUEST_ECAM_BASE, BH_BAD_PLAN)                              \
	X(bar_on_ram, F.bar[4].v = GUEST_RAM_BASE, BH_BAD_PLAN)                                    \
	X(bar_on_the_gic, F.bar[1].v = GUEST_GICD_BASE, BH_BAD_PLAN)                               \
	X(narrow_bar_above, F.bar[1].v = GUEST_HIGH_WINDOW_BASE, BH_BAD_PLAN)                      \
	X(wide_bar_beyond, F.bar[4].v = GUEST_HIGH_WINDOW_END, BH_BAD_PLAN)                        \
	X(bars_overlap, F.bar[1].v = F.bar[4].v, BH_BAD_PLAN)                                      \
	X(bars_of_two_overlap, WEB.function[1].bar[0] = F.bar[1], BH_BAD_PLAN)                     \
	X(bar_on_the_machines_ram, MARKED(FACTS.bar[1].base = pa(1 * GIB)), BH_BAD_PLAN)           \
	X(bar_at_0, MARKED(FACTS.bar[1].base = pa(0)), BH_BAD_PLAN)                                \
	X(bar_of_half_a_page, MARKED(FACTS.bar[1].size = 0x800), BH_BAD_PLAN)                      \
	X(bar_in_the_middle_of_a_page, MARKED(FACTS.bar[1].base.v += 0x800), BH_BAD_PLAN)          \
	X(bar_in_anothers,                                                                         \
	  MARKED(machine.function[1].bar[0] =                                                      \
			 ((struct machine_bar){.base = pa(0x10600ff0), .size = 16})),              \
	  BH_BAD_PLAN)                                                                             \
	X(bars_of_one_are_one, MARKED(FACTS.bar[1].base = FACTS.bar[4].base), BH_BAD_PLAN)         \
	X(too_many_ports, (WEB.nports = 5, WEB.nfunctions = 7), BH_BAD_PLAN)                       \
	X(more_ports_than_functions, WEB.nports = 4, BH_BAD_PLAN)                                  \
	X(port_of_another_number, PORT.id = 2 << 8, BH_BAD_PLAN)                                   \
	X(port_on_bus_0, PORT.id = 5 << 3, BH_BAD_PLAN)                                            \
	X(device_where_ports_are, F.id = GUEST_PORT_FIRST << 3, BH_BAD_PLAN)                       \
	X(nothing_outside_a_port, WEB.nports = 0, BH_BAD_PLAN)                                     \
	X(nothing_with_a_bar, PORT.bar[0].v = 0x3b000000, BH_BAD_PLAN)                             \
	X(ports_without_an_interrupt, WEB.console = WEB.console_irq = 0, BH_BAD_PLAN)              \
	X(plugged_without_bars, PORT.function = PAIR + 1, BH_BAD_PLAN)                             \
	X(plugged_outside_its_window, (PORT.function = PAIR + 1, PORT.bar[0].v = 0x3c000000),      \
	  BH_BAD_PLAN)                                                                             \
	X(plugged_twice,                                                                           \
	  (PORT.function = NET, PORT.bar[1].v = 0x3b000000, PORT.bar[4].v = 0x3b004000),           \
	  BH_BAD_PLAN)                                                                             \
	X(plugged_though_anothers, (PORT.function = PF + 1, PORT.bar[0].v = 0x3b000000),           \
	  BH_BAD_PLAN)                                                                             \
	X(too_much_ram,                                                                            \
	  (WEB.region[0].extent.size = 768 * GIB, machine.memory[1].extent.size = 800 * GIB,       \
	   WEB.region[0].extent.base = pa(16 * GIB)),                                              \
	  BH_BAD_PLAN)                                                                             \
	X(too_few_pages, WEB.hypervisor.size -= VM_DMA_PAGES * PAGE_SIZE, BH_BAD_PLAN)

BREAKS(BREAK_FUNCTION)
static const struct broken broken[] = {BREAKS(BREAK_CASE)};

static void make_plan(void)
{
	struct manifest_vm *vm;

	set_up_functions(NULL);
	vm = vm_with("web", "0000:01:00.0");
	give(vm, "0000:04:00.0");
	vm->hotplug_ports = 1;
	vm_with("db", "0000:03:00.0/vf0");
	make_good();
}

static void test_broken(void **state)
{
	const struct broken *b = *state;

	make_plan();
	b->apply();
	assert_string_equal(bh_error_name(plan_check(&plan, &machine, &report)),
			    bh_error_name(b->error));
}

static void a_plugged_function_is_good(void **state)
{
	(void)state;
	make_plan();
	PORT.function = PAIR + 1;
	PORT.bar[0].v = 0x3b000000;
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

static void trust_is_all_that_no_iommu_needs(void **state)
{
	(void)state;
	make_plan();
	FACTS.iommu = MACHINE_NONE;
	WEB.dma_trusted = 1;
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, set_up_functions)
	const struct CMUnitTest tests[] = {
		T(functions_are_given),
		T(one_vm_alone_takes_lpis),
		T(the_others_interrupts_are_virtual),
		T(virtual_interrupts_need_list_registers),
		T(tables_are_whole_pages),
		T(large_wide_bars_go_up),
		T(a_narrow_bar_must_fit_below),
		T(small_wide_bars_go_up_when_it_is_full_below),
		T(a_group_as_a_whole),
		T(trusted_dma),
		T(kinds_are_refused),
		T(spoilt_functions_are_refused),
		T(bars_that_share_pages_are_refused),
		T(one_owner_for_a_function_and_for_its_group),
		T(the_cards_function_stays_its_own),
		T(a_large_group_is_named_as_far_as_it_fits),
		T(too_much_memory_beside_devices),
		T(devices_cost_tables),
		T(iommu_tables_stand_before_the_vms),
		T(machines_without_need_no_tables),
		T(tables_of_x86),
		T(added_vms_get_what_is_left),
		T(ports_come_behind_the_devices),
		T(ports_alone_are_enough),
		T(ports_cost_what_devices_do),
		T(so_many_devices_and_ports),
		T(too_much_memory_beside_ports),
		T(bars_stay_out_of_the_ports_windows),
		T(functions_are_plugged),
		T(a_port_has_room_for_8_mib_of_either_kind),
		T(plugs_are_refused),
		T(a_vm_without_a_free_port),
		T(a_plugged_function_is_good),
		T(ports_are_printed),
		T(devices_are_printed),
		T(trusted_dma_is_printed_loudly),
		T(trust_is_all_that_no_iommu_needs),
		T(pages_of_messages_are_kept_on_x86),
	};

	return run_with_broken(tests, ARRAY_SIZE(tests), broken, ARRAY_SIZE(broken), test_broken);
}
