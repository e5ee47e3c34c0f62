/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ITS as the loader sets it up, the resident core uses it and a guest sees it: IHI 0069H 5.3 (commands), 12.19
 * (ITS registers), 12.11 (redistributors). Physical collection k is core k of the machine; the one behind the last
 * core's is where masked events wait: its interrupts pend at the management core, which does not take them.
 */
#ifndef BULKHEAD_ITS_H
#define BULKHEAD_ITS_H

#define ITS_BYTES 0x10000ULL
#define ITS_DOORBELL 0x10000ULL /* the page of GITS_TRANSLATER: only devices may reach it */

#define GITS_CTLR 0x0000
#define GITS_IIDR 0x0004
#define GITS_TYPER 0x0008
#define GITS_CBASER 0x0080
#define GITS_CWRITER 0x0088
#define GITS_CREADR 0x0090
#define GITS_BASER 0x0100
#define GITS_BASERS 8

#define GITS_CTLR_ENABLED (1U << 0)
#define GITS_CTLR_QUIESCENT (1U << 31)
#define GITS_TYPER_PHYSICAL (1ULL << 0)
#define GITS_TYPER_PTA (1ULL << 19) /* redistributors are named by address, not by number */
#define GITS_TYPER_CIL (1ULL << 36)
#define GITS_CREADR_STALLED (1ULL << 0)
#define GITS_BASER_DEVICES 1U /* Type, at 56 */
#define GITS_BASER_COLLECTIONS 4U

/* In GITS_CBASER and GITS_BASER: Valid; and InnerCache, OuterCache and Shareability of coherent memory. */
#define GITS_VALID (1ULL << 63)
#define GITS_COHERENT (7ULL << 59 | 7ULL << 53 | 1ULL << 10)
#define GITS_COHERENCE (7ULL << 59 | 7ULL << 53 | 3ULL << 10) /* the fields */
#define GITS_SHAREABLE (3ULL << 10)

#define GICR_CTLR_ENABLE_LPIS (1U << 0)
#define GICR_PROPBASER 0x0070
#define GICR_PENDBASER 0x0078
/* In GICR_PROPBASER and GICR_PENDBASER: InnerCache and OuterCache write-back, inner shareable. */
#define GICR_COHERENT (7ULL << 56 | 7ULL << 7 | 1ULL << 10)
#define GICR_PENDBASER_ZERO (1ULL << 62)

#define LPI_FIRST 8192U
#define LPI_GUEST_ID_BITS 14 /* a guest's end below 16384 */
#define LPI_GUEST_COUNT ((1U << LPI_GUEST_ID_BITS) - LPI_FIRST)
#define LPI_OWN_FIRST (LPI_FIRST + LPI_GUEST_COUNT)
/* The physical INTID of a VM's event when it has virtual_interrupts: @function is the machine's. */
#define LPI_OWN(function, event) (LPI_OWN_FIRST + (function)*PLAN_MAX_VECTORS + (event))
#define LPI_ID_BITS 15
#define LPI_COUNT ((1U << LPI_ID_BITS) - LPI_FIRST)
#define LPI_ENABLED (1U << 0) /* in its byte of the configuration table */
#define LPI_PROPERTIES 0xa1 /* enabled, priority 0xa0 */

#define ITS_COMMAND_BYTES 32
#define ITS_COMMAND_WORDS 4
#define ITS_QUEUE_BYTES 0x1000 /* one page: 128 commands */
#define ITS_EVENT_BITS 6

enum its_command {
	ITS_MOVI = 0x01,
	ITS_INT = 0x03,
	ITS_CLEAR = 0x04,
	ITS_SYNC = 0x05,
	ITS_MAPD = 0x08,
	ITS_MAPC = 0x09,
	ITS_MAPTI = 0x0a,
	ITS_MAPI = 0x0b,
	ITS_INV = 0x0c,
	ITS_INVALL = 0x0d,
	ITS_DISCARD = 0x0f,
};

#endif
