/* SPDX-License-Identifier: Apache-2.0 */
/* bhcard: manages Bulkhead hypervisors from the offload card. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <event2/event.h>

#include <bulkhead/version.h>

#include "card.h"
#include "streams.h"

#define EXIT_USAGE 2
#define BEAT_SECONDS 15

struct options {
	const char *http; /* NULL: none */
	uint32_t nsources;
	const char *source[CARD_MAX_HOSTS];
};

static const struct option long_options[] = {
	{"listen-unix", required_argument, NULL, 'u'}, {"state", required_argument, NULL, 's'},
	{"sockets", required_argument, NULL, 'd'},     {"http", required_argument, NULL, 'p'},
	{"image-limit", required_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},	       {NULL, 0, NULL, 0},
};

static const char usage[] =
	"Usage: bhcard [OPTION]...\n"
	"\n"
	"Manages Bulkhead hypervisors from the card at the other end of their control connection.\n"
	"\n"
	"  --listen-unix [MACHINE=]PATH  take the connection of one machine from a Unix socket\n"
	"  --state DIR                   what is kept: wanted VMs, images, logs (/var/lib/bhcard)\n"
	"  --sockets DIR                 where api.sock and MACHINE/VM.sock are (/run/bhcard)\n"
	"  --http ADDRESS:PORT           serve the API of all machines here too, to every\n"
	"                                program that can reach it: loopback only\n"
	"  --image-limit BYTES           largest image that may be uploaded (1073741824)\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 ended by a signal, 1 failed, 2 usage. See bhcard(8).\n";

static bool read_limit(const char *text, uint64_t *limit)
{
	char *end = NULL;

	errno = 0;
	*limit = strtoull(text, &end, 10);
	return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *limit != 0;
}

static bool take_option(int letter, struct card *card, struct options *options)
{
	switch (letter) {
	case 'u':
		if (options->nsources == CARD_MAX_HOSTS)
			return false;
		options->source[options->nsources++] = optarg;
		return true;
	case 's':
		card->state = optarg;
		return true;
	case 'd':
		card->sockets = optarg;
		return true;
	case 'p':
		options->http = optarg;
		return true;
	case 'l':
		return read_limit(optarg, &card->image_limit);
	default:
		return false;
	}
}

/* An exit status, or -1 to go on. */
static int read_options(int argc, char **argv, struct card *card, struct options *options)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		if (letter == 'h') {
			printf("%s", usage);
			return EXIT_SUCCESS;
		}
		if (letter == 'V') {
			printf("bhcard %s\n", BULKHEAD_VERSION);
			return EXIT_SUCCESS;
		}
		if (!take_option(letter, card, options)) {
			fprintf(stderr, "bhcard: an option is wrong; see bhcard --help\n");
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "bhcard: '%s' is no option; see bhcard --help\n", argv[optind]);
	return EXIT_USAGE;
}

static bool make_folder(const char *path, struct fail *fail)
{
	if (mkdir(path, 0750) == 0 || errno == EEXIST)
		return true;
	return fail_with(fail, FAIL_DISK, "%.200s: %s", path, strerror(errno));
}

static bool begin(struct card *card, struct streams *streams, const struct options *options,
		  struct fail *fail)
{
	char path[512];

	if (!make_folder(card->state, fail) || !make_folder(card->sockets, fail))
		return false;
	for (uint32_t i = 0; i < options->nsources; i++) {
		if (!streams_listen_unix(streams, options->source[i], fail))
			return false;
	}
	snprintf(path, sizeof(path), "%s/api.sock", card->sockets);
	return http_listen_unix(card->http, path, fail) &&
	       (!options->http || http_listen_tcp(card->http, options->http, fail));
}

/* Proxies close a connection that is quiet for long. */
static void on_beat(evutil_socket_t fd, short what, void *context)
{
	static const char comment[] = ":\n\n";
	struct card *card = context;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < card->nhosts; i++)
		feed_publish(&card->host[i]->journal.feed, comment, sizeof(comment) - 1);
}

static void on_signal(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(context);
}

static int serve(struct card *card, const struct options *options)
{
	const struct timeval period = {BEAT_SECONDS, 0};
	struct streams *streams = streams_new(card);
	struct event *term = evsignal_new(card->base, SIGTERM, on_signal, card->base);
	struct event *intr = evsignal_new(card->base, SIGINT, on_signal, card->base);
	struct fail fail;
	bool good;

	signal(SIGPIPE, SIG_IGN);
	card->http = http_new(card->base, &api_host_site, card);
	card->beat = event_new(card->base, -1, EV_PERSIST, on_beat, card);
	event_add(term, NULL);
	event_add(intr, NULL);
	event_add(card->beat, &period);
	good = begin(card, streams, options, &fail);
	if (good) {
		printf("bhcard: ready\n");
		fflush(stdout);
		event_base_dispatch(card->base);
	} else {
		fprintf(stderr, "bhcard: %s\n", fail.text);
	}
	streams_free(streams);
	for (uint32_t i = 0; i < card->nhosts; i++)
		host_free(card->host[i]);
	http_free(card->http);
	event_free(card->beat);
	event_free(intr);
	event_free(term);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct card card = {
		.state = "/var/lib/bhcard",
		.sockets = "/run/bhcard",
		.image_limit = CARD_IMAGE_LIMIT,
	};
	struct options options = {0};
	int status = read_options(argc, argv, &card, &options);

	if (status >= 0)
		return status;
	card.base = event_base_new();
	if (!card.base) {
		fprintf(stderr, "bhcard: no event loop\n");
		return EXIT_FAILURE;
	}
	status = serve(&card, &options);
	event_base_free(card.base);
	libevent_global_shutdown();
	return status;
}
