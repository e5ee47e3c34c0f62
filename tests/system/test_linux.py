# SPDX-License-Identifier: Apache-2.0
"""Unmodified Debian Linux guests, side by side."""
import contextlib
import re
import time

import pytest

from conftest import PLATFORMS
from machine import friendly, linux, manifest

WINDOW = 3  # seconds over which a silent guest must not exit


def ready(vm):
    """The shell's prompt; the last that it writes before it reads is a question for the cursor's position."""
    return rf"^{vm}:/# \x1b\[6n"


def shell(machine, vm):
    """Attaches to @vm at its shell, which shows its prompt again."""
    since = machine.attach(vm)
    machine.wait(ready(vm), since)


def run(machine, vm, line):
    """Runs a command in the attached guest; its output."""
    since = machine.here()
    machine.send(f"{line}{'' if line.endswith('&') else ';'} echo status $?\r")
    match = machine.wait(rf"(?s)echo status \$\?\n(.*?)status (\d+)\n.*?" + ready(vm), since)
    assert match.group(2) == "0", machine.tail()
    return match.group(1).strip()


def welcome(machine, vm, since=0):
    return machine.wait(rf"{vm}\| Welcome to {vm}: (\d+) CPUs, (\d+) MiB", since)


def assert_memory(machine, seen, megabytes):
    """What Linux says of its memory: on x86 all but the page that it keeps for itself at 0."""
    assert int(seen) == megabytes - (machine.backend.arch == "x86_64")


@pytest.mark.platforms("el2-max", "el2-cortex-a72", "svm-max")
def test_two_guests(boot):
    vms = {"web": linux("web", [1, 2]), "db": linux("db", 3, memory="128M")}
    machine = boot(manifest(vms, when_idle="poweroff"), memory=1024).booted()
    for vm, cpus, megabytes in (("web", "2", 192), ("db", "1", 128)):
        seen = welcome(machine, vm).groups()
        assert seen[0] == cpus
        assert_memory(machine, seen[1], megabytes)
    # Typing in both; each is itself.
    for vm, cpus in (("web", "2"), ("db", "1"), ("web", "2")):
        shell(machine, vm)
        assert run(machine, vm, "nproc") == cpus
        assert run(machine, vm, "hostname") == vm
        machine.detach()
    # Reboot of one, while the other goes on.
    shell(machine, "db")
    run(machine, "db", "touch /still-here")
    machine.detach()
    shell(machine, "web")
    since = machine.here()
    machine.send("reboot\r")
    machine.wait(r"Welcome to web", since)  # the console stays with it
    machine.detach()
    machine.wait(r"web: restart 1 of 3 in 60 s", since)
    shell(machine, "db")
    run(machine, "db", "test -e /still-here")
    # Power off one, then the other: then the machine.
    since = machine.here()
    machine.send("poweroff\r")
    machine.wait(r"db: stop 5/5: cores idle", since)
    assert machine.states() == {"web": "running", "db": "stopped"}
    shell(machine, "web")
    machine.send("poweroff\r")
    machine.wait(r"no VM runs any more: switching the machine off", since)
    machine.wait_end()


@pytest.mark.platforms("el2-neoverse-n1", "svm-milan")
def test_three_guests_and_stop(boot):
    vms = {"web": linux("web", 1, memory="128M"), "db": linux("db", 2, memory="128M"),
           "log": linux("log", 3, memory="128M")}
    machine = boot(manifest(vms), memory=1024).booted()
    for vm in vms:
        assert welcome(machine, vm).group(1) == "1"
    # Busy and idle, both end at once, without a word from the guest.
    shell(machine, "web")
    run(machine, "web", "(while :; do :; done) &")
    machine.detach()
    for vm in ("web", "db"):
        assert "stop 5/5: cores idle" in machine.stop(vm)
        assert not any(machine.vm_bytes(vm))
    shell(machine, "log")
    assert run(machine, "log", "hostname") == "log"
    machine.detach()


FOREIGN = {"arm64": "0x9040000", "x86_64": "0xfed00000"}  # a UART, the HPET


@pytest.mark.platforms(PLATFORMS["el2-max"].with_name("el2-max-fdt", options={"cpu": "max", "acpi": False}), "svm-max",
                       "vmx")
def test_one_guest_from_disk_next_to_a_small_one(boot, platform):
    vms = {"web": linux("web", 1, memory="128M", args="quiet"), "tiny": friendly(2, "do=echo")}
    machine = boot(manifest(vms), disk=True, memory=1024).booted()
    welcome(machine, "web")
    shell(machine, "web")
    assert run(machine, "web", "hostname") == "web"
    machine.detach()
    if platform.backend.name == "vmx":  # Linux takes a minute there, so this one does for test_no_exits as well
        for load in LOADS:
            assert spent_under(machine, "web", load) == {}, load
    shell(machine, "web")
    # Its own memory only, whatever it may ask for: /dev/mem beyond it ends it.
    foreign = FOREIGN[platform.backend.arch]
    machine.send(f"devmem {foreign}\r")
    machine.wait(rf"web: abort 1/6: load from unowned memory, address {foreign}, ")
    machine.wait(r"web: abort 6/6: ended")
    assert machine.states() == {"web": "stopped", "tiny": "running"}


@pytest.mark.platforms("svm-max")
def test_kernels_and_protocols(boot):
    """bzImage, and vmlinux both by Linux' own protocol and by PVH."""
    vms = {"bz": linux("bz", 1, memory="160M", kernel="bzImage"),
           "elf": linux("elf", 2, memory="128M", boot_protocol="linux"),
           "pvh": linux("pvh", 3, memory="128M", boot_protocol="pvh")}
    machine = boot(manifest(vms), memory=1024).booted()
    for number, (vm, words) in enumerate((("bz", r"Linux \(64-bit\)"), ("elf", r"Linux \(64-bit\)"), ("pvh", "PVH")), 1):
        assert re.search(rf"^VM {number} {vm}: .*\n  memory: .*\n  entry: .*, {words}$", machine.text, re.MULTILINE), vm
        welcome(machine, vm)
        shell(machine, vm)
        assert run(machine, vm, "hostname") == vm
        machine.detach()


LOADS = {"idle": "sleep 1000", "busy": "while :; do :; done",
         "timer": "while usleep 1000; do :; done", "fork": "while :; do /bin/true; done"}
MOST = {"el2": 120, "svm": 300}  # exits until there is a shell, but for those of its console


def spent_under(machine, vm, load, log=None):
    """The exits of @vm by reason while it does @load, but for CPUID's, which VMX forces; what else is in @log."""
    shell(machine, vm)
    run(machine, vm, f"({LOADS[load]}) &")
    machine.detach()
    before = machine.settled(vm)
    with log or contextlib.nullcontext():
        time.sleep(WINDOW)  # what is measured: nothing may happen in this time
    after = machine.exits()[vm]
    shell(machine, vm)
    run(machine, vm, "kill %1")
    machine.detach()
    return {reason: after[reason] - before[reason] for reason in after
            if reason not in ("total", "cpuid") and after[reason] != before[reason]}


class ExitLog:
    """QEMU's own log of exceptions or exits, for the time of a `with`: a second opinion."""
    EVENTS = {"el2": ("int", r"from EL[01] to EL2"), "svm": ("in_asm", r"vmexit\(")}

    def __init__(self, machine, name):
        self.machine = machine
        self.path = machine.scenario.path(f"{name}.log")
        self.events, self.pattern = self.EVENTS[machine.backend.name]

    def __enter__(self):
        self.before = self.machine.exits()
        self.machine.monitor.human(f"logfile {self.path}")
        self.machine.monitor.human(f"log {self.events}")
        return self

    def __exit__(self, *_):
        self.machine.monitor.human("log none")
        self.after = self.machine.exits()
        with open(self.path, encoding="utf-8", errors="replace") as f:
            self.exits = len(re.findall(self.pattern, f.read()))


@pytest.mark.platforms("el2-max", "svm-max")
def test_no_exits(boot, platform):
    """Idle, busy, with a timer, forking: no exit, says the hypervisor, and says QEMU."""
    vms = {"web": linux("web", 1, memory="128M", args="quiet"), "two": linux("two", [2, 3], memory="128M", args="quiet")}
    machine = boot(manifest(vms), memory=1024).booted()
    welcome(machine, "web")
    welcome(machine, "two")
    exits = machine.settled("web")
    assert exits["total"] - exits["console"] <= MOST[platform.backend.name]
    with ExitLog(machine, "control") as log:  # what must be seen is seen
        shell(machine, "two")
        machine.detach()
    assert log.exits > 10
    for load in LOADS:
        machine.settled("two")
        log = ExitLog(machine, load)
        assert spent_under(machine, "web", load, log) == {}, load
        spent = {reason: log.after["two"][reason] - log.before["two"][reason] for reason in ("ipi", "total")}
        sent = spent["ipi"]
        assert spent["total"] == sent, "an idle pair may only send IPIs"
        assert log.exits <= sent, load
