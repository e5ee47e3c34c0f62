/* SPDX-License-Identifier: Apache-2.0 */
#include "bhmanifest.h"

static void show_string(FILE *out, const char *name, const char *text)
{
	fprintf(out, "\t\t\t%s = \"", name);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fprintf(out, "\";\n");
}

/* @count names in a row, each in as much room as a device's has. */
static void show_functions(FILE *out, const char *property, const char *names, uint32_t count)
{
	if (count == 0)
		return;
	fprintf(out, "%s = ", property);
	for (uint32_t i = 0; i < count; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "",
			names + (size_t)i * (MANIFEST_DEVICE_MAX + 1));
	fprintf(out, ";\n");
}

static void show_host(FILE *out, const struct manifest_host *host)
{
	fprintf(out, "\thost {\n");
	if (host->management_core == MANIFEST_ANY_CORE)
		fprintf(out, "\t\t/* management-core: the boot core */\n");
	else
		fprintf(out, "\t\tmanagement-core = <%u>;\n", host->management_core);
	fprintf(out, "\t\tstop-method = \"%s\";\n", host->stop_method == STOP_SGI ? "sgi" : "auto");
	fprintf(out, "\t\twhen-idle = \"%s\";\n",
		host->when_idle == IDLE_POWEROFF ? "poweroff" : "wait");
	if (host->console_interrupt == 0)
		fprintf(out, "\t\t/* console-interrupt: the lowest free ones */\n");
	else
		fprintf(out, "\t\tconsole-interrupt = <%u>;\n", host->console_interrupt);
	if (host->card[0] == '\0')
		fprintf(out, "\t\t/* card: none */\n");
	else
		fprintf(out, "\t\tcard = \"%s\";\n\t\tcard-port = <%u>;\n", host->card,
			host->card_port);
	show_functions(out, "\t\tvirtual-functions", host->vfs[0], host->nvfs);
	fprintf(out, "\t};\n");
}

static void show_cores(FILE *out, const struct manifest_vm *vm)
{
	if (vm->any_core) {
		fprintf(out, "\t\t\tcore-count = <%u>;\n", vm->ncores);
		return;
	}
	fprintf(out, "\t\t\tcores = <");
	for (uint32_t i = 0; i < vm->ncores; i++)
		fprintf(out, "%s%u", i ? " " : "", vm->core[i]);
	fprintf(out, ">;\n");
}

static void show_memory(FILE *out, uint64_t bytes)
{
	bool whole = is_aligned(bytes, GIB);

	fprintf(out, "\t\t\tmemory = \"%llu%c\";\n",
		(unsigned long long)(bytes / (whole ? GIB : MIB)), whole ? 'G' : 'M');
}

static void show_vm(FILE *out, const struct manifest_vm *vm)
{
	fprintf(out, "\t\t%s {\n", vm->name);
	show_cores(out, vm);
	show_memory(out, vm->memory);
	show_string(out, "kernel", vm->kernel);
	if (vm->initrd[0] != '\0')
		show_string(out, "initrd", vm->initrd);
	show_string(out, "bootargs", vm->bootargs);
	if (vm->boot_protocol != BOOT_PROTOCOL_ANY)
		show_string(out, "boot-protocol",
			    vm->boot_protocol == BOOT_PROTOCOL_PVH ? "pvh" : "linux");
	show_string(out, "console", vm->console ? "uart" : "none");
	fprintf(out, "\t\t\tautostart = <%u>;\n", vm->autostart);
	fprintf(out, "\t\t\trestart-limit = <%u %u>;\n", vm->restart_limit, vm->restart_window);
	show_functions(out, "\t\t\tdevices", vm->device[0], vm->ndevices);
	fprintf(out, "\t\t\tdma-trusted = <%u>;\n", vm->dma_trusted);
	fprintf(out, "\t\t\tvirtual-interrupts = <%u>;\n", vm->virtual_interrupts);
	fprintf(out, "\t\t\thotplug-ports = <%u>;\n", vm->hotplug_ports);
	fprintf(out, "\t\t};\n");
}

void show_manifest(FILE *out, const struct manifest *manifest)
{
	fprintf(out, "/dts-v1/;\n\n/ {\n\tcompatible = \"bulkhead,manifest-v1\";\n\n");
	show_host(out, &manifest->host);
	fprintf(out, "\n\tvms {\n");
	for (uint32_t i = 0; i < manifest->nvms; i++) {
		fprintf(out, "%s", i ? "\n" : "");
		show_vm(out, &manifest->vm[i]);
	}
	fprintf(out, "\t};\n};\n");
}
