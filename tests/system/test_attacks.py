# SPDX-License-Identifier: Apache-2.0
"""
A guest breaks the rules, next to one that checks its memory all the time. Each rule that matters ends the guest that
broke it, with the reason, the address and the program counter in the log; the others are ignored or refused. Either
way the neighbour's memory, timer, interrupts and console go on.
"""
import re
import subprocess

import pytest

from attacks import FETCH, fatal, harmless
from conftest import ALL, ARM64
from machine import friendly, hostile, manifest

# One guest for all attacks: it asks on its console what to do. Core 7 belongs to nobody, core 1 to the neighbour.
VMS = {"guard": friendly(1, "do=guard"), "evil": hostile([2, 3], "do=ask", autostart=0),
       "flood": hostile(5, "do=flood", autostart=0), "loop": hostile(6, "do=reset-loop", autostart=0)}

# Not Milan: of a bad CR4 QEMU makes an invalid VMCB there, and the hypervisor is the same.
pytestmark = pytest.mark.platforms(*(p for p in ALL if p != "svm-milan"))


def report(machine):
    """What the neighbour says of itself when asked on its console; its interrupt brings the question."""
    since = machine.attach("guard")
    match = machine.wait(r"guard: rounds (\d+) wrong (\d+) strays (\d+) ticks (\d+)\n", since)
    machine.detach()
    return [int(number) for number in match.groups()]


def symbols(backend):
    """Where each operation of the hostile guest is."""
    elf = backend.files["hostile"].replace(".img", ".elf")
    text = subprocess.run([backend.nm, elf], check=True, capture_output=True, text=True).stdout
    return {name: int(at, 16) for at, _, name in (line.split() for line in text.splitlines())}


def involuntary(machine):
    """The neighbour's exits, but for those of its console: it has just told us something."""
    return {reason: n for reason, n in machine.exits()["guard"].items() if reason not in ("console", "total")}


class Neighbour:
    """Nothing happens to the neighbour between the two ends of a `with`."""

    def __init__(self, machine):
        self.machine = machine

    def __enter__(self):
        self.before = report(self.machine)
        self.exits = involuntary(self.machine)

    def __exit__(self, kind, *_):
        if kind:
            return
        exits = involuntary(self.machine)
        rounds, wrong, strays, ticks = report(self.machine)
        while rounds == self.before[0] or ticks == self.before[3]:  # it goes on; wait() limits how long this takes
            rounds, wrong, strays, ticks = report(self.machine)
        assert (wrong, strays) == (0, 0), "the neighbour was disturbed"
        assert exits == self.exits, "the neighbour came to the hypervisor"
        assert self.machine.states()["guard"] == "running"


def tell(machine, line):
    """Starts the evil guest with this to do."""
    since = machine.start("evil")
    machine.attach("evil")
    machine.send(f"do={line}\r")
    return since


@pytest.fixture
def machine(share):
    machine = share("attacks", manifest(VMS), cores=8)
    machine.wait(r"guard\| guard: on")
    return machine


@pytest.mark.cases(of=fatal)
def test_ends_the_guest(machine, case):
    with Neighbour(machine):
        since = tell(machine, case.line)
        machine.wait(r"evil: abort 6/6: ended", since)
        abort = re.search(r"evil: abort 1/6: (.*), address (0x\w+), pc (0x\w+), syndrome (0x\w+)", machine.text[since:])
        assert abort, "no first step of the abort in the log"
        assert abort.group(1) == case.on(machine.backend).pattern
        if case.address is not None:
            assert int(abort.group(2), 16) == case.address
        if case.symbol:
            pc = case.address if case.on(machine.backend) == FETCH else symbols(machine.backend)[case.symbol]
            assert int(abort.group(3), 16) == pc
        for step in range(1, 6):
            assert f"evil: stop {step}/5: " in machine.text[since:]
    assert machine.states()["evil"] == "stopped"
    assert {state for _, _, state in machine.memory("evil")} == {"stopped"}


@pytest.mark.cases(of=harmless)
def test_has_no_effect(machine, case):
    with Neighbour(machine):
        since = tell(machine, case.line)
        machine.wait(rf"{case.on(machine.backend).pattern}\n", since)
        machine.send("\r")  # it waits for us to have read this
        machine.wait(r"evil: stop 1/5: the guest switched itself off", since)
        machine.wait(r"evil: stop 5/5: cores idle", since)
    assert machine.states()["evil"] == "stopped"


def test_crash_loop_ends(machine):
    with Neighbour(machine):
        since = machine.start("loop")
        machine.wait(r"loop: the VM restarted too often and stays stopped: limit 3 in 60 s", since)
        for number in (1, 2, 3):
            machine.wait(rf"loop: restart {number} of 3 in 60 s", since)
        assert machine.states()["loop"] == "stopped"


def flood_while_guard_is_looked_at(machine, questions):
    """The guest floods its console while the operator asks its neighbour so often; the bytes that were lost."""
    since = machine.start("flood")
    machine.wait(r"flood\| flood \d", since)
    machine.attach("guard")
    here = machine.here()
    for _ in range(questions):
        asked = machine.here()
        machine.send("\r")
        machine.wait(r"guard: rounds \d+ wrong 0 strays 0 ticks \d+\n", asked)
    assert "flood" not in machine.text[here:]
    machine.detach()
    machine.stop("flood")
    machine.command("list")  # by then the log says all there is about the flood
    dropped = re.search(r"flood: (\d+) bytes of console output dropped", machine.text[since:])
    return int(dropped[1]) if dropped else 0


def test_flood_of_output(machine):
    """
    The guest writes as fast as it can. The neighbour's console works. Nobody takes the flood meanwhile: it must fill its ring
    and lose the rest, which is counted; a guest that has not filled it yet is given twice as long.
    """
    before, questions = report(machine), 20
    while flood_while_guard_is_looked_at(machine, questions) == 0:
        questions *= 2
        assert questions < 20_000, "the ring never runs over"
    after = report(machine)
    assert after[0] > before[0] and after[1:3] == [0, 0]
