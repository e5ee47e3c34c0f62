# SPDX-License-Identifier: Apache-2.0
"""Unmodified Debian Linux guests, side by side."""
import re
import time

import pytest

from conftest import CPUS
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


@pytest.mark.parametrize("cpu", ["max", "cortex-a72"])
def test_two_guests(boot, cpu):
    vms = {"web": linux("web", [1, 2]), "db": linux("db", 3, memory="128M")}
    machine = boot(manifest(vms, when_idle="poweroff"), memory="1G", **CPUS[cpu]).booted()
    assert welcome(machine, "web").groups() == ("2", "192")
    assert welcome(machine, "db").groups() == ("1", "128")
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


def test_three_guests_and_stop(boot):
    vms = {"web": linux("web", 1, memory="128M"), "db": linux("db", 2, memory="128M"),
           "log": linux("log", 3, memory="128M")}
    machine = boot(manifest(vms), memory="1G", **CPUS["neoverse-n1"]).booted()
    for vm in vms:
        assert welcome(machine, vm).groups() == ("1", "128")
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


def test_one_guest_from_disk_next_to_a_small_one(boot):
    vms = {"web": linux("web", 1, memory="128M"), "tiny": friendly(2, "do=echo")}
    machine = boot(manifest(vms), disk=True, memory="1G", acpi=False).booted()
    welcome(machine, "web")
    shell(machine, "web")
    # Its own memory only, whatever it may ask for: /dev/mem beyond it ends it.
    machine.send("devmem 0x9040000\r")
    machine.wait(r"web: abort 1/6: load from unowned memory, address 0x9040000, ")
    machine.wait(r"web: abort 6/6: ended")
    assert machine.states() == {"web": "stopped", "tiny": "running"}


class ExceptionLog:
    """QEMU's own log of all exceptions, for the time of a `with`: a second opinion."""

    def __init__(self, machine, name):
        self.machine = machine
        self.path = machine.scenario.path(f"{name}.int")

    def __enter__(self):
        self.machine.monitor.human(f"logfile {self.path}")
        self.machine.monitor.human("log int")
        return self

    def __exit__(self, *_):
        self.machine.monitor.human("log none")
        with open(self.path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        self.to_el1 = len(re.findall(r"from EL[01] to EL1", text))
        self.to_el2 = len(re.findall(r"from EL[01] to EL2", text))


LOADS = {"idle": "sleep 1000", "busy": "while :; do :; done", "fork": "while :; do /bin/true; done"}


@pytest.mark.parametrize("cpu", ["max"])
def test_no_exits(boot, cpu):
    """Idle, busy, forking: no exit, says the hypervisor, and says QEMU."""
    vms = {"web": linux("web", 1, memory="128M", args="quiet"), "two": linux("two", [2, 3], memory="128M", args="quiet")}
    machine = boot(manifest(vms), memory="1G", **CPUS[cpu]).booted()
    welcome(machine, "web")
    welcome(machine, "two")
    exits = machine.settled("web")
    assert exits["total"] - exits["console"] <= 120
    shell(machine, "two")
    with ExceptionLog(machine, "control") as log:  # what must be seen is seen
        run(machine, "two", "echo")
    assert log.to_el2 > 10
    machine.detach()
    for name, load in LOADS.items():
        shell(machine, "web")
        run(machine, "web", f"({load}) &")
        machine.detach()
        web = machine.settled("web")
        two = machine.settled("two")
        with ExceptionLog(machine, name) as log:
            time.sleep(WINDOW)  # what is measured: nothing may happen in this time
        after = machine.exits()
        assert after["web"] == web, name
        sent = after["two"]["ipi"] - two["ipi"]
        assert after["two"]["total"] - two["total"] == sent, "an idle pair may only send IPIs"
        assert log.to_el1 > 0 and log.to_el2 <= sent, name
        shell(machine, "web")
        run(machine, "web", "kill %1")
        machine.detach()
