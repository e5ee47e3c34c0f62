/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's own description of its virt machine, as it is and with changes. */
#include "blob.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot/machine_fdt.h"

static struct blob virt; /* as QEMU made it */
static struct blob q35; /* as we wrote it for QEMU's */
static struct blob blob; /* changed by a test */
static struct machine machine;
static struct bh_report report;

#define GIC 0x8005 /* its phandle */

static int compile(const char *path, struct blob *out)
{
	static struct blob raw;
	char *const argv[] = {"dtc", "-q", "-I", "dts", "-O", "dtb", (char *)(uintptr_t)path, NULL};
	posix_spawn_file_actions_t actions;
	size_t size = 0;
	ssize_t got = 1;
	pid_t pid;
	int status;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0)
		return -1;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	for (; got > 0; size += (size_t)got)
		got = read(ends[0], (char *)raw.aligned + size, sizeof(raw.aligned) - size);
	close(ends[0]);
	if (waitpid(pid, &status, 0) != pid || status != 0 || got < 0)
		return -1;
	return fdt_open_into(raw.aligned, out->aligned, BLOB_BYTES);
}

static int compile_machines(void **state)
{
	(void)state;
	return compile("tests/machines/virt-4.dts", &virt) != 0
		       ? -1
		       : compile("tests/machines/q35-4.dts", &q35);
}

static int set_up(void **state)
{
	(void)state;
	blob = virt;
	return 0;
}

static enum bh_error read_machine(void)
{
	memset(&machine, 0xa5, sizeof(machine));
	memset(&report, 0, sizeof(report));
	return machine_from_fdt(blob.aligned, BLOB_BYTES, &machine, &report);
}

static void change(struct change c)
{
	blob_change(&blob, &c);
}

#define CHANGE(...) change((struct change)__VA_ARGS__)

static void good(void)
{
	if (read_machine() != BH_OK)
		fail_msg("%s", report.text);
}

static bool spi_used(uint32_t intid)
{
	return machine.arm64.spi_used[(intid - 32) / 8] >> (intid - 32) % 8 & 1;
}

/* --- the machine as it is --- */

static void virt_cores(void **state)
{
	(void)state;
	good();
	assert_string_equal(machine.name, "linux,dummy-virt (device tree)");
	assert_int_equal(machine.ncpus, 4);
	assert_int_equal(machine.boot_cpu, 0);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(machine.cpu[i].hwid, i);
		assert_int_equal(machine.cpu[i].core_id, i);
		assert_int_equal(machine.cpu[i].node, 0);
		assert_int_equal(machine.cpu[i].gicr.v, 0);
	}
}

static void virt_memory(void **state)
{
	(void)state;
	good();
	assert_int_equal(machine.nmemory, 1);
	assert_int_equal(machine.memory[0].extent.base.v, 1 * GIB);
	assert_int_equal(machine.memory[0].extent.size, 2 * GIB);
}

static void virt_gic(void **state)
{
	(void)state;
	good();
	assert_int_equal(machine.arm64.gic_version, 3);
	assert_int_equal(machine.arm64.gicd.v, 0x08000000);
	assert_int_equal(machine.arm64.its.v, 0x08080000);
	assert_int_equal(machine.arm64.spi_count, 0);
	assert_int_equal(machine.arm64.maintenance_ppi, 25);
}

static void virt_timers(void **state)
{
	(void)state;
	good();
	assert_int_equal(machine.arm64.timer_ppi[0], 29);
	assert_int_equal(machine.arm64.timer_ppi[1], 30);
	assert_int_equal(machine.arm64.timer_ppi[2], 27);
	assert_int_equal(machine.arm64.timer_ppi[3], 26);
	assert_int_equal(machine.arm64.pmu_ppi, 23);
}

static void virt_psci(void **state)
{
	(void)state;
	good();
	assert_int_equal(machine.arm64.psci_smc, 1);
}

static void virt_uart(void **state)
{
	(void)state;
	good();
	assert_int_equal(machine.uart.v, 0x09000000);
	assert_int_equal(machine.uart_irq, 33);
}

static void virt_pci(void **state)
{
	(void)state;
	good();
	assert_int_equal(machine.necam, 1);
	assert_int_equal(machine.ecam[0].base.v, 0x4010000000);
	assert_int_equal(machine.ecam[0].segment, 0);
	assert_int_equal(machine.ecam[0].bus_first, 0);
	assert_int_equal(machine.ecam[0].bus_last, 255);
}

static void virt_smmu(void **state)
{
	(void)state;
	good();
	assert_int_equal(machine.arm64.nsmmu, 1);
	assert_int_equal(machine.arm64.smmu[0].v, 0x09050000);
}

static void virt_used_interrupts(void **state)
{
	(void)state;
	good();
	assert_false(spi_used(32));
	assert_true(spi_used(33)); /* PL011 */
	assert_true(spi_used(34)); /* RTC */
	for (uint32_t i = 35; i <= 38; i++)
		assert_true(spi_used(i)); /* PCI INTx, in the interrupt-map only */
	assert_true(spi_used(39)); /* GPIO */
	assert_false(spi_used(40));
	assert_true(spi_used(48)); /* virtio-mmio */
	assert_true(spi_used(79));
	assert_false(spi_used(80));
	assert_true(spi_used(32 + 0x4a)); /* SMMU, four of them */
	assert_true(spi_used(32 + 0x4d));
	assert_false(spi_used(1019));
}

static void virt_redistributors(void **state)
{
	struct extent region[4];

	(void)state;
	assert_int_equal(machine_fdt_redistributors(blob.aligned, region, 4), 1);
	assert_int_equal(region[0].base.v, 0x080a0000);
	assert_int_equal(region[0].size, 0x00f60000);
}

/* --- what PCI functions are to SMMU and ITS --- */

static struct dma_map dma;

static void read_dma(void)
{
	memset(&dma, 0, sizeof(dma));
	good();
	machine_fdt_dma(blob.aligned, &dma);
}

static void expect_range(uint32_t index, struct dma_range expected)
{
	assert_true(index < dma.nranges);
	assert_memory_equal(&dma.range[index], &expected, sizeof(expected));
}

static void virt_dma(void **state)
{
	(void)state;
	read_dma();
	assert_int_equal(dma.nranges, 2);
	expect_range(0, (struct dma_range){DMA_IOMMU, 0, 0, 0xffff, 0, 0});
	expect_range(1, (struct dma_range){DMA_ITS, 0, 0, 0xffff, 0, 0});
}

static void id_maps_with_several_entries(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/pcie@10000000", "linux,pci-domain", 1, 3));
	CHANGE(SET_CELLS("/pcie@10000000", "iommu-map", 12, 0, 0x8007, 0x1000, 0x100, /* */
			 0x200, 0x8005, 0, 0x100, /* no SMMU */
			 0x300, 0x8007, 0, 0 /* nothing */));
	CHANGE(SET_CELLS("/pcie@10000000", "msi-map", 8, 0, 0x8005, 0, 0x100, /* no ITS */
			 0x100, 0x8006, 0x20, 0x80));
	read_dma();
	assert_int_equal(dma.nranges, 2);
	expect_range(0, (struct dma_range){DMA_IOMMU, 3, 0, 0xff, 0, 0x1000});
	expect_range(1, (struct dma_range){DMA_ITS, 3, 0x100, 0x17f, 0, 0x20});
}

static void id_maps_with_a_mask_say_nothing(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/pcie@10000000", "iommu-map-mask", 1, 0xff00));
	CHANGE(SET_CELLS("/pcie@10000000", "msi-map-mask", 1, 0xffff));
	read_dma();
	assert_int_equal(dma.nranges, 1);
	assert_int_equal(dma.range[0].kind, DMA_ITS);
}

static void a_single_msi_parent(void **state)
{
	(void)state;
	CHANGE(REMOVE("/pcie@10000000", "msi-map"));
	CHANGE(REMOVE("/pcie@10000000", "iommu-map"));
	CHANGE(SET_CELLS("/pcie@10000000", "msi-parent", 1, 0x8006));
	read_dma();
	assert_int_equal(dma.nranges, 1);
	expect_range(0, (struct dma_range){DMA_ITS, 0, 0, 0xffff, 0, 0});
}

/* --- cores --- */

static void disabled_core_is_left_out(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/cpus/cpu@2", "status", "disabled"));
	good();
	assert_int_equal(machine.ncpus, 3);
	assert_int_equal(machine.cpu[2].hwid, 3);
}

static void status_okay_counts(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/cpus/cpu@2", "status", "okay"));
	good();
	assert_int_equal(machine.ncpus, 4);
}

static void cores_with_nodes_and_wide_ids(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/cpus", "#address-cells", 1, 2));
	for (uint32_t i = 0; i < 4; i++) {
		char path[] = "/cpus/cpu@0";

		path[10] = (char)('0' + i);
		CHANGE(SET_CELLS(path, "reg", 2, 1, i << 8));
		CHANGE(SET_CELLS(path, "numa-node-id", 1, i / 2));
	}
	fdt_set_boot_cpuid_phys(blob.aligned, 0);
	good();
	assert_int_equal(machine.cpu[3].hwid, 0x100000300);
	assert_int_equal(machine.cpu[3].node, 1);
}

static void boot_core_from_the_header(void **state)
{
	(void)state;
	fdt_set_boot_cpuid_phys(blob.aligned, 2);
	good();
	assert_int_equal(machine.boot_cpu, 2);
}

static void threads_share_a_core(void **state)
{
	(void)state;
	CHANGE(REMOVE_NODE("/cpus/cpu-map"));
	CHANGE(ADD_NODE("/cpus", "cpu-map"));
	CHANGE(ADD_NODE("/cpus/cpu-map", "cluster0"));
	CHANGE(ADD_NODE("/cpus/cpu-map/cluster0", "core0"));
	CHANGE(ADD_NODE("/cpus/cpu-map/cluster0/core0", "thread0"));
	CHANGE(ADD_NODE("/cpus/cpu-map/cluster0/core0", "thread1"));
	CHANGE(SET_CELLS("/cpus/cpu-map/cluster0/core0/thread0", "cpu", 1, 0x8004));
	CHANGE(SET_CELLS("/cpus/cpu-map/cluster0/core0/thread1", "cpu", 1, 0x8002));
	good();
	assert_int_equal(machine.cpu[0].core_id, machine.cpu[2].core_id);
	assert_int_not_equal(machine.cpu[0].core_id, machine.cpu[1].core_id);
	assert_int_not_equal(machine.cpu[0].core_id, machine.cpu[3].core_id);
}

static void add_cores(uint32_t count)
{
	for (uint32_t i = 4; i < count; i++) {
		char name[16];
		char path[32];

		snprintf(name, sizeof(name), "cpu@%x", i);
		snprintf(path, sizeof(path), "/cpus/%s", name);
		CHANGE(ADD_NODE("/cpus", name));
		CHANGE(SET_CELLS(path, "reg", 1, i));
		CHANGE(SET_TEXT(path, "device_type", "cpu"));
	}
}

static void as_many_cores_as_allowed(void **state)
{
	(void)state;
	add_cores(CONFIG_MAX_CPUS);
	good();
	assert_int_equal(machine.ncpus, CONFIG_MAX_CPUS);
}

/* --- memory --- */

static void memory_is_sorted_and_has_nodes(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/memory@40000000", "reg", 8, 8, 0, 0, 0x40000000, 0, 0x80000000, 0,
			 0x20000000));
	CHANGE(SET_CELLS("/memory@40000000", "numa-node-id", 1, 7));
	good();
	assert_int_equal(machine.nmemory, 2);
	assert_int_equal(machine.memory[0].extent.base.v, 2 * GIB);
	assert_int_equal(machine.memory[0].extent.size, 512 * MIB);
	assert_int_equal(machine.memory[1].extent.base.v, 32 * GIB);
	assert_int_equal(machine.memory[1].node, 7);
}

static void reservations_are_taken_out(void **state)
{
	(void)state;
	assert_int_equal(fdt_add_mem_rsv(blob.aligned, 0x50000800, 0x1000), 0);
	CHANGE(ADD_NODE("/", "reserved-memory"));
	CHANGE(SET_CELLS("/reserved-memory", "#address-cells", 1, 2));
	CHANGE(SET_CELLS("/reserved-memory", "#size-cells", 1, 2));
	CHANGE(SET_BYTES("/reserved-memory", "ranges", ""));
	CHANGE(ADD_NODE("/reserved-memory", "firmware@40000000"));
	CHANGE(SET_CELLS("/reserved-memory/firmware@40000000", "reg", 4, 0, 0x40000000, 0,
			 0x100000));
	good();
	assert_int_equal(machine.nmemory, 2);
	assert_int_equal(machine.memory[0].extent.base.v, 0x40100000);
	assert_int_equal(machine.memory[0].extent.size, 0x0ff00000);
	assert_int_equal(machine.memory[1].extent.base.v, 0x50002000);
	assert_int_equal(extent_end(machine.memory[1].extent), 0xc0000000);
}

static void reservation_may_cover_an_end(void **state)
{
	(void)state;
	assert_int_equal(fdt_add_mem_rsv(blob.aligned, 0xb0000000, 0x20000000), 0);
	good();
	assert_int_equal(machine.nmemory, 1);
	assert_int_equal(extent_end(machine.memory[0].extent), 0xb0000000);
}

static void memory_is_cut_to_pages(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/memory@40000000", "reg", 4, 0, 0x40000001, 0, 0x2fff));
	good();
	assert_int_equal(machine.memory[0].extent.base.v, 0x40001000);
	assert_int_equal(machine.memory[0].extent.size, 0x2000);
}

/* --- interrupts and devices --- */

static void interrupts_extended_count_as_used(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/gpio-keys", "interrupts-extended", 4, GIC, 0, 200, 4));
	good();
	assert_true(spi_used(232));
}

static void interrupts_of_another_controller_do_not(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/gpio-keys", "interrupt-parent", 1, 0x8008));
	CHANGE(SET_CELLS("/gpio-keys", "interrupts", 3, 0, 300, 4));
	good();
	assert_false(spi_used(332));
}

static void interrupts_of_a_disabled_node_count(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/gpio-keys", "status", "disabled"));
	CHANGE(SET_CELLS("/gpio-keys", "interrupts", 3, 0, 300, 4));
	good();
	assert_true(spi_used(332));
}

static void message_ranges_count_as_used(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/intc@8000000", "mbi-ranges", 2, 256, 16));
	good();
	assert_false(spi_used(255));
	assert_true(spi_used(256));
	assert_true(spi_used(271));
	assert_false(spi_used(272));
}

static void interrupt_beyond_the_gic_is_ignored(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/gpio-keys", "interrupts", 6, 0, 988, 4, 0, 0xffffffff, 4));
	CHANGE(SET_CELLS("/intc@8000000", "mbi-ranges", 2, 0xfffffff0, 0xffffffff));
	good();
}

static void stdout_by_alias_and_with_options(void **state)
{
	(void)state;
	CHANGE(ADD_NODE("/", "serial@9040000"));
	CHANGE(SET_TEXT("/serial@9040000", "compatible", "arm,sbsa-uart"));
	CHANGE(SET_CELLS("/serial@9040000", "reg", 4, 0, 0x9040000, 0, 0x1000));
	CHANGE(SET_CELLS("/serial@9040000", "interrupts", 3, 0, 8, 4));
	CHANGE(SET_TEXT("/aliases", "serial1", "/serial@9040000"));
	CHANGE(SET_TEXT("/chosen", "stdout-path", "serial1:115200n8"));
	good();
	assert_int_equal(machine.uart.v, 0x09040000);
	assert_int_equal(machine.uart_irq, 40);
}

static void first_uart_without_stdout(void **state)
{
	(void)state;
	CHANGE(REMOVE("/chosen", "stdout-path"));
	good();
	assert_int_equal(machine.uart.v, 0x09000000);
}

static void stdout_that_is_no_uart(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/chosen", "stdout-path", "/pl031@9010000"));
	good();
	assert_int_equal(machine.uart.v, 0x09000000);
}

static void machine_without_uart(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/pl011@9000000", "status", "disabled"));
	good();
	assert_int_equal(machine.uart.v, 0);
	assert_int_equal(machine.uart_irq, 0);
}

static void gicv2_is_told(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/intc@8000000", "compatible", "arm,cortex-a15-gic"));
	good();
	assert_int_equal(machine.arm64.gic_version, 2);
}

static void psci_by_hvc(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/psci", "method", "hvc"));
	good();
	assert_int_equal(machine.arm64.psci_smc, 0);
}

static void addresses_go_through_ranges(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/pl011@9000000", "status", "disabled"));
	/* The platform bus maps 0 to 0x0c000000. */
	CHANGE(ADD_NODE("/platform-bus@c000000", "serial@1000"));
	CHANGE(SET_TEXT("/platform-bus@c000000/serial@1000", "compatible", "arm,pl011"));
	CHANGE(SET_CELLS("/platform-bus@c000000/serial@1000", "reg", 2, 0x1000, 0x1000));
	good();
	assert_int_equal(machine.uart.v, 0x0c001000);
}

static void address_outside_of_ranges(void **state)
{
	(void)state;
	CHANGE(SET_TEXT("/pl011@9000000", "status", "disabled"));
	CHANGE(ADD_NODE("/platform-bus@c000000", "serial@2000000"));
	CHANGE(SET_TEXT("/platform-bus@c000000/serial@2000000", "compatible", "arm,pl011"));
	CHANGE(SET_CELLS("/platform-bus@c000000/serial@2000000", "reg", 2, 0x2000000, 0x1000));
	good();
	assert_int_equal(machine.uart.v, 0);
}

static void ecam_with_fewer_buses(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/pcie@10000000", "bus-range", 2, 16, 255));
	CHANGE(SET_CELLS("/pcie@10000000", "reg", 4, 0x40, 0x10000000, 0, 0x1000000));
	CHANGE(SET_CELLS("/pcie@10000000", "linux,pci-domain", 1, 3));
	good();
	assert_int_equal(machine.ecam[0].segment, 3);
	assert_int_equal(machine.ecam[0].bus_first, 16);
	assert_int_equal(machine.ecam[0].bus_last, 31);
}

/* --- bad trees --- */

static const struct bad {
	const char *name;
	enum bh_error error;
	const char *sentence;
	struct change change[MAX_CHANGES];
} bad[] = {
	{"no_cores",
	 BH_BAD_MACHINE,
	 "/cpus: no core stands here; at least 1 is required",
	 {REMOVE_NODE("/cpus")}},
	{"no_memory",
	 BH_BAD_MACHINE,
	 "/memory: no usable memory; some is required",
	 {REMOVE_NODE("/memory@40000000")}},
	{"core_without_reg",
	 BH_BAD_MACHINE,
	 "/cpus/cpu@1: reg: not an MPIDR",
	 {REMOVE("/cpus/cpu@1", "reg")}},
	{"core_reg_too_short",
	 BH_BAD_MACHINE,
	 "/cpus/cpu@1: reg: not an MPIDR",
	 {SET_BYTES("/cpus/cpu@1", "reg", "\0\1")}},
	{"core_with_bits_beyond_affinity",
	 BH_BAD_MACHINE,
	 "/cpus/cpu@1: reg: not an MPIDR",
	 {SET_CELLS("/cpus/cpu@1", "reg", 1, 0x80000001)}},
	{"core_twice",
	 BH_BAD_MACHINE,
	 "/cpus/cpu@1: reg: 0x3 belongs to another core too",
	 {SET_CELLS("/cpus/cpu@3", "reg", 1, 3), SET_CELLS("/cpus/cpu@1", "reg", 1, 0),
	  SET_CELLS("/cpus/cpu@0", "reg", 1, 3), SET_CELLS("/cpus/cpu@1", "reg", 1, 3)}},
	{"memory_overlaps",
	 BH_OVERLAP,
	 "/memory@40000000: reg: memory at 0x80000000 overlaps other memory",
	 {SET_CELLS("/memory@40000000", "reg", 8, 0, 0x40000000, 0, 0x80000000, 0, 0x80000000, 0,
		    0x1000)}},
	{"memory_beyond_52_bits",
	 BH_BAD_MACHINE,
	 "/memory: no usable memory; some is required",
	 {SET_CELLS("/memory@40000000", "reg", 4, 0xffffffff, 0xfffff000, 0, 0x2000)}},
	{"gic_without_address",
	 BH_BAD_MACHINE,
	 "/intc@8000000: reg: its address cannot be read",
	 {REMOVE("/intc@8000000", "reg")}},
	{"smmu_without_address",
	 BH_BAD_MACHINE,
	 "/smmuv3@9050000: reg: its address cannot be read",
	 {REMOVE("/smmuv3@9050000", "reg")}},
	{"ecam_without_address",
	 BH_BAD_MACHINE,
	 "/pcie@10000000: reg: its address cannot be read",
	 {REMOVE("/pcie@10000000", "reg")}},
	{"ecam_with_wrong_buses",
	 BH_BAD_MACHINE,
	 "/pcie@10000000: segment 0, buses 9 to 3; 0 to 65535, 0 to 255 are allowed",
	 {SET_CELLS("/pcie@10000000", "bus-range", 2, 9, 3)}},
	{"ecam_with_wrong_segment",
	 BH_BAD_MACHINE,
	 "/pcie@10000000: segment 65536, buses 0 to 255; 0 to 65535, 0 to 255 are allowed",
	 {SET_CELLS("/pcie@10000000", "linux,pci-domain", 1, 65536)}},
	{"too_many_cells",
	 BH_BAD_MACHINE,
	 "/psci: more than 4 cells for an address or size",
	 {SET_CELLS("/psci", "#address-cells", 1, 5)}},
};

static void test_bad(void **state)
{
	const struct bad *b = *state;

	set_up(NULL);
	blob_change_all(&blob, b->change);
	assert_int_not_equal(read_machine(), BH_OK);
	assert_string_equal(report.text, b->sentence);
	assert_string_equal(bh_error_name(report.error), bh_error_name(b->error));
}

static void one_core_too_many(void **state)
{
	(void)state;
	add_cores(CONFIG_MAX_CPUS + 1);
	assert_int_equal(read_machine(), BH_TOO_MANY);
	/* libfdt adds new nodes in front, so that the last is one of QEMU's. */
	assert_non_null(
		strstr(report.text, ": this is core number 65; this build allows 64 cores"));
}

static void too_many_smmus(void **state)
{
	(void)state;
	for (int i = 0; i < MACHINE_MAX_SMMU; i++) {
		char name[24];
		char path[32];

		snprintf(name, sizeof(name), "smmu@%d", i);
		snprintf(path, sizeof(path), "/%s", name);
		CHANGE(ADD_NODE("/", name));
		CHANGE(SET_TEXT(path, "compatible", "arm,smmu-v3"));
		CHANGE(SET_CELLS(path, "reg", 4, 0, 0x1000, 0, 0x1000));
	}
	assert_int_equal(read_machine(), BH_TOO_MANY);
	assert_non_null(strstr(report.text, "more than 8 SMMUs are not allowed"));
}

static void too_many_pieces_of_memory(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < MACHINE_MAX_MEMORY; i++)
		assert_int_equal(fdt_add_mem_rsv(blob.aligned, 0x40001000 + i * 0x2000, 0x1000), 0);
	assert_int_equal(read_machine(), BH_TOO_MANY);
	assert_non_null(strstr(report.text, "more than 128 extents of memory"));
}

static void nested_too_deep(void **state)
{
	int node = blob_node(&blob, "/psci");

	(void)state;
	for (int i = 0; i < 16 && node >= 0; i++)
		node = fdt_add_subnode(blob.aligned, node, "x");
	assert_true(node >= 0);
	assert_int_equal(read_machine(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "device tree: nodes are nested more than 16 deep");
}

static void not_a_tree(void **state)
{
	(void)state;
	fdt_set_magic(blob.aligned, 0x12345678);
	assert_int_equal(read_machine(), BH_BAD_MACHINE);
	assert_string_equal(report.text,
			    "device tree: magic 0x12345678; it begins with 0xd00dfeed");
}

static void header_larger_than_the_file(void **state)
{
	(void)state;
	assert_int_equal(machine_from_fdt(blob.aligned, 1000, &machine, &report), BH_BAD_MACHINE);
	assert_string_equal(report.text, "device tree: 131072 bytes, of which 1000 are there; at "
					 "most 2097152 are allowed");
}

static void misaligned_structure(void **state)
{
	(void)state;
	fdt_set_off_dt_struct(blob.aligned, fdt_off_dt_struct(blob.aligned) + 2);
	assert_int_equal(read_machine(), BH_BAD_MACHINE);
	assert_non_null(strstr(report.text, "multiples of 4 and 8 are allowed"));
}

static void every_truncation_is_survived(void **state)
{
	uint32_t size;

	(void)state;
	assert_int_equal(fdt_pack(blob.aligned), 0);
	size = fdt_totalsize(blob.aligned);
	for (uint32_t length = 0; length < size; length += 3) {
		fdt_set_totalsize(blob.aligned, length);
		assert_int_not_equal(machine_from_fdt(blob.aligned, length, &machine, NULL), BH_OK);
	}
}

/* --- x86 --- */

static int set_up_q35(void **state)
{
	(void)state;
	blob = q35;
	return 0;
}

static void q35_as_it_is(void **state)
{
	(void)state;
	good();
	assert_string_equal(machine.name, "QEMU q35 (device tree)");
	assert_int_equal(machine.arch, MACHINE_X86);
	assert_int_equal(machine.x86.tsc_hz, 1000000000);
	assert_int_equal(machine.ncpus, 4);
	assert_int_equal(machine.cpu[3].hwid, 3);
	assert_int_equal(machine.nmemory, 2);
	assert_int_equal(machine.memory[0].extent.base.v, 1 * MIB);
	assert_int_equal(machine.memory[1].extent.base.v, 4 * GIB);
	assert_int_equal(machine.uart.v, 0);
}

static void x86_threads_share_a_core(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/cpus/cpu@2", "phandle", 1, 77));
	CHANGE(SET_CELLS("/cpus/cpu@3", "phandle", 1, 78));
	CHANGE(ADD_NODE("/cpus", "cpu-map"));
	CHANGE(ADD_NODE("/cpus/cpu-map", "core0"));
	CHANGE(ADD_NODE("/cpus/cpu-map/core0", "thread0"));
	CHANGE(ADD_NODE("/cpus/cpu-map/core0", "thread1"));
	CHANGE(SET_CELLS("/cpus/cpu-map/core0/thread0", "cpu", 1, 77));
	CHANGE(SET_CELLS("/cpus/cpu-map/core0/thread1", "cpu", 1, 78));
	good();
	assert_int_equal(machine.cpu[2].core_id, machine.cpu[3].core_id);
	assert_int_not_equal(machine.cpu[1].core_id, machine.cpu[2].core_id);
}

static void x86_ids_and_nodes(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/cpus/cpu@3", "reg", 1, 0xfffffffe));
	CHANGE(SET_CELLS("/cpus/cpu@3", "numa-node-id", 1, 5));
	good();
	assert_int_equal(machine.cpu[3].hwid, 0xfffffffe);
	assert_int_equal(machine.cpu[3].node, 5);
}

static void apic_id_too_wide(void **state)
{
	(void)state;
	CHANGE(SET_CELLS("/cpus", "#address-cells", 1, 2));
	assert_int_equal(read_machine(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "/cpus/cpu@0: reg: not an APIC id");
}

static void tsc_rate_may_be_missing_but_not_odd(void **state)
{
	(void)state;
	CHANGE(REMOVE("/", "tsc-hz"));
	good();
	assert_int_equal(machine.x86.tsc_hz, 0);
	CHANGE(SET_CELLS("/", "tsc-hz", 3, 1, 2, 3));
	assert_int_equal(read_machine(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "/: tsc-hz: not a number of 64 bits");
}

#define T(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(virt_cores),
		T(virt_memory),
		T(virt_gic),
		T(virt_timers),
		T(virt_psci),
		T(virt_uart),
		T(virt_pci),
		T(virt_smmu),
		T(virt_used_interrupts),
		T(virt_redistributors),
		T(virt_dma),
		T(id_maps_with_several_entries),
		T(id_maps_with_a_mask_say_nothing),
		T(a_single_msi_parent),
		T(disabled_core_is_left_out),
		T(status_okay_counts),
		T(cores_with_nodes_and_wide_ids),
		T(boot_core_from_the_header),
		T(threads_share_a_core),
		T(as_many_cores_as_allowed),
		T(memory_is_sorted_and_has_nodes),
		T(reservations_are_taken_out),
		T(reservation_may_cover_an_end),
		T(memory_is_cut_to_pages),
		T(interrupts_extended_count_as_used),
		T(interrupts_of_another_controller_do_not),
		T(interrupts_of_a_disabled_node_count),
		T(message_ranges_count_as_used),
		T(interrupt_beyond_the_gic_is_ignored),
		T(stdout_by_alias_and_with_options),
		T(first_uart_without_stdout),
		T(stdout_that_is_no_uart),
		T(machine_without_uart),
		T(gicv2_is_told),
		T(psci_by_hvc),
		T(addresses_go_through_ranges),
		T(address_outside_of_ranges),
		T(ecam_with_fewer_buses),
		T(one_core_too_many),
		T(too_many_smmus),
		T(too_many_pieces_of_memory),
		T(nested_too_deep),
		T(not_a_tree),
		T(header_larger_than_the_file),
		T(misaligned_structure),
		T(every_truncation_is_survived),
		cmocka_unit_test_setup(q35_as_it_is, set_up_q35),
		cmocka_unit_test_setup(x86_threads_share_a_core, set_up_q35),
		cmocka_unit_test_setup(x86_ids_and_nodes, set_up_q35),
		cmocka_unit_test_setup(apic_id_too_wide, set_up_q35),
		cmocka_unit_test_setup(tsc_rate_may_be_missing_but_not_odd, set_up_q35),
	};
	static struct CMUnitTest all[ARRAY_SIZE(tests) + ARRAY_SIZE(bad)];

	memcpy(all, tests, sizeof(tests));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		all[ARRAY_SIZE(tests) + i] = (struct CMUnitTest){
			.name = bad[i].name,
			.test_func = test_bad,
			.initial_state = (void *)(uintptr_t)&bad[i],
		};
	return cmocka_run_group_tests(all, compile_machines, NULL);
}
