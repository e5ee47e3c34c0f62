/* SPDX-License-Identifier: Apache-2.0 */
/* Address types and extents. Everybody may include this. */
#ifndef BULKHEAD_TYPES_H
#define BULKHEAD_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bulkhead/config.h>

#ifndef static_assert /* C11 has the keyword; <assert.h> is not for us */
#define static_assert _Static_assert
#endif

/*
 * An address has a type, so that mixing them does not compile: pa_t is a
 * physical address of the machine, gpa_t a guest's physical address (Arm's
 * IPA), va_t an address in the hypervisor's own address space.
 */
typedef struct {
	uint64_t v;
} pa_t;
typedef struct {
	uint64_t v;
} gpa_t;
typedef struct {
	uint64_t v;
} va_t;

/* Physical memory: @size bytes from @base. A size of 0 is an empty extent. */
struct extent {
	pa_t base;
	uint64_t size;
};

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define PAGE_SIZE (4 * KIB)
#define BLOCK_SIZE (2 * MIB) /* the smallest unit of guest RAM */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline pa_t pa(uint64_t v)
{
	return (pa_t){v};
}

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

static inline va_t va(uint64_t v)
{
	return (va_t){v};
}

/* The hypervisor maps physical memory at its own address, so one conversion serves both. */
static inline void *pa_to_ptr(pa_t p)
{
	return (void *)(uintptr_t)p.v;
}

static inline pa_t ptr_to_pa(const void *p)
{
	return pa((uint64_t)(uintptr_t)p);
}

/* @align is a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

/* @align is a power of two; the caller knows that @v + @align does not wrap. */
static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return align_down(v + align - 1, align);
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
	return (v & (align - 1)) == 0;
}

/* True when [@base, @base + @size) lies in [@outer, @outer + @outer_size). Never wraps. */
static inline bool range_inside(uint64_t base, uint64_t size, uint64_t outer, uint64_t outer_size)
{
	return base >= outer && base - outer <= outer_size && size <= outer_size - (base - outer);
}

/* True when the two ranges share a byte; neither may wrap. */
static inline bool range_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a_size != 0 && b_size != 0 && a < b + b_size && b < a + a_size;
}

static inline uint64_t extent_end(struct extent e)
{
	return e.base.v + e.size;
}

static inline bool extent_overlap(struct extent a, struct extent b)
{
	return range_overlap(a.base.v, a.size, b.base.v, b.size);
}

static inline bool extent_inside(struct extent a, struct extent outer)
{
	return range_inside(a.base.v, a.size, outer.base.v, outer.size);
}

#endif
