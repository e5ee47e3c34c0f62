# SPDX-License-Identifier: Apache-2.0
#
# Bulkhead's one Makefile. `make help` lists the targets.
#
# Variables: ARCH=arm64, COMPILER=gcc|clang, V=1 (show commands).
# Products:  build/<arch>-<compiler>/bulkhead.efi (the loader, with the resident core.elf in it) and
#            build/host/bhmanifest.

ARCH ?= arm64
COMPILER ?= gcc
# Which configuration; `make release` names configs/release_defconfig.
CONFIG ?= .config
B := build/$(ARCH)-$(COMPILER)
H := build/host
DEPS := build/deps

ifeq ($(filter $(ARCH),arm64),)
$(error ARCH=$(ARCH) is not known; it can be arm64)
endif
ifeq ($(filter $(COMPILER),gcc clang),)
$(error COMPILER=$(COMPILER) is not known; it can be gcc or clang)
endif

CROSS_arm64 := aarch64-linux-gnu-
CROSS := $(CROSS_$(ARCH))
CC_gcc := $(CROSS)gcc
CC_clang := clang --target=$(patsubst %-,%,$(CROSS))
TCC = $(CC_$(COMPILER))
LD := $(CROSS)ld
OBJCOPY := $(CROSS)objcopy
OBJDUMP := $(CROSS)objdump
HOSTCC ?= gcc
FUZZCC ?= clang
PYTHON := /usr/bin/python3

Q := $(if $(V),,@)
# Use all cores. (A make below this one shares its jobs.)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
say = @printf '  %-7s %s\n' $(1) $(2)

.DEFAULT_GOAL := image
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.PHONY: FORCE

# Targets that build something need the configuration; make writes a missing .config with the rule below.
ifneq ($(filter-out run test format clean help menuconfig defconfig,$(or $(MAKECMDGOALS),image)),)
-include $(CONFIG)
endif

# ---- What is built of what -------------------------------------------------------------------------------------------

# Used by the loader and on the host, never by the resident core.
LOADER_ONLY := core/manifest.c core/plan.c core/plan_print.c core/guest_fdt.c

# Pure files that the resident core, the loader and the host tools have in common.
SHARED_SRCS := core/error.c core/format.c core/plan_check.c core/plan_query.c

# Vary by file: of each pair, the one that the configuration does not want.
UNWANTED := $(if $(filter y,$(CONFIG_OPERATOR_PROMPT)),core/no_prompt.c,core/prompt.c)

RESIDENT_SRCS := $(filter-out $(LOADER_ONLY) $(UNWANTED),$(wildcard core/*.c)) $(wildcard mm/*.c passthrough/*.c lib/*.c) \
	$(wildcard arch/$(ARCH)/*.c arch/$(ARCH)/*.S)

# mbedtls' ChaCha20, from source, with our own configuration. To enable it, write lib/mbedtls_config.h.
MBEDTLS_CONFIG := $(wildcard lib/mbedtls_config.h)
LIB_SRCS := $(if $(MBEDTLS_CONFIG),$(addprefix $(DEPS)/mbedtls/library/,chacha20.c platform_util.c))

LIBFDT_SRCS := $(addprefix $(DEPS)/libfdt/,fdt.c fdt_ro.c fdt_wip.c fdt_sw.c fdt_rw.c fdt_strerror.c \
	fdt_addresses.c fdt_check.c)

LOADER_SRCS := $(wildcard boot/*.c boot/$(ARCH)/*.c boot/$(ARCH)/*.S) $(SHARED_SRCS) $(LOADER_ONLY) lib/string.c

# The parts that run on the host unchanged. The boot files listed here are pure functions over bytes.
HOST_SRCS := $(filter-out core/no_prompt.c,$(wildcard core/*.c)) $(wildcard mm/*.c arch/host/*.c) \
	$(wildcard boot/machine_fdt.c boot/machine_acpi.c boot/cpio.c boot/elf.c boot/kernel_image.c boot/smbios.c boot/memory_map.c)

BHMANIFEST_SRCS := $(wildcard tools/bhmanifest/*.c)
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
GUEST_SRCS := $(wildcard tests/guests/*.S tests/guests/*.c)
GUEST_LIB_SRCS := $(wildcard tests/guests/lib/*.S tests/guests/lib/*.c)
PLUGIN_SRCS := $(wildcard tests/bench/plugin_*.c)

TIDY := $(patsubst %.c,$(B)/tidy/resident/%.ok,$(filter %.c,$(RESIDENT_SRCS))) \
	$(patsubst %.c,$(B)/tidy/loader/%.ok,$(filter boot/%.c,$(LOADER_SRCS)) $(LOADER_ONLY)) \
	$(patsubst %.c,$(B)/tidy/host/%.ok,$(wildcard arch/host/*.c) $(BHMANIFEST_SRCS) $(UNIT_SRCS))

# ---- Flags -----------------------------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Werror -Wconversion -Wshadow -Wvla
STRICT := -std=c11 $(WARNINGS) -Wstrict-prototypes -Wmissing-prototypes
INCLUDES = -Iinclude -Iarch/$(ARCH)/include -I$(B)/include

# No compiler may use SIMD registers (they hold guests' state) or LSE atomics (cortex-a72 has none).
MACHINE_arm64 := -march=armv8-a -mno-outline-atomics -mgeneral-regs-only -mstrict-align
# Nothing of the build machine's C library: the compiler's own headers and include/libc.
FREESTANDING = -ffreestanding -nostdinc -isystem include/libc -isystem $(shell $(TCC) -print-file-name=include)
TARGET_FLAGS = $(FREESTANDING) $(MACHINE_$(ARCH)) -fvisibility=hidden -fno-stack-protector -fno-common -O2 -g \
	-fno-asynchronous-unwind-tables -MMD -MP $(INCLUDES)
SYSTEM_INCLUDES := -isystem $(DEPS)/libfdt -isystem $(DEPS)/gnu-efi/include \
	-isystem $(DEPS)/gnu-efi/include/aarch64 -isystem $(DEPS)/gnu-efi/include/protocol

RESIDENT_FLAGS = $(TARGET_FLAGS) -fpie -ffunction-sections -fdata-sections -isystem $(DEPS)/mbedtls/include \
	$(if $(MBEDTLS_CONFIG),-DMBEDTLS_CONFIG_FILE='"$(CURDIR)/$(MBEDTLS_CONFIG)"')
LOADER_FLAGS = $(TARGET_FLAGS) -fpic -fshort-wchar $(SYSTEM_INCLUDES)
GUEST_FLAGS = $(TARGET_FLAGS) -fpie
HOST_FLAGS = -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -MMD -MP -I. -Iinclude -Iarch/host/include -isystem $(DEPS)/libfdt \
	-isystem $(DEPS)/mbedtls/include $(if $(MBEDTLS_CONFIG),-DMBEDTLS_CONFIG_FILE='"$(CURDIR)/$(MBEDTLS_CONFIG)"')
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_RUNS ?= 200000
FUZZ_SECONDS ?= 8

# What may stay resident, in cloc's code lines and in bytes of text and rodata.
MAX_LINES := 4500
MAX_BYTES := 131072

# ---- Targets people call ---------------------------------------------------------------------------------------------

run: ## build everything and start two Linux guests on Bulkhead in QEMU; Ctrl-C ends it
	$(Q)if [ -x tools/setup ]; then tools/setup; fi
	$(Q)$(MAKE) --no-print-directory image
	$(Q)tools/run --build $(B)

test: ## all checks and tests: builds, lint, unit, fuzz, size, system, bench-smoke
	$(Q)if [ -x tools/setup ]; then tools/setup; fi
	$(Q)for stage in builds lint unit fuzz size system bench-smoke; do \
		echo "== $$stage =="; $(MAKE) --no-print-directory $$stage || exit 1; done

image: $(B)/bulkhead.efi $(B)/blob.cpio $(B)/esp.stamp ## the loader, a folder and disk to boot from, and the blob for -kernel

builds: ## the image with gcc and with clang, both warning-free
	$(Q)for compiler in gcc clang; do $(MAKE) --no-print-directory COMPILER=$$compiler image || exit 1; done

release: ## the loader without the operator's prompt, in build/ARCH-COMPILER-release
	$(Q)$(MAKE) --no-print-directory CONFIG=configs/release_defconfig B=$(B)-release $(B)-release/bulkhead.efi

unit: $(UNIT_SRCS:tests/unit/%.c=$(H)/unit/%.ok) ## unit tests on this machine, with sanitizers

fuzz: $(FUZZ_SRCS:tests/fuzz/%.c=fuzz-%) ## fuzz the parsers, FUZZ_SECONDS and FUZZ_RUNS each at most

system: image release guests $(H)/bhmanifest ## boot the real image in QEMU (needs `make image`'s inputs)
	$(Q)if [ -d tests/system ]; then BUILD=$(B) $(PYTHON) -m pytest -q tests/system $(PYTEST_ARGS); fi

bench: image plugins $(B)/bench/initrd.gz $(H)/vm_memory ## measure the figures of docs/benchmarks.md, write build/bench.json
	$(Q)if [ -e tests/bench/run ]; then BUILD=$(B) $(PYTHON) tests/bench/run $(BENCH_ARGS); fi

bench-smoke: BENCH_ARGS += --smoke
bench-smoke: bench

lint: $(TIDY) ## formatting, clang-tidy, who includes whom, licence lines
	$(Q)tools/lint $(B)

format: ## put the formatting of all C files right
	$(Q)git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

size: $(B)/core.elf ## code lines and bytes of what stays resident, against their limits
	$(Q)tools/size $(B)/core.elf $(MAX_LINES) $(MAX_BYTES) --not-resident $(LOADER_ONLY)

guests: $(patsubst tests/guests/%,$(B)/guests/%.img,$(basename $(GUEST_SRCS))) ## the tiny test guests

plugins: $(PLUGIN_SRCS:tests/bench/%.c=$(H)/%.so)

menuconfig: ## change the configuration
	$(Q)tools/kconfig menuconfig

defconfig: ## go back to the default configuration
	$(Q)tools/kconfig defconfig

clean: ## remove what was built; what tools/setup fetched stays
	$(Q)find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r t d; do printf '  %-12s %s\n' "$$t" "$$d"; done

.PHONY: run test image builds release unit fuzz system bench bench-smoke lint format size guests plugins menuconfig defconfig clean help

# ---- clang-tidy: once for each version of a file and what it includes ---------------------------------------------------

tidy = $(Q)mkdir -p $(@D); out=$$(clang-tidy --quiet $< -- $(1) -std=c11 2>/dev/null) || { echo "$$out"; exit 1; }; touch $@

$(B)/tidy/%: private override COMPILER := clang

$(B)/tidy/resident/%.ok: %.c $(B)/resident/%.o .clang-tidy
	$(call say,TIDY,$<)
	$(call tidy,$(CC_clang:clang%=%) $(RESIDENT_FLAGS))

$(B)/tidy/loader/%.ok: %.c $(B)/loader/%.o .clang-tidy
	$(call say,TIDY,$<)
	$(call tidy,$(CC_clang:clang%=%) $(LOADER_FLAGS))

$(B)/tidy/host/%.ok: %.c $(H)/sanitized/%.o .clang-tidy
	$(call say,TIDY,$<)
	$(call tidy,$(HOST_FLAGS) -I$(H)/default/include)

# ---- Configuration and version ---------------------------------------------------------------------------------------

.config:
	$(Q)tools/kconfig defconfig

# The header keeps its date when nothing changed, so the stamp carries the date of the last look.
$(B)/config.stamp $(H)/config.stamp: %/config.stamp: $(CONFIG) Kconfig
	$(Q)mkdir -p $*
	$(Q)tools/kconfig header $*/include/bulkhead/config.h $(CONFIG)
	$(Q)touch $@

$(H)/default/config.stamp: configs/defconfig Kconfig
	$(Q)mkdir -p $(@D)
	$(Q)tools/kconfig header $(@D)/include/bulkhead/config.h $<
	$(Q)touch $@

$(B)/include/bulkhead/config.h: $(B)/config.stamp ;
$(H)/default/include/bulkhead/config.h: $(H)/default/config.stamp ;
$(H)/include/bulkhead/config.h: $(H)/config.stamp ;

$(B)/include/bulkhead/version.h: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo "#define BULKHEAD_VERSION \"$$(git describe --tags --always --dirty 2>/dev/null || echo unversioned)\"" >$@.new
	$(Q)cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# ---- The resident core -----------------------------------------------------------------------------------------------

RESIDENT_OBJS := $(patsubst %,$(B)/resident/%.o,$(basename $(RESIDENT_SRCS)))
RESIDENT_LIB_OBJS := $(LIB_SRCS:$(DEPS)/%.c=$(B)/resident/deps/%.o)

$(B)/resident/deps/%.o: $(DEPS)/%.c | $(B)/config.stamp
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(RESIDENT_FLAGS) -w -c $< -o $@

$(B)/resident/%.o: %.c | $(B)/config.stamp
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(RESIDENT_FLAGS) $(STRICT) -c $< -o $@

$(B)/resident/%.o: %.S | $(B)/config.stamp
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(RESIDENT_FLAGS) -c $< -o $@

# The compiler must not turn our memset into a call of memset.
$(B)/resident/lib/string.o $(B)/loader/lib/string.o: TARGET_FLAGS += -fno-builtin $(if \
	$(filter gcc,$(COMPILER)),-fno-tree-loop-distribute-patterns)
$(B)/resident/arch/$(ARCH)/version.o $(B)/resident/core/main.o: $(B)/include/bulkhead/version.h

$(B)/core.elf: $(RESIDENT_OBJS) $(RESIDENT_LIB_OBJS) arch/$(ARCH)/core.lds
	$(call say,LD,$@)
	$(Q)$(LD) -static -pie --no-dynamic-linker --gc-sections -z text -z noexecstack -z max-page-size=4096 --build-id=sha1 \
		-T arch/$(ARCH)/core.lds $(filter %.o,$^) -o $@

$(B)/core.bin.elf: $(B)/core.elf
	$(Q)$(OBJCOPY) --strip-all $< $@

# ---- The loader: a UEFI application ----------------------------------------------------------------------------------

LOADER_OBJS := $(patsubst %,$(B)/loader/%.o,$(basename $(LOADER_SRCS)))
LOADER_LIB_OBJS := $(LIBFDT_SRCS:$(DEPS)/%.c=$(B)/loader/deps/%.o)
# Which resident image goes into the loader; tests of the loader alone name another one.
CORE_IMAGE ?= $(B)/core.bin.elf

$(B)/loader/deps/%.o: $(DEPS)/%.c | $(B)/config.stamp
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(LOADER_FLAGS) -w -c $< -o $@

$(B)/loader/%.o: %.c | $(B)/config.stamp
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(LOADER_FLAGS) $(STRICT) -c $< -o $@

$(B)/loader/%.o: %.S | $(B)/config.stamp
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(LOADER_FLAGS) -DCORE_IMAGE='"$(CORE_IMAGE)"' -c $< -o $@

$(B)/loader/boot/main.o: $(B)/include/bulkhead/version.h
$(B)/loader/boot/$(ARCH)/core_image.o: $(CORE_IMAGE)

# Subsystem 10: EFI application.
$(B)/bulkhead.so: $(LOADER_OBJS) $(LOADER_LIB_OBJS)
	$(call say,LD,$@)
	$(Q)$(LD) -shared -Bsymbolic -nostdlib -z text -z noexecstack --no-undefined --no-warn-rwx-segments \
		--defsym=EFI_SUBSYSTEM=0xa --defsym=_entry=efi_main \
		-T $(DEPS)/gnu-efi/lib/elf_aarch64_efi.lds $(DEPS)/gnu-efi/lib/crt0-efi-aarch64.o \
		$^ $(DEPS)/gnu-efi/lib/libgnuefi.a -o $@

# gnu-efi up to 3.0.15 has the PE header in its crt0, so the file is a plain dump; later ones leave it to objcopy.
EFI_SECTIONS := $(addprefix -j ,.text .rodata .dynamic .data '.rela*' .dynsym .reloc)

$(B)/bulkhead.efi: $(B)/bulkhead.so
	$(call say,EFI,$@)
	$(Q)if $(OBJDUMP) -h $(DEPS)/gnu-efi/lib/crt0-efi-aarch64.o | grep -q '\.text\.head'; then \
		format='-O binary'; else format=--target=efi-app-aarch64; fi; \
	$(OBJCOPY) $(EFI_SECTIONS) $$format $< $@

# ---- Host: tools, unit tests, fuzzers --------------------------------------------------------------------------------

# host_objects KIND COMPILER FLAGS: how build/host/KIND/*.o and its archive libbulkhead.a are made. bhmanifest (plain) has the
# limits of the image; tests have the default ones, which their expectations name.
define host_objects
$(H)/$(1)/deps/%.o: $(DEPS)/%.c | $(H)/config.stamp $(H)/default/config.stamp
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(2) $(HOST_FLAGS) $(3) -w -c $$< -o $$@

$(H)/$(1)/%.o: %.c | $(H)/config.stamp $(H)/default/config.stamp
	$$(call say,HOSTCC,$$<)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(2) $(HOST_FLAGS) $(3) $$(INTERRUPTED) $(STRICT) -c $$< -o $$@

$(H)/$(1)/libbulkhead.a: $(HOST_SRCS:%.c=$(H)/$(1)/%.o) \
		$(patsubst $(DEPS)/%.c,$(H)/$(1)/deps/%.o,$(LIBFDT_SRCS) $(LIB_SRCS))
	$$(Q)rm -f $$@
	$$(Q)ar rcsT $$@ $$^
endef
$(eval $(call host_objects,plain,$(HOSTCC),-O2 -I$(H)/include))
$(eval $(call host_objects,sanitized,$(HOSTCC),$(SANITIZE) -I$(H)/default/include))
$(eval $(call host_objects,fuzzed,$(FUZZCC),$(SANITIZE) -I$(H)/default/include -fsanitize=fuzzer-no-link))

# Between any two basic blocks of these files the fake machine may let another core go first.
$(patsubst %,$(H)/sanitized/core/%.o,core_manager system_manager lifecycle console log): \
	INTERRUPTED := -fsanitize-coverage=trace-pc

$(H)/bhmanifest: $(BHMANIFEST_SRCS:%.c=$(H)/plain/%.o) $(H)/plain/libbulkhead.a
	$(call say,HOSTLD,$@)
	$(Q)$(HOSTCC) $^ -o $@

$(H)/unit/test_%: $(H)/sanitized/tests/unit/test_%.o $(H)/sanitized/libbulkhead.a
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SANITIZE) $^ -lcmocka -o $@

$(H)/unit/%.ok: $(H)/unit/%
	$(Q)$< >$<.log 2>&1 || { cat $<.log; exit 1; }
	@printf '  TEST    %s: %s\n' $* "$$(sed -n 's/.*PASSED *\] *\([0-9]*\) test.*/\1 passed/p' $<.log)"
	$(Q)touch $@

$(H)/fuzz/%: $(H)/fuzzed/tests/fuzz/%.o $(H)/fuzzed/libbulkhead.a
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZCC) $(SANITIZE) -fsanitize=fuzzer $^ -o $@

# Seeds in tests/fuzz/corpus/NAME are read only; what the run finds goes below build/.
fuzz-%: $(H)/fuzz/%
	$(call say,FUZZ,$*)
	$(Q)mkdir -p $(H)/fuzz/corpus/$*
	$(Q)$< -runs=$(FUZZ_RUNS) -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(H)/fuzz/ $(H)/fuzz/corpus/$* \
		$(wildcard tests/fuzz/corpus/$(patsubst fuzz_%,%,$*)) >$(H)/fuzz/$*.log 2>&1 || { tail -n 40 $(H)/fuzz/$*.log; exit 1; }

$(H)/plugin_%.so: tests/bench/plugin_%.c
	$(call say,HOSTCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=c11 -O2 -fPIC -shared -I$(DEPS)/qemu $$(pkg-config --cflags glib-2.0) $(WARNINGS) $< -o $@

# What `make bench` boots and asks: a program for the measured Linux guests, and one that asks the planner.
$(B)/bench/work: tests/bench/work.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CROSS)gcc -std=gnu11 -O2 -static $(WARNINGS) $< -o $@

$(B)/bench/initrd.gz: $(B)/bench/work tests/bench/init tools/mkinitrd
	$(call say,INITRD,$@)
	$(Q)tools/mkinitrd $@ $<=/work tests/bench/init=/init

$(H)/vm_memory: $(H)/plain/tests/bench/vm_memory.o $(H)/plain/libbulkhead.a
	$(call say,HOSTLD,$@)
	$(Q)$(HOSTCC) $^ -o $@

# ---- Test guests: flat arm64 Image binaries --------------------------------------------------------------------------

$(B)/guest-obj/%.o: tests/guests/%.c | $(B)/config.stamp
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(GUEST_FLAGS) $(STRICT) -c $< -o $@

$(B)/guest-obj/%.o: tests/guests/%.S | $(B)/config.stamp
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(GUEST_FLAGS) -c $< -o $@

$(B)/guests/%.elf: $(B)/guest-obj/%.o $(patsubst tests/guests/%,$(B)/guest-obj/%.o,$(basename $(GUEST_LIB_SRCS))) \
		tests/guests/guest.lds
	$(Q)mkdir -p $(@D)
	$(Q)$(LD) -static -pie --no-dynamic-linker -z text -z noexecstack -T tests/guests/guest.lds $(filter %.o,$^) -o $@

$(B)/guests/%.img: $(B)/guests/%.elf
	$(call say,GUEST,$@)
	$(Q)$(OBJCOPY) -O binary $< $@

# ---- The demo: what `make run` boots ---------------------------------------------------------------------------------

$(B)/demo/manifest.dtb: tools/demo/demo.dts
	$(call say,DTC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)dtc -q -I dts -O dtb $< -o $@

$(B)/demo/initrd.gz: tools/mkinitrd $(wildcard tools/demo/*)
	$(call say,INITRD,$@)
	$(Q)tools/mkinitrd $@

DEMO_FILES := Image=$(DEPS)/guest/Image initrd.gz=$(B)/demo/initrd.gz

$(B)/blob.cpio: $(B)/demo/manifest.dtb $(B)/demo/initrd.gz $(DEPS)/guest/Image tools/mkblob
	$(call say,BLOB,$@)
	$(Q)tools/mkblob $@ $< $(DEMO_FILES)

# A folder that can be copied to a FAT stick, and the same as a disk image.
$(B)/esp.stamp: $(B)/bulkhead.efi $(B)/demo/manifest.dtb $(B)/demo/initrd.gz $(DEPS)/guest/Image tools/mkesp
	$(call say,ESP,$(B)/esp)
	$(Q)tools/mkesp $(B)/esp $(B)/bulkhead.efi $(B)/demo/manifest.dtb $(DEMO_FILES)
	$(Q)touch $@

-include $(shell find $(B) $(H) -name '*.d' 2>/dev/null)
