/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's device tree, read back with libfdt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include <bulkhead/guest_boot.h>

static struct plan plan;
static struct machine machine;
static struct bh_report report;
static uint64_t buffer[GUEST_BOOT_MAX / 8];
static uint64_t used;
static uint32_t rng_seed, kaslr_seed;

static int setup(void **state)
{
	struct plan_vm *vm = &plan.vm[1];

	(void)state;
	memset(&plan, 0, sizeof(plan));
	memset(&machine, 0, sizeof(machine));
	memset(buffer, 0xaa, sizeof(buffer));
	plan.nvms = 2;
	strcpy(vm->name, "web");
	vm->ncores = 2;
	vm->core[0] = 1;
	vm->core[1] = 3;
	vm->nregions = 2;
	vm->region[0] = (struct plan_region){{GUEST_RAM_BASE}, {{0x80000000}, 512 * MIB}};
	vm->region[1] =
		(struct plan_region){{GUEST_RAM_BASE + 512 * MIB}, {{0xc0000000}, 512 * MIB}};
	vm->image[IMAGE_INITRD] = (struct plan_image){{0xb0000000}, 1234567, {0x48000000}};
	vm->console = 1;
	vm->console_irq = 40;
	machine.ncpus = 4;
	machine.cpu[1].hwid = 0x100;
	machine.cpu[3].hwid = 0x100000203;
	machine.arm64.timer_ppi[0] = 29;
	machine.arm64.timer_ppi[1] = 30;
	machine.arm64.timer_ppi[2] = 27;
	machine.arm64.timer_ppi[3] = 26;
	machine.arm64.pmu_ppi = 23;
	return 0;
}

static enum bh_error make_in(uint64_t size)
{
	return guest_fdt_make(&plan, 1, &machine, "console=ttyAMA0 quiet", buffer, size, &used,
			      &rng_seed, &kaslr_seed, &report);
}

static void make(void)
{
	assert_int_equal(make_in(sizeof(buffer)), BH_OK);
	assert_int_equal(fdt_check_full(buffer, used), 0);
}

/* The property, which must have exactly @size bytes. */
static const void *property(const char *path, const char *name, int size)
{
	int length;
	const void *value = fdt_getprop(buffer, fdt_path_offset(buffer, path), name, &length);

	assert_non_null(value);
	assert_int_equal(length, size);
	return value;
}

static void expect_text(const char *path, const char *name, const char *text)
{
	assert_string_equal(property(path, name, (int)strlen(text) + 1), text);
}

static void expect_cells(const char *path, const char *name, const uint32_t *cells, size_t n)
{
	const fdt32_t *value = property(path, name, (int)(n * 4));

	for (size_t i = 0; i < n; i++)
		assert_int_equal(fdt32_ld(value + i), cells[i]);
}

static void expect_u64(const char *path, const char *name, uint64_t expected)
{
	assert_int_equal(fdt64_ld(property(path, name, 8)), expected);
}

static void is_absent(const char *path)
{
	assert_int_equal(fdt_path_offset(buffer, path), -FDT_ERR_NOTFOUND);
}

static void the_root_says_what_it_is(void **state)
{
	(void)state;
	make();
	expect_text("/", "model", "web");
	expect_cells("/", "#address-cells", (uint32_t[]){2}, 1);
	expect_cells("/", "#size-cells", (uint32_t[]){2}, 1);
	assert_int_equal(fdt_node_check_compatible(buffer, 0, "bulkhead,vm"), 0);
	assert_int_equal(fdt_node_check_compatible(buffer, 0, "linux,dummy-virt"), 0);
	assert_int_equal(fdt32_ld(property("/", "interrupt-parent", 4)),
			 fdt_get_phandle(buffer, fdt_path_offset(buffer, "/intc@8000000")));
}

static void memory_is_one_range(void **state)
{
	(void)state;
	make();
	expect_text("/memory@40000000", "device_type", "memory");
	expect_cells("/memory@40000000", "reg", (uint32_t[]){0, 0x40000000, 0, 0x40000000}, 4);
}

static void memory_beyond_4_gib_needs_both_cells(void **state)
{
	(void)state;
	plan.vm[1].nregions = 1;
	plan.vm[1].region[0].extent.size = 5 * GIB;
	make();
	expect_cells("/memory@40000000", "reg", (uint32_t[]){0, 0x40000000, 1, 0x40000000}, 4);
}

static void cores_have_their_real_affinity(void **state)
{
	(void)state;
	make();
	expect_cells("/cpus", "#address-cells", (uint32_t[]){2}, 1);
	expect_cells("/cpus", "#size-cells", (uint32_t[]){0}, 1);
	expect_u64("/cpus/cpu@100", "reg", 0x100);
	expect_u64("/cpus/cpu@100000203", "reg", 0x100000203);
	expect_text("/cpus/cpu@100", "enable-method", "psci");
	expect_text("/cpus/cpu@100", "compatible", "arm,armv8");
	expect_text("/cpus/cpu@100", "device_type", "cpu");
}

static void there_are_no_other_cores(void **state)
{
	int node, count = 0;

	(void)state;
	make();
	fdt_for_each_subnode(node, buffer, fdt_path_offset(buffer, "/cpus")) count++;
	assert_int_equal(count, 2);
}

static void psci_is_called_by_hvc(void **state)
{
	(void)state;
	make();
	expect_text("/psci", "method", "hvc");
	assert_int_equal(
		fdt_node_check_compatible(buffer, fdt_path_offset(buffer, "/psci"), "arm,psci-1.0"),
		0);
}

static void timers_are_in_the_order_of_the_binding(void **state)
{
	(void)state;
	make();
	expect_cells("/timer", "interrupts", (uint32_t[]){1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4},
		     12);
	assert_int_equal(fdt_stringlist_search(buffer, fdt_path_offset(buffer, "/timer"),
					       "interrupt-names", "virt"),
			 2);
	property("/timer", "always-on", 0);
}

static void absent_timers_are_left_out_by_name(void **state)
{
	int node;

	(void)state;
	machine.arm64.timer_ppi[0] = 0;
	make();
	node = fdt_path_offset(buffer, "/timer");
	expect_cells("/timer", "interrupts", (uint32_t[]){1, 14, 4, 1, 11, 4, 1, 10, 4}, 9);
	assert_int_equal(fdt_stringlist_count(buffer, node, "interrupt-names"), 3);
	assert_int_equal(fdt_stringlist_search(buffer, node, "interrupt-names", "virt"), 1);
}

static void the_gic_has_a_redistributor_for_each_core(void **state)
{
	(void)state;
	make();
	expect_text("/intc@8000000", "compatible", "arm,gic-v3");
	expect_cells("/intc@8000000", "#interrupt-cells", (uint32_t[]){3}, 1);
	expect_cells("/intc@8000000", "reg",
		     (uint32_t[]){0, 0x08000000, 0, 0x10000, 0, 0x10000000, 0, 0x40000}, 8);
	property("/intc@8000000", "interrupt-controller", 0);
}

static void the_console_is_an_sbsa_uart(void **state)
{
	(void)state;
	make();
	expect_text("/serial@9000000", "compatible", "arm,sbsa-uart");
	expect_cells("/serial@9000000", "reg", (uint32_t[]){0, 0x09000000, 0, 0x1000}, 4);
	expect_cells("/serial@9000000", "interrupts", (uint32_t[]){0, 8, 4}, 3);
	expect_cells("/serial@9000000", "current-speed", (uint32_t[]){115200}, 1);
	expect_text("/aliases", "serial0", "/serial@9000000");
	expect_text("/chosen", "stdout-path", "serial0:115200n8");
}

static void without_console_there_is_no_trace_of_it(void **state)
{
	(void)state;
	plan.vm[1].console = 0;
	make();
	is_absent("/serial@9000000");
	is_absent("/aliases");
	assert_null(fdt_getprop(buffer, fdt_path_offset(buffer, "/chosen"), "stdout-path", NULL));
}

static void the_pmu_is_there_when_the_machine_has_one(void **state)
{
	(void)state;
	make();
	expect_text("/pmu", "compatible", "arm,armv8-pmuv3");
	expect_cells("/pmu", "interrupts", (uint32_t[]){1, 7, 4}, 3);
	machine.arm64.pmu_ppi = 0;
	make();
	is_absent("/pmu");
}

static void the_kernel_finds_its_arguments_and_initrd(void **state)
{
	(void)state;
	make();
	expect_text("/chosen", "bootargs", "console=ttyAMA0 quiet");
	expect_u64("/chosen", "linux,initrd-start", 0x48000000);
	expect_u64("/chosen", "linux,initrd-end", 0x48000000 + 1234567);
}

static void without_initrd_none_is_named(void **state)
{
	(void)state;
	plan.vm[1].image[IMAGE_INITRD].size = 0;
	make();
	assert_null(fdt_getprop(buffer, fdt_path_offset(buffer, "/chosen"), "linux,initrd-start",
				NULL));
}

static void devices_stand_behind_a_host_bridge_with_an_its(void **state)
{
	uint32_t gic, its;

	(void)state;
	plan.vm[1].nfunctions = 1;
	make();
	gic = fdt_get_phandle(buffer, fdt_path_offset(buffer, "/intc@8000000"));
	its = fdt_get_phandle(buffer,
			      fdt_path_offset(buffer, "/intc@8000000/msi-controller@8100000"));
	assert_true(its != 0 && its != gic);
	property("/intc@8000000", "ranges", 0);
	expect_text("/intc@8000000/msi-controller@8100000", "compatible", "arm,gic-v3-its");
	expect_cells("/intc@8000000/msi-controller@8100000", "reg",
		     (uint32_t[]){0, GUEST_ITS_BASE, 0, 0x20000}, 4);
	expect_cells("/intc@8000000/msi-controller@8100000", "#msi-cells", (uint32_t[]){1}, 1);
	property("/intc@8000000/msi-controller@8100000", "msi-controller", 0);
	expect_text("/pcie@3f000000", "compatible", "pci-host-ecam-generic");
	expect_text("/pcie@3f000000", "device_type", "pci");
	expect_cells("/pcie@3f000000", "#address-cells", (uint32_t[]){3}, 1);
	expect_cells("/pcie@3f000000", "#size-cells", (uint32_t[]){2}, 1);
	expect_cells("/pcie@3f000000", "reg", (uint32_t[]){0, GUEST_ECAM_BASE, 0, GUEST_ECAM_SIZE},
		     4);
	expect_cells("/pcie@3f000000", "bus-range", (uint32_t[]){0, PLAN_MAX_PORTS}, 2);
	expect_cells("/pcie@3f000000", "msi-map", (uint32_t[]){0, its, 0, 0x10000}, 4);
	expect_cells("/pcie@3f000000", "ranges",
		     (uint32_t[]){0x02000000, 0, GUEST_WINDOW_BASE, 0, GUEST_WINDOW_BASE, 0,
				  GUEST_WINDOW_END - GUEST_WINDOW_BASE, 0x03000000, 0xc0, 0, 0xc0,
				  0, 0x40, 0},
		     14);
	assert_int_equal(GUEST_HIGH_WINDOW_BASE, 0xc0ULL << 32);
	property("/pcie@3f000000", "dma-coherent", 0);
	expect_cells("/chosen", "linux,pci-probe-only", (uint32_t[]){1}, 1);
	/* No line interrupts. */
	assert_null(fdt_getprop(buffer, fdt_path_offset(buffer, "/pcie@3f000000"), "interrupt-map",
				NULL));
}

static void without_devices_there_is_no_trace_of_pci(void **state)
{
	(void)state;
	make();
	is_absent("/pcie@3f000000");
	is_absent("/intc@8000000/msi-controller@8100000");
	assert_null(fdt_getprop(buffer, fdt_path_offset(buffer, "/intc@8000000"), "ranges", NULL));
	assert_null(fdt_getprop(buffer, fdt_path_offset(buffer, "/chosen"), "linux,pci-probe-only",
				NULL));
}

static void seeds_are_zero_and_where_it_says(void **state)
{
	static const uint8_t zeroes[GUEST_RNG_SEED_BYTES];
	const uint8_t *bytes = (const uint8_t *)buffer;

	(void)state;
	make();
	assert_ptr_equal(property("/chosen", "rng-seed", GUEST_RNG_SEED_BYTES), bytes + rng_seed);
	assert_ptr_equal(property("/chosen", "kaslr-seed", 8), bytes + kaslr_seed);
	assert_memory_equal(bytes + rng_seed, zeroes, GUEST_RNG_SEED_BYTES);
	assert_memory_equal(bytes + kaslr_seed, zeroes, 8);
}

static void the_same_plan_gives_the_same_bytes(void **state)
{
	static uint8_t first[GUEST_BOOT_MAX];
	uint64_t first_used;

	(void)state;
	make();
	memcpy(first, buffer, used);
	first_used = used;
	memset(buffer, 0x55, sizeof(buffer));
	make();
	assert_int_equal(used, first_used);
	assert_memory_equal(first, buffer, used);
}

static void the_largest_vm_fits(void **state)
{
	static char bootargs[MANIFEST_BOOTARGS_MAX + 1];

	(void)state;
	memset(bootargs, 'x', MANIFEST_BOOTARGS_MAX);
	machine.ncpus = CONFIG_MAX_CPUS;
	plan.vm[1].ncores = CONFIG_MAX_CPUS;
	plan.vm[1].nfunctions = PLAN_MAX_FUNCTIONS;
	for (uint32_t i = 0; i < CONFIG_MAX_CPUS; i++) {
		machine.cpu[i].hwid = i + (0xffULL << 32);
		plan.vm[1].core[i] = i;
	}
	assert_int_equal(guest_fdt_make(&plan, 1, &machine, bootargs, buffer, sizeof(buffer), &used,
					&rng_seed, &kaslr_seed, &report),
			 BH_OK);
	assert_in_range(used, 1, GUEST_BOOT_MAX);
	assert_in_range(used, 1, plan_boot_bytes(&machine, CONFIG_MAX_CPUS));
	plan.vm[1].ncores = 1;
	assert_int_equal(guest_fdt_make(&plan, 1, &machine, bootargs, buffer,
					plan_boot_bytes(&machine, 1), &used, &rng_seed, &kaslr_seed,
					&report),
			 BH_OK);
}

static void a_buffer_too_small_is_refused_at_every_size(void **state)
{
	uint64_t need;

	(void)state;
	make();
	need = used;
	for (uint64_t size = 0; size < need; size += 8)
		assert_int_equal(make_in(size), BH_TOO_BIG);
	assert_non_null(strstr(report.text, "VM web does not fit in"));
}

static void a_machine_without_virtual_timer_is_refused(void **state)
{
	(void)state;
	machine.arm64.timer_ppi[2] = 0;
	assert_int_equal(make_in(sizeof(buffer)), BH_BAD_MACHINE);
}

static void interrupts_that_are_no_ppi_are_refused(void **state)
{
	(void)state;
	machine.arm64.timer_ppi[1] = 32;
	assert_int_equal(make_in(sizeof(buffer)), BH_BAD_MACHINE);
	setup(NULL);
	machine.arm64.pmu_ppi = 15;
	assert_int_equal(make_in(sizeof(buffer)), BH_BAD_MACHINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_root_says_what_it_is, setup),
		cmocka_unit_test_setup(memory_is_one_range, setup),
		cmocka_unit_test_setup(memory_beyond_4_gib_needs_both_cells, setup),
		cmocka_unit_test_setup(cores_have_their_real_affinity, setup),
		cmocka_unit_test_setup(there_are_no_other_cores, setup),
		cmocka_unit_test_setup(psci_is_called_by_hvc, setup),
		cmocka_unit_test_setup(timers_are_in_the_order_of_the_binding, setup),
		cmocka_unit_test_setup(absent_timers_are_left_out_by_name, setup),
		cmocka_unit_test_setup(the_gic_has_a_redistributor_for_each_core, setup),
		cmocka_unit_test_setup(the_console_is_an_sbsa_uart, setup),
		cmocka_unit_test_setup(without_console_there_is_no_trace_of_it, setup),
		cmocka_unit_test_setup(the_pmu_is_there_when_the_machine_has_one, setup),
		cmocka_unit_test_setup(the_kernel_finds_its_arguments_and_initrd, setup),
		cmocka_unit_test_setup(without_initrd_none_is_named, setup),
		cmocka_unit_test_setup(devices_stand_behind_a_host_bridge_with_an_its, setup),
		cmocka_unit_test_setup(without_devices_there_is_no_trace_of_pci, setup),
		cmocka_unit_test_setup(seeds_are_zero_and_where_it_says, setup),
		cmocka_unit_test_setup(the_same_plan_gives_the_same_bytes, setup),
		cmocka_unit_test_setup(the_largest_vm_fits, setup),
		cmocka_unit_test_setup(a_buffer_too_small_is_refused_at_every_size, setup),
		cmocka_unit_test_setup(a_machine_without_virtual_timer_is_refused, setup),
		cmocka_unit_test_setup(interrupts_that_are_no_ppi_are_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
