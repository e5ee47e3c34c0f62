/* SPDX-License-Identifier: Apache-2.0 */
/* EFI_MP_SERVICES_PROTOCOL: UEFI Platform Initialization 1.8, vol. 2, 13.4. What of it is used. */
#ifndef BOOT_X86_MP_SERVICES_H
#define BOOT_X86_MP_SERVICES_H

#include <efi.h>

#include <bulkhead/types.h>

#define MP_SERVICES_GUID                                                                           \
	{                                                                                          \
		0x3fdda605, 0xa76e, 0x4f46,                                                        \
		{                                                                                  \
			0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08                             \
		}                                                                                  \
	}

#define MP_PROCESSOR_ENABLED (1U << 1)
#define MP_PROCESSOR_HEALTHY (1U << 2)

/* EFI_PROCESSOR_INFORMATION */
struct mp_processor {
	uint64_t id; /* of its local APIC */
	uint32_t status;
	uint32_t location[3]; /* package, core, thread */
	uint32_t location2[6];
};

static_assert(sizeof(struct mp_processor) == 48, "EFI_PROCESSOR_INFORMATION");

struct mp_services {
	EFI_STATUS(EFIAPI *count)(struct mp_services *self, UINTN *all, UINTN *enabled);
	EFI_STATUS(EFIAPI *info)(struct mp_services *self, UINTN index, struct mp_processor *info);
};

#endif
