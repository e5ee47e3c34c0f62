/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that begins by PVH (Xen's docs/misc/pvh.pandoc): in 32-bit protected mode without paging, with EBX at an
 * hvm_start_info. It says what it found, checked against the specification, and then whatever `do=` asks of it.
 */
#include "guest.h"

/* XEN_ELFNOTE_PHYS32_ENTRY (Xen's public/elfnote.h), and the entry it names. */
__asm__("\t.pushsection .note.Xen, \"a\", @note\n"
	"\t.balign 4\n"
	"\t.long 4, 8, 18\n"
	"\t.asciz \"Xen\"\n"
	"\t.quad pvh_start\n"
	"\t.popsection\n"
	"\t.text\n"
	"\t.code32\n"
	"pvh_start:\n"
	"\tmov %ebx, pvh_ebx\n"
	"\tmov %cr0, %eax\n"
	"\tmov %eax, pvh_cr0\n"
	"\tmov %cr4, %eax\n"
	"\tmov %eax, pvh_cr4\n"
	"\tmov $boot_stack, %esp\n"
	"\tpushf\n"
	"\tpop %eax\n"
	"\tmov %eax, pvh_eflags\n"
	"\tmov %ebx, %esi\n"
	"\tmov $start_long, %edi\n"
	"\tjmp enter_long\n"
	"\t.code64\n");

extern uint32_t pvh_ebx, pvh_cr0, pvh_cr4, pvh_eflags;
uint32_t pvh_ebx, pvh_cr0, pvh_cr4, pvh_eflags;

#define RSDP_BYTES 20

void handle_interrupt(uint32_t interrupt)
{
	(void)interrupt;
}

static uint64_t ram_bytes(const struct start_info *info)
{
	const struct memmap_entry *map = (const struct memmap_entry *)(uintptr_t)info->memmap_paddr;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < info->memmap_entries; i++)
		bytes += map[i].type == MEMORY_RAM ? map[i].size : 0;
	return bytes;
}

/* ACPI 6.5 5.2.5.3: the signature, and a sum of 0. */
static const char *rsdp_state(uint64_t rsdp)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)rsdp;
	uint8_t sum = 0;

	if (rsdp == 0)
		return "missing";
	for (unsigned i = 0; i < 8; i++)
		if (p[i] != (uint8_t) "RSD PTR "[i])
			return "wrong";
	for (unsigned i = 0; i < RSDP_BYTES; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum == 0 ? "good" : "wrong";
}

static void do_pvh(void)
{
	const struct start_info *info = (const struct start_info *)(uintptr_t)pvh_ebx;

	say("pvh: cr0 %x cr4 %x eflags %x\n", (uint64_t)pvh_cr0, (uint64_t)pvh_cr4,
	    (uint64_t)pvh_eflags);
	say("pvh: magic %x version %u flags %x modules %u\n", (uint64_t)info->magic,
	    (uint64_t)info->version, (uint64_t)info->flags, (uint64_t)info->nr_modules);
	say("pvh: cmdline %s\n",
	    info->cmdline_paddr == 0 ? "missing" : (const char *)(uintptr_t)info->cmdline_paddr);
	say("pvh: memmap %u entries, %u KiB of RAM\n", (uint64_t)info->memmap_entries,
	    ram_bytes(info) / 1024);
	say("pvh: rsdp %s, %u vCPUs\n", rsdp_state(guest_rsdp()), (uint64_t)vcpu_count());
	say("hello from %x\n", cpu_id());
	interrupts_on();
	FOREVER wait_for_interrupt();
}

const struct behaviour behaviours[] = {
	{"", do_pvh},
	{NULL, NULL},
};

const struct behaviour arch_behaviours[] = {
	{NULL, NULL},
};
