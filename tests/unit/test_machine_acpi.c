/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables are built by hand, as ACPI 6.5 has them, and read through the addresses in XSDT and
 * FADT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/machine_acpi.h"

#define TABLE_BYTES 1024
#define MAX_TABLES 10

struct table {
	uint8_t bytes[TABLE_BYTES];
	uint32_t size;
};

static struct table rsdp, xsdt, dsdt, other[MAX_TABLES];
static uint32_t ntables;
static struct machine machine;
static struct gic_regions regions;
static struct dma_map dma;
static struct bh_report report;

static void put(struct table *t, uint32_t offset, uint64_t value, size_t width)
{
	memcpy(t->bytes + offset, &value, width);
}

static uint8_t sum_of(const struct table *t, uint32_t size)
{
	uint8_t total = 0;

	for (uint32_t i = 0; i < size; i++)
		total = (uint8_t)(total + t->bytes[i]);
	return total;
}

/* Writes the length and makes the checksum right. */
static void seal(struct table *t)
{
	put(t, 4, t->size, 4);
	t->bytes[9] = 0;
	t->bytes[9] = (uint8_t)-sum_of(t, t->size);
}

static void begin(struct table *t, const char *signature, uint32_t size)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->bytes, signature, 4);
	memcpy(t->bytes + 10, "ACME  SERVER  ", 14);
	t->size = size;
}

/* A table that the XSDT names, with zeroes up to @size. */
static struct table *add_table(const char *signature, uint32_t size)
{
	struct table *t = &other[ntables++];

	begin(t, signature, size);
	return t;
}

/* Room for an entry at the end of a table; its offset. */
static uint32_t entry(struct table *t, uint8_t type, uint8_t size)
{
	uint32_t at = t->size;

	t->size += size;
	put(t, at, type, 1);
	put(t, at + 1, size, 1);
	return at;
}

static void add_gicc(struct table *madt, uint32_t uid, uint64_t mpidr, uint32_t flags)
{
	uint32_t at = entry(madt, 0x0b, 82);

	put(madt, at + 8, uid, 4);
	put(madt, at + 12, flags, 4);
	put(madt, at + 20, 23, 4);
	put(madt, at + 56, 25, 4);
	put(madt, at + 68, mpidr, 8);
}

static struct table *make_madt(void)
{
	struct table *t = add_table("APIC", 44);
	uint32_t at;

	add_gicc(t, 100, 0x000, 1);
	add_gicc(t, 101, 0x100, 1);
	add_gicc(t, 102, 0x200, 0); /* switched off */
	add_gicc(t, 103, 0x80000300 | 1ULL << 32, 1);
	at = entry(t, 0x0c, 24);
	put(t, at + 8, 0x08000000, 8);
	put(t, at + 20, 3, 1);
	at = entry(t, 0x0e, 16);
	put(t, at + 4, 0x080a0000, 8);
	put(t, at + 12, 0xf60000, 4);
	at = entry(t, 0x0f, 20);
	put(t, at + 8, 0x08080000, 8);
	return t;
}

static struct table *make_fadt(void)
{
	struct table *t = add_table("FACP", 276);

	begin(&dsdt, "DSDT", 36);
	put(t, 129, 1, 2);
	put(t, 140, (uint64_t)(uintptr_t)dsdt.bytes, 8);
	return t;
}

static int setup(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	memset(&regions, 0, sizeof(regions));
	memset(&dma, 0, sizeof(dma));
	memset(&report, 0, sizeof(report));
	ntables = 0;
	begin(&xsdt, "XSDT", 36);
	memset(&rsdp, 0, sizeof(rsdp));
	memcpy(rsdp.bytes, "RSD PTR ", 8);
	put(&rsdp, 15, 2, 1);
	put(&rsdp, 20, 36, 4);
	put(&rsdp, 24, (uint64_t)(uintptr_t)xsdt.bytes, 8);
	make_fadt(); /* before the MADT, as on real machines */
	make_madt();
	return 0;
}

static void seal_rsdp(void)
{
	put(&rsdp, 8, 0, 1);
	put(&rsdp, 32, 0, 1);
	put(&rsdp, 8, (uint8_t)-sum_of(&rsdp, 20), 1);
	put(&rsdp, 32, (uint8_t)-sum_of(&rsdp, 36), 1);
}

static enum bh_error run(void)
{
	for (uint32_t i = 0; i < ntables; i++) {
		put(&xsdt, 36 + 8 * i, (uint64_t)(uintptr_t)other[i].bytes, 8);
		seal(&other[i]);
	}
	xsdt.size = 36 + 8 * ntables;
	seal(&xsdt);
	seal(&dsdt);
	seal_rsdp();
	return machine_from_acpi(rsdp.bytes, &machine, &regions, &dma, &report);
}

static bool is_used(uint32_t intid)
{
	return machine.arm64.spi_used[(intid - 32) / 8] >> ((intid - 32) % 8) & 1;
}

static uint32_t count_used(void)
{
	uint32_t count = 0;

	for (uint32_t i = 32; i < 32 + MACHINE_SPI_COUNT; i++)
		count += is_used(i);
	return count;
}

static void reads_cores_that_are_on(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.ncpus, 3);
	assert_int_equal(machine.cpu[0].hwid, 0);
	assert_int_equal(machine.cpu[1].hwid, 0x100);
	assert_int_equal(machine.cpu[2].hwid, 0x100000300);
	assert_int_equal(machine.arm64.pmu_ppi, 23);
	assert_int_equal(machine.arm64.maintenance_ppi, 25);
}

static void reads_the_gic(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.arm64.gicd.v, 0x08000000);
	assert_int_equal(machine.arm64.gic_version, 3);
	assert_int_equal(machine.arm64.its.v, 0x08080000);
	assert_int_equal(regions.count, 1);
	assert_int_equal(regions.region[0].base.v, 0x080a0000);
	assert_int_equal(regions.region[0].size, 0xf60000);
}

static void reads_the_name(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	assert_string_equal(machine.name, "ACME SERVER (ACPI)");
}

static void a_core_may_bring_its_own_redistributor(void **state)
{
	(void)state;
	put(&other[1], 44 + 60, 0x12340000, 8);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.cpu[0].gicr.v, 0x12340000);
	assert_int_equal(machine.cpu[1].gicr.v, 0);
}

static void cores_beyond_the_limit_stay_off(void **state)
{
	static struct table big[1];
	static uint8_t bytes[44 + (CONFIG_MAX_CPUS + 3) * 82];
	struct acpi_reader r = {
		.machine = &machine, .regions = &regions, .dma = &dma, .report = &report};
	uint8_t total = 0;

	(void)state;
	begin(big, "APIC", 44);
	memcpy(bytes, big->bytes, 44);
	for (size_t i = 0; i < CONFIG_MAX_CPUS + 3; i++) {
		bytes[44 + 82 * i] = 0x0b;
		bytes[44 + 82 * i + 1] = 82;
		bytes[44 + 82 * i + 12] = 1;
	}
	bytes[4] = (uint8_t)sizeof(bytes);
	bytes[5] = (uint8_t)(sizeof(bytes) >> 8);
	for (size_t i = 0; i < sizeof(bytes); i++)
		total = (uint8_t)(total + bytes[i]);
	bytes[9] = (uint8_t)-total;
	assert_int_equal(acpi_read_table(&r, bytes, sizeof(bytes)), BH_OK);
	assert_int_equal(machine.ncpus, CONFIG_MAX_CPUS);
}

static void psci_is_called_by_smc(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.arm64.psci_smc, 1);
}

static void psci_by_hvc_is_not(void **state)
{
	(void)state;
	put(&other[0], 129, 3, 2);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.arm64.psci_smc, 0);
}

static void reads_timers(void **state)
{
	struct table *t = add_table("GTDT", 96);

	(void)state;
	put(t, 48, 29, 4);
	put(t, 56, 30, 4);
	put(t, 64, 27, 4);
	put(t, 72, 26, 4);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.arm64.timer_ppi[0], 29);
	assert_int_equal(machine.arm64.timer_ppi[1], 30);
	assert_int_equal(machine.arm64.timer_ppi[2], 27);
	assert_int_equal(machine.arm64.timer_ppi[3], 26);
	assert_int_equal(count_used(), 0);
}

static void platform_timers_use_interrupts(void **state)
{
	struct table *t = add_table("GTDT", 96 + 100 + 28);

	(void)state;
	put(t, 88, 2, 4);
	put(t, 92, 96, 4);
	put(t, 96 + 1, 100, 2); /* block of two timers */
	put(t, 96 + 12, 2, 4);
	put(t, 96 + 16, 20, 4);
	put(t, 96 + 20 + 20, 80, 4);
	put(t, 96 + 60 + 28, 81, 4);
	put(t, 196, 1, 1); /* watchdog */
	put(t, 196 + 1, 28, 2);
	put(t, 196 + 20, 90, 4);
	assert_int_equal(run(), BH_OK);
	assert_true(is_used(80) && is_used(81) && is_used(90));
	assert_int_equal(count_used(), 3);
}

static void reads_ecam_from_its_first_bus(void **state)
{
	struct table *t = add_table("MCFG", 44 + 2 * 16);

	(void)state;
	put(t, 44, 0x4010000000, 8);
	put(t, 44 + 11, 255, 1);
	put(t, 60, 0x5000000000, 8);
	put(t, 60 + 8, 1, 2);
	put(t, 60 + 10, 0x40, 1);
	put(t, 60 + 11, 0x7f, 1);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.necam, 2);
	assert_int_equal(machine.ecam[0].base.v, 0x4010000000);
	assert_int_equal(machine.ecam[0].bus_last, 255);
	assert_int_equal(machine.ecam[1].base.v, 0x5004000000);
	assert_int_equal(machine.ecam[1].segment, 1);
	assert_int_equal(machine.ecam[1].bus_first, 0x40);
}

static void too_many_segments_are_refused(void **state)
{
	(void)state;
	add_table("MCFG", 44 + (MACHINE_MAX_ECAM + 1) * 16);
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_non_null(strstr(report.text, "MCFG"));
}

static struct table *make_spcr(uint8_t type)
{
	struct table *t = add_table("SPCR", 80);

	put(t, 36, type, 1);
	put(t, 44, 0x09000000, 8);
	put(t, 52, 8, 1);
	put(t, 54, 33, 4);
	return t;
}

static void reads_the_uart(void **state)
{
	(void)state;
	make_spcr(3);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.uart.v, 0x09000000);
	assert_int_equal(machine.uart_irq, 33);
	assert_true(is_used(33));
}

static void other_uarts_are_not_used_but_their_interrupt_is_taken(void **state)
{
	(void)state;
	make_spcr(0);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.uart.v, 0);
	assert_true(is_used(33));
}

static void a_uart_in_port_space_is_not_used(void **state)
{
	struct table *t = make_spcr(3);

	(void)state;
	put(t, 40, 1, 1);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.uart.v, 0);
}

static void reads_smmus(void **state)
{
	struct table *t = add_table("IORT", 48 + 24 + 68);

	(void)state;
	put(t, 36, 2, 4);
	put(t, 40, 48, 4);
	put(t, 48 + 1, 24, 2); /* an ITS group */
	put(t, 72, 4, 1);
	put(t, 72 + 1, 68, 2);
	put(t, 72 + 16, 0x09050000, 8);
	put(t, 72 + 44, 106, 4);
	put(t, 72 + 48, 107, 4);
	put(t, 72 + 52, 109, 4);
	put(t, 72 + 56, 108, 4);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.arm64.nsmmu, 1);
	assert_int_equal(machine.arm64.smmu[0].v, 0x09050000);
	assert_int_equal(count_used(), 4);
	assert_true(is_used(106) && is_used(109));
}

/* A node of an IORT at the end of @t, with room for @count id mappings behind @bytes; the offset. */
static uint32_t iort_entry(struct table *t, uint8_t type, uint32_t bytes, uint32_t count)
{
	uint32_t at = t->size;

	t->size += bytes + 20 * count;
	put(t, 36, t->bytes[36] + 1ULL, 4);
	put(t, at, type, 1);
	put(t, at + 1, bytes + 20 * count, 2);
	put(t, at + 8, count, 4);
	put(t, at + 12, bytes, 4);
	return at;
}

static void id_mapping(struct table *t, uint32_t at, uint32_t first, uint32_t count,
		       uint32_t output, uint32_t node, uint32_t flags)
{
	const uint32_t words[] = {first, count - 1, output, node, flags};

	memcpy(t->bytes + at, words, sizeof(words));
}

/* Root complexes of segments 0 and 2: the first behind an SMMU but for a part, the second behind none. */
static struct table *make_iort(void)
{
	struct table *t = add_table("IORT", 48);
	uint32_t its, smmu, rc;

	put(&other[1], other[1].size - 16, 7, 4); /* the MADT's last entry is the ITS: its id */
	put(t, 40, 48, 4);
	rc = iort_entry(t, 2, 36, 2);
	its = iort_entry(t, 0, 24, 0);
	put(t, its + 16, 1, 4);
	put(t, its + 20, 7, 4);
	smmu = iort_entry(t, 4, 68, 2);
	put(t, smmu + 16, 0x09050000, 8);
	id_mapping(t, rc + 36, 0, 0x100, 0x1000, smmu, 0);
	id_mapping(t, rc + 56, 0x100, 0x100, 0x5000, its, 0);
	id_mapping(t, smmu + 68, 0x1000, 0x1000, 0x20000, its, 0);
	id_mapping(t, smmu + 88, 0, 1, 3, its, 1); /* its own interrupt */
	rc = iort_entry(t, 2, 36, 1);
	put(t, rc + 28, 2, 4);
	id_mapping(t, rc + 36, 0, 0x10000, 0, its, 0);
	rc = iort_entry(t, 6, 28, 1);
	id_mapping(t, rc + 28, 0, 2, 0x1018, smmu, 0);
	return t;
}

static void expect_range(uint32_t index, struct dma_range expected)
{
	assert_true(index < dma.nranges);
	assert_memory_equal(&dma.range[index], &expected, sizeof(expected));
}

static void reads_id_mappings(void **state)
{
	(void)state;
	make_iort();
	assert_int_equal(run(), BH_OK);
	assert_false(dma.lost);
	assert_int_equal(dma.nranges, 5);
	expect_range(0, (struct dma_range){DMA_IOMMU, 0, 0, 0xff, 0, 0x1000});
	expect_range(1, (struct dma_range){DMA_ITS, 0, 0x100, 0x1ff, MACHINE_NONE, 0x5000});
	expect_range(2,
		     (struct dma_range){DMA_STREAM_ITS, 0, 0x1000, 0x1fff, MACHINE_NONE, 0x20000});
	expect_range(3, (struct dma_range){DMA_ITS, 2, 0, 0xffff, MACHINE_NONE, 0});
	expect_range(4, (struct dma_range){DMA_STREAM_RESERVED, 0, 0x1018, 0x1019, 0, 0x1018});
}

static void interrupts_of_another_its_are_not_told(void **state)
{
	struct table *t = make_iort();

	(void)state;
	put(t, 48 + 76 + 20, 8, 4);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(dma.nranges, 2);
	assert_int_equal(dma.range[0].kind, DMA_IOMMU);
	assert_int_equal(dma.range[1].kind, DMA_STREAM_RESERVED);
}

/* The machine goes on without devices for VMs. */
static void id_mappings_without_sense_are_lost(void **state)
{
	static const uint32_t counts[] = {3, 0x10000000, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		setup(state);
		put(make_iort(), 48 + 8, counts[i], 4);
		assert_int_equal(run(), BH_OK);
		assert_true(dma.lost);
		assert_int_equal(machine.arm64.nsmmu, 1);
	}
}

static void a_malformed_iort_is_refused(void **state)
{
	struct table *t = add_table("IORT", 48 + 24);

	(void)state;
	put(t, 36, UINT32_MAX, 4);
	put(t, 40, 48, 4);
	put(t, 48 + 1, 24, 2);
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI table IORT has a malformed node");
}

static void reads_nodes(void **state)
{
	struct table *t = add_table("SRAT", 48);
	uint32_t at = entry(t, 3, 18);

	(void)state;
	put(t, 8, 3, 1);
	put(t, at + 2, 7, 4);
	put(t, at + 6, 101, 4); /* the second core, by its UID */
	put(t, at + 10, 1, 4);
	at = entry(t, 1, 40);
	put(t, at + 2, 7, 4);
	put(t, at + 8, 0x80000000, 8);
	put(t, at + 16, 0x40000000, 8);
	put(t, at + 28, 1, 4);
	entry(t, 1, 40); /* not enabled */
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.cpu[0].node, 0);
	assert_int_equal(machine.cpu[1].node, 7);
	assert_int_equal(machine.nmemory, 1);
	assert_int_equal(machine.memory[0].extent.base.v, 0x80000000);
	assert_int_equal(machine.memory[0].extent.size, 0x40000000);
	assert_int_equal(machine.memory[0].node, 7);
}

static void a_range_that_wraps_is_refused(void **state)
{
	struct table *t = add_table("SRAT", 48);
	uint32_t at = entry(t, 1, 40);

	(void)state;
	put(t, at + 8, UINT64_MAX - 0xfff, 8);
	put(t, at + 16, 0x2000, 8);
	put(t, at + 28, 1, 4);
	assert_int_equal(run(), BH_BAD_MACHINE);
}

static void finds_interrupts_in_aml(void **state)
{
	static const uint8_t resource[] = {0x11, 0x10, 0x89, 10, 0, 1, 2, 45, 0, 0, 0, 46, 0, 0, 0};

	(void)state;
	memcpy(dsdt.bytes + 40, resource, sizeof(resource));
	dsdt.size = 64;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(count_used(), 2);
	assert_true(is_used(45) && is_used(46));
}

static void finds_interrupts_in_every_ssdt(void **state)
{
	static const uint8_t resource[] = {0x89, 6, 0, 1, 1, 0xfb, 3, 0, 0}; /* 1019, the last */

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct table *t = add_table("SSDT", 64);

		memcpy(t->bytes + 64 - sizeof(resource), resource, sizeof(resource));
		put(t, 64 - 4, i == 0 ? 1019 : 32, 4);
	}
	assert_int_equal(run(), BH_OK);
	assert_int_equal(count_used(), 2);
	assert_true(is_used(32) && is_used(1019));
}

static void an_interrupt_descriptor_cut_short_is_none(void **state)
{
	static const uint8_t resource[] = {0x89, 10, 0, 1,  2, 45,
					   0,	 0,  0, 46, 0, 0}; /* a byte is missing */

	(void)state;
	memcpy(dsdt.bytes + 40, resource, sizeof(resource));
	dsdt.size = 40 + sizeof(resource);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(count_used(), 0);
}

static void finds_direct_interrupts_of_pci(void **state)
{
	/*
	 * Package (4) {0x0001FFFF, 1, 0, 0x25}, and the same with a link device's name, which
	 * is no number
	 */
	static const uint8_t direct[] = {0x12, 11, 4, 0x0c, 0xff, 0xff, 1, 0, 1, 0, 0x0a, 0x25};
	static const uint8_t link[] = {0x12, 14,  4,   0x0c, 0xff, 0xff, 1,   0,
				       1,    'L', 'N', 'K',  'A',  0x0a, 0x26};

	(void)state;
	memcpy(dsdt.bytes + 40, direct, sizeof(direct));
	memcpy(dsdt.bytes + 60, link, sizeof(link));
	dsdt.size = 80;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(count_used(), 1);
	assert_true(is_used(0x25));
}

static void msi_frames_use_their_interrupts(void **state)
{
	uint32_t at = entry(&other[1], 0x0d, 24);

	(void)state;
	put(&other[1], at + 20, 3, 2);
	put(&other[1], at + 22, 80, 2);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(count_used(), 3);
	assert_true(is_used(80) && is_used(82));
}

static void unknown_tables_are_skipped(void **state)
{
	(void)state;
	add_table("BGRT", 56);
	assert_int_equal(run(), BH_OK);
}

static void a_bad_root_pointer_is_refused(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	rsdp.bytes[32]++;
	assert_int_equal(machine_from_acpi(rsdp.bytes, &machine, &regions, &dma, &report),
			 BH_BAD_MACHINE);
	rsdp.bytes[32]--;
	rsdp.bytes[8]++;
	assert_int_equal(machine_from_acpi(rsdp.bytes, &machine, &regions, &dma, &report),
			 BH_BAD_MACHINE);
	rsdp.bytes[15] = 0;
	seal_rsdp();
	assert_int_equal(machine_from_acpi(rsdp.bytes, &machine, &regions, &dma, &report),
			 BH_BAD_MACHINE);
	assert_string_equal(report.text,
			    "the ACPI root pointer is malformed or older than ACPI 2.0");
}

static void a_bad_xsdt_is_refused(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	xsdt.bytes[9]++;
	assert_int_equal(machine_from_acpi(rsdp.bytes, &machine, &regions, &dma, &report),
			 BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI table XSDT is not a valid XSDT");
}

static void a_bad_checksum_is_refused(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	other[1].bytes[50]++;
	memset(&machine, 0, sizeof(machine));
	assert_int_equal(machine_from_acpi(rsdp.bytes, &machine, &regions, &dma, &report),
			 BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI table APIC has a wrong checksum");
}

static void an_impossible_length_is_refused(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	put(&other[1], 4, 35, 4);
	assert_int_equal(machine_from_acpi(rsdp.bytes, &machine, &regions, &dma, &report),
			 BH_BAD_MACHINE);
	put(&other[1], 4, UINT32_MAX, 4);
	assert_int_equal(machine_from_acpi(rsdp.bytes, &machine, &regions, &dma, &report),
			 BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI table APIC has an impossible length");
}

static void a_table_at_address_zero_is_refused(void **state)
{
	(void)state;
	put(&other[0], 140, 0, 8); /* no DSDT */
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "an ACPI table has address 0");
}

static void entries_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	entry(&other[1], 0x0b, 3);
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI table APIC has a malformed entry");
	setup(NULL);
	put(&other[1], entry(&other[1], 0x0b, 82) + 1, 83, 1);
	assert_int_equal(run(), BH_BAD_MACHINE);
}

static void a_machine_without_cores_is_refused(void **state)
{
	(void)state;
	other[1].size = 44;
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI names no enabled core with a GIC");
}

static void a_machine_without_distributor_is_refused(void **state)
{
	(void)state;
	other[1].size = 44 + 82;
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI names no GIC distributor");
}

/* ---- x86 ---- */

static void add_apic(struct table *madt, uint8_t id, uint32_t flags)
{
	uint32_t at = entry(madt, 0, 8);

	put(madt, at + 2, 1, 1);
	put(madt, at + 3, id, 1);
	put(madt, at + 4, flags, 4);
}

static void add_x2apic(struct table *madt, uint32_t id, uint32_t flags)
{
	uint32_t at = entry(madt, 9, 16);

	put(madt, at + 4, id, 4);
	put(madt, at + 8, flags, 4);
}

static void add_override(struct table *madt, uint8_t bus, uint8_t irq, uint32_t gsi)
{
	uint32_t at = entry(madt, 2, 10);

	put(madt, at + 2, bus, 1);
	put(madt, at + 3, irq, 1);
	put(madt, at + 4, gsi, 4);
}

static void add_ioapic(struct table *madt, uint64_t base, uint32_t gsi)
{
	uint32_t at = entry(madt, 1, 12);

	put(madt, at + 2, 8 + gsi, 1); /* its id */
	put(madt, at + 4, base, 4);
	put(madt, at + 8, gsi, 4);
}

/* As setup(), but a PC: three cores, two IOAPICs. */
static int setup_x86(void **state)
{
	struct table *t = &other[1];

	setup(state);
	machine.arch = MACHINE_X86;
	t->size = 44;
	add_apic(t, 4, 1);
	add_apic(t, 5, 0); /* switched off */
	add_apic(t, 6, 2); /* could be plugged in */
	add_apic(t, 0xff, 1); /* a socket without a processor */
	add_apic(t, 0, 1);
	add_x2apic(t, 4, 1); /* the first once more */
	add_x2apic(t, 0x123, 1);
	add_x2apic(t, UINT32_MAX, 1);
	add_ioapic(t, 0xfec00000, 0);
	add_ioapic(t, 0xfec10000, 24);
	entry(t, 5, 12);
	return 0;
}

static void reads_apics_that_are_on(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.arch, MACHINE_X86);
	assert_int_equal(machine.ncpus, 3);
	assert_int_equal(machine.cpu[0].hwid, 4);
	assert_int_equal(machine.cpu[1].hwid, 0);
	assert_int_equal(machine.cpu[2].hwid, 0x123);
	assert_int_equal(machine.cpu[2].core_id, 2);
}

/* Of the FADT the old field, or the extended one where that is an I/O port; of the DSDT the first element of _S5. */
static void finds_how_to_switch_off(void **state)
{
	static const uint8_t s5[] = {0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0, 0, 0};
	struct table *fadt = &other[0];

	(void)state;
	put(fadt, 64, 0x604, 4);
	memcpy(dsdt.bytes + 40, s5, sizeof(s5));
	dsdt.size = 64;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.pm1_control, 0x604);
	assert_int_equal(machine.x86.s5_type, 5);

	put(fadt, 172, 1, 1);
	put(fadt, 176, 0xb004, 8);
	machine.ncpus = 0;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.pm1_control, 0xb004);
}

static void reads_ioapics(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.nioapics, 2);
	assert_int_equal(machine.x86.ioapic[0].base.v, 0xfec00000);
	assert_int_equal(machine.x86.ioapic[0].gsi_base, 0);
	assert_int_equal(machine.x86.ioapic[1].base.v, 0xfec10000);
	assert_int_equal(machine.x86.ioapic[1].gsi_base, 24);
	assert_int_equal(machine.x86.ioapic[1].id, 32);
	assert_int_equal(machine.x86.ioapic[1].requester, 0);
}

static void too_many_ioapics_are_refused(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MACHINE_MAX_IOAPIC; i++)
		add_ioapic(&other[1], 0xfec20000, 48);
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text,
			    "ACPI table APIC names more IOAPICs than this build allows");
}

static void each_machine_has_its_own_cores(void **state)
{
	(void)state;
	add_gicc(&other[1], 100, 0x700, 1); /* Arm's, in a PC's table */
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.ncpus, 3);
	setup(NULL);
	add_apic(&other[1], 9, 1); /* and the other way round */
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.ncpus, 3);
	assert_int_equal(machine.x86.nioapics, 0);
}

static void a_pc_without_cores_is_refused(void **state)
{
	(void)state;
	other[1].size = 44;
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI names no enabled core");
}

static void a_pc_has_no_spis(void **state)
{
	static const uint8_t resource[] = {0x89, 6, 0, 1, 1, 45, 0, 0, 0};

	(void)state;
	memcpy(dsdt.bytes + 40, resource, sizeof(resource));
	dsdt.size = 64;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(count_used(), 0);
	assert_int_equal(machine.arm64.psci_smc, 0);
}

static void com1_has_its_interrupt_when_no_table_names_a_uart(void **state)
{
	(void)state;
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.uart.v, 0);
	assert_int_equal(machine.uart_irq, 4);
	setup_x86(NULL);
	add_override(&other[1], 0, 4, 20);
	add_override(&other[1], 1, 4, 21); /* not of ISA */
	add_override(&other[1], 0, 16, 22); /* nor is there such an interrupt */
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.uart_irq, 20);
}

static struct table *make_port_spcr(uint8_t kind, uint8_t irq, uint32_t gsi)
{
	struct table *t = add_table("SPCR", 80);

	put(t, 40, 1, 1);
	put(t, 44, 0x2f8, 8);
	put(t, 52, kind, 1);
	put(t, 53, irq, 1);
	put(t, 54, gsi, 4);
	return t;
}

static void reads_the_uart_at_a_port(void **state)
{
	static const struct {
		uint8_t kind, type;
		uint32_t irq;
	} cases[] = {{0, 0, 0}, {1, 0, 17}, {2, 1, 40}, {3, 0x12, 40}, {4, 0, 40}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		setup_x86(state);
		add_override(&other[1], 0, 3, 17);
		put(make_port_spcr(cases[i].kind, 3, 40), 36, cases[i].type, 1);
		assert_int_equal(run(), BH_OK);
		assert_int_equal(machine.uart.v, 0x2f8);
		assert_int_equal(machine.uart_irq, cases[i].irq);
	}
}

static void other_consoles_of_a_pc_are_not_used(void **state)
{
	put(make_port_spcr(1, 3, 0), 40, 0, 1); /* in memory */
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.uart.v, 0);
	assert_int_equal(machine.uart_irq, 4);
	setup_x86(state);
	put(make_port_spcr(1, 3, 0), 36, 3, 1); /* a PL011 */
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.uart.v, 0);
}

/* Two debug ports: a 1394 one, and a 16550 at @port. */
static struct table *make_dbg2(uint64_t port)
{
	struct table *t = add_table("DBG2", 44 + 38 + 38);

	put(t, 36, 44, 4);
	put(t, 40, 2, 4);
	for (uint32_t at = 44; at < t->size; at += 38) {
		put(t, at + 1, 38, 2);
		put(t, at + 3, 1, 1);
		put(t, at + 12, at == 44 ? 0x8001 : 0x8000, 2);
		put(t, at + 18, 22, 2);
		put(t, at + 22, 1, 1);
		put(t, at + 26, at == 44 ? 0x1234 : port, 8);
	}
	return t;
}

static void the_debug_port_serves_without_a_console(void **state)
{
	static const uint32_t cases[][2] = {
		{0x3f8, 4}, {0x3e8, 4}, {0x2f8, 19}, {0x2e8, 19}, {0x1000, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		setup_x86(state);
		add_override(&other[1], 0, 3, 19);
		make_dbg2(cases[i][0]);
		assert_int_equal(run(), BH_OK);
		assert_int_equal(machine.uart.v, cases[i][0]);
		assert_int_equal(machine.uart_irq, cases[i][1]);
	}
}

static void the_console_goes_before_the_debug_port(void **state)
{
	for (int before = 0; before < 2; before++) {
		setup_x86(state);
		if (before)
			make_dbg2(0x3f8);
		make_port_spcr(2, 0, 40);
		if (!before)
			make_dbg2(0x3f8);
		assert_int_equal(run(), BH_OK);
		assert_int_equal(machine.uart.v, 0x2f8);
		assert_int_equal(machine.uart_irq, 40);
	}
}

static void arm_takes_no_console_from_dbg2(void **state)
{
	(void)state;
	make_dbg2(0x3f8);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.uart.v, 0);
}

static void a_malformed_dbg2_is_refused(void **state)
{
	struct table *t = make_dbg2(0x3f8);

	(void)state;
	put(t, 40, 3, 4);
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI table DBG2 has a malformed entry");
}

static uint32_t long_entry(struct table *t, uint16_t type, uint16_t size)
{
	uint32_t at = t->size;

	t->size += size;
	put(t, at, type, 2);
	put(t, at + 2, size, 2);
	return at;
}

/* A device scope at the end of @t: a function (1) or what is behind a bridge (2), by bus and up to two steps. */
static void scope(struct table *t, uint8_t type, uint8_t bus, uint32_t steps, uint16_t first,
		  uint16_t second)
{
	uint32_t at = entry(t, type, (uint8_t)(6 + 2 * steps));

	put(t, at + 5, bus, 1);
	put(t, at + 6, first, 2);
	if (steps > 1)
		put(t, at + 8, second, 2);
}

/* Lengthens the entry at @at up to the end of @t. */
static void end_entry(struct table *t, uint32_t at)
{
	put(t, at + 2, t->size - at, 2);
}

static void reads_remapping_units(void **state)
{
	struct table *t = add_table("DMAR", 48);
	uint32_t at = long_entry(t, 0, 16);

	(void)state;
	put(t, at + 8, 0xfed90000, 8);
	put(t, at + 6, 1, 2);
	scope(t, 2, 0, 2, 0x0201, 0x0004); /* 00:01.2, then 04.0 on the bus behind it */
	scope(t, 3, 0, 1, 0x0300, 0); /* an IOAPIC */
	end_entry(t, at);
	at = long_entry(t, 1, 24); /* reserved memory */
	put(t, at + 8, 0x1000, 8);
	scope(t, 1, 5, 1, 0x071f, 0);
	end_entry(t, at);
	at = long_entry(t, 0, 16);
	put(t, at + 4, 1, 1);
	put(t, at + 8, 0xfed91000, 8);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.niommus, 2);
	assert_int_equal(machine.x86.iommu[0].v, 0xfed90000);
	assert_int_equal(machine.x86.iommu[1].v, 0xfed91000);
	assert_int_equal(machine.x86.iommu_is_amd, 0);
	assert_false(dma.lost);
	assert_int_equal(dma.nscopes, 2);
	assert_memory_equal(&dma.scope[0],
			    &((struct dma_scope){.kind = DMA_IOMMU,
						 .to = 0,
						 .segment = 1,
						 .below = true,
						 .depth = 2,
						 .devfn = {0x0a, 0x20}}),
			    sizeof(struct dma_scope));
	assert_int_equal(dma.scope[1].kind, DMA_RESERVED);
	assert_int_equal(dma.scope[1].bus, 5);
	assert_int_equal(dma.scope[1].devfn[0], 0xff);
	assert_int_equal(dma.nranges, 1);
	assert_memory_equal(&dma.range[0], &((struct dma_range){DMA_IOMMU, 0, 0, UINT16_MAX, 1, 0}),
			    sizeof(struct dma_range));
}

/* The machine goes on without devices for VMs. */
static void scopes_without_sense_are_lost(void **state)
{
	static const uint8_t sizes[] = {0, 3, 6, 7, 200, 8 + 2 * DMA_MAX_DEPTH};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct table *t;
		uint32_t at;

		setup_x86(state);
		t = add_table("DMAR", 48);
		at = long_entry(t, 0, 16);
		put(t, entry(t, 1, 24) + 1, sizes[i], 1);
		end_entry(t, at);
		assert_int_equal(run(), BH_OK);
		assert_true(dma.lost);
		assert_int_equal(machine.x86.niommus, 1);
	}
}

static void reads_amds_iommus_once_each(void **state)
{
	static const uint8_t types[] = {0x10, 0x11, 0x40, 0x20, 0x10};
	struct table *t = add_table("IVRS", 48);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		put(t, long_entry(t, types[i] | 0xb000, 40) + 8, i == 4 ? 0xfed81000 : 0xfed80000,
		    8);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.niommus, 2);
	assert_int_equal(machine.x86.iommu[0].v, 0xfed80000);
	assert_int_equal(machine.x86.iommu[1].v, 0xfed81000);
	assert_int_equal(machine.x86.iommu_is_amd, 1);
}

/* By device scopes in the DMAR: of two, and of something else in between. */
static void knows_ioapics_at_remapping_units(void **state)
{
	static const uint8_t scopes[] = {3, 8, 0, 0, 32, 0xf0, 31, 1, /* IOAPIC 32 at f0:1f.1 */
					 1, 8, 0, 0, 8,	 0,    2,  0, /* a function */
					 3, 8, 0, 0, 8,	 0xff, 0,  2};
	struct table *t = add_table("DMAR", 48);
	uint32_t at = long_entry(t, 0, 16 + sizeof(scopes));

	(void)state;
	memcpy(t->bytes + at + 16, scopes, sizeof(scopes));
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.ioapic[0].requester, 0xff02);
	assert_int_equal(machine.x86.ioapic[1].requester, 0xf0f9);
}

/* By special devices in the IVRS, behind entries of each length, one of them with a name. */
static void knows_ioapics_at_amds_iommus(void **state)
{
	static const uint8_t
		entries
			[] =
				{
					3,    0,    0, 0, /* a range */
					0x43, 0,    0, 0, 0,  0,    0,	  0, /* an alias */
					0xf0, 0,    0, 0, 0,  0,    0,	  0, 0, 0, 0,	0,
					0,    0,    0, 0, 0,  0,    0,	  0, 2, 3, 'a', 'b',
					'c',  0x48, 0, 0, 0,  8,    0xa0, 0, 1, /* IOAPIC 8 at 00:14.0 */
					0x48, 0,    0, 0, 0,  0xa0, 0,	  2, /* an HPET */
					0x48, 0,    0, 0, 32, 1,    0x20, 1,
				};
	struct table *t = add_table("IVRS", 48);
	uint32_t at = long_entry(t, 0x10, 24 + sizeof(entries));

	(void)state;
	memcpy(t->bytes + at + 24, entries, sizeof(entries));
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.ioapic[0].requester, 0xa0);
	assert_int_equal(machine.x86.ioapic[1].requester, 0x2001);
}

/* Device entries of an IVHD: type, id, data. Those of 8 bytes have an alias, which does not matter. */
static void device_entry(struct table *t, uint8_t type, uint16_t id)
{
	uint32_t at = t->size;

	t->size += type >= 64 ? 8 : 4;
	put(t, at, type, 1);
	put(t, at + 1, id, 2);
}

static void reads_whose_dma_amds_iommus_check(void **state)
{
	struct table *t = add_table("IVRS", 48);
	uint32_t at = long_entry(t, 0x10, 24);

	(void)state;
	put(t, at + 8, 0xfed80000, 8);
	put(t, at + 16, 1, 2);
	device_entry(t, 2, 0x10);
	device_entry(t, 3, 0x100);
	device_entry(t, 4, 0x1ff);
	device_entry(t, 66, 0x208);
	device_entry(t, 67, 0x300);
	device_entry(t, 4, 0x3ff);
	device_entry(t, 71, 0x400);
	device_entry(t, 4, 0x40f);
	device_entry(t, 70, 0x500);
	device_entry(t, 72, 0); /* an IOAPIC */
	end_entry(t, at);
	at = long_entry(t, 0x40, 40);
	put(t, at + 8, 0xfed81000, 8);
	device_entry(t, 1, 0);
	end_entry(t, at);
	put(t, long_entry(t, 0x20, 32) + 4, 0x1234, 2);
	put(t, long_entry(t, 0x21, 32) + 4, 0x100, 2);
	at = long_entry(t, 0x22, 32);
	put(t, at + 4, 0x200, 2);
	put(t, at + 6, 0x2ff, 2);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(dma.nranges, 10);
	expect_range(0, (struct dma_range){DMA_IOMMU, 1, 0x10, 0x10, 0, 0x10});
	expect_range(1, (struct dma_range){DMA_IOMMU, 1, 0x100, 0x1ff, 0, 0x100});
	expect_range(2, (struct dma_range){DMA_IOMMU, 1, 0x208, 0x208, MACHINE_NONE, 0x208});
	expect_range(3, (struct dma_range){DMA_IOMMU, 1, 0x300, 0x3ff, MACHINE_NONE, 0x300});
	expect_range(4, (struct dma_range){DMA_IOMMU, 1, 0x400, 0x40f, 0, 0x400});
	expect_range(5, (struct dma_range){DMA_IOMMU, 1, 0x500, 0x500, 0, 0x500});
	expect_range(6, (struct dma_range){DMA_IOMMU, 0, 0, 0xffff, 1, 0});
	expect_range(7, (struct dma_range){DMA_RESERVED, 0, 0, 0xffff, 0, 0});
	expect_range(8, (struct dma_range){DMA_RESERVED, 0, 0x100, 0x100, 0, 0});
	expect_range(9, (struct dma_range){DMA_RESERVED, 0, 0x200, 0x2ff, 0, 0});
}

static void bad_iommu_tables_are_refused(void **state)
{
	struct table *t = add_table("DMAR", 48);

	for (uint64_t i = 0; i <= MACHINE_MAX_IOMMU; i++)
		put(t, long_entry(t, 0, 16) + 8, i << 12, 8);
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text,
			    "ACPI table DMAR names more IOMMUs than this build allows");
	setup_x86(state);
	t = add_table("IVRS", 48);
	put(t, long_entry(t, 0x10, 24) + 2, 0, 2);
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "ACPI table IVRS has a malformed entry");
}

/* An SRAT that places APIC 4 and x2APIC 0x123, with a wide number of a node. */
static struct table *make_srat(uint8_t revision)
{
	struct table *t = add_table("SRAT", 48);
	uint32_t at = entry(t, 0, 16);

	put(t, 8, revision, 1);
	put(t, at + 2, 0x34, 1);
	put(t, at + 3, 4, 1);
	put(t, at + 4, 1, 4);
	put(t, at + 9, 0x12, 1);
	at = entry(t, 0, 16);
	put(t, at + 2, 9, 1); /* APIC 0, but not enabled */
	at = entry(t, 2, 24);
	put(t, at + 4, 7, 4);
	put(t, at + 8, 0x123, 4);
	put(t, at + 12, 1, 4);
	at = entry(t, 1, 40);
	put(t, at + 2, 0x1234, 4);
	put(t, at + 8, 0x100000000, 8);
	put(t, at + 16, 0x40000000, 8);
	put(t, at + 28, 1, 4);
	return t;
}

static void reads_nodes_of_a_pc(void **state)
{
	(void)state;
	make_srat(3);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.cpu[0].node, 0x1234);
	assert_int_equal(machine.cpu[1].node, 0);
	assert_int_equal(machine.cpu[2].node, 7);
	assert_int_equal(machine.memory[0].node, 0x1234);
}

static void old_node_numbers_have_8_bits(void **state)
{
	(void)state;
	make_srat(1);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.cpu[0].node, 0x34);
	assert_int_equal(machine.memory[0].node, 0x34);
}

/* Where the FADT has PM1a_CNT: the old field, and the new one as address space and address. */
static void reads_how_a_pc_is_switched_off(void **state)
{
	static const uint8_t s5[] = {0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0, 0, 0};

	memcpy(dsdt.bytes + 40, s5, sizeof(s5));
	dsdt.size = 60;
	put(&other[0], 64, 0x404, 4);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.pm1_control, 0x404);
	assert_int_equal(machine.x86.s5_type, 5);
	setup_x86(state);
	put(&other[0], 64, 0x404, 4);
	put(&other[0], 172, 1, 1);
	put(&other[0], 176, 0x604, 8);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.x86.pm1_control, 0x604);
	assert_int_equal(machine.x86.s5_type, 0);
}

/*
 * Any table cut anywhere, with its checksum made right again: nothing outside is read (ASan
 * looks).
 */
static void cut_tables_read_nothing_outside(void **state)
{
	static const char *const signatures[] = {"APIC", "GTDT", "IORT", "MCFG", "SRAT", "SPCR",
						 "FACP", "DSDT", "DBG2", "DMAR", "IVRS"};
	struct acpi_reader r = {.machine = &machine, .regions = &regions, .dma = &dma};

	(void)state;
	for (size_t s = 0; s < 2 * ARRAY_SIZE(signatures); s++) {
		for (uint32_t size = 36; size < 256; size++) {
			struct table t;
			uint8_t *copy = test_malloc(size);

			begin(&t, signatures[s / 2], size);
			memset(t.bytes + 36, (int)size, size - 36);
			seal(&t);
			memcpy(copy, t.bytes, size);
			memset(&machine, 0, sizeof(machine));
			memset(&regions, 0, sizeof(regions));
			machine.arch = s % 2 == 0 ? MACHINE_ARM64 : MACHINE_X86;
			acpi_read_table(&r, copy, size);
			test_free(copy);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_cores_that_are_on, setup),
		cmocka_unit_test_setup(reads_the_gic, setup),
		cmocka_unit_test_setup(reads_the_name, setup),
		cmocka_unit_test_setup(a_core_may_bring_its_own_redistributor, setup),
		cmocka_unit_test_setup(cores_beyond_the_limit_stay_off, setup),
		cmocka_unit_test_setup(psci_is_called_by_smc, setup),
		cmocka_unit_test_setup(psci_by_hvc_is_not, setup),
		cmocka_unit_test_setup(reads_timers, setup),
		cmocka_unit_test_setup(platform_timers_use_interrupts, setup),
		cmocka_unit_test_setup(reads_ecam_from_its_first_bus, setup),
		cmocka_unit_test_setup(too_many_segments_are_refused, setup),
		cmocka_unit_test_setup(reads_the_uart, setup),
		cmocka_unit_test_setup(other_uarts_are_not_used_but_their_interrupt_is_taken,
				       setup),
		cmocka_unit_test_setup(a_uart_in_port_space_is_not_used, setup),
		cmocka_unit_test_setup(reads_smmus, setup),
		cmocka_unit_test_setup(reads_id_mappings, setup),
		cmocka_unit_test_setup(interrupts_of_another_its_are_not_told, setup),
		cmocka_unit_test_setup(id_mappings_without_sense_are_lost, setup),
		cmocka_unit_test_setup(a_malformed_iort_is_refused, setup),
		cmocka_unit_test_setup(reads_nodes, setup),
		cmocka_unit_test_setup(a_range_that_wraps_is_refused, setup),
		cmocka_unit_test_setup(finds_interrupts_in_aml, setup),
		cmocka_unit_test_setup(finds_interrupts_in_every_ssdt, setup),
		cmocka_unit_test_setup(an_interrupt_descriptor_cut_short_is_none, setup),
		cmocka_unit_test_setup(finds_direct_interrupts_of_pci, setup),
		cmocka_unit_test_setup(msi_frames_use_their_interrupts, setup),
		cmocka_unit_test_setup(unknown_tables_are_skipped, setup),
		cmocka_unit_test_setup(a_bad_root_pointer_is_refused, setup),
		cmocka_unit_test_setup(a_bad_xsdt_is_refused, setup),
		cmocka_unit_test_setup(a_bad_checksum_is_refused, setup),
		cmocka_unit_test_setup(an_impossible_length_is_refused, setup),
		cmocka_unit_test_setup(a_table_at_address_zero_is_refused, setup),
		cmocka_unit_test_setup(entries_that_do_not_fit_are_refused, setup),
		cmocka_unit_test_setup(a_machine_without_cores_is_refused, setup),
		cmocka_unit_test_setup(a_machine_without_distributor_is_refused, setup),
		cmocka_unit_test_setup(reads_apics_that_are_on, setup_x86),
		cmocka_unit_test_setup(finds_how_to_switch_off, setup_x86),
		cmocka_unit_test_setup(reads_ioapics, setup_x86),
		cmocka_unit_test_setup(too_many_ioapics_are_refused, setup_x86),
		cmocka_unit_test_setup(each_machine_has_its_own_cores, setup_x86),
		cmocka_unit_test_setup(a_pc_without_cores_is_refused, setup_x86),
		cmocka_unit_test_setup(a_pc_has_no_spis, setup_x86),
		cmocka_unit_test_setup(com1_has_its_interrupt_when_no_table_names_a_uart,
				       setup_x86),
		cmocka_unit_test_setup(reads_the_uart_at_a_port, setup_x86),
		cmocka_unit_test_setup(other_consoles_of_a_pc_are_not_used, setup_x86),
		cmocka_unit_test_setup(the_debug_port_serves_without_a_console, setup_x86),
		cmocka_unit_test_setup(the_console_goes_before_the_debug_port, setup_x86),
		cmocka_unit_test_setup(arm_takes_no_console_from_dbg2, setup),
		cmocka_unit_test_setup(a_malformed_dbg2_is_refused, setup_x86),
		cmocka_unit_test_setup(reads_remapping_units, setup_x86),
		cmocka_unit_test_setup(scopes_without_sense_are_lost, setup_x86),
		cmocka_unit_test_setup(reads_amds_iommus_once_each, setup_x86),
		cmocka_unit_test_setup(knows_ioapics_at_remapping_units, setup_x86),
		cmocka_unit_test_setup(knows_ioapics_at_amds_iommus, setup_x86),
		cmocka_unit_test_setup(reads_whose_dma_amds_iommus_check, setup_x86),
		cmocka_unit_test_setup(bad_iommu_tables_are_refused, setup_x86),
		cmocka_unit_test_setup(reads_nodes_of_a_pc, setup_x86),
		cmocka_unit_test_setup(old_node_numbers_have_8_bits, setup_x86),
		cmocka_unit_test_setup(reads_how_a_pc_is_switched_off, setup_x86),
		cmocka_unit_test_setup(cut_tables_read_nothing_outside, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
