/* SPDX-License-Identifier: Apache-2.0 */
/* bhmanifest: the hypervisor's own parser and planner as a command. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bhmanifest.h"
#include "boot/machine_fdt.h"

#define EXIT_REFUSED 1
#define EXIT_USAGE 2
#define CORE_IMAGE_BYTES (512 * KIB) /* a guess, above what the resident image takes */

struct options {
	const char *input;
	const char *machine;
	const char *images;
	const char *output;
	const char *svg;
};

/* Too large for the stack, and there is one of each. */
static struct manifest manifest;
static struct machine machine;
static struct plan plan;
static struct image_info images[MAX_IMAGES];

static int refused(const char *path, const struct bh_report *report)
{
	fprintf(stderr, "bhmanifest: %s: %s\n", path, report->text);
	return EXIT_REFUSED;
}

static int load_manifest(const char *path, struct bytes *tree)
{
	struct bh_report report;

	if (!read_tree(path, tree))
		return EXIT_REFUSED;
	if (manifest_parse(tree->data, tree->size, &manifest, &report) != BH_OK)
		return refused(path, &report);
	return EXIT_SUCCESS;
}

static int load_machine(const char *path)
{
	struct bh_report report;
	struct bytes tree;
	int result = EXIT_SUCCESS;

	if (!read_tree(path, &tree))
		return EXIT_REFUSED;
	if (machine_from_fdt(tree.data, tree.size, &machine, &report) != BH_OK ||
	    read_functions(tree.data, &machine, &report) != BH_OK)
		result = refused(path, &report);
	free(tree.data);
	return result;
}

/* As firmware gives it: from the end of the largest extent of memory. */
static struct extent place_core(void)
{
	uint64_t size = plan_core_bytes(&manifest, &machine, CORE_IMAGE_BYTES);
	struct extent largest = {pa(0), 0};

	for (uint32_t i = 0; i < machine.nmemory; i++) {
		if (machine.memory[i].extent.size > largest.size)
			largest = machine.memory[i].extent;
	}
	if (largest.size < size + BLOCK_SIZE)
		return largest;
	return (struct extent){pa(align_down(extent_end(largest) - size, BLOCK_SIZE)), size};
}

static int make_plan(const struct options *options)
{
	struct bh_report report;
	uint32_t count = read_images(&manifest, options->images, images);

	if (plan_make(&manifest, &machine, images, count, place_core(), &plan, &report) != BH_OK ||
	    plan_check(&plan, &machine, &report) != BH_OK)
		return refused(options->input, &report);
	return EXIT_SUCCESS;
}

static void print_line(void *context, const char *line)
{
	fprintf(context, "%s\n", line);
}

static int run_lint(const struct options *options)
{
	struct bytes tree = {NULL, 0};
	int result = load_manifest(options->input, &tree);

	free(tree.data);
	if (result == EXIT_SUCCESS && options->machine)
		result = load_machine(options->machine);
	if (result == EXIT_SUCCESS && options->machine)
		result = make_plan(options);
	if (result == EXIT_SUCCESS)
		printf("%s: good, %u VM%s%s\n", options->input, manifest.nvms,
		       manifest.nvms == 1 ? "" : "s",
		       options->machine ? "" : " (not checked against a machine)");
	return result;
}

static int run_plan(const struct options *options)
{
	struct bytes tree = {NULL, 0};
	int result = load_manifest(options->input, &tree);

	free(tree.data);
	if (result == EXIT_SUCCESS)
		result = load_machine(options->machine);
	if (result == EXIT_SUCCESS)
		result = make_plan(options);
	if (result != EXIT_SUCCESS)
		return result;
	plan_print(&plan, &machine, print_line, stdout);
	if (!options->images)
		printf("images: not checked; name their folder with --images\n");
	if (options->svg && !write_svg(options->svg, &plan, &machine))
		return EXIT_REFUSED;
	return EXIT_SUCCESS;
}

static int run_compile(const struct options *options)
{
	struct bytes tree = {NULL, 0};
	int result = load_manifest(options->input, &tree);

	if (result == EXIT_SUCCESS && !write_file(options->output, &tree))
		result = EXIT_REFUSED;
	free(tree.data);
	return result;
}

static int run_show(const struct options *options)
{
	struct bytes tree = {NULL, 0};
	int result = load_manifest(options->input, &tree);

	free(tree.data);
	if (result == EXIT_SUCCESS)
		show_manifest(stdout, &manifest);
	return result;
}

enum { NEEDS_MACHINE = 1, NEEDS_OUTPUT = 2 };

static const struct command {
	const char *name;
	int (*run)(const struct options *options);
	unsigned int needs;
	const char *letters; /* the short options it takes */
	const char *usage;
	const char *help;
} commands[] = {
	{"lint", run_lint, 0, "m:i:h", "FILE [--machine TREE [--images DIR]]",
	 "Checks a manifest. With --machine also whether this machine can carry it,\n"
	 "with --images also the files it names."},
	{"plan", run_plan, NEEDS_MACHINE, "m:i:s:h",
	 "FILE --machine TREE [--images DIR] [--svg OUT.svg]",
	 "Prints who would own which core, memory, device and interrupt; --svg also draws it."},
	{"compile", run_compile, NEEDS_OUTPUT, "o:h", "FILE -o OUT.dtb",
	 "Compiles a manifest's source with dtc, checks it and writes the blob."},
	{"show", run_show, 0, "h", "FILE",
	 "Prints a manifest as source, with every default filled in."},
};

static const struct option long_options[] = {
	{"machine", required_argument, NULL, 'm'}, {"images", required_argument, NULL, 'i'},
	{"output", required_argument, NULL, 'o'},  {"svg", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},	   {NULL, 0, NULL, 0},
};

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: bhmanifest COMMAND ...\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  bhmanifest %s %s\n", commands[i].name, commands[i].usage);
	fprintf(out,
		"\nFILE and TREE are device trees, as source (.dts) or compiled (.dtb).\n"
		"bhmanifest COMMAND --help says more. Exit status: 0 good, 1 refused, 2 usage.\n");
}

static int usage_error(const struct command *command, const char *what)
{
	fprintf(stderr, "bhmanifest %s: %s\nUsage: bhmanifest %s %s\n", command->name, what,
		command->name, command->usage);
	return EXIT_USAGE;
}

/* Stores option @letter; false for one that @command does not take. */
static bool store_option(const struct command *command, struct options *options, int letter)
{
	if (letter == '?' || !strchr(command->letters, letter))
		return false;
	switch (letter) {
	case 'm':
		options->machine = optarg;
		return true;
	case 'i':
		options->images = optarg;
		return true;
	case 'o':
		options->output = optarg;
		return true;
	default:
		options->svg = optarg;
		return true;
	}
}

static int run_command(const struct command *command, int argc, char **argv)
{
	struct options options = {0};
	int letter;

	while ((letter = getopt_long(argc, argv, command->letters, long_options, NULL)) != -1) {
		if (letter == 'h') {
			printf("Usage: bhmanifest %s %s\n\n%s\n", command->name, command->usage,
			       command->help);
			return EXIT_SUCCESS;
		}
		if (!store_option(command, &options, letter))
			return usage_error(command, "an option is not known or lacks its value");
	}
	if (optind + 1 != argc)
		return usage_error(command, "exactly one FILE is needed");
	options.input = argv[optind];
	if (command->needs & NEEDS_MACHINE && !options.machine)
		return usage_error(command, "--machine is needed");
	if (command->needs & NEEDS_OUTPUT && !options.output)
		return usage_error(command, "-o is needed");
	if (options.images && !options.machine)
		return usage_error(command, "--images needs --machine");
	return command->run(&options);
}

int main(int argc, char **argv)
{
	int result;

	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		result = run_command(&commands[i], argc - 1, argv + 1);
		if (result == EXIT_SUCCESS && (fflush(stdout) != 0 || ferror(stdout))) {
			fprintf(stderr, "bhmanifest: cannot write: %s\n", strerror(errno));
			return EXIT_REFUSED;
		}
		return result;
	}
	print_usage(stderr);
	return EXIT_USAGE;
}
