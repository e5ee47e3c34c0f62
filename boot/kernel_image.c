/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three kinds of kernel. arm64 Image: Linux Documentation/arch/arm64/booting.rst, "Call the kernel
 * image". bzImage: Linux Documentation/arch/x86/boot.rst. ELF: System V ABI, "Object Files"; its PVH
 * note: Xen docs/misc/pvh.pandoc.
 */
#include "kernel_image.h"

#include <bulkhead/checked.h>

#include <string.h>

#define IMAGE_HEADER_BYTES 64
#define IMAGE_TEXT_OFFSET 8
#define IMAGE_IMAGE_SIZE 16
#define IMAGE_FLAGS 24
#define IMAGE_MAGIC 56
#define MAGIC_IMAGE 0x644d5241U /* "ARM\x64" */
#define FLAG_BIG_ENDIAN 1U

#define SECTOR 512U
#define BZ_SETUP_SECTS 0x1f1
#define BZ_SYSSIZE 0x1f4 /* in units of 16 bytes */
#define BZ_BOOT_FLAG 0x1fe
#define BZ_HEADER_LENGTH 0x201 /* counted from BZ_HEADER */
#define BZ_HEADER 0x202
#define BZ_VERSION 0x206
#define BZ_LOADFLAGS 0x211
#define BZ_XLOADFLAGS 0x236
#define BZ_PREF_ADDRESS 0x258
#define BZ_INIT_SIZE 0x260
#define BZ_HEADER_BYTES 0x264
#define BZ_HEADER_END 0x290 /* boot_params has no more room */
#define BOOT_FLAG 0xaa55U
#define MAGIC_BZ 0x53726448U /* "HdrS" */
#define VERSION_XLOADFLAGS 0x20cU
#define LOADED_HIGH 1U
#define XLF_KERNEL_64 1U
#define ENTRY_64 0x200U /* behind the 32-bit entry */

#define ELF_HEADER_BYTES 64U
#define ELF_SEGMENT_BYTES 56U
#define ELF_MAX_SEGMENTS 64U
/* "\x7f" "ELF", 64-bit, little-endian, version 1; the eighth byte, the ABI, may be any. */
#define MAGIC_ELF64 0x00010102464c457fULL
#define ET_EXEC 2U
#define EM_X86_64 62U
#define PT_LOAD 1U
#define PT_NOTE 4U
#define PF_X 1U
#define NOTE_HEADER_BYTES 12U
#define XEN_ELFNOTE_PHYS32_ENTRY 18U

static uint64_t field64(const void *bytes, uint64_t offset)
{
	uint64_t value;

	memcpy(&value, (const uint8_t *)bytes + offset, sizeof(value));
	return value;
}

static uint32_t field32(const void *bytes, uint64_t offset)
{
	uint32_t value;

	memcpy(&value, (const uint8_t *)bytes + offset, sizeof(value));
	return value;
}

static uint16_t field16(const void *bytes, uint64_t offset)
{
	uint16_t value;

	memcpy(&value, (const uint8_t *)bytes + offset, sizeof(value));
	return value;
}

static uint8_t field8(const void *bytes, uint64_t offset)
{
	return ((const uint8_t *)bytes)[offset];
}

/* --- arm64 Image --- */

static void probe_image(const void *bytes, uint64_t size, struct image_info *info)
{
	if (size < IMAGE_HEADER_BYTES || field32(bytes, IMAGE_MAGIC) != MAGIC_IMAGE)
		return;
	/*
	 * Kernels before 3.17 leave image_size at 0: how much memory they need is then not
	 * known.
	 */
	if (field64(bytes, IMAGE_IMAGE_SIZE) < size ||
	    field64(bytes, IMAGE_FLAGS) & FLAG_BIG_ENDIAN)
		return;
	info->load_offset = field64(bytes, IMAGE_TEXT_OFFSET);
	info->run_size = field64(bytes, IMAGE_IMAGE_SIZE);
	info->kind = KERNEL_ARM64_IMAGE;
}

/* --- bzImage --- */

static void take_setup_header(const void *bytes, uint64_t size, struct image_info *info)
{
	uint32_t end = BZ_HEADER + (uint32_t)field8(bytes, BZ_HEADER_LENGTH);

	if (end > BZ_HEADER_END)
		end = BZ_HEADER_END;
	if (end > size)
		end = BZ_HEADER_BYTES;
	info->setup_size = end - BZ_SETUP_SECTS;
	memcpy(info->setup, (const uint8_t *)bytes + BZ_SETUP_SECTS, info->setup_size);
}

static void probe_bzimage(const void *bytes, uint64_t size, struct image_info *info)
{
	uint64_t setup, system;

	if (size < BZ_HEADER_BYTES || field16(bytes, BZ_BOOT_FLAG) != BOOT_FLAG ||
	    field32(bytes, BZ_HEADER) != MAGIC_BZ)
		return;
	if (field16(bytes, BZ_VERSION) < VERSION_XLOADFLAGS ||
	    !(field8(bytes, BZ_LOADFLAGS) & LOADED_HIGH) ||
	    !(field16(bytes, BZ_XLOADFLAGS) & XLF_KERNEL_64))
		return;
	setup = field8(bytes, BZ_SETUP_SECTS) ? field8(bytes, BZ_SETUP_SECTS) : 4;
	setup = (setup + 1) * SECTOR;
	system = field32(bytes, BZ_SYSSIZE) * 16ULL;
	/* Less than the header says is a file cut short; more is a signature. */
	if (size <= setup + ENTRY_64 || size - setup + 16 < system)
		return;
	info->load_offset = field64(bytes, BZ_PREF_ADDRESS);
	info->run_size = field32(bytes, BZ_INIT_SIZE);
	info->entry_offset = ENTRY_64;
	info->part.size = size - setup;
	if (info->extent.size != 0)
		info->part.base.v += setup;
	take_setup_header(bytes, size, info);
	info->kind = KERNEL_BZIMAGE;
}

/* --- ELF --- */

struct segment {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

struct elf {
	const uint8_t *bytes;
	uint64_t size;
	uint64_t segments; /* offset of the program headers */
	uint32_t nsegments;
	uint64_t low; /* lowest physical address */
	uint64_t high; /* behind the highest */
	uint64_t flat; /* from low to behind the last byte that the file gives */
};

/* Segment @index; false when it is not all there or contradicts itself. */
static bool get_segment(const struct elf *elf, uint32_t index, struct segment *s)
{
	const uint8_t *at = elf->bytes + elf->segments + (uint64_t)index * ELF_SEGMENT_BYTES;
	uint64_t end;

	*s = (struct segment){
		.type = field32(at, 0),
		.flags = field32(at, 4),
		.offset = field64(at, 8),
		.vaddr = field64(at, 16),
		.paddr = field64(at, 24),
		.filesz = field64(at, 32),
		.memsz = field64(at, 40),
		.align = field64(at, 48),
	};
	if (s->type != PT_LOAD && s->type != PT_NOTE)
		return true;
	if (!range_inside(s->offset, s->filesz, 0, elf->size))
		return false;
	return s->type != PT_LOAD || (s->filesz <= s->memsz && add_ok(s->paddr, s->memsz, &end));
}

/* Checks everything flatten and the probe build on. */
static bool read_elf(const void *bytes, uint64_t size, struct elf *elf)
{
	uint64_t file_end = 0;
	struct segment s;

	*elf = (struct elf){.bytes = bytes, .size = size, .low = UINT64_MAX};
	if (size < ELF_HEADER_BYTES || field64(bytes, 0) << 8 != MAGIC_ELF64 << 8 ||
	    field16(bytes, 16) != ET_EXEC || field16(bytes, 18) != EM_X86_64 ||
	    field16(bytes, 54) != ELF_SEGMENT_BYTES)
		return false;
	elf->segments = field64(bytes, 32);
	elf->nsegments = field16(bytes, 56);
	if (elf->nsegments > ELF_MAX_SEGMENTS ||
	    !range_inside(elf->segments, (uint64_t)elf->nsegments * ELF_SEGMENT_BYTES, 0, size))
		return false;
	for (uint32_t i = 0; i < elf->nsegments; i++) {
		if (!get_segment(elf, i, &s))
			return false;
		if (s.type != PT_LOAD || s.memsz == 0)
			continue;
		if (s.paddr < elf->low)
			elf->low = s.paddr;
		if (s.paddr + s.memsz > elf->high)
			elf->high = s.paddr + s.memsz;
		if (s.filesz != 0 && s.paddr + s.filesz > file_end)
			file_end = s.paddr + s.filesz;
	}
	if (file_end <= elf->low || elf->high > GUEST_X86_HOLE_BASE)
		return false;
	elf->flat = file_end - elf->low;
	return true;
}

/* The entry is an address of an executable segment as linked; where none holds it, a physical one. */
static uint64_t entry_offset(const struct elf *elf)
{
	uint64_t entry = field64(elf->bytes, 24);
	struct segment s;

	for (uint32_t i = 0; i < elf->nsegments; i++) {
		if (get_segment(elf, i, &s) && s.type == PT_LOAD && s.flags & PF_X &&
		    range_inside(entry, 1, s.vaddr, s.filesz))
			return s.paddr + (entry - s.vaddr) - elf->low;
	}
	return entry - elf->low;
}

/* The address in the PVH note among the @size bytes of notes at @notes; UINT64_MAX: none. */
static uint64_t find_pvh_note(const uint8_t *notes, uint64_t size, uint64_t align)
{
	uint64_t at = 0;

	while (range_inside(at, NOTE_HEADER_BYTES, 0, size)) {
		uint64_t name = at + NOTE_HEADER_BYTES;
		uint64_t name_size = field32(notes, at);
		uint64_t value = align_up(name + name_size, align);
		uint64_t value_size = field32(notes, at + 4);

		if (!range_inside(value, value_size, 0, size))
			return UINT64_MAX;
		if (field32(notes, at + 8) == XEN_ELFNOTE_PHYS32_ENTRY && name_size == 4 &&
		    memcmp(notes + name, "Xen", 4) == 0 && value_size >= 4)
			return field32(notes, value);
		at = align_up(value + value_size, align);
	}
	return UINT64_MAX;
}

static uint64_t pvh_offset(const struct elf *elf)
{
	struct segment s;

	for (uint32_t i = 0; i < elf->nsegments; i++) {
		uint64_t entry = UINT64_MAX;

		if (get_segment(elf, i, &s) && s.type == PT_NOTE)
			entry = find_pvh_note(elf->bytes + s.offset, s.filesz,
					      s.align == 8 ? 8 : 4);
		if (range_inside(entry, 1, elf->low, elf->flat))
			return entry - elf->low;
	}
	return UINT64_MAX;
}

static void probe_elf(const void *bytes, uint64_t size, struct image_info *info)
{
	struct elf elf;

	if (!read_elf(bytes, size, &elf) || entry_offset(&elf) >= elf.flat)
		return;
	info->load_offset = elf.low;
	info->run_size = elf.high - elf.low;
	info->entry_offset = entry_offset(&elf);
	info->pvh_offset = pvh_offset(&elf);
	info->part = (struct extent){pa(0), elf.flat};
	info->kind = KERNEL_ELF;
}

enum bh_error kernel_image_flatten(const void *elf, uint64_t size, void *to, uint64_t room,
				   uint64_t *flat)
{
	struct segment s;
	struct elf e;

	if (!read_elf(elf, size, &e))
		return BH_BAD_IMAGE;
	*flat = e.flat;
	if (e.flat > room)
		return BH_TOO_BIG;
	memset(to, 0, e.flat);
	for (uint32_t i = 0; i < e.nsegments; i++) {
		if (get_segment(&e, i, &s) && s.type == PT_LOAD && s.filesz != 0)
			memcpy((uint8_t *)to + (s.paddr - e.low), e.bytes + s.offset, s.filesz);
	}
	return BH_OK;
}

void kernel_image_probe(const void *bytes, uint64_t size, struct image_info *info)
{
	info->size = size;
	info->load_offset = 0;
	info->run_size = size;
	info->entry_offset = 0;
	info->kind = KERNEL_NONE;
	info->pvh_offset = UINT64_MAX;
	info->part = (struct extent){info->extent.base, size};
	info->setup_size = 0;
	probe_image(bytes, size, info);
	if (info->kind == KERNEL_NONE)
		probe_bzimage(bytes, size, info);
	if (info->kind == KERNEL_NONE)
		probe_elf(bytes, size, info);
}
