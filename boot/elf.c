/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF-64 Object File Format 1.5 (System V ABI). Relocations: ELF for the Arm 64-bit
 * Architecture (IHI 0056) 5.7; System V ABI, AMD64 supplement 1.0, 4.4.
 */
#include "elf.h"

#include <assert.h>

#include <string.h>

#define ET_DYN 3
#define PT_LOAD 1
#define PT_DYNAMIC 2
#define PT_NOTE 4
#define PF_X 1U
#define PF_W 2U
#define PF_R 4U
#define DT_RELA 7
#define DT_RELASZ 8
#define DT_RELAENT 9
#define NT_GNU_BUILD_ID 3
#define MAX_SEGMENTS 16
#define MAX_IMAGE (16 * MIB)

struct elf_header {
	uint8_t ident[16];
	uint16_t type;
	uint16_t machine;
	uint32_t version;
	uint64_t entry;
	uint64_t phoff;
	uint64_t shoff;
	uint32_t flags;
	uint16_t ehsize;
	uint16_t phentsize;
	uint16_t phnum;
	uint16_t shentsize;
	uint16_t shnum;
	uint16_t shstrndx;
};

struct elf_segment {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

struct elf_dynamic {
	uint64_t tag;
	uint64_t value;
};

struct elf_rela {
	uint64_t offset;
	uint64_t info;
	uint64_t addend;
};

static_assert(sizeof(struct elf_header) == 64, "Elf64_Ehdr");
static_assert(sizeof(struct elf_segment) == 56, "Elf64_Phdr");
static_assert(sizeof(struct elf_rela) == 24, "Elf64_Rela");

const struct elf_machine elf_aarch64 = {"AArch64", "R_AARCH64_RELATIVE", 183, 1027};
const struct elf_machine elf_x86_64 = {"x86-64", "R_X86_64_RELATIVE", 62, 8};

static enum bh_error bad(struct bh_report *report, const char *what)
{
	return bh_fail(report, BH_BAD_IMAGE, "the resident core: %s", what);
}

static struct elf_header get_header(const void *file)
{
	struct elf_header header;

	memcpy(&header, file, sizeof(header));
	return header;
}

/* Program header @index; the caller has checked that it lies in the file. */
static struct elf_segment get_segment(const void *file, const struct elf_header *header,
				      size_t index)
{
	struct elf_segment segment;

	memcpy(&segment, (const uint8_t *)file + header->phoff + index * sizeof(segment),
	       sizeof(segment));
	return segment;
}

static enum bh_error check_header(const void *file, uint64_t size,
				  const struct elf_machine *machine, struct bh_report *report)
{
	static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1}; /* 64 bits, little-endian */
	struct elf_header header;

	if (size < sizeof(header))
		return bad(report, "the file is shorter than an ELF header");
	header = get_header(file);
	if (memcmp(header.ident, ident, sizeof(ident)) != 0 || header.type != ET_DYN ||
	    header.machine != machine->number)
		return bh_fail(report, BH_BAD_IMAGE,
			       "the resident core: not a position-independent %s ELF file",
			       machine->name);
	if (header.phentsize != sizeof(struct elf_segment) || header.phnum > MAX_SEGMENTS ||
	    !range_inside(header.phoff, header.phnum * sizeof(struct elf_segment), 0, size))
		return bad(report, "the program headers do not lie in the file");
	return BH_OK;
}

/* Which of the three segments @flags means; NULL for any other combination, so for W with X. */
static struct elf_range *range_of(struct elf_layout *layout, uint32_t flags)
{
	switch (flags) {
	case PF_R | PF_X:
		return &layout->text;
	case PF_R:
		return &layout->rodata;
	case PF_R | PF_W:
		return &layout->data;
	default:
		return NULL;
	}
}

static enum bh_error check_load(const struct elf_segment *segment, uint64_t size,
				struct elf_layout *layout, struct bh_report *report)
{
	struct elf_range *range = range_of(layout, segment->flags);

	if (range == NULL || range->size != 0 || segment->memsz == 0)
		return bad(report, "segments other than one RX, one R and one RW");
	if (segment->filesz > segment->memsz ||
	    !range_inside(segment->offset, segment->filesz, 0, size))
		return bad(report, "a segment does not lie in the file");
	if (!is_aligned(segment->vaddr, PAGE_SIZE) ||
	    !range_inside(segment->vaddr, segment->memsz, 0, MAX_IMAGE))
		return bad(report, "a segment is not page-aligned or lies too high");
	range->offset = segment->vaddr;
	range->size = align_up(segment->memsz, PAGE_SIZE);
	if (range->offset + range->size > layout->size)
		layout->size = range->offset + range->size;
	return BH_OK;
}

/* The build id stands in a note: name size, description size, type, "GNU", description. */
static uint64_t build_id(const void *file, uint64_t size, const struct elf_segment *segment)
{
	struct {
		uint32_t namesz;
		uint32_t descsz;
		uint32_t type;
		char name[4];
		uint8_t desc[8];
	} note;
	uint64_t id = 0;

	if (segment->filesz < sizeof(note) || !range_inside(segment->offset, sizeof(note), 0, size))
		return 0;
	memcpy(&note, (const uint8_t *)file + segment->offset, sizeof(note));
	if (note.type != NT_GNU_BUILD_ID || note.namesz != 4 || note.descsz < sizeof(note.desc) ||
	    memcmp(note.name, "GNU", 4) != 0)
		return 0;
	/* As a number that prints in the order of the bytes. */
	for (size_t i = 0; i < sizeof(note.desc); i++)
		id = id << 8 | note.desc[i];
	return id;
}

static bool apart(const struct elf_range *a, const struct elf_range *b)
{
	return !range_overlap(a->offset, a->size, b->offset, b->size);
}

static enum bh_error check_layout(const struct elf_layout *layout, struct bh_report *report)
{
	if (layout->text.size == 0 || layout->rodata.size == 0 || layout->data.size == 0)
		return bad(report, "one of the text, rodata and data segments is missing");
	if (!apart(&layout->text, &layout->rodata) || !apart(&layout->text, &layout->data) ||
	    !apart(&layout->rodata, &layout->data))
		return bad(report, "two segments overlap");
	if (!range_inside(layout->entry, 4, layout->text.offset, layout->text.size))
		return bad(report, "the entry point does not lie in the text");
	return BH_OK;
}

enum bh_error elf_check(const void *file, uint64_t size, const struct elf_machine *machine,
			struct elf_layout *layout, struct bh_report *report)
{
	enum bh_error error = check_header(file, size, machine, report);
	struct elf_header header;

	if (error != BH_OK)
		return error;
	header = get_header(file);
	*layout = (struct elf_layout){.machine = machine, .entry = header.entry};
	for (size_t i = 0; i < header.phnum; i++) {
		struct elf_segment segment = get_segment(file, &header, i);

		if (segment.type == PT_LOAD)
			error = check_load(&segment, size, layout, report);
		else if (segment.type == PT_NOTE)
			layout->build_id = build_id(file, size, &segment);
		if (error != BH_OK)
			return error;
	}
	return check_layout(layout, report);
}

/* Finds the table of relocations through the dynamic section, in the loaded image at @image. */
static bool find_rela(const uint8_t *image, uint64_t size, const struct elf_segment *dynamic,
		      struct elf_range *rela)
{
	struct elf_dynamic entry;
	uint64_t entry_size = sizeof(struct elf_rela);

	*rela = (struct elf_range){0};
	if (!range_inside(dynamic->vaddr, dynamic->memsz, 0, size))
		return false;
	for (uint64_t at = 0; at + sizeof(entry) <= dynamic->memsz; at += sizeof(entry)) {
		memcpy(&entry, image + dynamic->vaddr + at, sizeof(entry));
		if (entry.tag == DT_RELA)
			rela->offset = entry.value;
		else if (entry.tag == DT_RELASZ)
			rela->size = entry.value;
		else if (entry.tag == DT_RELAENT)
			entry_size = entry.value;
	}
	return entry_size == sizeof(struct elf_rela) && rela->size % entry_size == 0 &&
	       range_inside(rela->offset, rela->size, 0, size);
}

static enum bh_error relocate(uint8_t *image, const struct elf_layout *layout,
			      const struct elf_segment *dynamic, uint64_t base,
			      struct bh_report *report)
{
	uint64_t size = layout->size;
	struct elf_range table;

	if (!find_rela(image, size, dynamic, &table))
		return bad(report, "the relocations do not lie in the image");
	for (uint64_t at = 0; at < table.size; at += sizeof(struct elf_rela)) {
		struct elf_rela rela;
		uint64_t value;

		memcpy(&rela, image + table.offset + at, sizeof(rela));
		if (rela.info != layout->machine->relative)
			return bh_fail(report, BH_BAD_IMAGE,
				       "the resident core: a relocation other than %s",
				       layout->machine->relative_name);
		if (!range_inside(rela.offset, sizeof(value), 0, size) || rela.addend > size)
			return bad(report, "a relocation points outside the image");
		value = base + rela.addend;
		memcpy(image + rela.offset, &value, sizeof(value));
	}
	return BH_OK;
}

enum bh_error elf_load(const void *file, uint64_t size, const struct elf_layout *layout, void *to,
		       uint64_t base, struct bh_report *report)
{
	struct elf_segment dynamic = {0};
	struct elf_header header;

	if (size < sizeof(header))
		return bad(report, "the file is shorter than an ELF header");
	header = get_header(file);
	memset(to, 0, layout->size);
	for (size_t i = 0; i < header.phnum; i++) {
		struct elf_segment segment = get_segment(file, &header, i);

		if (segment.type == PT_LOAD)
			memcpy((uint8_t *)to + segment.vaddr,
			       (const uint8_t *)file + segment.offset, segment.filesz);
		else if (segment.type == PT_DYNAMIC)
			dynamic = segment;
	}
	return relocate(to, layout, &dynamic, base, report);
}
