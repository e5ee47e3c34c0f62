/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core on the fake machine with a vsock device that is a page of memory: registers keep what is written, and the
 * device does what a test has it do. When it must be reset, and when not.
 */
#include "lib/fake.h"

#include <sys/mman.h>

#include <bulkhead/protocol.h>

#include "passthrough/virtio.h"

#define REGISTERS (HOST_DEVICES_BASE + GIB / 2)
#define NOTIFY 0x100U
#define CID 0x200U
#define STATUS (*(volatile uint8_t *)(REGISTERS + 0x14)) /* virtio 1.2 4.1.4.3 */
#define DRIVER_IS_OK 0xfU /* 2.1: ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK */
#define OUR_CID 3U

enum { RX, TX, EVENT, QUEUES };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW };

/* struct virtio_vsock_hdr (5.10.6) */
struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t length;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

static void put32(uint32_t offset, uint32_t value)
{
	memcpy((uint8_t *)REGISTERS + offset, &value, sizeof(value));
}

static void boot(void)
{
	struct host_vm none = {0};
	struct boot_info *info = host_make(2, &none, 0);

	assert_ptr_equal(mmap((void *)REGISTERS, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 REGISTERS);
	put32(0x04, 1); /* features, the second word: VERSION_1 */
	put32(0x18, VIRTQ_SIZE);
	put32(CID, OUR_CID);
	info->plan.card = (struct plan_card){.present = 1,
					     .function = MACHINE_NONE,
					     .port = PROTOCOL_PORT,
					     .registers = {pa(REGISTERS), PAGE_SIZE},
					     .notify = NOTIFY,
					     .notify_size = 4,
					     .device = CID};
	host_boot(info, core_main);
}

static void run(uint64_t ticks)
{
	assert_true(host_run_for(ticks) <= HOST_BUSY);
}

/* The rings of @queue: those of the last one stand in a register, the others before it. */
static struct virtq_rings *rings(uint32_t queue)
{
	uint64_t last;

	memcpy(&last, (uint8_t *)REGISTERS + 0x20, sizeof(last));
	return (struct virtq_rings *)host_physical(pa(last - (EVENT - queue) * PAGE_SIZE));
}

/* The packet that the driver sent as number @n since it set up the device. */
static uint8_t *sent_bytes(uint32_t n)
{
	struct virtq_rings *r = rings(TX);
	uint16_t id = r->avail.ring[n % VIRTQ_SIZE];

	assert_true(n < r->avail.index);

	return host_physical(pa(r->desc[id].address));
}

static void give_back(uint32_t queue, uint32_t length)
{
	struct virtq_rings *r = rings(queue);
	uint16_t at = r->used.index % VIRTQ_SIZE;

	r->used.ring[at] = (struct virtq_used_item){r->avail.ring[at], length};
	r->used.index++;
}

static struct packet sent(uint32_t n, uint16_t op)
{
	struct packet p;

	memcpy(&p, sent_bytes(n), sizeof(p));
	assert_int_equal(p.op, op);
	return p;
}

/* What the peer says to @p. */
static void reply(const struct packet *p, uint16_t op)
{
	struct virtq_rings *r = rings(RX);
	struct packet answer = {p->dst_cid, p->src_cid, p->dst_port, p->src_port, 0,
				p->type,    op,		0,	     65536,	  0};
	uint16_t id = r->avail.ring[r->used.index % VIRTQ_SIZE];

	memcpy(host_physical(pa(r->desc[id].address)), &answer, sizeof(answer));
	give_back(RX, sizeof(answer));
}

FAKE_TEST(request_that_nobody_answers_ends_with_a_reset)
{
	boot();
	run(HOST_SECOND);
	assert_int_equal(STATUS, DRIVER_IS_OK);
	assert_int_equal(rings(TX)->avail.index, 1);
	struct packet first = sent(0, REQUEST);

	give_back(TX, 0); /* the device has taken it; the card is dead */
	run(3 * HOST_SECOND);
	assert_int_equal(rings(TX)->avail.index, 1);
	run(4 * HOST_SECOND);
	assert_int_equal(STATUS, DRIVER_IS_OK);
	assert_int_equal(rings(TX)->avail.index, 1); /* the first of new rings */
	assert_int_equal(rings(TX)->used.index, 0);
	assert_int_equal(rings(RX)->avail.index, VIRTQ_SIZE);
	struct packet second = sent(0, REQUEST);

	assert_int_not_equal(second.src_port, first.src_port);
	give_back(TX, 0);
	reply(&second, RESPONSE);
	run(HOST_SECOND / 10);
	assert_int_equal(sent(1, RW).src_port, second.src_port);
	assert_memory_equal(sent_bytes(1) + sizeof(struct packet), "BHP1", 4); /* hello */
}

FAKE_TEST(refusal_needs_no_reset)
{
	boot();
	run(HOST_SECOND);
	for (uint32_t dials = 0; dials < 3; dials++) {
		struct packet p = sent(dials, REQUEST);

		assert_int_equal(rings(TX)->avail.index, dials + 1);
		give_back(TX, 0);
		reply(&p, RST);
		run(3 * HOST_SECOND); /* longer than any pause so far */
	}
	assert_int_equal(rings(TX)->used.index, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_that_nobody_answers_ends_with_a_reset),
		cmocka_unit_test(refusal_needs_no_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
