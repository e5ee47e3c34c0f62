/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/elf.h"

#define RUN_AT 0x80000000ULL
#define TEXT 0
#define RODATA 0x1000
#define DATA 0x2000
#define IMAGE_BYTES 0x4000 /* data has two pages with bss */

/* A small core: a program header table, then a page each of text, rodata and data. */
static struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segment[5];
	struct {
		Elf64_Nhdr header;
		char name[4];
		uint8_t id[20];
	} note;
	uint8_t text[64];
	struct {
		Elf64_Rela rela[2];
		Elf64_Dyn dynamic[4];
	} rodata;
	uint64_t data[2];
} image;

static struct elf_layout layout;
static struct bh_report report;
static uint64_t loaded[IMAGE_BYTES / 8];

static Elf64_Phdr *segment(unsigned int i, uint32_t type, uint32_t flags, size_t offset,
			   size_t size, uint64_t at)
{
	image.segment[i] = (Elf64_Phdr){
		.p_type = type,
		.p_flags = flags,
		.p_offset = offset,
		.p_vaddr = at,
		.p_filesz = size,
		.p_memsz = size,
		.p_align = 0x1000,
	};
	return &image.segment[i];
}

static void make_rodata(void)
{
	image.rodata.rela[0] = (Elf64_Rela){DATA, R_AARCH64_RELATIVE, 0x10};
	image.rodata.rela[1] = (Elf64_Rela){DATA + 8, R_AARCH64_RELATIVE, RODATA};
	image.rodata.dynamic[0] = (Elf64_Dyn){DT_RELA, {RODATA}};
	image.rodata.dynamic[1] = (Elf64_Dyn){DT_RELASZ, {sizeof(image.rodata.rela)}};
	image.rodata.dynamic[2] = (Elf64_Dyn){DT_RELAENT, {sizeof(Elf64_Rela)}};
}

static int setup(void **state)
{
	(void)state;
	memset(&image, 0, sizeof(image));
	memset(loaded, 0xaa, sizeof(loaded));
	memcpy(image.header.e_ident, "\177ELF\2\1\1", 7);
	image.header.e_type = ET_DYN;
	image.header.e_machine = EM_AARCH64;
	image.header.e_entry = 8;
	image.header.e_phoff = offsetof(struct image, segment);
	image.header.e_phentsize = sizeof(Elf64_Phdr);
	image.header.e_phnum = 5;
	segment(0, PT_LOAD, PF_R | PF_X, offsetof(struct image, text), sizeof(image.text), TEXT);
	segment(1, PT_LOAD, PF_R, offsetof(struct image, rodata), sizeof(image.rodata), RODATA);
	segment(2, PT_LOAD, PF_R | PF_W, offsetof(struct image, data), sizeof(image.data), DATA)
		->p_memsz = 0x1800;
	segment(3, PT_DYNAMIC, PF_R, offsetof(struct image, rodata.dynamic),
		sizeof(image.rodata.dynamic), RODATA + sizeof(image.rodata.rela));
	segment(4, PT_NOTE, PF_R, offsetof(struct image, note), sizeof(image.note), 0);
	image.note.header = (Elf64_Nhdr){4, sizeof(image.note.id), NT_GNU_BUILD_ID};
	memcpy(image.note.name, "GNU", 4);
	memcpy(image.note.id, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
	memset(image.text, 0x5a, sizeof(image.text));
	make_rodata();
	return 0;
}

static enum bh_error check(void)
{
	return elf_check(&image, sizeof(image), &elf_aarch64, &layout, &report);
}

static enum bh_error load(void)
{
	enum bh_error error = check();

	if (error != BH_OK)
		return error;
	assert_int_equal(layout.size, IMAGE_BYTES);
	return elf_load(&image, sizeof(image), &layout, loaded, RUN_AT, &report);
}

static void reads_the_layout(void **state)
{
	(void)state;
	assert_int_equal(check(), BH_OK);
	assert_int_equal(layout.text.offset, TEXT);
	assert_int_equal(layout.text.size, 0x1000);
	assert_int_equal(layout.rodata.offset, RODATA);
	assert_int_equal(layout.rodata.size, 0x1000);
	assert_int_equal(layout.data.offset, DATA);
	assert_int_equal(layout.data.size, 0x2000);
	assert_int_equal(layout.size, IMAGE_BYTES);
	assert_int_equal(layout.entry, 8);
	assert_int_equal(layout.build_id, 0x0123456789abcdefULL);
}

static void copies_segments_and_clears_the_rest(void **state)
{
	(void)state;
	assert_int_equal(load(), BH_OK);
	assert_memory_equal(loaded, image.text, sizeof(image.text));
	for (size_t i = sizeof(image.text) / 8; i < RODATA / 8; i++)
		assert_int_equal(loaded[i], 0);
	for (size_t i = DATA / 8 + 2; i < IMAGE_BYTES / 8; i++)
		assert_int_equal(loaded[i], 0);
}

static void relocates(void **state)
{
	(void)state;
	assert_int_equal(load(), BH_OK);
	assert_int_equal(loaded[DATA / 8], RUN_AT + 0x10);
	assert_int_equal(loaded[DATA / 8 + 1], RUN_AT + RODATA);
}

static enum bh_error load_x86(void)
{
	enum bh_error error = elf_check(&image, sizeof(image), &elf_x86_64, &layout, &report);

	return error != BH_OK ? error
			      : elf_load(&image, sizeof(image), &layout, loaded, RUN_AT, &report);
}

static void loads_an_x86_core(void **state)
{
	(void)state;
	image.header.e_machine = EM_X86_64;
	image.rodata.rela[0].r_info = R_X86_64_RELATIVE;
	image.rodata.rela[1].r_info = R_X86_64_RELATIVE;
	assert_int_equal(load_x86(), BH_OK);
	assert_int_equal(loaded[DATA / 8], RUN_AT + 0x10);
	assert_int_equal(loaded[DATA / 8 + 1], RUN_AT + RODATA);
}

static void the_other_machines_core_is_refused(void **state)
{
	(void)state;
	assert_int_equal(load_x86(), BH_BAD_IMAGE);
	assert_non_null(strstr(report.text, "not a position-independent x86-64 ELF file"));
	image.header.e_machine = EM_X86_64;
	assert_int_equal(load(), BH_BAD_IMAGE);
	assert_non_null(strstr(report.text, "not a position-independent AArch64 ELF file"));
	assert_int_equal(load_x86(), BH_BAD_IMAGE); /* its relocations are still Arm's */
	assert_non_null(strstr(report.text, "a relocation other than R_X86_64_RELATIVE"));
}

static void works_without_relocations(void **state)
{
	(void)state;
	memset(image.rodata.dynamic, 0, sizeof(image.rodata.dynamic));
	image.data[0] = 7;
	assert_int_equal(load(), BH_OK);
	assert_int_equal(loaded[DATA / 8], 7);
}

static void other_relocations_are_refused(void **state)
{
	(void)state;
	image.rodata.rela[1].r_info = R_AARCH64_ABS64;
	assert_int_equal(load(), BH_BAD_IMAGE);
	assert_non_null(strstr(report.text, "R_AARCH64_RELATIVE"));
}

static void relocations_outside_are_refused(void **state)
{
	(void)state;
	image.rodata.rela[0].r_offset = IMAGE_BYTES - 7;
	assert_int_equal(load(), BH_BAD_IMAGE);
	setup(NULL);
	image.rodata.rela[0].r_offset = UINT64_MAX - 3;
	assert_int_equal(load(), BH_BAD_IMAGE);
	setup(NULL);
	image.rodata.rela[0].r_addend = IMAGE_BYTES + 1;
	assert_int_equal(load(), BH_BAD_IMAGE);
}

static void a_relocation_table_outside_is_refused(void **state)
{
	(void)state;
	image.rodata.dynamic[0].d_un.d_val = IMAGE_BYTES - 8;
	assert_int_equal(load(), BH_BAD_IMAGE);
	setup(NULL);
	image.rodata.dynamic[1].d_un.d_val = UINT64_MAX - 15;
	assert_int_equal(load(), BH_BAD_IMAGE);
	setup(NULL);
	image.rodata.dynamic[2].d_un.d_val = 16;
	assert_int_equal(load(), BH_BAD_IMAGE);
	setup(NULL);
	image.segment[3].p_vaddr = IMAGE_BYTES;
	assert_int_equal(load(), BH_BAD_IMAGE);
}

static void other_files_are_refused(void **state)
{
	(void)state;
	image.header.e_ident[4] = 1; /* 32 bits */
	assert_int_equal(check(), BH_BAD_IMAGE);
	setup(NULL);
	image.header.e_machine = EM_X86_64;
	assert_int_equal(check(), BH_BAD_IMAGE);
	setup(NULL);
	image.header.e_type = ET_EXEC;
	assert_int_equal(check(), BH_BAD_IMAGE);
}

static void cut_files_are_refused(void **state)
{
	(void)state;
	for (size_t size = 0; size < sizeof(image); size++)
		assert_int_equal(elf_check(&image, size, &elf_aarch64, &layout, &report),
				 BH_BAD_IMAGE);
}

static void program_headers_outside_are_refused(void **state)
{
	(void)state;
	image.header.e_phoff = UINT64_MAX - 8;
	assert_int_equal(check(), BH_BAD_IMAGE);
	setup(NULL);
	image.header.e_phnum = 17;
	assert_int_equal(check(), BH_BAD_IMAGE);
	setup(NULL);
	image.header.e_phentsize = 32;
	assert_int_equal(check(), BH_BAD_IMAGE);
}

static void writable_text_is_refused(void **state)
{
	(void)state;
	image.segment[0].p_flags = PF_R | PF_W | PF_X;
	assert_int_equal(check(), BH_BAD_IMAGE);
}

static void two_texts_are_refused(void **state)
{
	(void)state;
	image.segment[1].p_flags = PF_R | PF_X;
	assert_int_equal(check(), BH_BAD_IMAGE);
}

static void a_missing_segment_is_refused(void **state)
{
	(void)state;
	image.segment[2].p_type = PT_NULL;
	assert_int_equal(check(), BH_BAD_IMAGE);
	assert_non_null(strstr(report.text, "missing"));
}

static void segments_outside_the_file_are_refused(void **state)
{
	(void)state;
	image.segment[0].p_offset = sizeof(image);
	assert_int_equal(check(), BH_BAD_IMAGE);
	setup(NULL);
	image.segment[0].p_filesz = image.segment[0].p_memsz + 1;
	assert_int_equal(check(), BH_BAD_IMAGE);
}

static void segments_at_odd_places_are_refused(void **state)
{
	(void)state;
	image.segment[2].p_vaddr = DATA + 8;
	assert_int_equal(check(), BH_BAD_IMAGE);
	setup(NULL);
	image.segment[2].p_vaddr = UINT64_MAX - 0xfff;
	assert_int_equal(check(), BH_BAD_IMAGE);
	setup(NULL);
	image.segment[2].p_memsz = 1ULL << 40;
	assert_int_equal(check(), BH_BAD_IMAGE);
}

static void overlapping_segments_are_refused(void **state)
{
	(void)state;
	image.segment[1].p_memsz = 0x1001;
	assert_int_equal(check(), BH_BAD_IMAGE);
	assert_non_null(strstr(report.text, "overlap"));
}

static void an_entry_outside_the_text_is_refused(void **state)
{
	(void)state;
	image.header.e_entry = RODATA;
	assert_int_equal(check(), BH_BAD_IMAGE);
	image.header.e_entry = RODATA - 3;
	assert_int_equal(check(), BH_BAD_IMAGE);
	image.header.e_entry = RODATA - 4;
	assert_int_equal(check(), BH_OK);
}

static void other_notes_are_no_build_id(void **state)
{
	(void)state;
	image.note.name[0] = 'X';
	assert_int_equal(check(), BH_OK);
	assert_int_equal(layout.build_id, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_the_layout, setup),
		cmocka_unit_test_setup(copies_segments_and_clears_the_rest, setup),
		cmocka_unit_test_setup(relocates, setup),
		cmocka_unit_test_setup(loads_an_x86_core, setup),
		cmocka_unit_test_setup(the_other_machines_core_is_refused, setup),
		cmocka_unit_test_setup(works_without_relocations, setup),
		cmocka_unit_test_setup(other_relocations_are_refused, setup),
		cmocka_unit_test_setup(relocations_outside_are_refused, setup),
		cmocka_unit_test_setup(a_relocation_table_outside_is_refused, setup),
		cmocka_unit_test_setup(other_files_are_refused, setup),
		cmocka_unit_test_setup(cut_files_are_refused, setup),
		cmocka_unit_test_setup(program_headers_outside_are_refused, setup),
		cmocka_unit_test_setup(writable_text_is_refused, setup),
		cmocka_unit_test_setup(two_texts_are_refused, setup),
		cmocka_unit_test_setup(a_missing_segment_is_refused, setup),
		cmocka_unit_test_setup(segments_outside_the_file_are_refused, setup),
		cmocka_unit_test_setup(segments_at_odd_places_are_refused, setup),
		cmocka_unit_test_setup(overlapping_segments_are_refused, setup),
		cmocka_unit_test_setup(an_entry_outside_the_text_is_refused, setup),
		cmocka_unit_test_setup(other_notes_are_no_build_id, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
