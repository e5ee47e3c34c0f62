/* SPDX-License-Identifier: Apache-2.0 */
/* The plan as a picture: cores, memory to scale, devices and interrupts, coloured by owner. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <bulkhead/format.h>

#include "bhmanifest.h"

#define WIDTH 1080
#define MARGIN 40
#define BAR_WIDTH 830 /* leaves room for a label beside the bar's end */
#define BAR_HEIGHT 46
#define CORE_WIDTH 84
#define CORE_HEIGHT 54
#define CORE_GAP 10
#define CHIP_HEIGHT 30
#define LABEL_ROW 32 /* two lines of text */
#define CHAR_WIDTH 6.3 /* of the small text, on the safe side */
#define BANK_GAP GIB /* memory further apart is drawn as a bar of its own */
#define MAX_SPANS (CONFIG_MAX_VMS * (CONFIG_MAX_REGIONS_PER_VM + PLAN_MAX_IMAGES) + 1)

#define GREY "#5f6b7a"
#define INK "#1f2933"
#define FAINT "#7b8794"

enum { OWNER_FREE = -1, OWNER_HYPERVISOR = -2 };

/* A piece of memory with an owner. */
struct span {
	struct extent extent;
	int owner;
	char label[64];
};

struct picture {
	FILE *out;
	const struct plan *plan;
	const struct machine *machine;
	double y; /* how far down it is drawn */
	size_t nspans;
	struct span span[MAX_SPANS];
};

/* Readable in print and to most colour-blind people; each carries white or dark text. */
static const struct {
	const char *fill;
	const char *text;
} palette[] = {
	{"#2f6db5", "#ffffff"}, {"#e8862e", INK},	{"#3a9d5d", "#ffffff"},
	{"#8e5bb5", "#ffffff"}, {"#e3c23c", INK},	{"#c8443f", "#ffffff"},
	{"#3fb3b8", INK},	{"#d97fb0", INK},	{"#8a6242", "#ffffff"},
	{"#6b8f1f", "#ffffff"}, {"#1f4e79", "#ffffff"}, {"#f2b48a", INK},
	{"#9bd3a8", INK},	{"#c3a6dc", INK},	{"#a3282f", "#ffffff"},
	{"#a6c8ec", INK},
};

static const char *fill_of(int owner)
{
	if (owner == OWNER_FREE)
		return "#ffffff";
	return owner == OWNER_HYPERVISOR ? GREY : palette[(size_t)owner % ARRAY_SIZE(palette)].fill;
}

static const char *ink_of(int owner)
{
	if (owner == OWNER_FREE)
		return FAINT;
	return owner == OWNER_HYPERVISOR ? "#ffffff"
					 : palette[(size_t)owner % ARRAY_SIZE(palette)].text;
}

/* --- drawing --- */

static void put_text(const struct picture *p, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '<' || *text == '>' || *text == '&')
			fprintf(p->out, "&#%d;", *text);
		else
			fputc(*text, p->out);
	}
}

static void text(const struct picture *p, double x, double y, const char *class, const char *fill,
		 const char *format, ...) __attribute__((format(printf, 6, 7)));

static void text(const struct picture *p, double x, double y, const char *class, const char *fill,
		 const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(p->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" fill=\"%s\">", x, y, class, fill);
	put_text(p, line);
	fprintf(p->out, "</text>\n");
}

static void box(const struct picture *p, double x, double y, double width, double height, int owner)
{
	fprintf(p->out,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"5\" fill=\"%s\" %s/>\n",
		x, y, width, height, fill_of(owner),
		owner == OWNER_FREE ? "stroke=\"#b8c2cc\" stroke-dasharray=\"4 3\"" : "");
}

static void size_text(char *out, size_t room, uint64_t bytes)
{
	if (bytes >= GIB)
		snprintf(out, room, is_aligned(bytes, GIB) ? "%.0f GiB" : "%.2f GiB",
			 (double)bytes / (double)GIB);
	else if (bytes >= MIB)
		snprintf(out, room, is_aligned(bytes, MIB) ? "%.0f MiB" : "%.1f MiB",
			 (double)bytes / (double)MIB);
	else
		snprintf(out, room, "%.0f KiB", (double)bytes / (double)KIB);
}

static void heading(struct picture *p, const char *title)
{
	p->y += 44;
	text(p, MARGIN, p->y, "h", INK, "%s", title);
	p->y += 16;
}

/* --- cores --- */

static int core_owner(const struct plan *plan, uint32_t core)
{
	if (core == plan->management_core)
		return OWNER_HYPERVISOR;
	for (uint32_t i = 0; i < plan->nvms; i++) {
		for (uint32_t k = 0; k < plan->vm[i].ncores; k++) {
			if (plan->vm[i].core[k] == core)
				return (int)i;
		}
	}
	return OWNER_FREE;
}

static void draw_core(const struct picture *p, uint32_t core, double x, double y)
{
	int owner = core_owner(p->plan, core);
	const char *name = owner == OWNER_FREE	       ? "free"
			   : owner == OWNER_HYPERVISOR ? "bulkhead"
						       : p->plan->vm[owner].name;

	box(p, x, y, CORE_WIDTH, CORE_HEIGHT, owner);
	text(p, x + CORE_WIDTH / 2.0, y + 23, "n c", ink_of(owner), "%u", core);
	text(p, x + CORE_WIDTH / 2.0, y + 42, "s c", ink_of(owner), "%.11s%s", name,
	     strlen(name) > 11 ? ".." : "");
}

static bool has_nodes(const struct machine *m)
{
	for (uint32_t i = 1; i < m->ncpus; i++) {
		if (m->cpu[i].node != m->cpu[0].node)
			return true;
	}
	return false;
}

/* Cores in rows; a new NUMA node begins a new row under its own name. */
static void draw_cores(struct picture *p)
{
	const struct machine *m = p->machine;
	bool nodes = has_nodes(m);
	double x = MARGIN;

	heading(p, "Cores");
	for (uint32_t i = 0; i < m->ncpus; i++) {
		bool new_node = nodes && (i == 0 || m->cpu[i].node != m->cpu[i - 1].node);

		if (x + CORE_WIDTH > WIDTH - MARGIN || (new_node && i > 0)) {
			x = MARGIN;
			p->y += CORE_HEIGHT + CORE_GAP;
		}
		if (new_node) {
			text(p, MARGIN, p->y + 11, "s", FAINT, "NUMA node %u", m->cpu[i].node);
			p->y += 18;
		}
		draw_core(p, i, x, p->y);
		x += CORE_WIDTH + CORE_GAP;
	}
	p->y += CORE_HEIGHT;
}

/* --- memory --- */

static void add_span(struct picture *p, struct extent e, int owner, const char *label)
{
	struct span *span;

	if (e.size == 0 || p->nspans == MAX_SPANS)
		return;
	span = &p->span[p->nspans++];
	*span = (struct span){.extent = e, .owner = owner};
	snprintf(span->label, sizeof(span->label), "%s", label);
}

static int by_address(const void *a, const void *b)
{
	uint64_t left = ((const struct span *)a)->extent.base.v;
	uint64_t right = ((const struct span *)b)->extent.base.v;

	return left < right ? -1 : left > right;
}

static void collect_spans(struct picture *p)
{
	const struct plan *plan = p->plan;

	add_span(p, plan->core, OWNER_HYPERVISOR, "bulkhead");
	for (uint32_t i = 0; i < plan->nimages; i++)
		add_span(p, plan->images[i], OWNER_HYPERVISOR, "image");
	for (uint32_t i = 0; i < plan->nvms; i++) {
		const struct plan_vm *vm = &plan->vm[i];

		for (uint32_t k = 0; k < vm->nregions; k++)
			add_span(p, vm->region[k].extent, (int)i, vm->name);
	}
	qsort(p->span, p->nspans, sizeof(p->span[0]), by_address);
}

/* Where @at lies in the bar that shows @bank. */
static double place(struct extent bank, uint64_t at)
{
	return MARGIN + (double)(at - bank.base.v) / (double)bank.size * BAR_WIDTH;
}

static void draw_usable(const struct picture *p, struct extent bank)
{
	for (uint32_t i = 0; i < p->machine->nmemory; i++) {
		struct extent e = p->machine->memory[i].extent;

		if (!extent_inside(e, bank))
			continue;
		fprintf(p->out,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"#e9edf1\"/>\n",
			place(bank, e.base.v), p->y,
			place(bank, extent_end(e)) - place(bank, e.base.v), BAR_HEIGHT);
	}
}

/* A label that does not fit into its span hangs below the bar, beside a line to the span. */
struct hanging {
	double x;
	double right; /* where its text ends */
	int row;
	const struct span *span;
};

static void label_inside(const struct picture *p, const struct span *span, double x, double width)
{
	char size[32];

	size_text(size, sizeof(size), span->extent.size);
	text(p, x + width / 2, p->y + 20, "b c", ink_of(span->owner), "%s", span->label);
	text(p, x + width / 2, p->y + 36, "s c", ink_of(span->owner), "%s", size);
}

static void draw_span(const struct picture *p, const struct span *span, double x, double width)
{
	fprintf(p->out,
		"<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" fill=\"%s\" "
		"stroke=\"#ffffff\" stroke-width=\"%s\"><title>",
		x, p->y, width, BAR_HEIGHT, fill_of(span->owner), width > 6 ? "1" : "0");
	put_text(p, span->label);
	fprintf(p->out, " 0x%llx-0x%llx</title></rect>\n", (unsigned long long)span->extent.base.v,
		(unsigned long long)extent_end(span->extent));
}

/*
 * From right to left, each label takes the highest row where its text ends
 * before the lines and texts on its right that reach that row: then no line
 * crosses a text.
 */
static int give_rows(struct hanging *labels, size_t count)
{
	int rows = 0;

	for (size_t i = count; i-- > 0;) {
		labels[i].row = 0;
		for (size_t k = i + 1; k < count; k++) {
			if (labels[k].row >= labels[i].row && labels[k].x < labels[i].right + 6)
				labels[i].row = labels[k].row + 1;
		}
		if (labels[i].row >= rows)
			rows = labels[i].row + 1;
	}
	return rows;
}

static void draw_hanging(const struct picture *p, const struct hanging *label)
{
	double top = p->y + BAR_HEIGHT;
	double y = top + 8 + label->row * LABEL_ROW;
	char size[32];

	size_text(size, sizeof(size), label->span->extent.size);
	fprintf(p->out,
		"<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\" stroke-width=\"1.2\" fill=\"none\"/>\n",
		label->x, top, y + 24, fill_of(label->span->owner));
	text(p, label->x + 5, y + 11, "b", INK, "%s", label->span->label);
	text(p, label->x + 5, y + 24, "s", FAINT, "%s at 0x%llx", size,
	     (unsigned long long)label->span->extent.base.v);
}

static double label_width(const struct span *span)
{
	char line[64];
	char size[32];
	size_t length = strlen(span->label) + 2;

	size_text(size, sizeof(size), span->extent.size);
	snprintf(line, sizeof(line), "%s at 0x%llx", size, (unsigned long long)span->extent.base.v);
	return (double)(strlen(line) > length ? strlen(line) : length) * CHAR_WIDTH;
}

static void draw_spans(struct picture *p, struct extent bank)
{
	struct hanging labels[MAX_SPANS];
	size_t count = 0;
	int rows;

	for (size_t i = 0; i < p->nspans; i++) {
		const struct span *span = &p->span[i];
		double x = place(bank, span->extent.base.v);
		double width = (double)span->extent.size / (double)bank.size * BAR_WIDTH;
		double room = (double)strlen(span->label) * 7.4 + 10;

		if (!extent_inside(span->extent, bank))
			continue;
		/* Too small to see is drawn a little larger than it is. */
		draw_span(p, span, width < 3 && x > MARGIN + BAR_WIDTH - 3 ? x - 2 : x,
			  width < 3 ? 3 : width);
		if (width >= room && width >= 64) {
			label_inside(p, span, x, width);
			continue;
		}
		labels[count++] = (struct hanging){x + 1, x + 6 + label_width(span), 0, span};
	}
	rows = give_rows(labels, count);
	for (size_t i = 0; i < count; i++)
		draw_hanging(p, &labels[i]);
	p->y += BAR_HEIGHT + (rows ? 8 + rows * LABEL_ROW : 0);
}

static void draw_bank(struct picture *p, struct extent bank, uint64_t usable, uint32_t node)
{
	char size[32];

	p->y += 12;
	size_text(size, sizeof(size), usable);
	text(p, MARGIN, p->y, "s", FAINT, "0x%llx", (unsigned long long)bank.base.v);
	text(p, MARGIN + BAR_WIDTH / 2.0, p->y, "s c", FAINT, "%s usable, NUMA node %u", size,
	     node);
	text(p, MARGIN + BAR_WIDTH, p->y, "s e", FAINT, "0x%llx",
	     (unsigned long long)extent_end(bank));
	p->y += 6;
	draw_usable(p, bank);
	draw_spans(p, bank);
	p->y += 8;
}

static void draw_memory(struct picture *p)
{
	const struct machine *m = p->machine;
	uint32_t i = 0;

	heading(p, "Memory");
	collect_spans(p);
	while (i < m->nmemory) {
		struct extent bank = m->memory[i].extent;
		uint64_t usable = bank.size;
		uint32_t node = m->memory[i].node;

		for (i++; i < m->nmemory && m->memory[i].node == node &&
			  m->memory[i].extent.base.v - extent_end(bank) < BANK_GAP;
		     i++) {
			bank.size = extent_end(m->memory[i].extent) - bank.base.v;
			usable += m->memory[i].extent.size;
		}
		draw_bank(p, bank, usable, node);
	}
}

/* --- devices and interrupts --- */

static void chip(struct picture *p, double *x, int owner, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void chip(struct picture *p, double *x, int owner, const char *format, ...)
{
	char line[96];
	double width;
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	width = (double)strlen(line) * CHAR_WIDTH + 22;
	if (*x + width > WIDTH - MARGIN && *x > MARGIN) {
		*x = MARGIN;
		p->y += CHIP_HEIGHT + CORE_GAP;
	}
	box(p, *x, p->y, width, CHIP_HEIGHT, owner);
	text(p, *x + width / 2, p->y + 19.5, "s c", ink_of(owner), "%s", line);
	*x += width + CORE_GAP;
}

static void draw_functions(struct picture *p, double *x, uint32_t index)
{
	const struct plan_vm *vm = &p->plan->vm[index];

	for (uint32_t i = 0; i < vm->nfunctions; i++) {
		const struct machine_function *f;

		if (vm->function[i].function == MACHINE_NONE)
			continue; /* an empty port */
		f = &p->machine->function[vm->function[i].function];
		chip(p, x, (int)index, "%s %04x:%02x:%02x.%u%s", vm->name, f->id >> 16,
		     f->id >> 8 & 0xff, f->id >> 3 & 0x1f, f->id & 7,
		     f->iommu == MACHINE_NONE ? ": DMA NOT CHECKED" : "");
	}
}

static void draw_devices(struct picture *p)
{
	const struct machine *m = p->machine;
	double x = MARGIN;

	heading(p, "Devices and interrupts");
	for (uint32_t i = 0; i < p->plan->nvms; i++) {
		const struct plan_vm *vm = &p->plan->vm[i];

		if (vm->console_irq != 0)
			chip(p, &x, (int)i, "%s console: interrupt %u", vm->name, vm->console_irq);
		else if (vm->console)
			chip(p, &x, (int)i, "%s console", vm->name);
		draw_functions(p, &x, i);
	}
	if (m->arm64.gic_version != 0)
		chip(p, &x, OWNER_HYPERVISOR, "GICv%u at 0x%llx", m->arm64.gic_version,
		     (unsigned long long)m->arm64.gicd.v);
	if (m->arm64.its.v != 0)
		chip(p, &x, OWNER_HYPERVISOR, "ITS at 0x%llx", (unsigned long long)m->arm64.its.v);
	if (m->uart.v != 0)
		chip(p, &x, OWNER_HYPERVISOR, "UART at 0x%llx: interrupt %u",
		     (unsigned long long)m->uart.v, m->uart_irq);
	for (uint32_t i = 0; i < m->arm64.nsmmu; i++)
		chip(p, &x, OWNER_HYPERVISOR, "SMMUv3 at 0x%llx",
		     (unsigned long long)m->arm64.smmu[i].v);
	for (uint32_t i = 0; i < m->necam; i++)
		chip(p, &x, OWNER_FREE, "PCI segment %u, buses %u-%u", m->ecam[i].segment,
		     m->ecam[i].bus_first, m->ecam[i].bus_last);
	p->y += CHIP_HEIGHT;
}

/* --- legend --- */

static void legend_row(struct picture *p, int owner, const char *name, const char *what)
{
	box(p, MARGIN, p->y, 22, 16, owner);
	text(p, MARGIN + 32, p->y + 12.5, "b", INK, "%s", name);
	text(p, MARGIN + 280, p->y + 12.5, "s", FAINT, "%s", what);
	p->y += 24;
}

static void draw_legend(struct picture *p)
{
	char line[160];
	char size[32];

	heading(p, "Owners");
	for (uint32_t i = 0; i < p->plan->nvms; i++) {
		const struct plan_vm *vm = &p->plan->vm[i];

		size_text(size, sizeof(size), plan_vm_memory(vm));
		snprintf(line, sizeof(line), "VM %u: %u core%s, %s in %u extent%s, %s", vm->vmid,
			 vm->ncores, vm->ncores == 1 ? "" : "s", size, vm->nregions,
			 vm->nregions == 1 ? "" : "s",
			 vm->autostart ? "starts by itself" : "waits for a start");
		legend_row(p, (int)i, vm->name, line);
	}
	legend_row(p, OWNER_HYPERVISOR, "Bulkhead", "the hypervisor and its management core");
	legend_row(p, OWNER_FREE, "free", "nobody's; memory that is free is light grey");
}

static void draw(struct picture *p)
{
	char size[32];
	uint64_t usable = 0;

	for (uint32_t i = 0; i < p->machine->nmemory; i++)
		usable += p->machine->memory[i].extent.size;
	size_text(size, sizeof(size), usable);
	p->y = 46;
	text(p, MARGIN, p->y, "t", INK, "Bulkhead: who owns what");
	p->y += 22;
	text(p, MARGIN, p->y, "b", FAINT, "%.63s: %u cores, %s of usable memory, %u VM%s",
	     p->machine->name, p->machine->ncpus, size, p->plan->nvms,
	     p->plan->nvms == 1 ? "" : "s");
	draw_cores(p);
	draw_memory(p);
	draw_devices(p);
	draw_legend(p);
	p->y += 16;
}

static const char style[] =
	"<style>text{font-family:'DejaVu Sans',Verdana,sans-serif}"
	".t{font-size:22px;font-weight:bold}.h{font-size:15px;font-weight:bold}"
	".b{font-size:12px}.s{font-size:10.5px}.n{font-size:17px;font-weight:bold}"
	".c{text-anchor:middle}.e{text-anchor:end}</style>\n";

bool write_svg(const char *path, const struct plan *plan, const struct machine *machine)
{
	static struct picture picture; /* too large for the stack */
	char *body = NULL;
	size_t length = 0;
	FILE *file;
	bool good;

	/* The height is known at the end, and stands at the beginning. */
	picture = (struct picture){.plan = plan, .machine = machine};
	picture.out = open_memstream(&body, &length);
	if (picture.out) {
		draw(&picture);
		fclose(picture.out);
	}
	file = fopen(path, "w");
	good = file && body;
	if (good) {
		fprintf(file,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" "
			"width=\"%d\" height=\"%.0f\">\n%s"
			"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
			WIDTH, picture.y, WIDTH, picture.y, style);
		good = fwrite(body, 1, length, file) == length && fputs("</svg>\n", file) >= 0;
	}
	if (file)
		good = fclose(file) == 0 && good;
	free(body);
	if (!good)
		fprintf(stderr, "bhmanifest: %s: %s\n", path, strerror(errno));
	return good;
}
