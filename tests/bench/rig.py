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
import machines  # noqa: E402
from machine import EL2, ROOT, SVM, VMX, Failure, Machine, Scenario  # noqa: E402

USER_END = 1 << 47  # below are programs, above is the kernel
PATIENCE = 300  # seconds that any one step may take on a loaded host
PLUGIN = os.path.join(ROOT, "build/host/plugin_count.so")
ICOUNT = ["-icount", "shift=1,sleep=off", "-rtc", "clock=vm"]
VMRUN = b"\x0f\x01\xd8"
# Addresses in the resident core whose execution the plugin reports.
COMMANDS = ("vm_load", "vm_launch", "vm_end", "arch_vm_quiesce", "vm_scrub_begin", "vm_scrub_end")
PAUSES = ("arch_wait", "arch_zero")  # a core sleeps; a core that has parked scrubs
REQUEST = "payload_valid"  # the system manager has a whole frame of the card's
# A VM's functions are assigned, and taken from it; the system manager writes the log. "_end": has come back from there.
SPANS = ("pci_open", "pci_close", "log_drain")
LOG = ("log_take",)  # takes a line, and after the last finds none


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
    bare_with_devices: object = None  # the same for a machine that has PCI functions, and an IOMMU that Linux uses

    @property
    def options(self):
        return {"cpu": self.cpu} if self.cpu else {}

    def file(self, name):
        return os.path.join(self.backend.build, name)

    def initrd(self, devices=()):
        """One that has the drivers of @devices, if there are any."""
        return self.file("bench/disk-initrd.gz" if devices else "bench/initrd.gz")

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


def arm64_bare_with_devices(rig, cores, mib, words, _):
    return [rig.backend.emulator, "-M", "virt,gic-version=3,iommu=smmuv3", "-cpu", rig.cpu, "-smp", str(cores), "-m", f"{mib}M",
            "-nic", "none", "-display", "none", "-no-reboot", "-kernel", rig.kernel(), "-initrd", rig.initrd("devices"), "-append", words]


def x86_bare_with_devices(rig, cores, mib, words, _):
    return [rig.backend.emulator, "-M", "q35,smm=off", "-cpu", rig.cpu, "-smp", str(cores), "-m", f"{mib}M", "-vga", "none",
            "-nic", "none", "-display", "none", "-no-reboot", *machines.IOMMUS["intel"], "-kernel", rig.backend.files["bzImage"],
            "-initrd", rig.initrd("devices"), "-append", f"{words} intel_iommu=on tsc=reliable"]


def x86_bare(rig, cores, mib, words, folder):
    """A machine with as little in it as Bulkhead's guests have, a local APIC and a UART, and a firmware like theirs."""
    kernel, firmware = os.path.join(folder, "vmlinux"), os.path.join(folder, "x2apic")
    x2apic_first(rig.kernel(), kernel, firmware)
    return [rig.backend.emulator, "-M", "microvm,pit=off,pic=off,rtc=off", "-bios", "qboot.rom", "-cpu", rig.cpu,
            "-smp", str(cores), "-m", f"{mib}M", "-nic", "none", "-display", "none", "-no-reboot",
            "-device", f"loader,file={firmware},addr={X2APIC_FIRST:#x},force-raw=on",
            "-kernel", kernel, "-initrd", rig.initrd(), "-append", f"{X86_PLATFORM} {words}"]


def bochs_bare(rig, cores, mib, words, folder):
    """The same server with as many processors, of which Linux uses one. The firmware has a shell, but no ACPI: without an
    MP table Linux does not take the local APIC's timer, which a guest of Bulkhead has."""
    assert cores == 1
    firmware_mib = 9  # what it keeps: Linux has about as much as a guest
    disk, script = os.path.join(folder, "disk.img"), os.path.join(folder, "startup.nsh")
    table = mp_table()
    with open(script, "w", encoding="ascii") as f:
        for at in range(0, len(table), 4):
            f.write(f"mm {MP_TABLE + at:#x} {struct.unpack_from('<I', table, at)[0]:#x} -w 4 -n\r\n")
        f.write(f"\\linux.efi initrd=\\initrd.gz {X86_PLATFORM} tsc_early_khz={BOCHS_HZ // 1000} {words}\r\n")
    with open(disk, "wb") as f:
        f.truncate(64 << 20)
    subprocess.run(["/sbin/mkfs.vfat", "-F", "32", "-s", "1", disk], check=True, stdout=subprocess.DEVNULL)
    for source, name in ((rig.backend.files["bzImage"], "linux.efi"), (rig.initrd(), "initrd.gz"), (script, "startup.nsh")):
        subprocess.run(["mcopy", "-i", disk, source, f"::/{name}"], check=True)
    return rig.backend.start({"cores": 1 + cores, "memory": firmware_mib + mib, "ips": BOCHS_HZ}, disk, None, None, folder)


BOCHS_HZ = 100_000_000  # of the TSC
MP_TABLE = 0x200  # in the first KiB, where Linux looks for it and UEFI has nothing


def with_sum(table, at):
    """@table with a byte at @at that makes all of its bytes 0 in sum."""
    return table[:at] + bytes([-sum(table) % 256]) + table[at + 1:]


def mp_table():
    """One processor and nothing else. Intel MultiProcessor Specification 1.4, 4.1 to 4.3.1."""
    processor = struct.pack("<BBBBIIII", 0, 0, 0x14, 3, 0, 0, 0, 0)  # APIC 0; enabled, the boot processor
    header = struct.pack("<4sHBB8s12sIHHIHBB", b"PCMP", 44 + len(processor), 4, 0, b"BULKHEAD", b"BENCH       ", 0, 0, 1,
                         0xfee00000, 0, 0, 0)
    pointer = struct.pack("<4sIBBB5x", b"_MP_", MP_TABLE + 16, 1, 4, 0)
    return with_sum(pointer, 10) + with_sum(header + processor, 7)


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
            bare=arm64_bare, bare_with_devices=arm64_bare_with_devices)
X86_SVM = Rig("x86-svm", SVM, cpu="max", bootargs=f"{COMMON} nopti", steady=X86_SLOW_CLOCK, exits=svm_exits,
              bare=x86_bare, bare_with_devices=x86_bare_with_devices)
X86_VMX = Rig("x86-vmx", VMX, cpu="", bootargs=f"{COMMON} nopti", plugin=False, bare=bochs_bare)
RIGS = {rig.name: rig for rig in (ARM64, X86_SVM, X86_VMX)}


# ---- What is in the core ---------------------------------------------------------------------------------------------

def symbols_of(rig):
    out = subprocess.run([rig.backend.nm, rig.file("core.elf")], check=True, capture_output=True, text=True).stdout
    return {words[2]: int(words[0], 16) for words in map(str.split, out.splitlines()) if len(words) == 3}


def returns_of(rig, names):
    """Where the calls of each of @names in the core come back to."""
    out = subprocess.run([rig.backend.nm.replace("-nm", "-objdump"), "-d", "--no-show-raw-insn", rig.file("core.elf")],
                         check=True, capture_output=True, text=True).stdout
    calls = {name: re.findall(rf"\t(?:bl|call)\s+[0-9a-f]+ <{name}>\n *([0-9a-f]+):", out) for name in names}
    if not all(calls.values()):
        raise Failure(f"nobody calls one of these: {calls}")
    return {name: [int(at, 16) for at in places] for name, places in calls.items()}


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
        self.vcpu, self.each = int(fields["vcpu"]), [int(n) for n in fields["each"].split(",")]
        self.total, self.core, self.exits, self.ipis, self.us = (
            int(fields[n]) for n in ("total", "core", "exits", "ipis", "us"))


def phases(events):
    """The pairs of markers around workloads, in order."""
    begin = [e for e in events if e.name == "mark1"]
    end = [e for e in events if e.name == "mark2"]
    return list(zip(begin, end))


# ---- Machines --------------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Report:
    """What a guest says of its workloads."""
    ticks: list  # of the processor's clock
    ns: list
    batches: int  # of the workload "share"
    batch_ticks: float
    clocks: str  # what the kernel keeps time by


class Counted(Machine):
    """A running emulator and the plugin's events."""

    def events(self):
        """All so far."""
        try:
            with open(self.scenario.path("events"), encoding="ascii") as f:
                f.seek(self._taken)
                for line in f:
                    if not line.endswith("\n"):
                        break
                    self._taken += len(line)
                    self._events.append(Event(line))
        except FileNotFoundError:
            pass
        return self._events

    def expect(self, pattern):
        return self.wait(pattern, timeout=PATIENCE)

    def wait_event(self, name, count=1, vcpu=None):
        """Waits until @name has happened @count times, on @vcpu if that is given; the last of them."""
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            found = [e for e in self.events() if e.name == name and vcpu in (None, e.vcpu)]
            if len(found) >= count:
                return found[count - 1]
            if not self._read(time.monotonic() + 0.05):
                self.fail(f"the emulator ended before '{name}'")
        return self.fail(f"no '{name}' within {PATIENCE} s")

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.patience = PATIENCE
        self._events, self._taken = [], 0

    def finish(self):
        self.wait_end()
        self.child.wait()  # the plugin's last line comes after the emulator has closed its serial port
        return self.events()

    def look(self, core):
        """Where @core is in its program, and whether the emulator says that it sleeps (None: it does not say)."""
        registers = self.monitor.registers(core)
        return registers.get("RIP", registers.get("PC")), registers.get("HLT")

    def wait_at_work(self, cores):
        """Until all of @cores, of guests that are up, run a program at once."""
        self.until(lambda: all(0 < self.look(core)[0] < USER_END for core in cores), "not all are at work")

    def wait_asleep(self, cores):
        """Until all of @cores, of guests that are up, sleep in the kernel: they are where they were."""
        def asleep(core):
            looks = {self.look(core) for _ in range(5)}
            at, halted = looks.pop()
            return not looks and at > USER_END and halted in (1, None)

        self.until(lambda: all(map(asleep, cores)), "not all are asleep")

    def told(self, pattern):
        """Waits for a line that the guest prints; what is in it."""
        return self.wait(rf"work: {pattern}\n", timeout=PATIENCE)

    def report(self):
        """Waits for what work.c's "report" says."""
        clocks = self.told(r"clocks (\S+ \S+)").group(1)
        runs = [tuple(map(int, run)) for run in re.findall(r"work: ticks (\d+) ns (\d+)\n", self.text)]
        batches = re.search(r"work: batches (\d+) ticks (\S+)\n", self.text)
        return Report([ticks for ticks, _ in runs], [ns for _, ns in runs], int(batches.group(1)) if batches else 0,
                      float(batches.group(2)) if batches else 0, clocks)

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

    def quiet_stats(self, vm):
        """The same once the guest's last byte has been counted."""
        self.settled(vm)
        return self.stats()


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
    devices: tuple = ()  # as tools/machines.py has them; with "/vf0" behind it only that virtual function is the VM's

    def node(self, rig, first_device=0):
        devices = [machines.device(first_device + i) + "".join(name.partition("/")[1:]) for i, name in enumerate(self.devices)]
        return {"cores": self.cores, "memory": f"{self.mib}M", "kernel": "linux", "initrd": "initrd.gz",
                "autostart": int(self.autostart), "bootargs": command_line(rig, self.words, self.more),
                **({"devices": devices} if devices else {})}


def command_line(rig, words, more=""):
    return f"console={rig.backend.console} {rig.bootargs} {more} bench.run={words}"


def start(rig, scenario, command, options, plugin=(), icount=False, log=None):
    """Runs a Counted with these arguments of the plugin. @log: where the emulator's log of exits goes."""
    def with_counters(*arguments):
        counters = [PLUGIN, f"out={scenario.path('events')}", f"single={'on' if icount else 'off'}", *plugin]
        run = [*command(*arguments), *(["-plugin", ",".join(counters)] if rig.plugin else []),
               *(ICOUNT if icount else []), *(log or [])]
        # Warnings of the emulator itself would come in the midst of a line.
        return ["/bin/sh", "-c", 'exec "$@" 2>"$0"', scenario.path("errors"), *run]

    scenario.backend = dataclasses.replace(rig.backend, start=with_counters)
    return Counted(scenario, **options)


def bulkhead(rig, name, vms, icount=False, count="core", log=None, card=None, spare=0, **more):
    """
    Bulkhead with @vms, on one core more than they have; for a card's VMs one core and @spare MiB more than that.
    @more: further options of Machine.
    """
    managed = {"card": machines.CARD} if card else {}
    devices, nodes = [], {}
    for vm in vms:
        nodes[vm.name] = vm.node(rig, len(devices))
        devices += vm.devices
    source = machine.manifest(nodes, management_core=0, when_idle="poweroff", **managed)
    scenario = Scenario(rig.backend, f"bench-{rig.name}-{name}", source, {"initrd.gz": rig.initrd(devices)})
    plugin = []
    if rig.plugin:
        at = symbols_of(rig)
        text, path = text_of(rig)
        plugin = [f"count={count}", f"text={path}", *(f"exit={e:#x}" for e in rig.exits(text, at)),
                  *(f"at={at[p]:#x}:{p}" for p in (*COMMANDS, *PAUSES, *LOG, *SPANS, REQUEST)),
                  *(f"at={where:#x}:{p}_end" for p, places in returns_of(rig, SPANS).items() for where in places), f"pc={entry_of(rig):#x}:guest"]
    options = {"cores": 1 + sum(len(vm.cores) for vm in vms), "memory": 512 + sum(vm.mib for vm in vms), **rig.options, **more}
    if devices:
        options["devices"] = [name.partition("/")[0] for name in devices]
    if card:
        options.update(cores=options["cores"] + 1, memory=options["memory"] + spare, card=card.qemu, disk=True)
    return start(rig, scenario, rig.backend.start, options, plugin, icount and rig.icount, log)


def native(rig, name, vm, icount=False, count="core"):
    """The same for the one @vm without Bulkhead: kernel, initrd, command line and processor."""
    scenario = Bare(rig.backend, f"bench-{rig.name}-{name}", None)

    bare = rig.bare_with_devices if vm.devices else rig.bare

    def command(*_):
        argv = bare(rig, len(vm.cores), vm.mib, command_line(rig, vm.words, vm.more), scenario.folder)
        return [*argv, *machines.behind_ports(vm.devices)]

    return start(rig, scenario, command, {}, [f"count={count}"], icount and rig.icount)


def side_by_side(runs, outcome_of=Counted.finish):
    """Runs emulators at the same time, one thread each; what @outcome_of says of each."""
    outcome = [None] * len(runs)

    def one(i, make):
        try:
            with make() as emulator:
                outcome[i] = outcome_of(emulator)
        except (Failure, OSError, subprocess.SubprocessError) as error:
            outcome[i] = error

    with emulators():
        threads = [threading.Thread(target=one, args=(i, make)) for i, make in enumerate(runs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for one_outcome in outcome:
        if isinstance(one_outcome, Exception):
            raise one_outcome
    return outcome


@contextlib.contextmanager
def emulators():
    """No other emulator on this machine meanwhile, where that has been asked for."""
    machine.EmulatorLock.take()
    try:
        yield
    finally:
        machine.EmulatorLock.give()
