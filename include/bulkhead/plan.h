/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: who owns which core, memory and interrupt, for a VM's life. Made
 * from manifest and machine, checked, mapped read-only. VMs that the card
 * creates come and go in vacant slots; each new one makes plan_check() pass
 * first. Fixed size, no pointers. How it is made stands in bulkhead/planner.h. Pure.
 */
#ifndef BULKHEAD_PLAN_H
#define BULKHEAD_PLAN_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>
#include <bulkhead/types.h>

#define MANIFEST_NAME_MAX 31 /* characters of a VM's name, without the NUL */
#define PLAN_MAX_IMAGES 3
#define PLAN_MAX_FUNCTIONS 8 /* of one VM */
#define PLAN_MAX_PORTS 4 /* of one VM, into which functions can be plugged while it runs */
#define PLAN_MAX_VECTORS 64 /* of one function; what it has besides is not shown */
#define PLAN_NONE UINT32_MAX

enum manifest_stop_method {
	STOP_AUTO, /* Group 0 SGI as FIQ where the GIC has one security state, else Group 1 SGI */
	STOP_SGI, /* Group 1 SGI only */
};

enum manifest_when_idle {
	IDLE_WAIT, /* no VM runs: wait for the manager */
	IDLE_POWEROFF, /* no VM runs any more: switch the machine off */
};

/* What vCPU 0 comes to at its entry; on x86 by code in its boot image. */
enum plan_entry {
	ENTRY_ARM64, /* EL1, MMU off, x0: device tree */
	ENTRY_X86_LINUX64, /* long mode, rsi: boot_params (Linux Documentation/arch/x86/boot.rst) */
	ENTRY_X86_PVH, /* 32-bit protected mode, ebx: hvm_start_info */
};

/* Guest RAM: @extent, which the guest finds at @gpa. All three numbers are multiples of BLOCK_SIZE. */
struct plan_region {
	gpa_t gpa;
	struct extent extent;
};

/* Bytes that stand in the VM's memory before start: copied there from the store, or streamed by the card. */
struct plan_image {
	pa_t from; /* in the store; 0: streamed, or on the host not known yet */
	uint64_t size;
	gpa_t to;
};

/* IMAGE_BOOT is what the guest is told: a device tree, on x86 boot_params, ACPI and what stands with them. */
enum plan_image_slot { IMAGE_KERNEL, IMAGE_BOOT, IMAGE_INITRD };

/*
 * A PCI function of a VM. The guest finds it as function 0 of a device on bus 0,
 * or, in port n, as 00.0 on bus n + 1; MACHINE_NONE: nothing is in that port.
 */
struct plan_function {
	uint32_t function; /* index in struct machine */
	uint32_t id; /* the guest's: bus << 8 | device << 3 */
	/* where the guest finds each, aligned to its size; 0: that BAR is not there */
	gpa_t bar[MACHINE_MAX_BARS];
};

/* One slot of the plan. Vacant: no name, and every other byte zero too. */
struct plan_vm {
	char name[MANIFEST_NAME_MAX + 1]; /* 1 to MANIFEST_NAME_MAX of a-z 0-9 - */
	uint32_t vmid; /* 1..; 0 belongs to nobody */
	uint32_t ncores;
	uint32_t core[CONFIG_MAX_CPUS]; /* vCPU i runs on machine core core[i] */
	uint32_t nregions;
	uint32_t nports; /* the last so many of its functions are what is in ports 0 and up */
	struct plan_region region[CONFIG_MAX_REGIONS_PER_VM];
	struct plan_image image[PLAN_MAX_IMAGES]; /* by plan_image_slot; size 0: none */
	gpa_t entry; /* the kernel's first instruction */
	uint32_t entry_mode; /* enum plan_entry */
	uint32_t rng_seed_offset; /* of the rng-seed bytes in the boot image; 0: none */
	uint32_t kaslr_seed_offset;
	uint32_t console; /* 1: has a console UART */
	uint32_t console_irq; /* Arm: its SPI's INTID; x86: 0, its MSI is the guest's to choose */
	uint32_t autostart;
	uint32_t restart_limit;
	uint32_t restart_window; /* seconds */
	uint32_t nfunctions;
	/* 1: the owner answers for the DMA of functions that no IOMMU checks */
	uint32_t dma_trusted;
	uint32_t virtual_interrupts; /* Arm, 1: its interrupts come by list registers */
	uint32_t reserved; /* so that there is no padding */
	struct plan_function function[PLAN_MAX_FUNCTIONS];
	/*
	 * What the hypervisor keeps for this VM: tables, rings. Of a VM of the boot
	 * manifest at the end of plan.core, in VM order; of one that was added
	 * later whole blocks of their own, outside plan.core.
	 */
	struct extent hypervisor;
};

#define CARD_COMMON_BYTES 0x38 /* struct virtio_pci_common_cfg (virtio 1.2 4.1.4.3) */

/* The card's vsock function: where firmware put the one BAR that holds its registers (virtio 1.2 4.1.4). */
struct plan_card {
	uint32_t present;
	uint32_t port; /* of the card, to be dialled */
	struct extent registers; /* whole pages */
	uint32_t common; /* offsets in them: struct virtio_pci_common_cfg, */
	uint32_t notify; /* the notification registers, */
	uint32_t notify_size;
	uint32_t notify_multiplier;
	uint32_t device; /* struct virtio_vsock_config */
	/* index in struct machine; MACHINE_NONE: there is no card, or the scan did not see it */
	uint32_t function;
};

/*
 * One of the machine's IOMMUs (same index), as the loader has set it up: on, with every stream blocked. Its tables
 * are zeroed pages of plan.core; what they are is for boot/ and arch/ of that architecture to agree on.
 */
struct plan_iommu {
	pa_t registers; /* 0: not in use */
	pa_t streams; /* SMMUv3: stream table; VT-d: root table; AMD-Vi: device table */
	pa_t commands; /* the queue of commands or invalidations */
	pa_t events; /* the queue of faults; VT-d has registers instead */
	pa_t interrupts; /* x86: interrupt remapping tables */
	uint32_t nstreams; /* entries in @streams, where they are counted */
	uint32_t flags; /* x86: IOMMU_* */
};

#define IOMMU_COHERENT (1U << 0) /* its walks of tables see the processors' caches */
#define IOMMU_SNOOPS (1U << 1) /* devices' accesses do, whatever the devices ask for */

/* Arm: the ITS and the LPIs, as the loader has set them up. */
struct plan_its {
	pa_t registers; /* 0: there are no LPIs */
	pa_t commands; /* its queue */
	pa_t properties; /* the constant configuration table of all redistributors */
	pa_t pending; /* IOMMU_TABLE_BYTES for each of the machine's cores: its pending table */
	pa_t translations; /* ITS_ITT_BYTES for each function with MSI-X, in the machine's order */
	uint32_t ndevices; /* DeviceIDs below this have an entry in its device table */
};

/* Where a hot-plug port has what is more than words (PCIe 6.0 7.5.3): the hypervisor moves these. */
#define PORT_LINK 0x50 /* link control and status */
#define PORT_SLOT 0x58 /* slot control and status */
#define PORT_MSI 0x80 /* on x86; on Arm ports have an interrupt pin */
#define PORT_BYTES 0x90

#define GUEST_X86_CONSOLE_MSI                                                                      \
	0x40 /* where the console's function has that (PCIe 6.0 7.7.1), and its last byte */
#define GUEST_X86_CONSOLE_BYTES 0x60

struct plan {
	uint32_t management_core;
	uint32_t stop_method; /* enum manifest_stop_method */
	uint32_t when_idle; /* enum manifest_when_idle */
	uint32_t nvms; /* slots that may be in use, vacant ones among them */
	struct plan_vm vm[CONFIG_MAX_VMS];
	struct extent core; /* the resident image, its stacks and tables */
	struct plan_card card;
	struct plan_iommu iommu[MACHINE_MAX_IOMMU];
	struct plan_its its;
	uint32_t console[GUEST_X86_CONSOLE_BYTES / 4]; /* x86: the same of any guest's console */
	uint32_t port[PLAN_MAX_PORTS]
		     [PORT_BYTES /
		      4]; /* of any guest: what its ports' configuration space says at first */
	/* in plan.core, before the VMs' extents: what the loader carves the tables of @iommu and @its from; empty: nothing is set up */
	struct extent iommu_tables;
	uint32_t nimages;
	uint32_t console_interrupt; /* Arm: no console has a lower INTID; 0: any SPI will do */
	struct extent images[CONFIG_MAX_VMS *
			     PLAN_MAX_IMAGES]; /* the loader's copies, kept for restarts */
};

/* Guest-physical layout of an AArch64 VM. Nothing else is mapped. */
#define GUEST_GICD_BASE 0x08000000ULL /* 64 KiB, mediated */
#define GUEST_UART_BASE 0x09000000ULL /* 4 KiB, SBSA UART, emulated */
/* 64 KiB mediated, 64 KiB with the doorbell, which only devices reach */
#define GUEST_ITS_BASE 0x08100000ULL
#define GUEST_GICR_BASE 0x10000000ULL /* 128 KiB per vCPU: RD_base mediated, SGI_base direct */
#define GUEST_GICR_STRIDE 0x20000ULL
#define GUEST_WINDOW_BASE 0x20000000ULL /* BARs */
#define GUEST_WINDOW_END 0x3f000000ULL
#define GUEST_ECAM_BASE 0x3f000000ULL /* mediated */
#define GUEST_RAM_BASE 0x40000000ULL /* 1 GiB, so that 1 GiB leaves fit */
#define GUEST_IPA_BITS 40
#define GUEST_HIGH_WINDOW_BASE (768 * GIB) /* on x86 too: large 64-bit BARs; RAM ends below */
#define GUEST_HIGH_WINDOW_END (1024 * GIB)
#define GUEST_ECAM_SIZE                                                                            \
	((1 + PLAN_MAX_PORTS) * MIB) /* on x86 too: bus 0, and one behind each port */
#define GUEST_FUNCTION_FIRST 2 /* devices on bus 0, on x86 too: functions, */
#define GUEST_PORT_FIRST 28 /* and from here on ports */
#define GUEST_PORT_WINDOW (16 * MIB) /* of each port: at the end of the window below 4 GiB */
#define GUEST_RNG_SEED_BYTES 64
#define GUEST_BOOT_MAX (64 * KIB) /* room for IMAGE_BOOT */

/*
 * Guest-physical layout of an x86 VM: RAM from 0 up to the hole below 4 GiB,
 * and on from 4 GiB. In the hole stand the BARs of its functions and its PCIe
 * configuration space. The 16550 console is function 00:01.0, a PCI UART with MSI,
 * its BAR fixed at COM1's ports.
 */
#define GUEST_X86_HOLE_BASE 0xc0000000ULL
#define GUEST_X86_HOLE_END 0x100000000ULL
#define GUEST_X86_WINDOW_BASE 0xc0000000ULL /* BARs */
#define GUEST_X86_WINDOW_END 0xe0000000ULL
#define GUEST_X86_ECAM_BASE 0xe0000000ULL
#define GUEST_X86_CONSOLE_DEVFN (1U << 3)
#define GUEST_X86_CONSOLE_PORT 0x3f8 /* 8 ports */
#define GUEST_X86_RESET_PORT 0xcf9 /* FADT RESET_REG; reset value 6 */
#define GUEST_X86_SLEEP_PORT 0x600 /* FADT SLEEP_CONTROL_REG; SLEEP_STATUS_REG is the next */
#define GUEST_X86_SLEEP_S5 5 /* SLP_TYP of \_S5 */

/* IMAGE_BOOT of an x86 VM: where it stands, and what the hypervisor must know of it. */
#define GUEST_X86_BOOT_BASE 0x10000ULL
#define GUEST_X86_START 0x1c00ULL /* what vCPU 0 begins with, in real mode */

/*
 * Pages the core takes from its pool, counted here so that the loader can size
 * it and the core can check it: for each machine core a guard page, stack,
 * record and what the architecture needs behind it (x86: VMCB or VMCS, the host's own); for itself root and upper tables; and one table for each GiB of RAM,
 * through which any VM's memory is mapped while it is loaded or scrubbed.
 * For each VM: its record and one table for each GiB of RAM; on Arm the stage-2
 * root (2, and 1 to align it), the table of its device pages' GiB, one for each
 * VM_CPUS_PER_TABLE redistributors; on x86 the root, one table for each
 * VM_GIB_PER_TABLE, the tables of the hole's GiB and of the configuration
 * space, the console's configuration space and the page of ones beside it.
 */
#define CORE_ARCH_PAGES 3
#define CORE_PAGES_PER_CPU (5 + CORE_ARCH_PAGES)
#define CARD_PAGES 132 /* the bounce area of the card's function: rings and buffers */
#define VM_RECORD_PAGES (2 + CONFIG_MAX_CPUS / 128)
#define VM_FIXED_PAGES (VM_RECORD_PAGES + 4)
/* tables for its BARs: one of 2 MiB, one of 1 GiB each at most; no less than a port's window takes */
#define VM_FUNCTION_PAGES (2ULL * MACHINE_MAX_BARS)
/* of a VM with functions: root, upper tables, the doorbell's; and one table for each GiB of RAM */
#define VM_DMA_PAGES 8
/* of a VM with functions: what it wrote into MSI-X tables, on x86 */
#define VM_MSIX_PAGES ((uint64_t)PLAN_MAX_FUNCTIONS * PLAN_MAX_VECTORS * 16 / PAGE_SIZE)
#define VM_CPUS_PER_TABLE 16
#define VM_X86_FIXED_PAGES (VM_RECORD_PAGES + 5)
#define VM_GIB_PER_TABLE 512

/*
 * Bytes of plan.iommu_tables, by plan_iommu_bytes(). Every table stands at a
 * multiple of its size or of 64 KiB, whichever is less (on x86 of a page); only a stream table
 * larger than that at a multiple of its size (IHI 0070F 6.3.24), so it is to be carved first.
 */
/* room and alignment of a queue or a table of fixed size */
#define IOMMU_TABLE_BYTES (64 * KIB)
#define ITS_ITT_BYTES (PLAN_MAX_VECTORS * 16ULL) /* for each function with MSI-X */

/*
 * The invariants of DESIGN section 5, from scratch and without trusting
 * plan_make: every core, interrupt and id has one owner; RAM of different VMs,
 * the core, extents the hypervisor has for VMs outside of it and the image
 * store are disjoint and lie in the machine's usable memory; guest-physical
 * regions are aligned and disjoint; a function, and all of its group, has one owner, is of a
 * kind that can be given, and an IOMMU checks its DMA or the owner answers for it; its BARs are whole pages
 * of its own, in the guest's windows and disjoint; every image fits in its VM's RAM and comes
 * from the store, or none of the VM's does. Vacant slots are all zero. Run by
 * the loader, by bhmanifest and again by the resident core, there also for
 * every VM the card wants: any bytes may stand in the slots below nvms. Of
 * @machine the counts and the architecture are in range: who takes a machine in
 * has checked that (plan_make(), plan_add(), bhcard).
 *
 * It cannot know which VM comes from whom. Who adds a VM that is not of the
 * boot manifest refuses one that is kept (plan_vm_kept()) or whose hypervisor's
 * extent is not apart (plan_vm_apart()).
 */
enum bh_error plan_check(const struct plan *plan, const struct machine *machine,
			 struct bh_report *report);

/* The machine address behind @at in @vm's RAM, and in @left how many bytes follow it there; pa 0 when there is none. */
pa_t plan_translate(const struct plan_vm *vm, gpa_t at, uint64_t *left);

/* Total RAM of @vm in bytes; of a vacant slot 0. */
uint64_t plan_vm_memory(const struct plan_vm *vm);

/* True when @vm's images are in the store: the VM can start without the card. */
bool plan_vm_kept(const struct plan_vm *vm);

/* Where the guest finds the BARs of what is in port @port. */
static inline struct extent plan_port_window(const struct machine *machine, uint32_t port)
{
	uint64_t end = machine->arch == MACHINE_X86 ? GUEST_X86_WINDOW_END : GUEST_WINDOW_END;

	return (struct extent){pa(end - (PLAN_MAX_PORTS - port) * GUEST_PORT_WINDOW),
			       GUEST_PORT_WINDOW};
}

/* True when @vm's own cores take the interrupts of its functions: on Arm LPIs, under the guest's INTIDs. */
static inline bool plan_takes_lpis(const struct plan_vm *vm)
{
	return vm->nfunctions != 0 && vm->virtual_interrupts == 0;
}

/* True when nobody is in the slot @vm. */
static inline bool plan_vm_vacant(const struct plan_vm *vm)
{
	return vm->name[0] == '\0';
}

/* The first vacant slot of @plan, or the one behind all: CONFIG_MAX_VMS when there is none. */
uint32_t plan_vacant_slot(const struct plan *plan);

/* True when the hypervisor's extent for @vm is a claim of its own and not a part of plan.core. */
static inline bool plan_vm_apart(const struct plan *plan, const struct plan_vm *vm)
{
	return vm->hypervisor.size != 0 && !extent_inside(vm->hypervisor, plan->core);
}

#endif
