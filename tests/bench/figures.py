# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/benchmarks.md, one function for each kind. Each takes the machine, the sheet and the options."""
import os
import re
import statistics
import subprocess

import rig
from machine import Machine, Scenario, hostile, manifest
from rig import Vm, bulkhead, emulators, native, phases, side_by_side

BOOT_EXITS = {"arm64-el2": 120, "x86-svm": 300, "x86-vmx": 5000}
LIFECYCLE, LIFECYCLE_BY_CARD = 50000, 60000  # instructions
LINES = {"arm64": 8000, "x86_64": 8000}
ALL_LINES = 12000
TEXT_BYTES = 131072
VM_KIB = {"arm64": 64, "x86_64": 96}  # and 8 for each GiB; x86's boot image holds ACPI and page tables


class Sheet:
    """The column of one backend."""

    def __init__(self, results, backend):
        self.results, self.backend = results, backend

    def add(self, figure, value, unit, bound=None, agree=True):
        self.results.add(self.backend, figure, value, unit, bound, agree)


# ---- Exits -----------------------------------------------------------------------------------------------------------

# ESR of a trapped write of ICC_SGI1R_EL1, whatever the register it came from (Arm ARM D19.2.37, ISS for class 0x18)
SGI1R_ESR, ANY_RT = 0x623a3016, 0x1f << 5


class El2Log:
    """QEMU's log of exceptions: what led to EL2, and which of that was a sent SGI."""
    arguments = ["-d", "int,plugin"]

    @staticmethod
    def is_exit(line):
        return line.startswith(("...from EL1 to EL2", "...from EL0 to EL2"))

    @staticmethod
    def is_ipi(line):
        return line.startswith("...with ESR 0x18/") and int(line.split("/")[1], 16) & ~ANY_RT == SGI1R_ESR


class SvmLog:
    """QEMU's log of entries and exits: all exits, and which were writes of an MSR. Once Linux is up only the ICR's exit."""
    arguments = ["-d", "in_asm,plugin"]

    @staticmethod
    def is_exit(line):
        return line.startswith("vmexit(")

    @staticmethod
    def is_ipi(line):
        return line.startswith("vmexit(0000007c, 0000000000000001,")


LOGS = {"arm64-el2": El2Log, "x86-svm": SvmLog}


def exits_in_log(path, kind):
    """The emulator's log and the plugin's events in it: for each event its name, how many exits were before it, and how
    many of those were sent IPIs."""
    found, exits, ipis = [], 0, 0
    event = re.compile(r"(\w+) vcpu \d+ total ")
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            exits += kind.is_exit(line)
            ipis += kind.is_ipi(line)
            if match := event.match(line):
                found.append((match.group(1), exits, ipis))
    return found


def total(stats, *reasons):
    """All exits in @stats, or those for @reasons."""
    return sum(n for core in stats.values() for reason, n in core.items() if not reasons or reason in reasons)


class Exits:
    """A guest and three counters of its exits: the hypervisor's own, the plugin's, the emulator's log."""

    def __init__(self, where, name, vm, workloads, beside=None, **options):
        """
        @workloads: what the guest does after boot, with a pause after each for a look at the counters. @beside.begin()
        comes before that with the emulator, @beside.end() behind it. @options: of Machine.
        """
        kind = LOGS[where.name]
        log = where.file(f"bench/{name}.log")
        vm.words = ",".join(["pause:2500", *(f"{w},pause:2500" for w in workloads), "stay"])
        with emulators(), bulkhead(where, name, [vm], log=[*kind.arguments, "-D", log], **options) as emulator:
            emulator.booted()
            if beside:
                beside.begin(emulator)
            emulator.wait_event("mark0")
            self.own = [emulator.stats()]
            for i in range(len(workloads)):
                emulator.wait_event("mark2", i + 1)
                self.own.append(emulator.stats())
            if beside:
                beside.end()
            emulator.send("poweroff\r")
            self.events = emulator.finish()
        seen = exits_in_log(log, kind)
        os.remove(log)
        self.first = next(e for e in self.events if e.name == "guest")
        before = {name: exits for name, exits, _ in seen if name in ("guest", "mark0")}
        self.logged_boot = before["mark0"] - before["guest"]
        begin, end = ([one[1:] for one in seen if one[0] == name] for name in ("mark1", "mark2"))
        self.logged = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(begin, end)]

    def boot(self):
        return total(self.own[0])

    def boot_agrees(self):
        shell = next(e for e in self.events if e.name == "mark0")
        return self.boot() == self.logged_boot == shell.exits - self.first.exits

    def own_exits(self, i, *reasons):
        """Of workload @i and the pauses around it, on all cores."""
        return total(self.own[i + 1], *reasons) - total(self.own[i], *reasons)

    def seconds(self, i):
        begin, end = phases(self.events)[i]
        return (end.us - begin.us) / 1e6

    def executed_ipis(self, i):
        """Sent interrupts that the plugin saw the guest execute."""
        begin, end = phases(self.events)[i]
        return end.ipis - begin.ipis

    def delta(self, i, core, *reasons):
        return total({core: self.own[i + 1][core]}, *reasons) - total({core: self.own[i][core]}, *reasons)


WORKLOADS = (("idle:3000", "idle"), ("busy:400000", "busy loop"), ("fork:300", "fork/exec storm"),
             ("timer:3000", "1 kHz timer"))
SMOKE_WORKLOADS = (("idle:2000", "idle"), ("busy:200000", "busy loop"))


def exits(where, sheet, options):
    """One vCPU: exits until a shell is up, and afterwards."""
    if not where.plugin:
        told_exits(where, sheet)
        return
    workloads = SMOKE_WORKLOADS if options.smoke else WORKLOADS
    run = Exits(where, "exits-1", Vm("one", [1], 256), [w for w, _ in workloads])
    sheet.add("exits, first instruction to shell, 1 vCPU, quiet", run.boot(), "exits", BOOT_EXITS[where.name],
              run.boot_agrees())
    for i, (_, name) in enumerate(workloads):
        own, logged = run.own_exits(i), run.logged[i][0]
        sheet.add(f"exits after that, {name}", round(max(own, logged) / run.seconds(i), 1) or 0, "exits/s", 0,
                  own == logged)


def near(a, b):
    """Own counters are read a moment before and after the markers: a core may send an IPI in between."""
    return abs(a - b) <= 10 + a // 50


def ipis(where, sheet, _):
    """Two vCPUs: only sending an IPI exits."""
    if not where.plugin:
        told_ipis(where, sheet)
        return
    workloads = (("wake:1000", "wake"), ("ping:2000", "ping"), ("idle:3000", "idle"), ("spin:200000", "busy loops"),
                 ("fork:200", "fork/exec storm"), ("timer:1000", "1 kHz timer"))
    run = Exits(where, "exits-2", Vm("two", [1, 2], 256), [w for w, _ in workloads])

    # A byte a millisecond from core 1 to a sleeper on core 2; a sleeper that is awake already needs no IPI.
    sent = run.delta(0, 1, "ipi")
    received = run.delta(0, 2) - run.delta(0, 2, "ipi")
    sheet.add("exits on receiving an IPI, 2 vCPUs", received, "exits", 0, sent >= 100)
    others, agree = 0, True
    for i in range(len(workloads)):
        own, sends, (logged, logged_sends) = run.own_exits(i), run.own_exits(i, "ipi"), run.logged[i]
        others += max(own - sends, logged - logged_sends)
        agree = agree and near(own, logged) and near(sends, run.executed_ipis(i))
    sheet.add("exits other than IPI sends, 2 vCPUs", others, "exits", 0, agree)
    for i, (_, name) in enumerate(workloads):
        sheet.add(f"IPI sends, 2 vCPUs, {name}", round(run.executed_ipis(i) / run.seconds(i), 1), "exits/s")


# ---- Exits where only the hypervisor counts --------------------------------------------------------------------------

FORCED = "cpuid"  # VMX leaves no choice


class Told:
    """A guest that asks before each workload, so that the hypervisor's counters can be read while it waits."""

    def __init__(self, where, name, vm, workloads):
        vm.words = ",".join(["ask:0", "idle:10", "ask:1", *(f"{w},ask:{i}" for i, w in enumerate(workloads, 2)), "report", "stay"])
        self.own = []
        with emulators(), bulkhead(where, name, [vm]) as emulator:
            emulator.booted()
            emulator.told("0")
            for i in range(1, len(workloads) + 2):
                self.own.append(emulator.quiet_stats(vm.name))
                emulator.attach(vm.name)  # presses return
                emulator.told(str(i))
                emulator.detach()
            self.own.append(emulator.quiet_stats(vm.name))
            emulator.attach(vm.name)
            self.seconds = [ns / 1e9 for ns in emulator.report().ns[1:]]

    def boot(self, *reasons):
        return total(self.own[0], *reasons)

    def cores(self, i, core, *reasons):
        """Exits of @core in workload @i and the question after it; -1 is a short sleep."""
        return total({core: self.own[i + 2][core]}, *reasons) - total({core: self.own[i + 1][core]}, *reasons)

    def of(self, i, *reasons):
        """The same of all cores."""
        return sum(self.cores(i, core, *reasons) for core in self.own[0])

    def others(self, i, *reasons):
        """Exits but for @reasons, and for what the question does at the console."""
        return self.of(i) - self.of(i, *reasons) - self.of(-1, "console")


def told_exits(where, sheet):
    workloads = (("idle:3000", "idle"), ("busy:20000", "busy loop"), ("fork:100", "fork/exec storm"),
                 ("timer:3000", "1 kHz timer"))
    run = Told(where, "exits-1", Vm("one", [1], 256), [w for w, _ in workloads])
    sheet.add("exits, first instruction to shell, 1 vCPU, quiet", run.boot(), "exits", BOOT_EXITS[where.name])
    sheet.add("exits forced by CPUID, first instruction to shell", run.boot(FORCED), "exits")
    for i, (_, name) in enumerate(workloads):
        sheet.add(f"exits after that, {name}", round(run.others(i, FORCED) / run.seconds[i], 1) or 0, "exits/s", 0)
    for i, (_, name) in enumerate(workloads):
        sheet.add(f"exits forced by CPUID after that, {name}", round(run.of(i, FORCED) / run.seconds[i], 1), "exits/s")


def told_ipis(where, sheet):
    workloads = (("wake:1000", "wake"), ("ping:1000", "ping"), ("idle:3000", "idle"), ("spin:10000", "busy loops"),
                 ("fork:50", "fork/exec storm"), ("timer:1000", "1 kHz timer"))
    # A core asleep in MWAIT is woken by a store: no IPI.
    run = Told(where, "exits-2", Vm("two", [1, 2], 256, more="idle=halt"), [w for w, _ in workloads])
    received = run.cores(0, 2) - run.cores(0, 2, "ipi", FORCED, "console")  # whose the question may be
    sheet.add("exits on receiving an IPI, 2 vCPUs", received, "exits", 0, run.cores(0, 1, "ipi") >= 100)
    others = sum(run.others(i, "ipi", FORCED) for i in range(len(workloads)))
    sheet.add("exits other than IPI sends, 2 vCPUs", others, "exits", 0)
    for i, (_, name) in enumerate(workloads):
        sheet.add(f"IPI sends, 2 vCPUs, {name}", round(run.of(i, "ipi") / run.seconds[i], 1), "exits/s")


# ---- Instructions and time -------------------------------------------------------------------------------------------

REPEATS = {"arm64-el2": 5, "x86-svm": 5, "x86-vmx": 3}
# Most that is allowed: busy, timer, fork/exec.
INSTRUCTIONS = {"arm64-el2": (1.001, 1.001, 1.01), "x86-svm": (1.005, 1.005, 1.005), "x86-vmx": (1.02, 1.02, 1.02)}
# The words, what they are called, and how often the timer expires.
WORKS = (("busy:250000", "busy"), ("timer:{}", "1 kHz timer"), ("fork:100", "fork/exec"))
TIMES = {"arm64-el2": 5000, "x86-svm": 1000}
SHORT_TIMES = {"arm64-el2": 2000, "x86-svm": 200}  # a kernel that takes its clock to be fast waits long


def instructions(where, sheet, _):
    """Instructions of the whole machine for the same work, with and without Bulkhead."""
    if not where.plugin:
        ticks(where, sheet)
        return
    words = ",".join(w for w, _ in WORKS).format(TIMES[where.name]) + ",off"
    vm = Vm("work", [1], 256, words, more=where.steady)
    with_it, without = [], []
    for i in range(REPEATS[where.name]):
        a, b = side_by_side([lambda: bulkhead(where, f"work-bulkhead-{i}", [vm], icount=True, count="all"),
                             lambda: native(where, f"work-native-{i}", vm, icount=True, count="all")])
        with_it.append([end.total - begin.total for begin, end in phases(a)])
        without.append([end.total - begin.total for begin, end in phases(b)])
    for k, (_, name) in enumerate(WORKS):
        ours = statistics.median(run[k] for run in with_it)
        plain = statistics.median(run[k] for run in without)
        sheet.add(f"instructions per unit against no hypervisor, {name}", round(ours / plain, 6), "ratio",
                  INSTRUCTIONS[where.name][k])


def ticks(where, sheet):
    """The same where the processor's clock counts instructions; the guest reads it. What a timer costs is what it takes
    from a process that has the rest."""
    vm = Vm("work", [1], 256, "busy:20000,share:1000,fork:100,report,stay")
    both = []
    for i in range(REPEATS[where.name]):
        both.append(side_by_side([lambda: bulkhead(where, f"work-bulkhead-{i}", [vm]),
                                  lambda: native(where, f"work-native-{i}", vm)], rig.Counted.report))
    for k, (_, name) in enumerate(WORKS):
        spent_by = [[report.ticks[k] - (report.batches * report.batch_ticks if "timer" in name else 0) for report in pair]
                    for pair in both]
        ours, plain = (statistics.median(side) for side in zip(*spent_by))
        sheet.add(f"instructions per unit against no hypervisor, {name}", round(ours / plain, 6), "ratio",
                  INSTRUCTIONS[where.name][k], all(a.clocks == b.clocks for a, b in both))


def wall_clock(where, sheet, _):
    """The same by the wall clock, one after the other in turns. Published only: TCG walks two-stage tables in software."""
    if not where.plugin:
        return
    works = (("busy:400000", "busy"), ("timer:{}", "1 kHz timer"), ("fork:300", "fork/exec"))
    words = ",".join(w for w, _ in works).format(SHORT_TIMES[where.name]) + ",off"
    vm = Vm("time", [1], 256, words, more=where.steady)
    times = {True: [], False: []}
    for i in range(3):
        for ours in (True, False):
            with emulators(), (bulkhead(where, f"time-bulkhead-{i}", [vm], count="none") if ours
                               else native(where, f"time-native-{i}", vm, count="none")) as emulator:
                times[ours].append([end.us - begin.us for begin, end in phases(emulator.finish())])
    for k, (_, name) in enumerate(works):
        ours, plain = (statistics.median(run[k] for run in times[which]) for which in (True, False))
        sheet.add(f"wall clock against no hypervisor, {name}", round(ours / plain, 3), "ratio")


# ---- Lifecycle -------------------------------------------------------------------------------------------------------

MANAGER = 0  # the management core
BUSY, ASLEEP = "busy:1000000000", "stay"  # without end


def next_pause(events, core):
    """Where @core first sleeps, or has parked and scrubs."""
    return next(e for e in events if e.name in rig.PAUSES and e.vcpu == core)


def spent(begin, *ends):
    """The hypervisor's instructions from @begin to the events in @ends, each on the vCPU that it is of."""
    return sum(end.each[end.vcpu] - begin.each[end.vcpu] for end in ends)


def managing(events):
    """Of the system manager from the first of @events to where it waits for others, and for all lines of the log.
    How often it is woken in between, finds nothing and sleeps again is chance and not in it."""
    own = [e for e in events if e.vcpu == MANAGER]
    work = spent(own[0], next(e for e in own if e.name in ("arch_wait", "log_drain")))
    writes = False  # the card's reader takes lines too, whenever it is looked after
    for e, end in zip(own, own[1:]):
        writes = e.name == "log_drain" or writes and e.name == "log_take"
        if writes and e.name == end.name == "log_take":
            work += spent(e, end)
    return work


def starting(where, vm, events):
    """Instructions of a start; @events: from vm_launch to when the guest is up."""
    begin, guest = events[0], next(e for e in events if e.name == "guest")
    if where.icount:
        return guest.core - begin.core
    return managing(events) + spent(begin, guest, *(next_pause(events, core) for core in vm.cores[1:]))


def stopping(where, vm, events):
    """Instructions of a stop; @events: from vm_end on."""
    begin, parked = events[0], next(e for e in events if e.name == "arch_vm_quiesce")
    if where.icount:
        return parked.core - begin.core
    return spent(begin, parked, *(next_pause(events, core) for core in vm.cores))


def scrubbing(vm, events):
    """Instructions for one MiB; @events: from vm_end on."""
    rest = [e for e in events if e.name in rig.COMMANDS or e.name == "end"]
    begin = next(i for i, e in enumerate(rest) if e.name == "vm_scrub_end")  # commands and doorbells are out
    return (rest[begin + 1].core - rest[begin].core) / vm.mib


def lifecycle(where, sheet, _):
    """Start and stop, in instructions of the hypervisor on all cores."""
    if not where.plugin:
        return
    vms = [Vm("small", [1], 256, BUSY, False), Vm("large", [2], 2048, BUSY, False),
           Vm("quiet", [3], 256, ASLEEP, False), Vm("pairs", [4, 5], 256, "spin:1000000000", False)]
    starts, stops, scrub = {}, {}, {}
    with emulators(), bulkhead(where, "lifecycle", vms, icount=True) as emulator:
        emulator.booted()
        for i, vm in enumerate(vms):
            emulator.command(f"load {vm.name}")
            emulator.start(vm.name)
            emulator.wait_event("mark0", i + 1)
            (emulator.wait_asleep if vm.words == ASLEEP else emulator.wait_at_work)(vm.cores)
            if "cores idle" not in emulator.stop(vm.name):
                emulator.fail(f"'stop {vm.name}' did not come to its end")
        emulator.send("poweroff\r")
        events = emulator.finish()
    for i, vm in enumerate(vms):
        start, up, stop = (at(events, name, i) for name in ("vm_launch", "mark0", "vm_end"))
        starts[vm.name] = starting(where, vm, events[start:up])
        stops[vm.name] = stopping(where, vm, events[stop:])
        scrub[vm.name] = scrubbing(vm, events[stop:])
    for name, text in (("small", "256 MiB"), ("large", "2 GiB"), ("pairs", "256 MiB, 2 vCPUs")):
        sheet.add(f"start, command to first instruction, {text}", starts[name], "instructions", LIFECYCLE)
    sheet.add("start, difference between 256 MiB and 2 GiB",
              round(100 * abs(starts["large"] - starts["small"]) / starts["small"], 2), "%", 1)
    for name, text in (("small", "busy, 256 MiB"), ("large", "busy, 2 GiB"), ("quiet", "asleep"),
                       ("pairs", "2 vCPUs busy")):
        sheet.add(f"stop, command to every core parked, {text}", stops[name], "instructions", LIFECYCLE)
    if where.icount:  # on x86 a single one does it
        sheet.add("scrubbing, sum of the VM's cores", round(scrub["large"]), "instructions/MiB")


class MissedEvent(rig.Failure):
    """QEMU's plugins do not see everything: one function's start in some dozens of runs."""


def at(events, name, count):
    """Where in @events @name is that has happened @count times before."""
    found = [i for i, e in enumerate(events) if e.name == name]
    if len(found) <= count:
        raise MissedEvent(f"the plugin saw '{name}' {len(found)} times")
    return found[count]


# ---- Stops, again and again ------------------------------------------------------------------------------------------

# What the tiny guest is told, and what it then does.
TINY = (("spin", "a cli loop"), ("sleep", "cli and hlt"), ("busy", "a loop"), ("idle", "hlt"))
# The words of a Linux guest, and the marker after which it is stopped.
LINUX = ((BUSY, "Linux, busy", "mark1"), (ASLEEP, "Linux, asleep", "mark0"))


def stops(where, sheet, options):
    """Guests that are started and stopped many times; the signal is an NMI."""
    if where.name != "x86-svm":
        return
    count = tiny_stops(where, options.stops)
    for line, kind in TINY:
        add_stops(sheet, kind, count[line], options.stops)
    for words, kind, mark in LINUX:
        add_stops(sheet, kind, linux_stops(where, words, mark, options.linux_stops), options.linux_stops)


def add_stops(sheet, kind, count, wanted):
    sheet.add(f"stops that came to their end, {kind}", count, f"of {wanted}", None, count == wanted)


def stop(emulator, vm):
    """Whether a stop came to its end."""
    since = emulator.here()
    return emulator.command(f"stop {vm}") == [] and f"{vm}: stop 5/5: cores idle" in emulator.text[since:]


def tiny_stops(where, times):
    """How many stops of each kind came to their end, until one does not."""
    vms = {line: hostile(core, f"do={line}", autostart=0) for core, (line, _) in enumerate(TINY, 1)}
    scenario = Scenario(where.backend, f"bench-{where.name}-stops", manifest(vms))
    count = dict.fromkeys(vms, 0)
    with emulators(), Machine(scenario, cores=1 + len(vms), **where.options) as emulator:
        emulator.booted()
        for _ in range(times):
            since = emulator.here()
            for vm in vms:
                emulator.start(vm)
            for vm in vms:
                emulator.wait(rf"{vm}\| holding", since)
            for vm in vms:
                if not stop(emulator, vm):
                    return count
                count[vm] += 1
    return count


def linux_stops(where, words, mark, times):
    """The same of two Linux guests, each on a core of its own. One that sleeps is stopped once its core does."""
    vms = [Vm("left", [1], 256, words, False), Vm("right", [2], 256, words, False)]
    count = 0
    with emulators(), bulkhead(where, f"stops-{mark}", vms, count="none") as emulator:
        emulator.booted()
        while count < times:
            for vm in vms:
                emulator.start(vm.name)
            for vm in vms:
                emulator.wait_event(mark, count // len(vms) + 1, vm.cores[0])
                if words == ASLEEP:
                    emulator.wait_asleep(vm.cores)
            for vm in vms:
                if not stop(emulator, vm.name):
                    return count
                count += 1
    return min(count, times)


# ---- Memory and size -------------------------------------------------------------------------------------------------

def memory(where, sheet, _):
    """Of the hypervisor for one VM, beyond the VM's own; from the planner's code."""
    sizes = ((1, 256, "1 vCPU, 256 MiB"), (1, 2048, "1 vCPU, 2 GiB"), (2, 256, "2 vCPUs, 256 MiB"),
             (16, 65536, "16 vCPUs, 64 GiB"), (48, 262144, "48 vCPUs, 256 GiB"))
    out = subprocess.run([os.path.join(rig.ROOT, "build/host/vm_memory"), where.backend.arch,
                          *(f"{c}:{m}" for c, m, _ in sizes)], check=True, capture_output=True, text=True).stdout
    for (_, mib, name), size in zip(sizes, map(int, out.split())):
        sheet.add(f"hypervisor memory per VM, {name}", size // 1024, "KiB",
                  VM_KIB[where.backend.arch] + 8 * -(-mib // 1024))


FOLDERS = {"arm64": "arm64", "x86_64": "x86"}


def code_size(where, sheet, _):
    """What tools/size counts, against the bounds of this table."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    out = subprocess.run(["make", "-s", "--no-print-directory", "size", f"COMPILER={rig.machine.COMPILER}"],
                         check=False, capture_output=True, text=True, env=environment, cwd=rig.ROOT).stdout
    image = rf"^ *resident, {FOLDERS[where.backend.arch]} "
    lines = re.search(rf"{image}+(\d+) code lines", out, re.M)
    size = re.search(rf"{image}(?:.*\n)+? *text and rodata +(\d+) bytes", out, re.M)
    every = re.search(r"^ *resident, all together +(\d+) code lines", out, re.M)
    if not lines or not size or not every:
        raise rig.Failure("`make size` does not say how much is resident")
    sheet.add("resident code, one image", int(lines.group(1)), "lines", LINES[where.backend.arch])
    sheet.add("resident code, all backends together", int(every.group(1)), "lines", ALL_LINES)
    sheet.add("resident text and rodata", int(size.group(1)), "bytes", TEXT_BYTES)


STEPS = {f.__name__: f for f in (exits, ipis, instructions, wall_clock, lifecycle, stops, memory, code_size)}
SMOKE = ("exits", "lifecycle", "card", "memory", "code_size")
