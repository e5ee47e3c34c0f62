/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/kernel_image.h"

static uint8_t image[256];
static struct image_info info;

static void put64(size_t offset, uint64_t value)
{
	memcpy(image + offset, &value, sizeof(value));
}

static int setup(void **state)
{
	(void)state;
	memset(image, 0, sizeof(image));
	memset(&info, 0xff, sizeof(info));
	put64(8, 0x80000);
	put64(16, 0x200000);
	put64(24, 0xa);
	put64(56, 0x644d5241); /* "ARM\x64" */
	return 0;
}

static void reads_the_header(void **state)
{
	(void)state;
	kernel_image_probe(image, sizeof(image), &info);
	assert_int_equal(info.kind, KERNEL_ARM64_IMAGE);
	assert_int_equal(info.size, sizeof(image));
	assert_int_equal(info.load_offset, 0x80000);
	assert_int_equal(info.run_size, 0x200000);
}

static void is_no_kernel(void)
{
	assert_int_equal(info.kind, KERNEL_NONE);
	assert_int_equal(info.load_offset, 0);
	assert_int_equal(info.run_size, info.size);
}

static void other_files_are_no_kernels(void **state)
{
	(void)state;
	image[59] = 'X';
	kernel_image_probe(image, sizeof(image), &info);
	assert_int_equal(info.size, sizeof(image));
	is_no_kernel();
}

static void short_files_are_no_kernels(void **state)
{
	(void)state;
	for (size_t size = 0; size < 64; size++) {
		kernel_image_probe(image, size, &info);
		assert_int_equal(info.size, size);
		is_no_kernel();
	}
}

static void an_image_size_of_zero_is_refused(void **state)
{
	(void)state;
	put64(16, 0);
	kernel_image_probe(image, sizeof(image), &info);
	is_no_kernel();
}

static void an_image_size_below_the_file_is_refused(void **state)
{
	(void)state;
	put64(16, sizeof(image) - 1);
	kernel_image_probe(image, sizeof(image), &info);
	is_no_kernel();
}

static void a_big_endian_kernel_is_refused(void **state)
{
	(void)state;
	put64(24, 1);
	kernel_image_probe(image, sizeof(image), &info);
	is_no_kernel();
}

/* --- bzImage --- */

static uint8_t bz[512 * 3 + 1024];

static void put_in(void *bytes, size_t offset, uint64_t value, size_t size)
{
	memcpy((uint8_t *)bytes + offset, &value, size);
}

static int set_up_bzimage(void **state)
{
	(void)state;
	memset(bz, 0, sizeof(bz));
	memset(&info, 0xff, sizeof(info));
	info.extent = (struct extent){pa(GIB), PAGE_SIZE};
	put_in(bz, 0x1f1, 2, 1);
	put_in(bz, 0x1f4, 1024 / 16, 4);
	put_in(bz, 0x1fe, 0xaa55, 2);
	put_in(bz, 0x201, 0x6a, 1);
	put_in(bz, 0x202, 0x53726448, 4);
	put_in(bz, 0x206, 0x20f, 2);
	put_in(bz, 0x211, 1, 1);
	put_in(bz, 0x236, 0x3f, 2);
	put_in(bz, 0x258, 16 * MIB, 8);
	put_in(bz, 0x260, 40 * MIB, 4);
	return 0;
}

static void probe_bz(void)
{
	kernel_image_probe(bz, sizeof(bz), &info);
}

static void is_no_bzimage(void)
{
	probe_bz();
	is_no_kernel();
	assert_int_equal(info.setup_size, 0);
	assert_int_equal(info.part.size, sizeof(bz));
}

static void reads_a_bzimage(void **state)
{
	(void)state;
	probe_bz();
	assert_int_equal(info.kind, KERNEL_BZIMAGE);
	assert_int_equal(info.size, sizeof(bz));
	assert_int_equal(info.load_offset, 16 * MIB);
	assert_int_equal(info.run_size, 40 * MIB);
	assert_int_equal(info.entry_offset, 0x200);
	assert_true(info.pvh_offset == UINT64_MAX);
	assert_int_equal(info.part.base.v, GIB + 0x600);
	assert_int_equal(info.part.size, 1024);
	assert_int_equal(info.setup_size, 0x26c - 0x1f1);
	assert_memory_equal(info.setup, bz + 0x1f1, info.setup_size);
}

static void on_the_host_a_part_has_no_place(void **state)
{
	(void)state;
	info.extent = (struct extent){pa(0), 0};
	probe_bz();
	assert_int_equal(info.part.base.v, 0);
	assert_int_equal(info.part.size, 1024);
}

static void no_setup_sectors_means_four(void **state)
{
	static uint8_t large[512 * 5 + 1024];

	(void)state;
	memcpy(large, bz, 0x300);
	large[0x1f1] = 0;
	kernel_image_probe(large, sizeof(large), &info);
	assert_int_equal(info.kind, KERNEL_BZIMAGE);
	assert_int_equal(info.part.base.v, GIB + 0xa00);
}

static void a_long_setup_header_is_cut(void **state)
{
	(void)state;
	put_in(bz, 0x201, 0xff, 1);
	probe_bz();
	assert_int_equal(info.setup_size, IMAGE_SETUP_MAX);
}

static void a_signature_may_follow(void **state)
{
	(void)state;
	put_in(bz, 0x1f4, 800 / 16, 4);
	probe_bz();
	assert_int_equal(info.kind, KERNEL_BZIMAGE);
	assert_int_equal(info.part.size, 1024);
}

#define BZ_FAULTS(X)                                                                               \
	X(bzimage_without_boot_flag, 0x1fe, 0)                                                     \
	X(bzimage_without_magic, 0x202, 0)                                                         \
	X(bzimage_too_old, 0x206, 0x0b)                                                            \
	X(bzimage_not_loaded_high, 0x211, 0)                                                       \
	X(bzimage_of_32_bits, 0x236, 0x3e)                                                         \
	X(bzimage_of_setup_only, 0x1f1, 5)                                                         \
	X(bzimage_cut_short, 0x1f6, 1)

#define BZ_FAULT(name, offset, value)                                                              \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		bz[offset] = value;                                                                \
		is_no_bzimage();                                                                   \
	}
BZ_FAULTS(BZ_FAULT)

/* --- ELF --- */

#define SEGMENTS 4UL
#define CODE (64 + 56 * SEGMENTS)
#define NOTES (CODE + 48)

static uint8_t elf[NOTES + 64];
static uint8_t flat[0x3000];
static uint64_t flat_size;

static void put_segment(uint32_t index, uint32_t type, uint32_t flags, const uint64_t words[6])
{
	size_t at = 64 + 56 * (size_t)index;

	put_in(elf, at, type, 4);
	put_in(elf, at + 4, flags, 4);
	memcpy(elf + at + 8, words, 48);
}

static void put_note(size_t at, uint32_t type, const char *name, uint32_t value)
{
	put_in(elf, at, strlen(name) + 1, 4);
	put_in(elf, at + 4, 4, 4);
	put_in(elf, at + 8, type, 4);
	memcpy(elf + at + 12, name, strlen(name) + 1);
	put_in(elf, at + 12 + align_up(strlen(name) + 1, 4), value, 4);
}

/* Code at 2 MiB, linked high; data and bss behind it; an empty one; two notes, the second PVH's. */
static int set_up_elf(void **state)
{
	static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0};

	(void)state;
	memset(elf, 0, sizeof(elf));
	memset(flat, 0x55, sizeof(flat));
	memset(&info, 0xff, sizeof(info));
	info.extent = (struct extent){pa(GIB), PAGE_SIZE};
	memcpy(elf, ident, sizeof(ident));
	put_in(elf, 16, 2, 2);
	put_in(elf, 18, 62, 2);
	put_in(elf, 24, 0xffffffff80200010, 8);
	put_in(elf, 32, 64, 8);
	put_in(elf, 54, 56, 2);
	put_in(elf, 56, SEGMENTS, 2);
	put_segment(0, 1, 6,
		    (uint64_t[]){CODE + 32, 0xffffffff80201000, 0x201000, 16, 0x5000, 4096});
	put_segment(1, 1, 5, (uint64_t[]){CODE, 0xffffffff80200000, 0x200000, 32, 32, 4096});
	put_segment(2, 1, 6, (uint64_t[]){0, 0, 0x100000, 0, 0, 4096});
	put_segment(3, 4, 4, (uint64_t[]){NOTES, 0, 0, 40, 40, 4});
	memset(elf + CODE, 0xc0, 32);
	memset(elf + CODE + 32, 0xda, 16);
	put_note(NOTES, 1, "GNU", 0);
	put_note(NOTES + 20, 18, "Xen", 0x200004);
	return 0;
}

static void probe_elf(void)
{
	kernel_image_probe(elf, sizeof(elf), &info);
}

static void reads_an_elf(void **state)
{
	(void)state;
	probe_elf();
	assert_int_equal(info.kind, KERNEL_ELF);
	assert_int_equal(info.size, sizeof(elf));
	assert_int_equal(info.load_offset, 0x200000);
	assert_int_equal(info.run_size, 0x6000);
	assert_int_equal(info.entry_offset, 0x10);
	assert_int_equal(info.pvh_offset, 4);
	assert_int_equal(info.part.base.v, 0);
	assert_int_equal(info.part.size, 0x1010);
	assert_int_equal(info.setup_size, 0);
}

static void a_physical_entry_is_one(void **state)
{
	(void)state;
	put_in(elf, 24, 0x201008, 8);
	probe_elf();
	assert_int_equal(info.kind, KERNEL_ELF);
	assert_int_equal(info.entry_offset, 0x1008);
}

static void notes_may_be_aligned_to_8(void **state)
{
	(void)state;
	put_segment(3, 4, 4, (uint64_t[]){NOTES, 0, 0, 24, 24, 8});
	put_note(NOTES, 18, "Xen", 0x201004);
	probe_elf();
	assert_int_equal(info.pvh_offset, 0x1004);
}

static void has_no_pvh_entry(void)
{
	probe_elf();
	assert_int_equal(info.kind, KERNEL_ELF);
	assert_true(info.pvh_offset == UINT64_MAX);
}

static void other_notes_are_not_pvh(void **state)
{
	(void)state;
	put_note(NOTES + 20, 17, "Xen", 0x200004);
	has_no_pvh_entry();
	put_note(NOTES + 20, 18, "Yen", 0x200004);
	has_no_pvh_entry();
}

static void a_pvh_entry_outside_is_none(void **state)
{
	(void)state;
	put_note(NOTES + 20, 18, "Xen", 0x201010);
	has_no_pvh_entry();
	put_note(NOTES + 20, 18, "Xen", 0x1fffff);
	has_no_pvh_entry();
}

static void notes_cut_short_are_none(void **state)
{
	(void)state;
	for (uint64_t size = 0; size < 40; size++) {
		put_segment(3, 4, 4, (uint64_t[]){NOTES, 0, 0, size, size, 4});
		has_no_pvh_entry();
	}
	put_segment(3, 4, 4, (uint64_t[]){NOTES, 0, 0, 40, 40, 4});
	put_in(elf, NOTES, UINT32_MAX, 4);
	has_no_pvh_entry();
}

static void an_elf_is_laid_out_flat(void **state)
{
	(void)state;
	assert_int_equal(kernel_image_flatten(elf, sizeof(elf), flat, 0x1010, &flat_size), BH_OK);
	assert_int_equal(flat_size, 0x1010);
	for (uint32_t i = 0; i < 0x1020; i++)
		assert_int_equal(flat[i], i < 32       ? 0xc0
					  : i < 0x1000 ? 0
					  : i < 0x1010 ? 0xda
						       : 0x55);
}

static void too_little_room_is_refused(void **state)
{
	(void)state;
	assert_int_equal(kernel_image_flatten(elf, sizeof(elf), flat, 0x100f, &flat_size),
			 BH_TOO_BIG);
	assert_int_equal(flat_size, 0x1010);
	assert_int_equal(flat[0], 0x55);
}

static void is_no_elf(void)
{
	probe_elf();
	is_no_kernel();
	assert_int_equal(kernel_image_flatten(elf, sizeof(elf), flat, sizeof(flat), &flat_size),
			 BH_BAD_IMAGE);
}

#define ELF_FAULTS(X)                                                                              \
	X(elf_of_32_bits, put_in(elf, 4, 1, 1))                                                    \
	X(elf_big_endian, put_in(elf, 5, 2, 1))                                                    \
	X(elf_shared_object, put_in(elf, 16, 3, 2))                                                \
	X(elf_of_arm64, put_in(elf, 18, 183, 2))                                                   \
	X(elf_with_odd_segments, put_in(elf, 54, 64, 2))                                           \
	X(elf_with_too_many_segments, put_in(elf, 56, 65, 2))                                      \
	X(elf_without_segments, put_in(elf, 56, 0, 2))                                             \
	X(elf_segments_outside, put_in(elf, 32, sizeof(elf) - 56UL * SEGMENTS + 1, 8))             \
	X(elf_segments_wrap, put_in(elf, 32, UINT64_MAX - 8, 8))                                   \
	X(elf_code_outside,                                                                        \
	  put_segment(1, 1, 5, (uint64_t[]){sizeof(elf) - 31, 0, 0x200000, 32, 32, 0}))            \
	X(elf_code_offset_wraps,                                                                   \
	  put_segment(1, 1, 5, (uint64_t[]){UINT64_MAX - 8, 0, 0x200000, 32, 32, 0}))              \
	X(elf_address_wraps,                                                                       \
	  put_segment(0, 1, 6, (uint64_t[]){CODE, 0, UINT64_MAX - 0x1000, 16, 0x5000, 0}))         \
	X(elf_beyond_the_hole,                                                                     \
	  put_segment(0, 1, 6,                                                                     \
		      (uint64_t[]){CODE, 0, GUEST_X86_HOLE_BASE - 0x4fff, 16, 0x5000, 0}))         \
	X(elf_file_larger_than_memory,                                                             \
	  put_segment(1, 1, 5, (uint64_t[]){CODE, 0, 0x200000, 32, 31, 0}))                        \
	X(elf_notes_outside, put_segment(3, 4, 4, (uint64_t[]){sizeof(elf), 0, 0, 1, 1, 4}))       \
	X(elf_of_zeroes_only, (put_segment(0, 0, 0, (uint64_t[6]){0}),                             \
			       put_segment(1, 1, 5, (uint64_t[]){CODE, 0, 0x200000, 0, 32, 0})))

#define ELF_FAULT(name, change)                                                                    \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		change;                                                                            \
		is_no_elf();                                                                       \
	}
ELF_FAULTS(ELF_FAULT)

static void an_entry_outside_is_refused(void **state)
{
	(void)state;
	put_in(elf, 24, 0x201010, 8);
	probe_elf();
	is_no_kernel();
	put_in(elf, 24, 0x1fffff, 8);
	probe_elf();
	is_no_kernel();
}

static void a_short_elf_is_none(void **state)
{
	(void)state;
	for (size_t size = 0; size < CODE; size++) {
		kernel_image_probe(elf, size, &info);
		is_no_kernel();
	}
}

#define BZ_TEST(name) cmocka_unit_test_setup(name, set_up_bzimage)
#define ELF_TEST(name) cmocka_unit_test_setup(name, set_up_elf)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_the_header, setup),
		cmocka_unit_test_setup(other_files_are_no_kernels, setup),
		cmocka_unit_test_setup(short_files_are_no_kernels, setup),
		cmocka_unit_test_setup(an_image_size_of_zero_is_refused, setup),
		cmocka_unit_test_setup(an_image_size_below_the_file_is_refused, setup),
		cmocka_unit_test_setup(a_big_endian_kernel_is_refused, setup),
		BZ_TEST(reads_a_bzimage),
		BZ_TEST(on_the_host_a_part_has_no_place),
		BZ_TEST(no_setup_sectors_means_four),
		BZ_TEST(a_long_setup_header_is_cut),
		BZ_TEST(a_signature_may_follow),
		BZ_TEST(bzimage_without_boot_flag),
		BZ_TEST(bzimage_without_magic),
		BZ_TEST(bzimage_too_old),
		BZ_TEST(bzimage_not_loaded_high),
		BZ_TEST(bzimage_of_32_bits),
		BZ_TEST(bzimage_of_setup_only),
		BZ_TEST(bzimage_cut_short),
		ELF_TEST(reads_an_elf),
		ELF_TEST(a_physical_entry_is_one),
		ELF_TEST(notes_may_be_aligned_to_8),
		ELF_TEST(other_notes_are_not_pvh),
		ELF_TEST(a_pvh_entry_outside_is_none),
		ELF_TEST(notes_cut_short_are_none),
		ELF_TEST(an_elf_is_laid_out_flat),
		ELF_TEST(too_little_room_is_refused),
		ELF_TEST(elf_of_32_bits),
		ELF_TEST(elf_big_endian),
		ELF_TEST(elf_shared_object),
		ELF_TEST(elf_of_arm64),
		ELF_TEST(elf_with_odd_segments),
		ELF_TEST(elf_with_too_many_segments),
		ELF_TEST(elf_without_segments),
		ELF_TEST(elf_segments_outside),
		ELF_TEST(elf_segments_wrap),
		ELF_TEST(elf_code_outside),
		ELF_TEST(elf_code_offset_wraps),
		ELF_TEST(elf_address_wraps),
		ELF_TEST(elf_beyond_the_hole),
		ELF_TEST(elf_file_larger_than_memory),
		ELF_TEST(elf_notes_outside),
		ELF_TEST(elf_of_zeroes_only),
		ELF_TEST(an_entry_outside_is_refused),
		ELF_TEST(a_short_elf_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
