# SPDX-License-Identifier: Apache-2.0
"""The emulated servers that are measured: with Bulkhead, the same without it, and what counts inside of them."""
import contextlib
import dataclasses
import os
import re
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))

import machine  # noqa: E402
from machine import DEPS, EL2, ROOT, SVM, VMX, Failure, Machine, Scenario  # noqa: E402

PATIENCE = 300  # seconds that any one step may take on a loaded host
PLUGIN = os.path.join(ROOT, "build/host/plugin_count.so")
ICOUNT = ["-icount", "shift=1,sleep=off", "-rtc", "clock=vm"]
VMRUN = b"\x0f\x01\xd8"
# Addresses in the resident core whose execution the plugin reports.
POINTS = ("vm_load", "vm_start", "vm_stop", "arch_vm_quiesce", "vm_scrub_begin", "vm_scrub_end")


# ---- The backends, as they are measured ------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Rig:
    """A backend, and what has to be known of it to count."""
    name: str  # in the table
    backend: machine.Backend
    cpu: str  # what the emulator is told to be
    bootargs: str  # less of what differs from boot to boot, and a silent console
    steady: str = ""  # on the kernel's command line where instructions are counted
    icount: bool = False  # Linux gets along with the emulator's counting of instructions as time
    plugin: bool = True  # the emulator takes plugins
    exits: object = None  # (text, symbols) -> where in the core's text a guest's exit enters
    bare: object = None  # (rig, cores, MiB, command line, folder) -> the emulator's command line without Bulkhead

    @property
    def options(self):
        return {"cpu": self.cpu} if self.cpu else {}

    def file(self, name):
        return os.path.join(self.backend.build, name)

    def initrd(self):
        return self.file("bench/initrd.gz")

    def kernel(self):
        return self.backend.files["linux"]


def arm64_exits(_, symbols):
    """The vectors from lower exception levels (Arm ARM D1.3.1)."""
    return [symbols["vectors"] + at for at in range(0x400, 0x800, 0x80)]


def svm_exits(text, symbols):
    """VMRUN ends behind itself."""
    return [text.index(VMRUN, symbols["svm_run"]) + len(VMRUN)]


def arm64_bare(rig, cores, mib, words, _):
    """The same machine at EL1."""
    return [rig.backend.emulator, "-M", "virt,gic-version=3", "-cpu", rig.cpu, "-smp", str(cores), "-m", f"{mib}M",
            "-nic", "none", "-display", "none", "-no-reboot",
            "-kernel", rig.kernel(), "-initrd", rig.initrd(), "-append", words]


def x86_bare(rig, cores, mib, words, folder):
    """A machine with as little in it as Bulkhead's guests have, a local APIC and a UART, and a firmware like theirs."""
    kernel, firmware = os.path.join(folder, "vmlinux"), os.path.join(folder, "x2apic")
    x2apic_first(rig.kernel(), kernel, firmware)
    return [rig.backend.emulator, "-M", "microvm,pit=off,pic=off,rtc=off", "-bios", "qboot.rom", "-cpu", rig.cpu,
            "-smp", str(cores), "-m", f"{mib}M", "-nic", "none", "-display", "none", "-no-reboot",
            "-device", f"loader,file={firmware},addr={X2APIC_FIRST:#x},force-raw=on",
            "-kernel", kernel, "-initrd", rig.initrd(), "-append", f"{X86_PLATFORM} {words}"]


X2APIC_FIRST = 0xb000000  # neither kernel nor initrd are there


def x2apic_first(kernel, copy, firmware):
    """A copy of a kernel that begins in @firmware, which switches to x2APIC as the firmware of a big machine does."""
    with open(kernel, "rb") as f:
        elf = bytearray(f.read())
    note = pvh_note(elf)
    entry = struct.unpack_from("<I", elf, note)[0]
    struct.pack_into("<I", elf, note, X2APIC_FIRST)
    with open(copy, "wb") as f:
        f.write(elf)
    with open(firmware, "wb") as f:  # Intel SDM vol. 3 11.12.1
        f.write(b"\xb9\x1b\x00\x00\x00"  # mov $IA32_APIC_BASE, %ecx
                b"\x0f\x32"  # rdmsr
                b"\x0d\x00\x0c\x00\x00"  # or $(EN | EXTD), %eax
                b"\x0f\x30"  # wrmsr
                b"\xb8" + struct.pack("<I", entry) +  # mov $entry, %eax
                b"\xff\xe0")  # jmp *%eax


# What the loader says to Linux as well.
X86_PLATFORM = "noapic tsc=reliable"
# There is no -icount for Linux on x86: its clock goes by the host's time, and how many ticks of it fall into some work
# depends on how fast the emulator is. A kernel that takes its TSC to be much faster than it is has fewer of them.
X86_SLOW_CLOCK = "tsc_early_khz=20000000"
# nokaslr, kpti=off, norandmaps: less of what differs from boot to boot. quiet: a silent console.
COMMON = "quiet loglevel=3 nokaslr norandmaps"
ARM64 = Rig("arm64-el2", EL2, cpu="max,pauth-impdef=on", bootargs=f"{COMMON} kpti=off", icount=True, exits=arm64_exits,
            bare=arm64_bare)
X86_SVM = Rig("x86-svm", SVM, cpu="max", bootargs=f"{COMMON} nopti", steady=X86_SLOW_CLOCK, exits=svm_exits,
              bare=x86_bare)
X86_VMX = Rig("x86-vmx", VMX, cpu="", bootargs=f"{COMMON} nopti", plugin=False)
RIGS = {rig.name: rig for rig in (ARM64, X86_SVM, X86_VMX)}


# ---- What is in the core ---------------------------------------------------------------------------------------------

def symbols_of(rig):
    out = subprocess.run([rig.backend.nm, rig.file("core.elf")], check=True, capture_output=True, text=True).stdout
    return {words[2]: int(words[0], 16) for words in map(str.split, out.splitlines()) if len(words) == 3}


def text_of(rig):
    """The bytes of the core's text, which is its first section and begins at 0; and the file that holds them."""
    path = rig.file("bench/text")
    subprocess.run([rig.backend.nm.replace("-nm", "-objcopy"), "-O", "binary", "-j", ".text", rig.file("core.elf"),
                    path], check=True)
    with open(path, "rb") as f:
        return f.read(), path


PVH_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY
PT_NOTE = 4


def pvh_note(elf):
    """Where in an ELF file the note is that says at which address it begins by PVH."""
    table, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    for i in range(count):
        kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", elf, table + i * size)
        end = at + length
        while kind == PT_NOTE and at < end:
            name, description, note = struct.unpack_from("<III", elf, at)
            value = at + 12 + (name + 3 & ~3)
            if elf[at + 12:at + 15] == b"Xen" and note == PVH_ENTRY:
                return value
            at = value + (description + 3 & ~3)
    raise Failure("the kernel has no entry by PVH")


def entry_of(rig):
    """Where a guest's first instruction is."""
    with open(rig.kernel(), "rb") as f:
        image = f.read()
    if image[:4] != b"\x7fELF":
        return rig.backend.ram
    return struct.unpack_from("<I", image, pvh_note(image))[0]


# ---- Events ----------------------------------------------------------------------------------------------------------

class Event:
    """One line of the plugin: name and counters."""

    def __init__(self, line):
        words = line.split()
        self.name = words[0]
        fields = dict(zip(words[1::2], words[2::2]))
        self.total, self.core, self.exits, self.ipis, self.us = (
            int(fields[n]) for n in ("total", "core", "exits", "ipis", "us"))


def read_events(path):
    try:
        with open(path, encoding="ascii") as f:
            return [Event(line) for line in f if line.endswith("\n")]
    except FileNotFoundError:
        return []


def phases(events):
    """The pairs of markers around workloads, in order."""
    begin = [e for e in events if e.name == "mark1"]
    end = [e for e in events if e.name == "mark2"]
    return list(zip(begin, end))


# ---- Machines --------------------------------------------------------------------------------------------------------

class Counted(Machine):
    """A running emulator and the plugin's events."""

    def events(self):
        return read_events(self.scenario.path("events"))

    def expect(self, pattern):
        return self.wait(pattern, timeout=PATIENCE)

    def wait_event(self, name, count=1):
        """Waits until @name has happened @count times; the last of them."""
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            found = [e for e in self.events() if e.name == name]
            if len(found) >= count:
                return found[count - 1]
            if not self._read(time.monotonic() + 0.05):
                self.fail(f"the emulator ended before '{name}'")
        return self.fail(f"no '{name}' within {PATIENCE} s")

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.patience = PATIENCE

    def finish(self):
        self.wait_end()
        return self.events()

    def stats(self):
        """Exits by core and reason, from the hypervisor's own counters."""
        cores = {}
        for line in self.command("stats"):
            core, rest = re.fullmatch(r"\S+ core (\d+): \d+ exits:(.*)", line).groups()
            words = rest.split()
            cores[int(core)] = dict(zip(words[0::2], map(int, words[1::2])))
        if not cores:
            self.fail("'stats' said nothing")
        return cores


class Bare(Scenario):
    """There is nothing to boot from but what the emulator loads itself."""

    def disk(self):
        return None


@dataclasses.dataclass
class Vm:
    name: str
    cores: list
    mib: int
    words: str = ""  # what tests/bench/work.c is to do
    autostart: bool = True
    more: str = ""  # on the kernel's command line

    def node(self, rig):
        return {"cores": self.cores, "memory": f"{self.mib}M", "kernel": "linux", "initrd": "initrd.gz",
                "autostart": int(self.autostart), "bootargs": command_line(rig, self.words, self.more)}


def command_line(rig, words, more=""):
    return f"console={rig.backend.console} {rig.bootargs} {more} bench.run={words}"


def start(rig, scenario, command, options, plugin=(), icount=False, log=None):
    """Runs a Counted with these arguments of the plugin. @log: where the emulator's log of exits goes."""
    def with_counters(*arguments):
        counters = [PLUGIN, f"out={scenario.path('events')}", f"single={'on' if icount else 'off'}", *plugin]
        return [*command(*arguments), *(["-plugin", ",".join(counters)] if rig.plugin else []),
                *(ICOUNT if icount else []), *(log or [])]

    scenario.backend = dataclasses.replace(rig.backend, start=with_counters)
    return Counted(scenario, **options)


def bulkhead(rig, name, vms, icount=False, count="core", log=None):
    """Bulkhead with @vms, on one core more than they have."""
    source = machine.manifest({vm.name: vm.node(rig) for vm in vms}, management_core=0, when_idle="poweroff")
    scenario = Scenario(rig.backend, f"bench-{rig.name}-{name}", source, {"initrd.gz": rig.initrd()})
    plugin = []
    if rig.plugin:
        at = symbols_of(rig)
        text, path = text_of(rig)
        plugin = [f"count={count}", f"text={path}", *(f"exit={e:#x}" for e in rig.exits(text, at)),
                  *(f"at={at[p]:#x}:{p}" for p in POINTS), f"pc={entry_of(rig):#x}:guest"]
    options = {"cores": 1 + sum(len(vm.cores) for vm in vms), "memory": 512 + sum(vm.mib for vm in vms), **rig.options}
    return start(rig, scenario, rig.backend.start, options, plugin, icount and rig.icount, log)


def native(rig, name, vm, icount=False, count="core"):
    """The same for the one @vm without Bulkhead: kernel, initrd, command line and processor."""
    scenario = Bare(rig.backend, f"bench-{rig.name}-{name}", None)

    def command(*_):
        return rig.bare(rig, len(vm.cores), vm.mib, command_line(rig, vm.words, vm.more), scenario.folder)

    return start(rig, scenario, command, {}, [f"count={count}"], icount and rig.icount)


def side_by_side(runs):
    """Runs emulators to their ends at the same time, one thread each; their events."""
    outcome = [None] * len(runs)

    def one(i, make):
        try:
            with make() as emulator:
                outcome[i] = emulator.finish()
        except (Failure, OSError, subprocess.SubprocessError) as error:
            outcome[i] = error

    with emulators():
        threads = [threading.Thread(target=one, args=(i, make)) for i, make in enumerate(runs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for events in outcome:
        if isinstance(events, Exception):
            raise events
    return outcome


@contextlib.contextmanager
def emulators():
    """No other emulator on this machine meanwhile, where that has been asked for."""
    machine.EmulatorLock.take()
    try:
        yield
    finally:
        machine.EmulatorLock.give()
