/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work for a Linux guest, bracketed by marker instructions that the emulator's plugin sees and no hypervisor does.
 * Between two markers it prints nothing, and otherwise only what "say" and "report" ask for.
 *
 *	work mark N          marker N
 *	work run WORD...     what the words say, one after the other:
 *		NAME:UNITS        workload NAME between markers 1 and 2
 *		pause:MS          sleeps MS milliseconds, without markers
 *		ask:N             prints a line "work: N" and waits for one, for an emulator without a plugin
 *		report            prints how far two clocks went in each workload, the processor's and the kernel's
 *		                  (nanoseconds), how many batches share made and what each takes of the processor's,
 *		                  and what the kernel keeps time by
 *		off               switches the machine off
 *		stay              sleeps for ever
 *
 * A unit is: busy: 1000 turns of an empty loop; spin: the same on all processors; timer: one tick of a 1 kHz timer;
 * share: the same, while a process of lower priority makes batches of 100 turns of an empty loop of what is left over;
 * fork: a fork, exec and wait of "busybox true"; idle: a millisecond asleep; ping: a byte from processor 0 to 1 and back;
 * wake: a byte to a sleeper on processor 1, from processor 0, once in a millisecond; read, write: 4 KiB of the disk, past
 * the page cache; send: an Ethernet frame of 1000 bytes to everybody.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "processor.h"

#define BUSYBOX "/bin/busybox"
#define NS_PER_MS 1000000L
#define NS_PER_S 1000000000L
#define MAX_RUNS 64
#define BATCH 100 /* turns */
#define SAMPLES 301
#define BATCHES_PER_SAMPLE 10

enum { MARK_SHELL, MARK_BEGIN, MARK_END };

static void mark(unsigned int n)
{
	switch (n) {
	case MARK_SHELL:
		MARK(0);
		break;
	case MARK_BEGIN:
		MARK(1);
		break;
	case MARK_END:
		MARK(2);
		break;
	default:
		MARK(3);
		break;
	}
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void sleep_ms(unsigned long ms)
{
	struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * NS_PER_MS};

	while (nanosleep(&left, &left) != 0)
		;
}

static void busy(unsigned long units)
{
	unsigned long turns = units * 1000;

	COUNT_DOWN(turns);
}

static void pin(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)processor, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("sched_setaffinity");
}

static void wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		die("child");
}

static void spin(unsigned long units)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	pid_t child[64];

	for (int i = 0; i < processors && i < 64; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			pin(i);
			busy(units);
			_exit(0);
		}
	}
	for (int i = 0; i < processors && i < 64; i++)
		wait_for(child[i]);
}

/*
 * The kernel's own tick comes at multiples of its period. A timer halfway between costs the same in every run; one that
 * now and then shares an interrupt with the tick does not.
 */
static void timer(unsigned long units)
{
	const long grid =
		20 * NS_PER_MS; /* a multiple of the tick's period at 100, 250 and 1000 Hz */
	struct itimerspec rate = {.it_interval = {0, NS_PER_MS}};
	struct timespec *first = &rate.it_value;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t ticks;

	clock_gettime(CLOCK_MONOTONIC, first);
	first->tv_nsec = (first->tv_nsec / grid + 2) * grid + NS_PER_MS / 2;
	first->tv_sec += first->tv_nsec / NS_PER_S;
	first->tv_nsec %= NS_PER_S;
	if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &rate, NULL) != 0)
		die("timerfd");
	for (unsigned long done = 0; done < units; done += ticks)
		if (read(fd, &ticks, sizeof(ticks)) != sizeof(ticks))
			die("timerfd");
	close(fd);
}

static unsigned long long batch_ticks; /* of all in a sample, in the midst of SAMPLES */
static volatile unsigned long long *batches;

static void batch(void)
{
	unsigned long turns = BATCH;

	COUNT_DOWN(turns);
	(*batches)++;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Most samples have no interrupt in them. */
static void time_batches(void)
{
	uint64_t sample[SAMPLES];

	for (int i = 0; i < SAMPLES; i++) {
		uint64_t begin = clock_ticks();

		for (int k = 0; k < BATCHES_PER_SAMPLE; k++)
			batch();
		sample[i] = clock_ticks() - begin;
	}
	qsort(sample, SAMPLES, sizeof(sample[0]), compare);
	batch_ticks = sample[SAMPLES / 2];
	*batches = 0;
}

static void prepare_batches(void)
{
	batches = mmap(NULL, sizeof(*batches), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (batches == MAP_FAILED)
		die("mmap");
	time_batches();
}

static void share(unsigned long units)
{
	const struct sched_param none = {0};
	pid_t child = fork();

	if (child == 0) {
		if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
			die("sched_setscheduler");
		for (;;)
			batch();
	}
	timer(units);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void fork_exec(unsigned long units)
{
	while (units-- != 0) {
		pid_t child = fork();

		if (child == 0) {
			execl(BUSYBOX, "true", (char *)NULL);
			_exit(127);
		}
		wait_for(child);
	}
}

/* What comes on @from goes out on @to. */
static bool echo(int from, int to)
{
	char byte;

	return read(from, &byte, 1) == 1 && write(to, &byte, 1) == 1;
}

static void ping(unsigned long units)
{
	int there[2], back[2];

	if (pipe(there) != 0 || pipe(back) != 0)
		die("pipe");
	pid_t child = fork();

	if (child == 0) {
		pin(1);
		close(there[1]);
		while (echo(there[0], back[1]))
			;
		_exit(0);
	}
	pin(0);
	close(there[0]);
	if (write(there[1], "", 1) != 1)
		die("pipe");
	while (units-- > 1)
		if (!echo(back[0], there[1]))
			die("pipe");
	close(there[1]);
	wait_for(child);
	close(back[0]);
	close(back[1]);
}

/* A sleeper on processor 1, woken from processor 0: interrupts go one way only. */
static void wake(unsigned long units)
{
	int to[2];
	char byte;

	if (pipe(to) != 0)
		die("pipe");
	pid_t child = fork();

	if (child == 0) {
		pin(1);
		close(to[1]);
		while (read(to[0], &byte, 1) == 1)
			;
		_exit(0);
	}
	pin(0);
	close(to[0]);
	while (units-- != 0) {
		sleep_ms(1);
		if (write(to[1], "", 1) != 1)
			die("pipe");
	}
	close(to[1]);
	wait_for(child);
}

#define DISK "/dev/vda"
#define DISK_BLOCK 4096
#define DISK_BLOCKS 1024 /* that are used, from the first on */

static void access_disk(unsigned long units, bool write)
{
	int fd = open(DISK, (write ? O_RDWR : O_RDONLY) | O_DIRECT);
	void *block;

	if (fd < 0 || posix_memalign(&block, DISK_BLOCK, DISK_BLOCK) != 0)
		die(DISK);
	memset(block, 0x5a, DISK_BLOCK);
	while (units-- != 0) {
		off_t at = (off_t)(units % DISK_BLOCKS) * DISK_BLOCK;

		if ((write ? pwrite(fd, block, DISK_BLOCK, at)
			   : pread(fd, block, DISK_BLOCK, at)) != DISK_BLOCK)
			die(DISK);
	}
	free(block);
	close(fd);
}

static void read_disk(unsigned long units)
{
	access_disk(units, false);
}

static void write_disk(unsigned long units)
{
	access_disk(units, true);
}

#define CARD "eth0"
#define FRAME_TYPE 0x88b5 /* for local experiments (IEEE 802) */

static void send_frames(unsigned long units)
{
	uint8_t frame[1000] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(FRAME_TYPE));
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(CARD)};

	if (fd < 0)
		die(CARD);
	while (units-- != 0)
		if (sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			die(CARD);
	close(fd);
}

static const struct {
	const char *name;
	void (*run)(unsigned long units);
} workloads[] = {
	{"busy", busy},	     {"spin", spin},	    {"timer", timer},	   {"fork", fork_exec},
	{"idle", sleep_ms},  {"ping", ping},	    {"wake", wake},	   {"share", share},
	{"read", read_disk}, {"write", write_disk}, {"send", send_frames},
};

static struct {
	uint64_t ticks;
	uint64_t ns;
} times[MAX_RUNS]; /* of each workload so far */
static unsigned int runs;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void print_file(const char *path)
{
	char line[64] = "?";
	FILE *file = fopen(path, "r");

	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		die(path);
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	printf(" %s", line);
}

/* Several lines: the hypervisor's log breaks long ones. */
static void report(void)
{
	for (unsigned int i = 0; i < runs; i++)
		printf("work: ticks %llu ns %llu\n", (unsigned long long)times[i].ticks,
		       (unsigned long long)times[i].ns);
	if (batches != NULL)
		printf("work: batches %llu ticks %g\n", *batches,
		       (double)batch_ticks / BATCHES_PER_SAMPLE);
	printf("work: clocks");
	print_file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
	print_file("/sys/devices/system/clockevents/clockevent0/current_device");
	printf("\n");
	fflush(stdout);
}

static void ask(unsigned long number)
{
	char line[64];

	printf("work: %lu\n", number);
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		die("stdin");
}

static void measure(void (*work)(unsigned long units), unsigned long units)
{
	if (work == share)
		prepare_batches();
	mark(MARK_BEGIN);
	uint64_t begin_ns = now_ns();
	uint64_t begin = clock_ticks();

	work(units);
	uint64_t end = clock_ticks();
	uint64_t end_ns = now_ns();

	mark(MARK_END);
	if (runs == MAX_RUNS)
		return;
	times[runs].ticks = end - begin;
	times[runs++].ns = end_ns - begin_ns;
}

static void run(const char *word)
{
	const char *colon = strchr(word, ':');
	size_t length = colon != NULL ? (size_t)(colon - word) : strlen(word);
	unsigned long units = colon != NULL ? strtoul(colon + 1, NULL, 0) : 0;

	if (strcmp(word, "off") == 0) {
		sync();
		reboot(RB_POWER_OFF);
	} else if (strcmp(word, "stay") == 0) {
		for (;;)
			pause();
	} else if (strncmp(word, "pause", length) == 0) {
		sleep_ms(units);
		return;
	} else if (strncmp(word, "ask", length) == 0) {
		ask(units);
		return;
	} else if (strcmp(word, "report") == 0) {
		report();
		return;
	}
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strlen(workloads[i].name) != length ||
		    strncmp(word, workloads[i].name, length) != 0)
			continue;
		measure(workloads[i].run, units);
		return;
	}
	fprintf(stderr, "work: '%s' is not a workload\n", word);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "mark") == 0)
		mark((unsigned int)strtoul(argv[2], NULL, 0));
	for (int i = 2; i < argc && strcmp(argv[1], "run") == 0; i++)
		run(argv[i]);
	return 0;
}
