/* SPDX-License-Identifier: Apache-2.0 */
/* An x86 guest's boot image, read back as its guest and as iasl would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <bulkhead/guest_boot.h>

static struct plan plan;
static struct machine machine;
static struct image_info kernel;
static struct bh_report report;
static uint64_t buffer[GUEST_BOOT_MAX / 8];
static uint8_t *const image = (uint8_t *)buffer;
static uint64_t used;
static uint32_t rng_seed, kaslr_seed;
static struct plan_vm *const vm = &plan.vm[1];

static void use_region(uint32_t index, uint64_t gpa_base, uint64_t base, uint64_t size)
{
	vm->region[index] = (struct plan_region){{gpa_base}, {{base}, size}};
	if (vm->nregions <= index)
		vm->nregions = index + 1;
}

static int setup(void **state)
{
	(void)state;
	memset(&plan, 0, sizeof(plan));
	memset(&machine, 0, sizeof(machine));
	memset(&kernel, 0, sizeof(kernel));
	memset(buffer, 0xaa, sizeof(buffer));
	plan.nvms = 2;
	memcpy(vm->name, "web", 4);
	vm->ncores = 2;
	vm->core[0] = 3;
	vm->core[1] = 1;
	use_region(0, 0, 2 * GIB, 512 * MIB);
	vm->image[IMAGE_KERNEL] = (struct plan_image){{0}, 20 * MIB, {16 * MIB}};
	vm->image[IMAGE_INITRD] = (struct plan_image){{0}, 1234567, {64 * MIB}};
	vm->entry_mode = ENTRY_X86_LINUX64;
	vm->console = 1;
	kernel.kind = KERNEL_ELF;
	kernel.run_size = 40 * MIB;
	machine.arch = MACHINE_X86;
	machine.ncpus = 4;
	machine.cpu[1].hwid = 2;
	machine.cpu[3].hwid = 6;
	machine.nmemory = 2;
	machine.memory[0].extent = (struct extent){pa(1 * GIB), 15 * GIB};
	machine.memory[1].extent = (struct extent){pa(16 * GIB), 16 * GIB};
	machine.memory[1].node = 0x102;
	machine.x86.tsc_hz = 2500000123;
	return 0;
}

static enum bh_error make_in(uint64_t size, const char *bootargs)
{
	return guest_boot_make(&plan, 1, &machine, &kernel, bootargs, buffer, size, &used,
			       &rng_seed, &kaslr_seed, &report);
}

static void make(void)
{
	assert_int_equal(make_in(plan_boot_bytes(&machine, vm->ncores), "console=ttyS0"), BH_OK);
	assert_in_range(used, 1, plan_boot_bytes(&machine, vm->ncores));
	assert_int_equal(buffer[plan_boot_bytes(&machine, vm->ncores) / 8], 0xaaaaaaaaaaaaaaaa);
}

/* @bytes at guest-physical @at, or at an offset when that is below the image. */
static uint64_t get(uint64_t at, size_t bytes)
{
	uint64_t value = 0;

	if (at >= GUEST_X86_BOOT_BASE)
		at -= GUEST_X86_BOOT_BASE;
	assert_true(at + bytes <= sizeof(buffer));
	memcpy(&value, image + at, bytes);
	return value;
}

static const char *text(uint64_t at)
{
	return (const char *)image + (at - GUEST_X86_BOOT_BASE);
}

static uint8_t sum(uint64_t at, uint64_t bytes)
{
	uint8_t total = 0;

	for (uint64_t i = 0; i < bytes; i++)
		total = (uint8_t)(total + get(at + i, 1));
	return total;
}

/* --- boot_params --- */

static void boot_params_are_what_linux_reads(void **state)
{
	(void)state;
	make();
	assert_int_equal(get(0x1fe, 2), 0xaa55);
	assert_int_equal(get(0x202, 4), 0x53726448);
	assert_int_equal(get(0x206, 2), 0x20f);
	assert_int_equal(get(0x210, 1), 0xff);
	assert_int_equal(get(0x211, 1), 1);
	assert_int_equal(get(0x218, 4), 64 * MIB);
	assert_int_equal(get(0x21c, 4), 1234567);
	assert_int_equal(get(0x230, 4), 2 * MIB);
	assert_int_equal(get(0x258, 8), 16 * MIB);
	assert_int_equal(get(0x260, 4), 40 * MIB);
	assert_int_equal(get(0x1ef, 1), 0); /* the sentinel */
	assert_int_equal(get(0x070, 8), GUEST_X86_BOOT_BASE + GUEST_X86_TABLES);
	assert_string_equal(
		text(get(0x228, 4)),
		"noapic pci=noearly reboot=acpi tsc=reliable tsc_early_khz=2500000 console=ttyS0");
}

static void without_bootargs_no_space_is_left_behind(void **state)
{
	(void)state;
	assert_int_equal(make_in(sizeof(buffer), ""), BH_OK);
	assert_string_equal(text(get(0x228, 4)),
			    "noapic pci=noearly reboot=acpi tsc=reliable tsc_early_khz=2500000");
}

static void a_bzimage_brings_its_header(void **state)
{
	(void)state;
	kernel.kind = KERNEL_BZIMAGE;
	kernel.setup_size = 0x26c - 0x1f1;
	for (uint32_t i = 0; i < kernel.setup_size; i++)
		kernel.setup[i] = (uint8_t)(i + 1);
	make();
	for (uint64_t at = 0x1f1; at < 0x1fe; at++)
		assert_int_equal(get(at, 1), at - 0x1f0);
	assert_int_equal(get(0x1fe, 2), 0xaa55);
	assert_int_equal(get(0x206, 2), 0x1716);
	assert_int_equal(get(0x210, 1), 0xff);
	assert_int_equal(get(0x260, 4), 0x73727170);
	assert_int_equal(get(0x26c, 4), 0);
}

static void an_initrd_is_optional(void **state)
{
	(void)state;
	vm->image[IMAGE_INITRD].size = 0;
	make();
	assert_int_equal(get(0x218, 8), 0);
	assert_int_equal(get(GUEST_X86_START_INFO + 12, 4), 0);
}

static void the_seed_is_zero_and_where_it_says(void **state)
{
	uint64_t at;

	(void)state;
	make();
	at = get(0x250, 8);
	assert_int_equal(get(at, 8), 0);
	assert_int_equal(get(at + 8, 4), 9);
	assert_int_equal(get(at + 12, 4), GUEST_RNG_SEED_BYTES);
	assert_int_equal(at + 16 - GUEST_X86_BOOT_BASE, rng_seed);
	assert_int_equal(kaslr_seed, 0);
	for (uint32_t i = 0; i < GUEST_RNG_SEED_BYTES; i++)
		assert_int_equal(image[rng_seed + i], 0);
}

static void long_bootargs_fit_or_are_refused(void **state)
{
	static char bootargs[MANIFEST_BOOTARGS_MAX + 1];

	(void)state;
	memset(bootargs, 'x', MANIFEST_BOOTARGS_MAX);
	machine.x86.tsc_hz = UINT64_MAX;
	assert_int_equal(make_in(sizeof(buffer), bootargs), BH_OK);
	assert_int_equal(get(get(0x250, 8), 8), 0);
	kernel.setup_size = 0x26c - 0x1f1;
	kernel.setup[0x238 - 0x1f1] = 255;
	assert_int_equal(make_in(sizeof(buffer), bootargs), BH_TOO_BIG);
	assert_string_equal(report.text, "/vms/web: bootargs: with the hypervisor's own 1099 "
					 "characters; the kernel takes 255");
}

/* --- memory --- */

struct range {
	uint64_t base, end, type;
};

static void expect_ranges(const struct range *expected, uint32_t count)
{
	uint64_t map = get(GUEST_X86_START_INFO + 40, 8);

	assert_int_equal(get(0x1e8, 1), count);
	assert_int_equal(get(GUEST_X86_START_INFO + 48, 4), count);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t e820 = 0x2d0 + i * 20ULL;

		assert_int_equal(get(e820, 8), expected[i].base);
		assert_int_equal(get(e820 + 8, 8), expected[i].end - expected[i].base);
		assert_int_equal(get(e820 + 16, 4), expected[i].type);
		assert_int_equal(get(map + i * 24ULL, 8), expected[i].base);
		assert_int_equal(get(map + i * 24ULL + 8, 8), expected[i].end - expected[i].base);
		assert_int_equal(get(map + i * 24ULL + 16, 4), expected[i].type);
	}
}

static void memory_of_a_small_vm(void **state)
{
	(void)state;
	make();
	expect_ranges((const struct range[]){{0, 0x19000, 1},
					     {0x19000, 0x1a000, 3},
					     {0x1a000, 0x9f000, 1},
					     {0x9f000, 1 * MIB, 2},
					     {1 * MIB, 512 * MIB, 1},
					     {0xe0000000, 0xe0500000, 2}},
		      6);
}

static void memory_around_the_hole(void **state)
{
	(void)state;
	use_region(0, 0, 2 * GIB, 3 * GIB);
	use_region(1, 4 * GIB, 5 * GIB, 2 * GIB);
	make();
	expect_ranges((const struct range[]){{0, 0x19000, 1},
					     {0x19000, 0x1a000, 3},
					     {0x1a000, 0x9f000, 1},
					     {0x9f000, 1 * MIB, 2},
					     {1 * MIB, 3 * GIB, 1},
					     {0xe0000000, 0xe0500000, 2},
					     {4 * GIB, 6 * GIB, 1}},
		      7);
}

/* --- PVH, registers --- */

static void the_start_info_is_what_pvh_kernels_read(void **state)
{
	const uint64_t info = GUEST_X86_START_INFO;

	(void)state;
	vm->entry_mode = ENTRY_X86_PVH;
	make();
	assert_int_equal(get(info, 4), 0x336ec578);
	assert_int_equal(get(info + 4, 4), 1);
	assert_int_equal(get(info + 8, 4), 0);
	assert_int_equal(get(info + 12, 4), 1);
	assert_int_equal(get(get(info + 16, 8), 8), 64 * MIB);
	assert_int_equal(get(get(info + 16, 8) + 8, 8), 1234567);
	assert_int_equal(get(get(info + 16, 8) + 16, 8), 0);
	assert_string_equal(
		text(get(info + 24, 8)),
		"noapic pci=noearly reboot=acpi tsc=reliable tsc_early_khz=2500000 console=ttyS0");
	assert_int_equal(get(info + 32, 8), GUEST_X86_BOOT_BASE + GUEST_X86_TABLES);
	assert_int_equal(get(GUEST_X86_GDT + 0x10, 8), 0x00cf9b000000ffff);
}

static void the_gdt_is_flat(void **state)
{
	(void)state;
	make();
	assert_int_equal(get(GUEST_X86_GDT, 8), 0);
	assert_int_equal(get(GUEST_X86_GDT + 8, 8), 0x00cf9b000000ffff);
	assert_int_equal(get(GUEST_X86_GDT + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(get(GUEST_X86_GDT + 0x18, 8), 0x00cf93000000ffff);
	assert_int_equal(get(GUEST_X86_GDT + 0x20, 8), 0x00008b0000000067);
	assert_int_equal(get(GUEST_X86_GDT + 0x28, 8), 0);
}

/* The words that core/x86_start.S finds at its start. */
static void the_first_code_knows_where_to_go(void **state)
{
	const uint64_t start = GUEST_X86_START, base = GUEST_X86_BOOT_BASE;

	(void)state;
	vm->entry = gpa(0x1234560);
	make();
	assert_int_equal(get(start + 4, 4), base + start);
	assert_int_equal(get(start + 8, 8), 0x1234560);
	assert_int_equal(get(start + 16, 4), base + GUEST_X86_PML4);
	assert_int_equal(get(start + 20, 4), base + GUEST_X86_BOOT_PARAMS);
	assert_int_equal(get(start + 26, 4), base + GUEST_X86_GDT);
	vm->entry_mode = ENTRY_X86_PVH;
	make();
	assert_int_equal(get(start + 16, 4), 0);
	assert_int_equal(get(start + 20, 4), base + GUEST_X86_START_INFO);
}

static void the_first_4_gib_are_mapped_at_themselves(void **state)
{
	(void)state;
	make();
	for (uint64_t address = 0; address < 4 * GIB; address += 2 * MIB) {
		uint64_t pdpt = get(GUEST_X86_PML4, 8);
		uint64_t pd = get((pdpt & ~0xfffULL) + (address >> 30) * 8, 8);

		assert_int_equal(pdpt & 0xfff, 3);
		assert_int_equal(pd & 0xfff, 3);
		assert_int_equal(get((pd & ~0xfffULL) + (address >> 21) % 512 * 8, 8),
				 address | 0x83);
	}
	assert_int_equal(get(GUEST_X86_PML4 + 8, 8), 0);
}

/* --- ACPI --- */

/* The table @signature that the XSDT names (or the FADT: DSDT); 0 when there is none. */
static uint64_t find_table(const char *signature)
{
	uint64_t xsdt = get(GUEST_X86_TABLES + 24, 8);
	uint64_t found = 0;

	for (uint64_t i = 0; i < (get(xsdt + 4, 4) - 36) / 8; i++) {
		uint64_t table = get(xsdt + 36 + i * 8, 8);

		if (memcmp(text(table), signature, 4) == 0)
			found = table;
	}
	return found;
}

static void expect_table(uint64_t table, const char *signature, uint64_t revision)
{
	assert_int_not_equal(table, 0);
	assert_memory_equal(text(table), signature, 4);
	assert_true(is_aligned(table, 16));
	assert_true(table - GUEST_X86_BOOT_BASE + get(table + 4, 4) <= used);
	assert_int_equal(sum(table, get(table + 4, 4)), 0);
	assert_int_equal(get(table + 8, 1), revision);
	assert_memory_equal(text(table + 10), "BLKHD GUEST   ", 14);
}

static void the_roots_lead_to_every_table(void **state)
{
	const uint64_t rsdp = GUEST_X86_BOOT_BASE + GUEST_X86_TABLES;

	(void)state;
	make();
	assert_memory_equal(text(rsdp), "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	assert_int_equal(get(rsdp + 15, 1), 2);
	assert_int_equal(get(rsdp + 16, 4), 0);
	assert_int_equal(get(rsdp + 20, 4), 36);
	expect_table(get(rsdp + 24, 8), "XSDT", 1);
	expect_table(find_table("FACP"), "FACP", 6);
	expect_table(find_table("APIC"), "APIC", 5);
	expect_table(find_table("MCFG"), "MCFG", 1);
	expect_table(get(find_table("FACP") + 140, 8), "DSDT", 2);
	assert_int_equal(find_table("SRAT"), 0);
}

static void expect_port(uint64_t at, uint64_t port)
{
	assert_int_equal(get(at, 4), 0x01000801); /* I/O, 8 bits, byte access */
	assert_int_equal(get(at + 4, 8), port);
}

static void the_fadt_is_hardware_reduced(void **state)
{
	uint64_t fadt;

	(void)state;
	make();
	fadt = find_table("FACP");
	assert_int_equal(get(fadt + 4, 4), 276);
	assert_int_equal(get(fadt + 40, 4), get(fadt + 140, 8));
	assert_int_equal(get(fadt + 109, 2), 0x24);
	assert_int_equal(get(fadt + 112, 4), 1U << 0 | 1U << 2 | 1U << 4 | 1U << 5 | 1U << 10 |
						     1U << 12 | 1U << 19 | 1U << 20);
	expect_port(fadt + 116, GUEST_X86_RESET_PORT);
	assert_int_equal(get(fadt + 128, 1), 6);
	assert_int_equal(get(fadt + 131, 1), 5);
	expect_port(fadt + 244, GUEST_X86_SLEEP_PORT);
	expect_port(fadt + 256, GUEST_X86_SLEEP_PORT + 1);
}

/* What an entry of a MADT or SRAT says. */
static void expect_entry(uint64_t *at, const void *bytes, size_t size)
{
	assert_memory_equal(text(*at), bytes, size);
	*at += size;
}

static void the_madt_has_the_vms_cores_vcpu_0_first(void **state)
{
	uint64_t madt, at;

	(void)state;
	make();
	madt = find_table("APIC");
	at = madt + 44;
	assert_int_equal(get(madt + 36, 4), 0xfee00000);
	assert_int_equal(get(madt + 40, 4), 0);
	expect_entry(&at, "\0\10\0\6\1\0\0\0", 8);
	expect_entry(&at, "\0\10\1\2\1\0\0\0", 8);
	expect_entry(&at, "\4\6\377\0\0\1", 6);
	assert_int_equal(at, madt + get(madt + 4, 4));
}

static void large_apic_ids_are_x2apics(void **state)
{
	uint64_t madt, at;

	(void)state;
	machine.cpu[1].hwid = 0x12345;
	make();
	madt = find_table("APIC");
	at = madt + 44;
	expect_entry(&at, "\0\10\0\6\1\0\0\0", 8);
	expect_entry(&at, "\11\20\0\0\x45\x23\x01\0\1\0\0\0\1\0\0\0", 16);
	expect_entry(&at, "\4\6\377\0\0\1", 6);
	expect_entry(&at, "\12\14\0\0\377\377\377\377\1\0\0\0", 12);
	assert_int_equal(at, madt + get(madt + 4, 4));
}

static void apic_id_255_is_nobodys(void **state)
{
	(void)state;
	machine.cpu[3].hwid = 255;
	make();
	assert_memory_equal(text(find_table("APIC") + 44), "\11\20\0\0\377\0\0\0\1\0\0\0\0\0\0\0",
			    16);
}

static void the_mcfg_names_all_buses(void **state)
{
	uint64_t mcfg;

	(void)state;
	vm->nports = 2;
	make();
	mcfg = find_table("MCFG");
	assert_int_equal(get(mcfg + 4, 4), 60);
	assert_int_equal(get(mcfg + 44, 8), GUEST_X86_ECAM_BASE);
	assert_int_equal(get(mcfg + 52, 8), 2ULL << 24);
}

static void several_nodes_make_an_srat(void **state)
{
	uint64_t srat, at;

	(void)state;
	machine.cpu[1].node = 0x102;
	use_region(1, 512 * MIB, 20 * GIB, 256 * MIB);
	make();
	srat = find_table("SRAT");
	expect_table(srat, "SRAT", 3);
	assert_int_equal(get(srat + 36, 4), 1);
	at = srat + 48;
	expect_entry(&at, "\0\20\0\6\1\0\0\0\0\0\0\0\0\0\0\0", 16);
	expect_entry(&at, "\0\20\2\2\1\0\0\0\0\1\0\0\0\0\0\0", 16);
	expect_entry(&at, "\1\50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\0\1\0\0\0",
		     32);
	at += 8;
	expect_entry(&at, "\1\50\2\1\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\1\0\0\0",
		     32);
	at += 8;
	assert_int_equal(at, srat + get(srat + 4, 4));
}

static void one_other_node_makes_none(void **state)
{
	(void)state;
	machine.cpu[1].node = 0x102;
	machine.cpu[3].node = 0x102;
	use_region(0, 0, 20 * GIB, 256 * MIB);
	make();
	assert_int_equal(find_table("SRAT"), 0);
}

/* True when the DSDT holds these bytes. */
static bool dsdt_has(const void *bytes, size_t size)
{
	uint64_t dsdt = get(find_table("FACP") + 140, 8);

	for (uint64_t at = dsdt; at + size <= dsdt + get(dsdt + 4, 4); at++) {
		if (memcmp(text(at), bytes, size) == 0)
			return true;
	}
	return false;
}

static void the_dsdt_agrees_with_the_layout(void **state)
{
	uint8_t s5[] = {'_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, GUEST_X86_SLEEP_S5};
	/* Memory32Fixed (ACPI 6.5 6.4.3.4) */
	uint32_t ecam[] = {GUEST_X86_ECAM_BASE, GUEST_ECAM_SIZE};
	/* DWordMemory and QWordMemory (6.4.3.5): from, to, offset, length */
	uint32_t low[] = {GUEST_X86_WINDOW_BASE, GUEST_X86_WINDOW_END - 1, 0,
			  GUEST_X86_WINDOW_END - GUEST_X86_WINDOW_BASE};
	uint64_t high[] = {GUEST_HIGH_WINDOW_BASE, GUEST_HIGH_WINDOW_END - 1, 0,
			   GUEST_HIGH_WINDOW_END - GUEST_HIGH_WINDOW_BASE};

	(void)state;
	make();
	assert_true(dsdt_has(s5, sizeof(s5)));
	assert_true(dsdt_has(ecam, sizeof(ecam)));
	assert_true(dsdt_has(low, sizeof(low)));
	assert_true(dsdt_has(high, sizeof(high)));
}

/* --- the whole --- */

static void the_same_plan_gives_the_same_bytes(void **state)
{
	static uint64_t first[GUEST_BOOT_MAX / 8];

	(void)state;
	make();
	memcpy(first, buffer, used);
	memset(buffer, 0x55, sizeof(buffer));
	assert_int_equal(make_in(plan_boot_bytes(&machine, 2), "console=ttyS0"), BH_OK);
	assert_memory_equal(first, buffer, used);
}

static void the_largest_vm_fits(void **state)
{
	(void)state;
	machine.ncpus = CONFIG_MAX_CPUS;
	vm->ncores = CONFIG_MAX_CPUS;
	for (uint32_t i = 0; i < CONFIG_MAX_CPUS; i++) {
		machine.cpu[i].hwid = 1000 + i;
		machine.cpu[i].node = i;
		vm->core[i] = i;
	}
	for (uint32_t i = 0; i < CONFIG_MAX_REGIONS_PER_VM; i++)
		use_region(i, i * 512ULL * MIB, (2ULL + i) * GIB, 512 * MIB);
	assert_true(plan_boot_bytes(&machine, CONFIG_MAX_CPUS) <= GUEST_BOOT_MAX);
	assert_int_equal(make_in(plan_boot_bytes(&machine, CONFIG_MAX_CPUS), ""), BH_OK);
	assert_in_range(used, 1, plan_boot_bytes(&machine, CONFIG_MAX_CPUS));
}

static void a_buffer_too_small_is_refused(void **state)
{
	(void)state;
	assert_int_equal(make_in(plan_boot_bytes(&machine, 2) - 1, ""), BH_TOO_BIG);
	assert_non_null(strstr(report.text, "VM web does not fit in"));
}

static void a_machine_without_a_clock_is_refused(void **state)
{
	(void)state;
	machine.x86.tsc_hz = 0;
	assert_int_equal(make_in(sizeof(buffer), ""), BH_BAD_MACHINE);
}

static void disassemble(const char *folder, uint64_t table)
{
	char command[256];
	FILE *file;

	snprintf(command, sizeof(command), "%s/table", folder);
	file = fopen(command, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(text(table), 1, get(table + 4, 4), file), get(table + 4, 4));
	fclose(file);
	snprintf(command, sizeof(command),
		 "cd %s && iasl -d table >log 2>&1 && ! grep -qiE 'error|warning|invalid|unknown' "
		 "log table.dsl",
		 folder);
	/* NOLINTNEXTLINE(cert-env33-c): a fixed command of this test's own */
	if (system(command) != 0)
		fail_msg("iasl does not like %.4s: see %s", text(table), folder);
}

static void iasl_reads_every_table(void **state)
{
	char folder[] = "/tmp/bulkhead-acpi-XXXXXX";
	char command[64];
	static const char *const names[] = {"FACP", "APIC", "MCFG", "SRAT"};

	(void)state;
	/* NOLINTNEXTLINE(cert-env33-c) */
	if (system("command -v iasl >/dev/null") != 0)
		skip();
	machine.cpu[1].node = 1;
	machine.cpu[1].hwid = 300;
	make();
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		disassemble(folder, find_table(names[i]));
	disassemble(folder, get(find_table("FACP") + 140, 8));
	disassemble(folder, get(GUEST_X86_TABLES + 24, 8));
	snprintf(command, sizeof(command), "rm -r %s", folder);
	/* NOLINTNEXTLINE(cert-env33-c) */
	assert_int_equal(system(command), 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(boot_params_are_what_linux_reads),
		T(without_bootargs_no_space_is_left_behind),
		T(a_bzimage_brings_its_header),
		T(an_initrd_is_optional),
		T(the_seed_is_zero_and_where_it_says),
		T(long_bootargs_fit_or_are_refused),
		T(memory_of_a_small_vm),
		T(memory_around_the_hole),
		T(the_start_info_is_what_pvh_kernels_read),
		T(the_gdt_is_flat),
		T(the_first_code_knows_where_to_go),
		T(the_first_4_gib_are_mapped_at_themselves),
		T(the_roots_lead_to_every_table),
		T(the_fadt_is_hardware_reduced),
		T(the_madt_has_the_vms_cores_vcpu_0_first),
		T(large_apic_ids_are_x2apics),
		T(apic_id_255_is_nobodys),
		T(the_mcfg_names_all_buses),
		T(several_nodes_make_an_srat),
		T(one_other_node_makes_none),
		T(the_dsdt_agrees_with_the_layout),
		T(the_same_plan_gives_the_same_bytes),
		T(the_largest_vm_fits),
		T(a_buffer_too_small_is_refused),
		T(a_machine_without_a_clock_is_refused),
		T(iasl_reads_every_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
