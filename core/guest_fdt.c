/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device tree of an AArch64 guest, written front to back with libfdt.
 * Bindings: Devicetree Specification 0.4; Linux Documentation/devicetree/bindings.
 */
#include <libfdt.h>
#include <limits.h>
#include <string.h>

#include <bulkhead/format.h>
#include <bulkhead/guest_boot.h>

#define GIC_PHANDLE 1
#define ITS_PHANDLE 2
#define GIC_SPI 0 /* first cell of an interrupt, arm,gic-v3 binding */
#define GIC_PPI 1
#define LEVEL_HIGH 4
#define FIRST_PPI 16 /* INTIDs, IHI 0069H 2.2 */
#define FIRST_SPI 32
#define GICD_BYTES 0x10000
#define ITS_BYTES 0x20000
#define REQUESTER_IDS 0x10000
#define PCI_MEMORY_32 0x02000000 /* phys.hi of a range, IEEE 1275 PCI bus binding 2.2.1.1 */
#define PCI_MEMORY_64 0x03000000
#define KASLR_SEED_BYTES 8

/* The first error stays, so that the text below needs no checks. */
struct writer {
	void *fdt;
	int error;
};

static void begin(struct writer *w, const char *name)
{
	if (w->error == 0)
		w->error = fdt_begin_node(w->fdt, name);
}

static void begin_at(struct writer *w, const char *name, uint64_t address)
{
	char full[48];

	bh_format(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
	begin(w, full);
}

static void end(struct writer *w)
{
	if (w->error == 0)
		w->error = fdt_end_node(w->fdt);
}

static void bytes(struct writer *w, const char *name, const void *value, size_t length)
{
	if (w->error == 0)
		w->error = fdt_property(w->fdt, name, value, (int)length);
}

static void text(struct writer *w, const char *name, const char *value)
{
	bytes(w, name, value, strlen(value) + 1);
}

static void flag(struct writer *w, const char *name)
{
	bytes(w, name, "", 0);
}

static void u32(struct writer *w, const char *name, uint32_t value)
{
	if (w->error == 0)
		w->error = fdt_property_u32(w->fdt, name, value);
}

static void u64(struct writer *w, const char *name, uint64_t value)
{
	if (w->error == 0)
		w->error = fdt_property_u64(w->fdt, name, value);
}

static void cells(struct writer *w, uint32_t address, uint32_t size)
{
	u32(w, "#address-cells", address);
	u32(w, "#size-cells", size);
}

/* A reg property of @n pairs of address and size. */
static void reg(struct writer *w, const uint64_t *pairs, size_t n)
{
	fdt64_t value[4];

	for (size_t i = 0; i < 2 * n; i++)
		value[i] = cpu_to_fdt64(pairs[i]);
	bytes(w, "reg", value, 2 * n * sizeof(value[0]));
}

/* An interrupts property with one level-high interrupt. */
static void interrupt(struct writer *w, uint32_t type, uint32_t number)
{
	fdt32_t value[3] = {cpu_to_fdt32(type), cpu_to_fdt32(number), cpu_to_fdt32(LEVEL_HIGH)};

	bytes(w, "interrupts", value, sizeof(value));
}

static void write_chosen(struct writer *w, const struct plan_vm *vm, const char *bootargs)
{
	static const uint8_t zeroes[GUEST_RNG_SEED_BYTES];
	const struct plan_image *initrd = &vm->image[IMAGE_INITRD];

	begin(w, "chosen");
	text(w, "bootargs", bootargs);
	if (vm->console)
		text(w, "stdout-path", "serial0:115200n8");
	if (initrd->size != 0) {
		u64(w, "linux,initrd-start", initrd->to.v);
		u64(w, "linux,initrd-end", initrd->to.v + initrd->size);
	}
	bytes(w, "rng-seed", zeroes, GUEST_RNG_SEED_BYTES);
	bytes(w, "kaslr-seed", zeroes, KASLR_SEED_BYTES);
	if (vm->nfunctions != 0)
		u32(w, "linux,pci-probe-only", 1); /* BARs stay where they are */
	end(w);
}

static void write_memory(struct writer *w, const struct plan_vm *vm)
{
	const uint64_t range[2] = {vm->region[0].gpa.v, plan_vm_memory(vm)};

	begin_at(w, "memory", range[0]);
	text(w, "device_type", "memory");
	reg(w, range, 1);
	end(w);
}

static void write_cpus(struct writer *w, const struct plan_vm *vm, const struct machine *machine)
{
	begin(w, "cpus");
	cells(w, 2, 0);
	for (uint32_t i = 0; i < vm->ncores; i++) {
		uint64_t hwid = machine->cpu[vm->core[i]].hwid;

		begin_at(w, "cpu", hwid);
		text(w, "device_type", "cpu");
		text(w, "compatible", "arm,armv8");
		u64(w, "reg", hwid);
		text(w, "enable-method", "psci");
		end(w);
	}
	end(w);
}

static void write_psci(struct writer *w)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	begin(w, "psci");
	bytes(w, "compatible", compatible, sizeof(compatible));
	text(w, "method", "hvc");
	end(w);
}

/* Timers are found by name; where all four are there, also by the order of the binding. */
static void write_timer(struct writer *w, const struct machine_arm64 *machine)
{
	static const char *const name[4] = {"sec-phys", "phys", "virt", "hyp-phys"};
	fdt32_t value[3 * 4];
	char names[40];
	size_t n = 0, used = 0;

	for (size_t i = 0; i < 4; i++) {
		if (machine->timer_ppi[i] == 0)
			continue;
		value[n++] = cpu_to_fdt32(GIC_PPI);
		value[n++] = cpu_to_fdt32(machine->timer_ppi[i] - FIRST_PPI);
		value[n++] = cpu_to_fdt32(LEVEL_HIGH);
		memcpy(names + used, name[i], strlen(name[i]) + 1);
		used += strlen(name[i]) + 1;
	}
	begin(w, "timer");
	text(w, "compatible", "arm,armv8-timer");
	bytes(w, "interrupts", value, n * sizeof(value[0]));
	bytes(w, "interrupt-names", names, used);
	flag(w, "always-on");
	end(w);
}

/* A function's DeviceID is its requester id on the guest's bus. */
static void write_its(struct writer *w)
{
	static const uint64_t range[2] = {GUEST_ITS_BASE, ITS_BYTES};

	flag(w, "ranges");
	begin_at(w, "msi-controller", GUEST_ITS_BASE);
	text(w, "compatible", "arm,gic-v3-its");
	u32(w, "phandle", ITS_PHANDLE);
	flag(w, "msi-controller");
	u32(w, "#msi-cells", 1);
	reg(w, range, 1);
	end(w);
}

static void write_gic(struct writer *w, const struct plan_vm *vm)
{
	const uint64_t range[4] = {GUEST_GICD_BASE, GICD_BYTES, GUEST_GICR_BASE,
				   vm->ncores * GUEST_GICR_STRIDE};

	begin_at(w, "intc", GUEST_GICD_BASE);
	text(w, "compatible", "arm,gic-v3");
	u32(w, "phandle", GIC_PHANDLE);
	flag(w, "interrupt-controller");
	u32(w, "#interrupt-cells", 3);
	cells(w, 2, 2);
	reg(w, range, 2);
	if (vm->nfunctions != 0)
		write_its(w);
	end(w);
}

/* One range of struct pci_ranges: PCI addresses are those of the guest. */
static size_t pci_range(fdt32_t *value, uint32_t space, uint64_t base, uint64_t size)
{
	const uint32_t range[] = {
		space,		(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(base >> 32),
		(uint32_t)base, (uint32_t)(size >> 32), (uint32_t)size};

	for (size_t i = 0; i < ARRAY_SIZE(range); i++)
		value[i] = cpu_to_fdt32(range[i]);
	return ARRAY_SIZE(range);
}

/* INTA of every port is the console's line (Devicetree Specification 0.4 2.4.3). */
static void write_port_interrupts(struct writer *w, const struct plan_vm *vm)
{
	const uint32_t mask[4] = {0xf800, 0, 0, 7};
	fdt32_t value[10 * PLAN_MAX_PORTS];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(mask); i++)
		value[i] = cpu_to_fdt32(mask[i]);
	bytes(w, "interrupt-map-mask", value, sizeof(mask));
	u32(w, "#interrupt-cells", 1);
	for (uint32_t port = 0; port < vm->nports; port++) {
		const uint32_t row[10] = {(GUEST_PORT_FIRST + port) << 11,
					  0,
					  0,
					  1,
					  GIC_PHANDLE,
					  0,
					  0,
					  GIC_SPI,
					  vm->console_irq - FIRST_SPI,
					  LEVEL_HIGH};

		for (size_t i = 0; i < ARRAY_SIZE(row); i++)
			value[n++] = cpu_to_fdt32(row[i]);
	}
	bytes(w, "interrupt-map", value, n * sizeof(value[0]));
}

/* Both windows as not prefetchable: Linux puts any BAR into such a one. */
static void write_pci(struct writer *w, const struct plan_vm *vm)
{
	static const uint64_t ecam[2] = {GUEST_ECAM_BASE, GUEST_ECAM_SIZE};
	const fdt32_t msi_map[4] = {0, cpu_to_fdt32(ITS_PHANDLE), 0, cpu_to_fdt32(REQUESTER_IDS)};
	fdt32_t value[2 * 7] = {0, 0};
	size_t n;

	begin_at(w, "pcie", GUEST_ECAM_BASE);
	text(w, "compatible", "pci-host-ecam-generic");
	text(w, "device_type", "pci");
	cells(w, 3, 2);
	reg(w, ecam, 1);
	value[1] = cpu_to_fdt32(PLAN_MAX_PORTS);
	bytes(w, "bus-range", value, 2 * sizeof(value[0]));
	u32(w, "linux,pci-domain", 0);
	flag(w, "dma-coherent");
	n = pci_range(value, PCI_MEMORY_32, GUEST_WINDOW_BASE,
		      GUEST_WINDOW_END - GUEST_WINDOW_BASE);
	n += pci_range(value + n, PCI_MEMORY_64, GUEST_HIGH_WINDOW_BASE,
		       GUEST_HIGH_WINDOW_END - GUEST_HIGH_WINDOW_BASE);
	bytes(w, "ranges", value, n * sizeof(value[0]));
	bytes(w, "msi-map", msi_map, sizeof(msi_map));
	if (vm->nports != 0)
		write_port_interrupts(w, vm);
	end(w);
}

static void write_pmu(struct writer *w, uint32_t ppi)
{
	begin(w, "pmu");
	text(w, "compatible", "arm,armv8-pmuv3");
	interrupt(w, GIC_PPI, ppi - FIRST_PPI);
	end(w);
}

static void write_uart(struct writer *w, const struct plan_vm *vm)
{
	static const uint64_t range[2] = {GUEST_UART_BASE, PAGE_SIZE};

	begin_at(w, "serial", GUEST_UART_BASE);
	text(w, "compatible", "arm,sbsa-uart");
	reg(w, range, 1);
	interrupt(w, GIC_SPI, vm->console_irq - FIRST_SPI);
	u32(w, "current-speed", 115200);
	text(w, "status", "okay");
	end(w);
}

static void write_aliases(struct writer *w)
{
	char path[32];

	bh_format(path, sizeof(path), "/serial@%llx", (unsigned long long)GUEST_UART_BASE);
	begin(w, "aliases");
	text(w, "serial0", path);
	end(w);
}

static void write_tree(struct writer *w, const struct plan_vm *vm, const struct machine *machine,
		       const char *bootargs)
{
	static const char compatible[] = "bulkhead,vm\0linux,dummy-virt";

	begin(w, "");
	cells(w, 2, 2);
	bytes(w, "compatible", compatible, sizeof(compatible));
	text(w, "model", vm->name);
	u32(w, "interrupt-parent", GIC_PHANDLE);
	write_chosen(w, vm, bootargs);
	if (vm->console)
		write_aliases(w);
	write_memory(w, vm);
	write_cpus(w, vm, machine);
	write_psci(w);
	write_timer(w, &machine->arm64);
	write_gic(w, vm);
	if (machine->arm64.pmu_ppi != 0)
		write_pmu(w, machine->arm64.pmu_ppi);
	if (vm->console)
		write_uart(w, vm);
	if (vm->nfunctions != 0)
		write_pci(w, vm);
	end(w);
}

/* The offset from @fdt of /chosen's property @name; 0 when it is not there. */
static uint32_t seed_offset(const void *fdt, const char *name)
{
	const char *value = fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), name, NULL);

	return value == NULL ? 0 : (uint32_t)(value - (const char *)fdt);
}

/* PPIs are INTIDs 16 to 31; the virtual timer is what every guest needs. */
static enum bh_error check_interrupts(const struct machine_arm64 *machine, struct bh_report *report)
{
	uint32_t ppi[5] = {machine->timer_ppi[0], machine->timer_ppi[1], machine->timer_ppi[2],
			   machine->timer_ppi[3], machine->pmu_ppi};

	for (size_t i = 0; i < ARRAY_SIZE(ppi); i++) {
		if (ppi[i] != 0 && (ppi[i] < FIRST_PPI || ppi[i] >= FIRST_SPI))
			return bh_fail(report, BH_BAD_MACHINE,
				       "a timer or PMU has interrupt %u; a PPI is 16 to 31",
				       ppi[i]);
	}
	if (machine->timer_ppi[2] == 0)
		return bh_fail(report, BH_BAD_MACHINE, "the machine names no virtual timer");
	return BH_OK;
}

enum bh_error guest_fdt_make(const struct plan *plan, uint32_t vm, const struct machine *machine,
			     const char *bootargs, void *buffer, uint64_t size, uint64_t *used,
			     uint32_t *rng_seed_offset, uint32_t *kaslr_seed_offset,
			     struct bh_report *report)
{
	struct writer w = {.fdt = buffer};
	enum bh_error error = check_interrupts(&machine->arm64, report);

	if (error != BH_OK)
		return error;
	w.error = fdt_create(buffer, size > INT_MAX ? INT_MAX : (int)size);
	if (w.error == 0)
		w.error = fdt_finish_reservemap(buffer);
	write_tree(&w, &plan->vm[vm], machine, bootargs);
	if (w.error == 0)
		w.error = fdt_finish(buffer);
	if (w.error != 0)
		return bh_fail(report, BH_TOO_BIG,
			       "the device tree of VM %s does not fit in %llu bytes: %s",
			       plan->vm[vm].name, (unsigned long long)size, fdt_strerror(w.error));
	*used = fdt_totalsize(buffer);
	*rng_seed_offset = seed_offset(buffer, "rng-seed");
	*kaslr_seed_offset = seed_offset(buffer, "kaslr-seed");
	return BH_OK;
}
