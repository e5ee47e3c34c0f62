/* SPDX-License-Identifier: Apache-2.0 */
/* What an architecture must do for the loader, duty by duty. boot/arm64 and boot/x86 do it. */
#ifndef BOOT_ARCH_H
#define BOOT_ARCH_H

#include "loader.h"

struct loader_arch {
	enum machine_arch machine;
	const struct elf_machine *elf; /* what the resident core must be */
	uint64_t core_end; /* where the core's extent must end at the latest */
};

extern const struct loader_arch loader_arch;

/*
 * Fills l->machine without ACPI, from what firmware offers instead, and says in l->source what
 * that was. Memory, where that is named, serves to tell nodes apart.
 */
enum bh_error arch_read_machine(struct loader *l);

/* What the processor itself must offer; each thing that it lacks is one sentence. */
enum bh_error arch_check_processor(struct loader *l);

/* Fills in what only the hardware knows, and takes what the core needs at a fixed place. */
enum bh_error arch_probe_machine(struct loader *l);

/*
 * Takes IOMMUs that cannot guard anything, and an interrupt translation that cannot be used, out of the machine, and
 * says why. After the scan of PCI.
 */
void arch_check_iommus(struct loader *l);

/*
 * After boot services: switches IOMMUs and interrupt translation on, everything blocked, with tables from
 * @info's plan.iommu_tables, which it clears, and fills plan.iommu and plan.its. What does not come up is taken out of
 * the machine, so that the core's plan_check() speaks for those who counted on it.
 */
void arch_start_iommus(struct boot_info *info);

/* machine_cpu.hwid of the core we run on. */
uint64_t arch_hwid(void);

/* How many low bits of machine_cpu.hwid tell the hardware threads of one core apart. */
uint32_t arch_thread_bits(void);

/* A random number of the processor's own; false when it has none to give. */
bool arch_random(uint64_t *value);

/* A counter that runs fast enough for its low bits to be hard to foresee. */
uint64_t arch_counter(void);

/*
 * Masks interrupts, switches the lines off that the core does not ask for, and makes the @size
 * bytes at @at visible to instruction fetch and to cores that start with caches off.
 */
void arch_prepare_entry(const struct boot_info *info, const void *at, uint64_t size);

#endif
