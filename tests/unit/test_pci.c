/* SPDX-License-Identifier: Apache-2.0 */
/* PCI functions of VMs on the fake machine: what guests see and may change, resets between owners, refused DMA. */
#include "lib/fake.h"

#define SLOT(device) ((uint64_t)(device) << 15)
#define ALPHA SLOT(2) /* its only function */
#define ONES UINT32_MAX
#define PCIE 0x40U
#define MSIX 0x80U
#define VENDOR 0xa0U

static host_guest_fn *script;

static void run_script(struct host_guest *guest)
{
	script(guest);
}

static const struct host_vm vms[] = {
	{.name = "alpha", .ncores = 2, .mib = 8, .autostart = 1, .guest = run_script},
	{.name = "beta", .ncores = 1, .mib = 8, .guest = run_script},
};

/* While a VM with functions runs, the machine does not rest: the system manager looks for faults. */
static void run(uint64_t ticks)
{
	enum host_end end = host_run_for(ticks);

	if (end != HOST_QUIET && end != HOST_BUSY)
		fail_msg("the machine ended: %s", host_broken());
}

/* Function 0 is alpha's, 1 beta's, 2 nobody's; alpha does as @what says. */
static struct boot_info *boot(host_guest_fn *what)
{
	struct boot_info *info = host_make(4, vms, 2);

	script = what;
	host_schedule(fake_seed);
	host_add_function(info, 0);
	host_add_function(info, 1);
	host_add_function(info, PLAN_NONE);
	host_boot(info, core_main);
	run(HOST_SECOND);
	assert_int_equal(fake_state(0), VM_RUNNING);
	return info;
}

static void operator(const char *line)
{
	host_type(line);
	host_type("\r");
	run(3 * HOST_SECOND);
}

static uint32_t config(uint32_t function, uint32_t at)
{
	uint32_t value;

	memcpy(&value, host_config(function) + at, sizeof(value));
	return value;
}

static void sleeper(struct host_guest *guest)
{
	guest_sleep(guest);
}

/* ---- Reading ---- */

/* What a guest of one function finds; at all other places of its configuration space there is zero. */
static const struct {
	uint32_t at;
	uint32_t value;
} shown[] = {
	{0x00, 0x10411af4}, /* the device */
	{0x04, 0x00100000}, /* nothing is on; it has capabilities */
	{0x08, 0x02000001},
	{0x18, GUEST_WINDOW_BASE | 0xc}, /* BAR 2, 64 bits, prefetchable */
	{0x2c, 0x11001af4},
	{0x34, PCIE}, /* without the one that is not for guests */
	{PCIE, 0x00920010 | MSIX << 8},
	{PCIE + 4, 0x00008001}, /* no FLR */
	{PCIE + 8, 0x00002010}, /* and no link */
	{MSIX, (PLAN_MAX_VECTORS - 1) << 16 | VENDOR << 8 | 0x11},
	{MSIX + 4, 0x1000},
	{MSIX + 8, 0x2000},
	{VENDOR, 0x01140009},
	{VENDOR + 4, 0xabcdef01},
	{VENDOR + 16, 0x0000ddcc}, /* its last two bytes */
};

static uint32_t expected(uint32_t at)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(shown); i++)
		if (shown[i].at == (at & ~3U))
			return shown[i].value >> at % 4 * 8;
	return 0;
}

static void reads_everything(struct host_guest *guest)
{
	static const uint32_t masks[] = {[1] = 0xff, [2] = 0xffff, [4] = ONES};

	for (uint32_t size = 1; size <= 4; size *= 2)
		for (uint32_t at = 0; at < PAGE_SIZE; at += size)
			if (guest_config_load(guest, ALPHA + at, size) !=
			    (expected(at) & masks[size])) {
				guest_print(guest, "differs\n");
				printf("0x%x, %u bytes\n", at, size);
			}
	guest_print(guest, "seen all\n");
	guest_sleep(guest);
}

FAKE_TEST(guest_sees_what_the_tables_show)
{
	boot(reads_everything);
	assert_true(fake_said("seen all"));
	assert_false(fake_said("differs"));
}

static void looks_around(struct host_guest *guest)
{
	for (uint64_t at = 0; at < MIB; at += PAGE_SIZE)
		if (at != ALPHA && (guest_config_load(guest, at, 4) != ONES ||
				    guest_config_load(guest, at + PAGE_SIZE - 1, 1) != 0xff))
			guest_print(guest, "something else\n");
	guest_config_store(guest, SLOT(3) + 4, 2, 7);
	guest_config_store(guest, SLOT(2) + 0x1004, 2, 7);
	guest_print(guest, "nothing else\n");
	guest_sleep(guest);
}

FAKE_TEST(guest_sees_no_other_function)
{
	boot(looks_around);
	assert_true(fake_said("nothing else"));
	assert_false(fake_said("something else"));
	assert_int_equal(config(1, 4) & 7, 0);
}

static void reads_eight_bytes(struct host_guest *guest)
{
	struct mmio access = {.offset = ALPHA, .size = 8};

	pci_config_access(vm_record(0), &access);
	guest_print(guest, access.value == UINT64_MAX ? "ones\n" : "something\n");
	access = (struct mmio){.offset = ALPHA, .size = 8, .write = true};
	pci_config_access(vm_record(0), &access);
	guest_sleep(guest);
}

FAKE_TEST(eight_bytes_at_once_are_nobody)
{
	boot(reads_eight_bytes);
	assert_true(fake_said("alpha| ones"));
}

static void sizes_bars(struct host_guest *guest)
{
	uint64_t size;

	guest_config_store(guest, ALPHA + 0x18, 4, ONES);
	guest_config_store(guest, ALPHA + 0x1c, 4, ONES);
	size = (uint64_t)guest_config_load(guest, ALPHA + 0x1c, 4) << 32;
	size |= guest_config_load(guest, ALPHA + 0x18, 4);
	if (size != (~(uint64_t)0x3fff | 0xc))
		guest_print(guest, "another size\n");
	guest_config_store(guest, ALPHA + 0x18, 4, 0xfee00000); /* not where it wants to be */
	guest_config_store(guest, ALPHA + 0x1c, 4, 0);
	if (guest_config_load(guest, ALPHA + 0x18, 4) != (GUEST_WINDOW_BASE | 0xc))
		guest_print(guest, "another address\n");
	guest_config_store(guest, ALPHA + 0x10, 4, ONES);
	if (guest_config_load(guest, ALPHA + 0x10, 4) != 0)
		guest_print(guest, "another BAR\n");
	guest_config_store(guest, ALPHA + 0x1a, 2, 0xffff); /* not a whole register */
	if (guest_config_load(guest, ALPHA + 0x18, 4) != (GUEST_WINDOW_BASE | 0xc))
		guest_print(guest, "another access\n");
	guest_print(guest, "sized\n");
	guest_sleep(guest);
}

FAKE_TEST(bars_tell_their_size_and_stay)
{
	boot(sizes_bars);
	assert_true(fake_said("alpha| sized"));
	assert_false(fake_said("another"));
	assert_int_equal(config(0, 0x18),
			 (uint32_t)machine_facts()->function[0].bar[2].base.v | 0xc);
}

/* ---- Writing ---- */

static void writes_everything(struct host_guest *guest)
{
	for (uint32_t size = 1; size <= 4; size *= 2)
		for (uint32_t at = 0; at < PAGE_SIZE; at += size)
			guest_config_store(guest, ALPHA + at, size, ONES);
	guest_print(guest, "written all\n");
	guest_sleep(guest);
}

FAKE_TEST(only_listed_bits_reach_the_function)
{
	uint32_t count;

	boot(sleeper);
	host_guest_set(0, writes_everything);
	operator("stop alpha");
	uint8_t before[PAGE_SIZE];

	memcpy(before, host_config(0), PAGE_SIZE);
	host_forget_stores();
	script = writes_everything;
	operator("start alpha");
	assert_true(fake_said("alpha| written all"));
	before[4] |= 0x06; /* memory, bus master */
	before[5] |= 0x04; /* no INTx */
	before[MSIX + 3] |= 0xc0; /* enabled, masked */
	assert_memory_equal(before, host_config(0), PAGE_SIZE);
	const struct host_store *store = host_stores(&count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(store[i].size, 2);
	assert_int_equal(host_function_resets(0), 2);
}

static void becomes_master(struct host_guest *guest)
{
	guest_config_store(guest, ALPHA + 4, 2, 6);
	guest_sleep(guest);
}

FAKE_TEST(opened_before_it_runs_and_closed_before_scrubbing)
{
	boot(becomes_master);
	assert_int_equal(config(0, 4) & 7, 6);
	assert_true(host_function_open(0));
	assert_false(host_function_open(1));
	assert_true(fake_find(HOST_FUNCTION_OPEN, 0, 0) < fake_find(HOST_VCPU_RUN, 0, 0));
	assert_int_equal(host_function_resets(0), 1); /* who knows what firmware did with it */
	host_forget_events();
	operator("stop alpha");
	assert_false(host_function_open(0));
	assert_int_equal(host_function_resets(0), 2);
	uint32_t parked = fake_find(HOST_VCPU_LEAVE, 0, 0);
	uint32_t closed = fake_find(HOST_FUNCTION_CLOSE, 0, 0);
	uint32_t reset = fake_find(HOST_FUNCTION_RESET, PLAN_NONE, 0);
	uint32_t zeroed = fake_find(HOST_ZERO, PLAN_NONE, 0);
	assert_true(parked < closed && closed < reset && reset < zeroed);
	assert_int_equal(config(0, 4) & 7, 0);
	assert_int_equal(config(0, 0x18),
			 (uint32_t)machine_facts()->function[0].bar[2].base.v | 0xc);
	assert_int_equal(config(0, 0x1c), machine_facts()->function[0].bar[2].base.v >> 32);
	operator("start alpha");
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(host_function_resets(0), 2); /* it was nobody's since */
}

FAKE_TEST(reset_takes_its_time_and_no_more)
{
	uint32_t count;

	boot(becomes_master);
	host_function_pending(0, host_now() + 20 * HOST_SECOND / 1000 + 3 * HOST_SECOND);
	host_forget_events();
	host_function_slow(0, HOST_SECOND / 2);
	uint64_t from = host_now();

	operator("stop alpha");
	assert_int_equal(fake_state(0), VM_STOPPED);
	host_events(&count);
	assert_true(fake_find(HOST_FUNCTION_RESET, PLAN_NONE, 0) < count);
	assert_true(host_now() - from < 4 * HOST_SECOND);
	assert_false(fake_said("did not come back"));
	assert_int_equal(config(0, 0x18),
			 (uint32_t)machine_facts()->function[0].bar[2].base.v | 0xc);
}

FAKE_TEST(function_that_does_not_come_back_stays_blocked)
{
	boot(becomes_master);
	host_function_slow(0, 1000 * HOST_SECOND);
	operator("stop alpha");
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_vm_is_zero(0));
	assert_true(fake_said("alpha: PCI function 0000:01:00.0 did not come back from its reset"));
	operator("start alpha");
	assert_true(fake_said(bh_strerror(BH_RESET_FAILED)));
	assert_int_equal(fake_state(0), VM_LOADED);
	assert_false(host_function_open(0));
	operator("start beta"); /* others have theirs */
	assert_int_equal(fake_state(1), VM_RUNNING);
}

FAKE_TEST(vm_that_loses_a_core_loses_its_functions)
{
	boot(becomes_master);
	host_stop_attempts(0);
	operator("stop alpha");
	assert_int_equal(fake_state(0), VM_QUARANTINED);
	assert_false(host_function_open(0));
	assert_int_equal(host_function_resets(0), 2);
}

static void fights_for_mastering(struct host_guest *guest)
{
	if (guest_vcpu(guest) == 0)
		guest_power_on(guest, 1, guest_entry(guest), 0);
	for (;;) {
		guest_config_store(guest, ALPHA + 4, 2, 6);
		guest_config_store(guest, ALPHA + 6, 2, ONES);
	}
}

SCHEDULED_TEST(several_cores_cannot_keep_bus_mastering, 20)
{
	boot(fights_for_mastering);
	operator("stop alpha");
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_int_equal(config(0, 4) & 4,
			 0); /* and host_break() had it been on when it was closed */
}

/* ---- Faults ---- */

static void fault(uint32_t count, uint32_t stream)
{
	for (uint32_t i = 0; i < count; i++)
		host_dma_fault(stream, 0xdead000 + i);
	run(HOST_SECOND);
}

FAKE_TEST(refused_dma_is_told)
{
	boot(becomes_master);
	fault(1, 0x100);
	assert_int_equal(fake_count("alpha: stream 0x100, write at 0xdead000: DMA refused"), 1);
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(config(0, 4) & 4, 4);
	assert_int_equal(vm_record(0)->dma_faults, 1);
}

FAKE_TEST(storm_of_faults_is_cut_off)
{
	boot(fights_for_mastering);
	fault(60, 0x100);
	fault(60, 0x100);
	assert_int_equal(fake_count("too many DMAs refused: function cut off"), 1);
	assert_true(fake_count(" refused") == 5);
	assert_int_equal(config(0, 4) & 6, 2); /* though the guest goes on trying */
	assert_int_equal(fake_state(0), VM_RUNNING);
	operator("stop alpha");
	script = becomes_master;
	operator("start alpha");
	assert_int_equal(config(0, 4) & 6, 6); /* forgiven */
}

FAKE_TEST(faults_of_nobody_are_told_a_few_times)
{
	boot(becomes_master);
	fault(50, 0x102);
	assert_int_equal(fake_count("no VM: stream 0x102, write at"), 4);
	fault(50, 0x7777);
	assert_int_equal(fake_count("no VM: stream"), 4);
}

/* ---- Mappings ---- */

static uint64_t mapped(uint32_t vm, uint64_t at)
{
	struct page_table table = guest_space(vm_record(vm));
	pa_t to = pa(0);

	return pt_lookup(&table, at, &to) != 0 ? to.v : 0;
}

FAKE_TEST(bars_are_mapped_page_exact)
{
	boot(sleeper);
	uint64_t bar = machine_facts()->function[0].bar[2].base.v;

	for (uint64_t at = 0; at < 0x4000; at += PAGE_SIZE)
		assert_int_equal(mapped(0, GUEST_WINDOW_BASE + at), bar + at);
	assert_int_equal(mapped(0, GUEST_WINDOW_BASE - PAGE_SIZE), 0);
	assert_int_equal(mapped(0, GUEST_WINDOW_BASE + 0x4000), 0);
	assert_int_equal(mapped(1, GUEST_WINDOW_BASE), 0);
}

FAKE_TEST(msix_pages_are_kept_back_where_they_are_trapped)
{
	host_trap_msix(true);
	boot(sleeper);
	uint64_t bar = machine_facts()->function[0].bar[2].base.v;

	assert_int_equal(mapped(0, GUEST_WINDOW_BASE), bar);
	assert_int_equal(mapped(0, GUEST_WINDOW_BASE + 0x1000), 0);
	assert_int_equal(mapped(0, GUEST_WINDOW_BASE + 0x2000), 0);
	assert_int_equal(mapped(0, GUEST_WINDOW_BASE + 0x3000), bar + 0x3000);
	assert_int_equal(arch_device_load(pa(bar + 0x2000), 1), 0x77); /* the hypervisor has them */
	assert_int_equal(host_access(pa(bar)), 0);
}

FAKE_TEST(functions_reach_ram_and_nothing_else)
{
	boot(sleeper);
	struct page_table table = {arch_dma_format(), NULL, vm_record(0)->dma};
	const struct plan_region *region = &machine_plan()->vm[0].region[0];
	pa_t to = pa(0);

	assert_true(pt_lookup(&table, region->gpa.v, &to) != 0 && to.v == region->extent.base.v);
	assert_true(pt_lookup(&table, region->gpa.v + region->extent.size - 1, &to) != 0);
	assert_int_equal(pt_lookup(&table, region->gpa.v + region->extent.size, &to), 0);
	assert_int_equal(pt_lookup(&table, GUEST_WINDOW_BASE, &to), 0);
	assert_int_equal(pt_lookup(&table, GUEST_GICR_BASE + 64 * KIB, &to), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guest_sees_what_the_tables_show),
		cmocka_unit_test(guest_sees_no_other_function),
		cmocka_unit_test(eight_bytes_at_once_are_nobody),
		cmocka_unit_test(bars_tell_their_size_and_stay),
		cmocka_unit_test(only_listed_bits_reach_the_function),
		cmocka_unit_test(opened_before_it_runs_and_closed_before_scrubbing),
		cmocka_unit_test(reset_takes_its_time_and_no_more),
		cmocka_unit_test(function_that_does_not_come_back_stays_blocked),
		cmocka_unit_test(vm_that_loses_a_core_loses_its_functions),
		cmocka_unit_test(several_cores_cannot_keep_bus_mastering),
		cmocka_unit_test(refused_dma_is_told),
		cmocka_unit_test(storm_of_faults_is_cut_off),
		cmocka_unit_test(faults_of_nobody_are_told_a_few_times),
		cmocka_unit_test(bars_are_mapped_page_exact),
		cmocka_unit_test(msix_pages_are_kept_back_where_they_are_trapped),
		cmocka_unit_test(functions_reach_ram_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
