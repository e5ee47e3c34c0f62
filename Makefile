# SPDX-License-Identifier: Apache-2.0
#
# Bulkhead's one Makefile. `make help` lists the targets.
#
# Variables: ARCH=arm64|x86_64, COMPILER=gcc|clang, MACHINE=qemu|bochs and CARD=1|0 (for run), V=1 (show commands).
# Products:  build/ARCH-COMPILER/bulkhead.efi (the loader, with the resident core.elf in it) and build/host/bhmanifest.

ARCH ?= arm64
COMPILER ?= gcc
# Which configuration; `make release` names configs/release_defconfig.
CONFIG ?= .config
B := build/$(ARCH)-$(COMPILER)
H := build/host
G := build/generated
DEPS := build/deps

ARCHES := arm64 x86_64
ifeq ($(filter $(ARCH),$(ARCHES)),)
$(error ARCH=$(ARCH) is not known; it can be arm64 or x86_64)
endif
ifeq ($(filter $(COMPILER),gcc clang),)
$(error COMPILER=$(COMPILER) is not known; it can be gcc or clang)
endif

# What the folders are called.
FOLDER_arm64 := arm64
FOLDER_x86_64 := x86
A := $(FOLDER_$(ARCH))

CROSS_arm64 := aarch64-linux-gnu-
CROSS_x86_64 := x86_64-linux-gnu-
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
LOADER_ONLY := core/error_name.c core/manifest.c core/plan.c core/plan_print.c core/guest_boot.c core/guest_fdt.c \
	core/guest_x86.c core/guest_acpi.c

# Pure files that the resident core, the loader and the host tools have in common.
SHARED_SRCS := core/error.c core/format.c core/plan_check.c core/plan_query.c

# Vary by file: of each pair, the one that the configuration does not want.
UNWANTED := $(if $(filter y,$(CONFIG_OPERATOR_PROMPT)),core/no_prompt.c,core/prompt.c)

RESIDENT_SRCS := $(filter-out $(LOADER_ONLY) $(UNWANTED),$(wildcard core/*.c)) $(wildcard mm/*.c passthrough/*.c lib/*.c) \
	$(wildcard arch/$(A)/*.c arch/$(A)/*.S arch/$(A)/*/*.c arch/$(A)/*/*.S)

# BLAKE2b of libb2, ChaCha20 of mbedtls, from source; the latter with our own configuration. To enable it, write lib/mbedtls_config.h.
MBEDTLS_CONFIG := $(wildcard lib/mbedtls_config.h)
LIB_SRCS := $(if $(MBEDTLS_CONFIG),$(addprefix $(DEPS)/mbedtls/library/,chacha20.c platform_util.c)) \
	$(DEPS)/libb2/blake2b-ref.c $(addprefix $(DEPS)/libfdt/,fdt.c fdt_ro.c fdt_sw.c fdt_check.c)

LIBFDT_SRCS := $(addprefix $(DEPS)/libfdt/,fdt.c fdt_ro.c fdt_wip.c fdt_sw.c fdt_rw.c fdt_strerror.c \
	fdt_addresses.c fdt_check.c)

LOADER_SRCS := $(wildcard boot/*.c boot/*.S boot/$(A)/*.c boot/$(A)/*.S) $(SHARED_SRCS) $(LOADER_ONLY) lib/string.c

# The parts that run on the host unchanged. Files of the loader with these names are pure functions over bytes.
PURE_BOOT := lpi_test.c machine_*.c cpio.c elf.c kernel_*.c smbios.c memory_map.c pci.c dma_map.c
HOST_SRCS := $(filter-out core/no_prompt.c,$(wildcard core/*.c)) $(wildcard mm/*.c passthrough/*.c arch/host/*.c) arch/arm64/vits.c arch/x86/decode.c \
	$(wildcard $(foreach d,boot boot/arm64 boot/x86,$(addprefix $d/,$(PURE_BOOT))))

BHMANIFEST_SRCS := $(wildcard tools/bhmanifest/*.c)
# The card's vsock, for bhcard; its objects in the KIND plain, sanitized or fuzzed are $(call vsock_objects,KIND).
VSOCK_SRCS := $(wildcard tools/bhcard/vsock/*.c)
VSOCK_LIB_SRCS := $(DEPS)/qemu/libvhost-user/libvhost-user.c
vsock_objects = $(VSOCK_SRCS:%.c=$(H)/$(1)/%.o) $(VSOCK_LIB_SRCS:$(DEPS)/%.c=$(H)/$(1)/deps/%.o)
CARD_TEST_SRCS := $(wildcard tests/card/test_*.c)
BHCARD_SRCS := $(wildcard tools/bhcard/*.c)
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
# A test guest is what there is of tests/guests/NAME.c, tests/guests/ARCH/NAME.c and the files in tests/guests/ARCH/NAME.
GUEST_SRCS := $(wildcard tests/guests/*.c tests/guests/$(A)/*.c)
GUEST_LIB_SRCS := $(wildcard tests/guests/lib/*.c tests/guests/$(A)/lib/*.c tests/guests/$(A)/lib/*.S)
GUESTS := $(sort $(basename $(notdir $(GUEST_SRCS))))
PLUGIN_SRCS := $(wildcard tests/bench/plugin_*.c)

# Each file once: what is not of one architecture with arm64.
TIDY_ANY := $(if $(filter arm64,$(ARCH)),%)
TIDY := $(patsubst %.c,$(B)/tidy/resident/%.ok,$(filter $(or $(TIDY_ANY),arch/$(A)/%),$(filter %.c,$(RESIDENT_SRCS)))) \
	$(patsubst %.c,$(B)/tidy/loader/%.ok,$(filter boot/$(or $(TIDY_ANY),$(A)/%),$(filter %.c,$(LOADER_SRCS)))) \
	$(if $(TIDY_ANY),$(patsubst %.c,$(B)/tidy/loader/%.ok,$(LOADER_ONLY)) \
	$(patsubst %.c,$(B)/tidy/host/%.ok,$(wildcard arch/host/*.c tests/card/*.c tools/bhvsock/*.c) $(BHMANIFEST_SRCS) $(BHCARD_SRCS) \
	$(VSOCK_SRCS) $(UNIT_SRCS)))

# ---- Flags -----------------------------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Werror -Wconversion -Wshadow -Wvla
STRICT := -std=c11 $(WARNINGS) -Wstrict-prototypes -Wmissing-prototypes
INCLUDES = -Iinclude -Iarch/$(A)/include -I$(B)/include -I$(G)/include

# No compiler may use SIMD registers (they hold guests' state) or LSE atomics (cortex-a72 has none). On x86 an interrupt may
# write below the stack pointer.
CODE_arm64 := -march=armv8-a -mno-outline-atomics -mgeneral-regs-only -mstrict-align
CODE_x86_64 := -march=x86-64 -mgeneral-regs-only -mno-red-zone -mcmodel=small -fcf-protection=none
# Nothing of the build machine's C library: the compiler's own headers and include/libc.
FREESTANDING = -ffreestanding -nostdinc -isystem include/libc -isystem $(shell $(TCC) -print-file-name=include)
TARGET_FLAGS = $(FREESTANDING) $(CODE_$(ARCH)) -fvisibility=hidden -fno-stack-protector -fno-common -O2 -g \
	-fno-asynchronous-unwind-tables -MMD -MP $(INCLUDES)

EFI_arm64 := $(DEPS)/gnu-efi
EFI_x86_64 := $(DEPS)/gnu-efi-x86
EFI_NAME_arm64 := aarch64
EFI_NAME_x86_64 := x86_64
EFI := $(EFI_$(ARCH))
EFI_NAME := $(EFI_NAME_$(ARCH))
EFI_CALLS_x86_64 := -DGNU_EFI_USE_MS_ABI
SYSTEM_INCLUDES := -isystem $(DEPS)/libfdt -isystem $(EFI)/include -isystem $(EFI)/include/$(EFI_NAME) \
	-isystem $(EFI)/include/protocol

# What stands in a folder below an architecture's finds that one's private headers as if beside it.
RESIDENT_FLAGS = $(TARGET_FLAGS) -iquote arch/$(A) -fpie -ffunction-sections -fdata-sections -isystem $(DEPS)/libfdt -isystem $(DEPS)/libb2 -isystem $(DEPS)/mbedtls/include \
	$(if $(MBEDTLS_CONFIG),-DMBEDTLS_CONFIG_FILE='"$(CURDIR)/$(MBEDTLS_CONFIG)"')
LOADER_FLAGS = $(TARGET_FLAGS) -iquote boot -fpic -fshort-wchar $(EFI_CALLS_$(ARCH)) $(SYSTEM_INCLUDES)
GUEST_FLAGS_arm64 := -fpie
GUEST_FLAGS_x86_64 := -fno-pie
GUEST_FLAGS = $(TARGET_FLAGS) $(GUEST_FLAGS_$(ARCH)) -Itests/guests/lib -Itests/guests/$(A)/lib
HOST_FLAGS = -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -MMD -MP -I. -Iinclude -Iarch/host/include -Iarch/arm64/include -I$(G)/include \
	-I$(H)/version/include -iquote boot -isystem $(DEPS)/libfdt -isystem $(DEPS)/qemu/libvhost-user \
	-isystem $(DEPS)/libb2 -isystem $(DEPS)/mbedtls/include $(if $(MBEDTLS_CONFIG),-DMBEDTLS_CONFIG_FILE='"$(CURDIR)/$(MBEDTLS_CONFIG)"')
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_RUNS ?= 200000
FUZZ_SECONDS ?= 8
# What stands between a hostile card and the resident core has so many executions, however long they take.
FUZZ_LONG := fuzz_control fuzz_vsock fuzz_virtqueue
FUZZ_LONG_RUNS ?= 10000000

# What may stay resident, in cloc's code lines and in bytes of text and rodata.
MAX_LINES_arm64 := 8000
MAX_LINES_x86_64 := 8000
MAX_LINES := 12000
MAX_BYTES := 131072

# ---- Targets people call ---------------------------------------------------------------------------------------------

# Bochs has no vsock device, and so no card.
CARD ?= 1
NO_CARD := $(filter bochs 0,$(MACHINE) $(CARD))

run: ## build everything and start a server with two Linux guests, launched by its card, in QEMU (CARD=0: by the boot manifest; MACHINE=bochs: so in Bochs); Ctrl-C ends it
	$(Q)if [ -x tools/setup ]; then tools/setup; fi
	$(Q)$(MAKE) --no-print-directory image
	$(Q)$(if $(NO_CARD),,$(MAKE) --no-print-directory $(H)/bhcard $(H)/bhvsock)
	$(Q)tools/run --arch $(ARCH) --machine $(or $(MACHINE),qemu) --build $(B) $(if $(NO_CARD),--no-card)

test: ## all checks and tests: builds, lint, unit, card-tests, ctl-tests, fuzz, size, system, bench-smoke
	$(Q)if [ -x tools/setup ]; then tools/setup; fi
	$(Q)for stage in builds lint unit card-and-fuzz size system bench-smoke; do \
		echo "== $$stage =="; $(MAKE) --no-print-directory $$stage || exit 1; done

image: $(B)/bulkhead.efi $(B)/blob.cpio $(B)/esp.stamp $(B)/demo/disks.stamp ## the loader, a folder and disk to boot from, the blob for -kernel, the guests' disk

# $(call each_arch,TARGET ...): makes the targets for every architecture
each_arch = +$(Q)for arch in $(ARCHES); do $(MAKE) --no-print-directory ARCH=$$arch $(1) || exit 1; done

builds: ## the images of all architectures with gcc and with clang, warning-free
	$(Q)for compiler in gcc clang; do for arch in $(ARCHES); do \
		$(MAKE) --no-print-directory ARCH=$$arch COMPILER=$$compiler image || exit 1; done; done

release: ## the loader without the operator's prompt, in build/ARCH-COMPILER-release
	$(Q)$(MAKE) --no-print-directory CONFIG=configs/release_defconfig B=$(B)-release $(B)-release/bulkhead.efi

unit: $(UNIT_SRCS:tests/unit/%.c=$(H)/unit/%.ok) $(CARD_TEST_SRCS:tests/card/%.c=$(H)/card/%.ok) ## unit tests on this machine, with sanitizers

# The card's tests mostly wait. Each has its lines together.
card-and-fuzz: ## card-tests, ctl-tests and fuzz, at once
	$(Q)MAKEFLAGS= $(MAKE) --no-print-directory -O -j4 card-tests ctl-tests fuzz $(MAKEOVERRIDES)

# Ends with what was done, and with an error when that is less than it should be.
fuzz: $(FUZZ_LONG:%=fuzz-%) $(FUZZ_SRCS:tests/fuzz/%.c=fuzz-%) ## fuzz the parsers, FUZZ_SECONDS and FUZZ_RUNS each at most; FUZZ_LONG_RUNS what the card reaches
	$(Q)cd $(H)/fuzz; said=; for f in $(FUZZ_LONG); do \
		runs=$$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' $$f.log); said="$$said $${f#fuzz_} $$runs"; \
		[ "$$runs" -ge $(FUZZ_LONG_RUNS) ] || { echo "make fuzz: $$f: $$runs executions of $(FUZZ_LONG_RUNS)"; exit 1; }; \
	done; printf '  %-7s %s\n' FUZZED "executions without a finding:$$said"

# The tests find all architectures in BUILD/ARCH-COMPILER.
system: $(H)/bhmanifest $(H)/bhcard $(H)/bhvsock ## boot the real images in QEMU and Bochs
	$(call each_arch,image release guests)
	$(Q)BUILD=build COMPILER=$(COMPILER) tests/system/run $(PYTEST_ARGS)

# With BHCARD=PATH that daemon answers in place of the fake.
ctl-tests: ctl-tests-bhctl ctl-tests-web ## bhctl and the card's web page, against a fake of bhcard; both at once

ctl-tests-%:
	$(Q)$(PYTHON) -m pytest -q --tb=short -p no:cacheprovider tests/card/test_$*.py $(PYTEST_ARGS)

.PHONY: ctl-tests

matrix: ## write docs/behaviour.md from the tables of the system tests
	$(Q)$(PYTHON) tests/system/matrix.py

bench: plugins $(addprefix $(H)/,vm_memory bhcard bhvsock vsock_source) ## measure the figures of docs/benchmarks.md, write build/bench.json
	$(call each_arch,image bench-initrd guests)
	$(Q)BUILD=build COMPILER=$(COMPILER) $(PYTHON) tests/bench/run $(BENCH_ARGS)

bench-initrd: $(B)/bench/initrd.gz $(B)/bench/disk-initrd.gz $(B)/bench/vsock-initrd.gz

bench-smoke: BENCH_ARGS += --smoke
bench-smoke: bench

lint: ## formatting, clang-tidy, who includes whom, licence lines
	$(call each_arch,tidy)
	$(Q)tools/lint $(foreach a,$(ARCHES),$(FOLDER_$a)=build/$a-$(COMPILER))

tidy: $(TIDY)

format: ## put the formatting of all C files right
	$(Q)git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

size: ## code lines and bytes of what stays resident, against their limits
	$(call each_arch,core)
	$(Q)tools/size $(MAX_LINES) $(foreach a,$(ARCHES),$(FOLDER_$a)=build/$a-$(COMPILER)/core.elf:$(MAX_LINES_$a):$(MAX_BYTES)) \
		--not-resident $(LOADER_ONLY)

core: $(B)/core.elf $(B)/core.elf.deps

guests: $(GUESTS:%=$(B)/guests/%$(if $(filter arm64,$(ARCH)),.img,.elf)) ## the tiny test guests

plugins: $(PLUGIN_SRCS:tests/bench/%.c=$(H)/%.so)

menuconfig: ## change the configuration
	$(Q)tools/kconfig menuconfig

defconfig: ## go back to the default configuration
	$(Q)tools/kconfig defconfig

clean: ## remove what was built; what tools/setup fetched stays
	$(Q)find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r t d; do printf '  %-13s %s\n' "$$t" "$$d"; done

.PHONY: run test image builds release unit card-and-fuzz fuzz system matrix bench bench-initrd bench-smoke lint tidy format size core guests plugins menuconfig defconfig clean help card-tests

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

# ---- A guest's DSDT, from the compiler of ACPI's language, and its first code -----------------------------------------------------------------

# core/NAME.asl becomes <bulkhead/NAME.h> with an array NAME of bytes.
GUEST_HEADERS := $(patsubst core/%.asl,$(G)/include/bulkhead/%.h,$(wildcard core/*.asl)) $(G)/include/bulkhead/x86_start.h
as_bytes = { echo '/* Made of $< by $(1). */'; echo '\#include <bulkhead/types.h>'; \
	echo 'static const uint8_t $*[] = {'; od -An -v -tx1 $(2) | sed 's/ \(..\)/ 0x\1,/g'; echo '};'; } >$@

$(G)/include/bulkhead/%.h: core/%.asl
	$(call say,IASL,$<)
	$(Q)mkdir -p $(@D)
	$(Q)iasl -vs -we -p $(G)/$* $< >$(G)/$*.log 2>&1 || { cat $(G)/$*.log; exit 1; }
	$(Q)$(call as_bytes,iasl,$(G)/$*.aml)

# So does the code that an x86 guest begins with, for whichever architecture's loader.
$(G)/include/bulkhead/%.h: core/%.S
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CROSS_x86_64)gcc -c $< -o $(G)/$*.o
	$(Q)$(CROSS_x86_64)objcopy -O binary -j .text $(G)/$*.o $(G)/$*.bin
	$(Q)$(call as_bytes,as,$(G)/$*.bin)

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

$(B)/resident/deps/%.o: $(DEPS)/%.c $(MBEDTLS_CONFIG) | $(B)/config.stamp $(GUEST_HEADERS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(RESIDENT_FLAGS) -fbuiltin -w -c $< -o $@

$(B)/resident/%.o: %.c | $(B)/config.stamp $(GUEST_HEADERS)
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
$(B)/resident/arch/$(A)/version.o $(B)/resident/core/main.o: $(B)/include/bulkhead/version.h

$(B)/core.elf: $(RESIDENT_OBJS) $(RESIDENT_LIB_OBJS) arch/$(A)/core.lds
	$(call say,LD,$@)
	$(Q)$(LD) -static -pie --no-dynamic-linker --gc-sections -z text -z noexecstack -z max-page-size=4096 --build-id=sha1 \
		-T arch/$(A)/core.lds $(filter %.o,$^) -o $@

# What the compiler read for it, for tools/size.
$(B)/core.elf.deps: $(RESIDENT_OBJS)
	$(Q)cat $(^:.o=.d) >$@

$(B)/core.bin.elf: $(B)/core.elf
	$(Q)$(OBJCOPY) --strip-all $< $@

# ---- The loader: a UEFI application ----------------------------------------------------------------------------------

LOADER_OBJS := $(patsubst %,$(B)/loader/%.o,$(basename $(LOADER_SRCS)))
LOADER_LIB_OBJS := $(LIBFDT_SRCS:$(DEPS)/%.c=$(B)/loader/deps/%.o)
# Which resident image goes into the loader; tests of the loader alone name another one.
CORE_IMAGE ?= $(B)/core.bin.elf

$(B)/loader/deps/%.o: $(DEPS)/%.c | $(B)/config.stamp $(GUEST_HEADERS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(LOADER_FLAGS) -w -c $< -o $@

$(B)/loader/%.o: %.c | $(B)/config.stamp $(GUEST_HEADERS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(LOADER_FLAGS) $(STRICT) -c $< -o $@

$(B)/loader/%.o: %.S | $(B)/config.stamp
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(LOADER_FLAGS) -DCORE_IMAGE='"$(CORE_IMAGE)"' -c $< -o $@

$(B)/loader/boot/main.o: $(B)/include/bulkhead/version.h
$(filter %/core_image.o,$(LOADER_OBJS)): $(CORE_IMAGE)

# Subsystem 10: EFI application.
$(B)/bulkhead.so: $(LOADER_OBJS) $(LOADER_LIB_OBJS)
	$(call say,LD,$@)
	$(Q)$(LD) -shared -Bsymbolic -nostdlib -z text -z noexecstack --no-undefined --no-warn-rwx-segments \
		--defsym=EFI_SUBSYSTEM=0xa --defsym=_entry=efi_main \
		-T $(EFI)/lib/elf_$(EFI_NAME)_efi.lds $(EFI)/lib/crt0-efi-$(EFI_NAME).o $^ $(EFI)/lib/libgnuefi.a -o $@

# gnu-efi up to 3.0.15 has arm64's PE header in its crt0, so the file is a plain dump; otherwise objcopy makes it.
EFI_SECTIONS := $(addprefix -j ,.text .rodata .dynamic .data '.rela*' .dynsym .reloc)

$(B)/bulkhead.efi: $(B)/bulkhead.so
	$(call say,EFI,$@)
	$(Q)if $(OBJDUMP) -h $(EFI)/lib/crt0-efi-$(EFI_NAME).o | grep -q '\.text\.head'; then \
		format='-O binary'; else format=--target=efi-app-$(EFI_NAME); fi; \
	$(OBJCOPY) $(EFI_SECTIONS) $$format $< $@

# ---- Host: tools, unit tests, fuzzers --------------------------------------------------------------------------------

# host_objects KIND COMPILER FLAGS: how build/host/KIND/*.o and its archive libbulkhead.a are made. bhmanifest (plain) has the
# limits of the image; tests have the default ones, which their expectations name.
define host_objects
$(H)/$(1)/deps/%.o: $(DEPS)/%.c $(MBEDTLS_CONFIG) | $(H)/config.stamp $(H)/default/config.stamp $(GUEST_HEADERS)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(2) $(HOST_FLAGS) $(3) $$(LIB_FLAGS) -w -c $$< -o $$@

$(H)/$(1)/%.o: %.c | $(H)/config.stamp $(H)/default/config.stamp $(GUEST_HEADERS)
	$$(call say,HOSTCC,$$<)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(2) $(HOST_FLAGS) $(3) $$(INTERRUPTED) $(STRICT) -c $$< -o $$@

$(H)/$(1)/libbulkhead.a: $(HOST_SRCS:%.c=$(H)/$(1)/%.o) \
		$(sort $(patsubst $(DEPS)/%.c,$(H)/$(1)/deps/%.o,$(LIBFDT_SRCS) $(LIB_SRCS)))
	$$(Q)rm -f $$@
	$$(Q)ar rcsT $$@ $$^
endef
$(eval $(call host_objects,plain,$(HOSTCC),-O2 -I$(H)/include))
$(eval $(call host_objects,sanitized,$(HOSTCC),$(SANITIZE) -I$(H)/default/include))
$(eval $(call host_objects,fuzzed,$(FUZZCC),$(SANITIZE) -I$(H)/default/include -fsanitize=fuzzer-no-link))
# For inputs that are lists of steps, which no comparison says anything about: without that it is several times as fast.
$(eval $(call host_objects,stepped,$(FUZZCC),$(SANITIZE) -O2 -I$(H)/default/include -fsanitize=fuzzer-no-link \
	-fno-sanitize-coverage=trace-cmp))

# Between any two basic blocks of these files the fake machine may let another core go first.
$(patsubst %,$(H)/sanitized/%.o,$(addprefix core/,core_manager system_manager lifecycle console log) passthrough/config passthrough/functions): \
	INTERRUPTED := -fsanitize-coverage=trace-pc

$(H)/bhmanifest: $(BHMANIFEST_SRCS:%.c=$(H)/plain/%.o) $(H)/plain/libbulkhead.a
	$(call say,HOSTLD,$@)
	$(Q)$(HOSTCC) $^ -o $@

# The resident core as a process that a card can manage.
$(H)/card/server: $(H)/sanitized/tests/card/server.o $(H)/sanitized/libbulkhead.a
	$(call say,HOSTLD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SANITIZE) $^ -o $@

# The card's daemon: for use with the limits of the image, for its tests with sanitizers and the default ones.
BHCARD_LIBS := -levent -ljansson -lb2

$(H)/version/include/bulkhead/version.h: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo "#define BULKHEAD_VERSION \"$$(git describe --tags --always --dirty 2>/dev/null || echo unversioned)\"" >$@.new
	$(Q)cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(H)/bhcard-data/index.html: tools/bhcard/web/index.html
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

$(H)/bhcard-data/openapi.json: tools/bhcard/openapi.yaml
	$(Q)mkdir -p $(@D)
	$(Q)$(PYTHON) -c 'import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)' $< >$@

# ld names the symbols after the file as it was told.
$(H)/bhcard-data/%.o: $(H)/bhcard-data/%
	$(Q)cd $(@D) && ld -r -b binary -z noexecstack $* -o $(@F)

$(foreach kind,plain sanitized fuzzed,$(addprefix $(H)/$(kind)/tools/bhcard/,main.o api_ch.o)): $(H)/version/include/bulkhead/version.h

# $(call bhcard,KIND,OUTPUT,FLAGS)
define bhcard
$(2): $(BHCARD_SRCS:%.c=$(H)/$(1)/%.o) $(H)/bhcard-data/index.html.o \
		$(H)/bhcard-data/openapi.json.o $(H)/$(1)/libbulkhead.a
	$$(call say,HOSTLD,$$@)
	$$(Q)$(HOSTCC) $(3) $$^ $(BHCARD_LIBS) -o $$@
endef
$(eval $(call bhcard,plain,$(H)/bhcard,-O2))
$(eval $(call bhcard,sanitized,$(H)/bhcard-sanitized,$(SANITIZE)))

# All of bhcard but its doors.
$(H)/fuzzed/libbhcard.a: $(patsubst %.c,$(H)/fuzzed/%.o,$(filter-out %/main.c,$(BHCARD_SRCS)))
	$(Q)rm -f $@
	$(Q)ar rcsT $@ $^

# What the tests' fake hypervisor needs of the C side: a struct machine, and the check of its plans.
$(H)/card-machine: $(H)/sanitized/tests/card/card_machine.o $(H)/sanitized/libbulkhead.a
	$(Q)$(HOSTCC) $(SANITIZE) $^ -o $@

card-tests: $(H)/bhcard-sanitized $(H)/card-machine $(H)/card/server ## the card's daemon against a fake hypervisor, and the resident code against a card
	$(Q)BUILD=$(H) $(PYTHON) -m pytest -q -p no:cacheprovider tests/card \
		$(addprefix --ignore=tests/card/,test_bhctl.py test_web.py) $(PYTEST_ARGS)

$(H)/unit/test_%: $(H)/sanitized/tests/unit/test_%.o $(H)/sanitized/libbulkhead.a
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SANITIZE) $^ -lcmocka -o $@

$(H)/unit/%.ok: $(H)/unit/%
	$(Q)$< >$<.log 2>&1 || { cat $<.log; exit 1; }
	@printf '  TEST    %s: %s\n' $* "$$(sed -n 's/.*PASSED *\] *\([0-9]*\) test.*/\1 passed/p' $<.log)"
	$(Q)touch $@

$(FUZZ_LONG:%=$(H)/fuzz/%): $(H)/fuzz/%: $(H)/stepped/tests/fuzz/%.o $(H)/stepped/libbulkhead.a
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZCC) $(SANITIZE) -fsanitize=fuzzer $^ $(FUZZ_LIBS) -o $@

$(H)/fuzz/%: $(H)/fuzzed/tests/fuzz/%.o $(H)/fuzzed/libbulkhead.a
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZCC) $(SANITIZE) -fsanitize=fuzzer $^ $(FUZZ_LIBS) -o $@

FUZZ_LIMITS = -runs=$(FUZZ_RUNS) -max_total_time=$(FUZZ_SECONDS)
# Short inputs, which say as much as long ones and take less time.
$(FUZZ_LONG:%=fuzz-%): FUZZ_LIMITS = -runs=$(FUZZ_LONG_RUNS) -max_total_time=1800 -max_len=64 -entropic=0

# This one takes as long as all the others together.
FUZZ_NICE := nice
fuzz-fuzz_control: FUZZ_NICE :=

# Seeds in tests/fuzz/corpus/NAME are read only; what the run finds goes below build/.
fuzz-%: $(H)/fuzz/%
	$(call say,FUZZ,$*)
	$(Q)mkdir -p $(H)/fuzz/corpus/$*
	$(Q)$(FUZZ_NICE) $< $(FUZZ_LIMITS) -timeout=20 -artifact_prefix=$(H)/fuzz/ $(H)/fuzz/corpus/$* \
		$(wildcard tests/fuzz/corpus/$(patsubst fuzz_%,%,$*)) >$(H)/fuzz/$*.log 2>&1 || { tail -n 40 $(H)/fuzz/$*.log; exit 1; }

$(H)/plugin_%.so: tests/bench/plugin_%.c
	$(call say,HOSTCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=c11 -O2 -fPIC -shared -I$(DEPS)/qemu $$(pkg-config --cflags glib-2.0) $(WARNINGS) $< -o $@

# What `make bench` boots and asks: a program for the measured Linux guests, and one that asks the planner.
$(B)/bench/work: tests/bench/work.c tests/bench/$(A)/processor.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CROSS)gcc -std=gnu11 -O2 -static $(WARNINGS) -iquote tests/bench/$(A) $< -o $@

$(B)/bench/initrd.gz: $(B)/bench/work tests/bench/init tools/mkinitrd
	$(call say,INITRD,$@)
	$(Q)tools/mkinitrd $@ $(GUEST)/busybox $<=/work tests/bench/init=/init

$(B)/bench/disk-initrd.gz: $(B)/bench/work tests/bench/init tools/mkinitrd
	$(call say,INITRD,$@)
	$(Q)tools/mkinitrd $@ $(GUEST)/busybox $(modules_in_initrd) $<=/work tests/bench/init=/init

$(H)/vm_memory: $(H)/plain/tests/bench/vm_memory.o $(H)/plain/libbulkhead.a
	$(call say,HOSTLD,$@)
	$(Q)$(HOSTCC) $^ -o $@

# ---- The card's vsock: tests, fuzzer, and how fast a Linux guest receives ----------------------------------------------

$(H)/card/test_%: $(H)/sanitized/tests/card/test_%.o $(H)/sanitized/tests/card/fake_driver.o
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SANITIZE) $^ $(CARD_LIBS) -lcmocka -o $@

$(H)/card/%.ok: $(H)/card/%
	$(Q)$< >$<.log 2>&1 || { cat $<.log; exit 1; }
	@printf '  TEST    %s: %s\n' $* "$$(sed -n 's/.*PASSED *\] *\([0-9]*\) test.*/\1 passed/p' $<.log)"
	$(Q)touch $@

# A guest may put its tables of descriptors at odd addresses, which libvhost-user leaves to the processor.
$(H)/sanitized/deps/qemu/% $(H)/fuzzed/deps/qemu/%: LIB_FLAGS := -fno-sanitize=alignment
$(H)/card/test_vsock: CARD_LIBS := -levent
$(H)/card/test_vsock: $(call vsock_objects,sanitized)
# The card needs the core's files.
$(H)/fuzz/fuzz_card_link: FUZZ_LIBS := $(H)/fuzzed/libbulkhead.a $(BHCARD_LIBS)
$(H)/fuzz/fuzz_card_link: $(H)/fuzzed/libbhcard.a
$(H)/fuzz/fuzz_control: FUZZ_LIBS := -Wl,--wrap=arch_zero
$(H)/fuzz/fuzz_card_vsock: FUZZ_LIBS := -levent
$(H)/fuzz/fuzz_card_vsock: $(call vsock_objects,fuzzed)

$(H)/bhvsock: $(H)/plain/tools/bhvsock/main.o $(call vsock_objects,plain)
	$(call say,HOSTLD,$@)
	$(Q)$(HOSTCC) $^ -levent -o $@

# `tests/bench/vsock` runs both.
$(H)/vsock_source: $(H)/plain/tests/card/vsock_source.o $(call vsock_objects,plain)
	$(call say,HOSTLD,$@)
	$(Q)$(HOSTCC) $^ -levent -o $@

$(B)/bench/vsock_client: tests/bench/vsock_client.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CROSS)gcc -std=gnu11 -O2 -static $(WARNINGS) $< -o $@

$(B)/bench/vsock-initrd.gz: $(B)/bench/vsock_client tests/bench/vsock_init tools/mkinitrd
	$(call say,INITRD,$@)
	$(Q)tools/mkinitrd $@ $(GUEST)/busybox $(modules_in_initrd) $<=/vsock_client tests/bench/vsock_init=/init

bench-vsock: $(B)/bench/vsock-initrd.gz $(H)/vsock_source ## how fast a Linux guest's vsock is, in MiB/s
	$(Q)tests/bench/vsock $(ARCH) $^ $(BENCH_ARGS)

.PHONY: bench-vsock

# ---- Test guests: flat arm64 Image binaries, x86-64 ELF files ---------------------------------------------------------

$(B)/guest-obj/%.o: tests/guests/%.c | $(B)/config.stamp $(GUEST_HEADERS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(GUEST_FLAGS) $(STRICT) -c $< -o $@

$(B)/guest-obj/%.o: tests/guests/%.S | $(B)/config.stamp
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TCC) $(GUEST_FLAGS) -c $< -o $@

guest_srcs = $(filter %/$(1).c,$(GUEST_SRCS)) $(wildcard tests/guests/$(A)/$(1)/*.c tests/guests/$(A)/$(1)/*.S)
guest_objects = $(patsubst tests/guests/%,$(B)/guest-obj/%.o,$(basename $(call guest_srcs,$(1))))
$(foreach g,$(GUESTS),$(eval $(B)/guests/$(g).elf: $(call guest_objects,$(g))))

GUEST_LDFLAGS_arm64 := -static -pie --no-dynamic-linker -z text
GUEST_LDFLAGS_x86_64 := -static -z max-page-size=4096 --build-id=sha1 --no-warn-rwx-segments

$(B)/guests/%.elf: $(patsubst tests/guests/%,$(B)/guest-obj/%.o,$(basename $(GUEST_LIB_SRCS))) tests/guests/$(A)/guest.lds
	$(Q)mkdir -p $(@D)
	$(Q)$(LD) $(GUEST_LDFLAGS_$(ARCH)) -z noexecstack -T tests/guests/$(A)/guest.lds $(filter %.o,$^) -o $@

$(B)/guests/%.img: $(B)/guests/%.elf
	$(call say,GUEST,$@)
	$(Q)$(OBJCOPY) -O binary $< $@

# ---- The demo: what `make run` boots ---------------------------------------------------------------------------------

GUEST_arm64 := $(DEPS)/guest
GUEST_x86_64 := $(DEPS)/guest-x86
GUEST := $(GUEST_$(ARCH))
KERNEL_arm64 := Image
KERNEL_x86_64 := vmlinux
KERNEL := $(KERNEL_$(ARCH))
DEMO_arm64 := tools/demo/demo.dts
DEMO_x86_64 := tools/demo/demo-x86.dts

$(B)/demo/manifest.dtb: $(DEMO_$(ARCH)) tools/demo/demo.dts
	$(call say,DTC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)dtc -q -I dts -O dtb $< -o $@

$(B)/demo/initrd.gz: tools/mkinitrd tools/demo/init
	$(call say,INITRD,$@)
	$(Q)tools/mkinitrd $@ $(GUEST)/busybox

# As arguments of tools/mkinitrd: the modules, named in the order of loading.
modules_in_initrd = $(shell awk '{ print "$(GUEST)/modules/" $$1 ".ko=/modules/" 10 + NR "-" $$1 ".ko" }' $(GUEST)/modules/order)

$(B)/demo/disk-initrd.gz: tools/mkinitrd tools/demo/init
	$(call say,INITRD,$@)
	$(Q)tools/mkinitrd $@ $(GUEST)/busybox $(modules_in_initrd)

$(B)/demo/root.img: tools/mkroot tools/demo/disk-init
	$(call say,DISK,$@)
	$(Q)tools/mkroot $@ $(GUEST)/root

# What the card launches: a folder with the manifest and the files it names; and the guests' disk.
DISKS_arm64 := tools/demo/disks.dts
DISKS_x86_64 := tools/demo/disks-x86.dts

$(B)/demo/disks.stamp: $(DISKS_$(ARCH)) tools/demo/disks.dts tools/demo/demo.dts $(B)/demo/disk-initrd.gz $(B)/demo/root.img
	$(call say,DTC,$<)
	$(Q)mkdir -p $(B)/demo/disks
	$(Q)dtc -q -I dts -O dtb $< -o $(B)/demo/disks/manifest.dtb
	$(Q)ln -sf $(CURDIR)/$(GUEST)/$(KERNEL) ../disk-initrd.gz $(B)/demo/disks
	$(Q)touch $@

DEMO_FILES := $(KERNEL)=$(GUEST)/$(KERNEL) initrd.gz=$(B)/demo/initrd.gz

$(B)/blob.cpio: $(B)/demo/manifest.dtb $(B)/demo/initrd.gz $(GUEST)/$(KERNEL) tools/mkblob
	$(call say,BLOB,$@)
	$(Q)tools/mkblob $@ $< $(DEMO_FILES)

# A folder that can be copied to a FAT stick, and the same as a disk image.
$(B)/esp.stamp: $(B)/bulkhead.efi $(B)/demo/manifest.dtb $(B)/demo/initrd.gz $(GUEST)/$(KERNEL) tools/mkesp
	$(call say,ESP,$(B)/esp)
	$(Q)tools/mkesp $(B)/esp $(B)/bulkhead.efi $(B)/demo/manifest.dtb $(DEMO_FILES)
	$(Q)touch $@

-include $(shell find $(B) $(H) -name '*.d' 2>/dev/null)
