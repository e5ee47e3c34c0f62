# SPDX-License-Identifier: Apache-2.0
"""
A guest breaks the rules, next to one that checks its memory all the time. Each rule that matters ends the guest that
broke it, with the reason, the address and the program counter in the log; the others are ignored or refused. Either
way the neighbour's memory, timer, interrupts and console go on.
"""
import re
import subprocess

import pytest

from conftest import CPUS
from machine import GUESTS, friendly, hostile, manifest

# One guest for all attacks: it asks on its console what to do. Core 3 belongs to nobody, core 1 to the neighbour.
VMS = {"guard": friendly(1, "do=guard"), "evil": hostile([2, 3], "do=ask", autostart=0),
       "flood": hostile(5, "do=flood", autostart=0), "loop": hostile(6, "do=reset-loop", autostart=0)}

LOAD = "load from unowned memory"
STORE = "store to unowned memory"
FETCH = "fetch from unowned memory"
WALK = "page-table walk of unowned memory"
ODD = ", of a kind no device takes"
DENIED = "access to a denied system register"
FOREIGN_SGI = "SGI to a foreign core"

END_OF_RAM = 0x40400000
DIST, REDIST, UART = 0x08000000, 0x10000000, 0x09000000


def sgi(intid, core, scale=0):
    return scale << 44 | intid << 24 | 1 << core


def hexadecimal(**arguments):
    return "".join(f" {name}={v:#x}" for name, v in arguments.items())


# (what it does, the reason of the abort, its address)
FATAL = [
    ("load" + hexadecimal(at=0), LOAD, 0),
    ("load" + hexadecimal(at=END_OF_RAM), LOAD, END_OF_RAM),
    ("load" + hexadecimal(at=0x3ffffff8), LOAD, 0x3ffffff8),
    ("load" + hexadecimal(at=0xfffffff8), LOAD, 0xfffffff8),
    ("load" + hexadecimal(at=0x1000000000), LOAD, 0x1000000000),
    ("load" + hexadecimal(at=(1 << 40) - 8), LOAD, (1 << 40) - 8),
    ("load" + hexadecimal(at=1 << 40), LOAD, 1 << 40),
    ("load" + hexadecimal(at=0x09010000), LOAD, 0x09010000),  # the machine's clock
    ("load" + hexadecimal(at=0x09040000), LOAD, 0x09040000),  # its second UART
    ("load" + hexadecimal(at=0x09050000), LOAD, 0x09050000),  # its SMMU
    ("load" + hexadecimal(at=0x08080000), LOAD, 0x08080000),  # its ITS
    ("load" + hexadecimal(at=0x080a0000), LOAD, 0x080a0000),  # its redistributors
    ("load" + hexadecimal(at=0x0a000000), LOAD, 0x0a000000),  # its virtio devices
    ("load" + hexadecimal(at=0x4010000000), LOAD, 0x4010000000),  # its PCI configuration space
    ("load" + hexadecimal(at=UART + 0x1000), LOAD, UART + 0x1000),
    ("load" + hexadecimal(at=DIST + 0x10000), LOAD, DIST + 0x10000),
    ("load" + hexadecimal(at=REDIST + 0x40000), LOAD, REDIST + 0x40000),  # after its two vCPUs'
    ("load" + hexadecimal(at=REDIST - 8), LOAD, REDIST - 8),
    ("load-byte" + hexadecimal(at=END_OF_RAM), LOAD, END_OF_RAM),
    ("store" + hexadecimal(at=0), STORE, 0),
    ("store" + hexadecimal(at=0x04000000), STORE, 0x04000000),  # the firmware's flash
    ("store" + hexadecimal(at=END_OF_RAM), STORE, END_OF_RAM),
    ("store" + hexadecimal(at=0x7ffffff8), STORE, 0x7ffffff8),
    ("store" + hexadecimal(at=0x4010000000), STORE, 0x4010000000),
    ("store-byte" + hexadecimal(at=0x09040000), STORE, 0x09040000),
    ("fetch" + hexadecimal(at=0), FETCH, 0),
    ("fetch" + hexadecimal(at=END_OF_RAM), FETCH, END_OF_RAM),
    ("fetch" + hexadecimal(at=UART), FETCH, UART),
    ("fetch" + hexadecimal(at=REDIST + 0x10000), FETCH, REDIST + 0x10000),
    ("fetch" + hexadecimal(at=(1 << 40) - 4), FETCH, (1 << 40) - 4),
    ("walk" + hexadecimal(at=0), WALK, 0),
    ("walk" + hexadecimal(at=END_OF_RAM), WALK, END_OF_RAM),
    ("walk" + hexadecimal(at=UART), WALK, UART),
    ("walk" + hexadecimal(at=0xff00000000), WALK, 0xff00000000),
    ("vectors" + hexadecimal(at=0), FETCH, 0x200),
    ("load-pair" + hexadecimal(at=UART), LOAD + ODD, UART),
    ("store-pair" + hexadecimal(at=DIST), STORE + ODD, DIST),
    ("store-pair" + hexadecimal(at=END_OF_RAM), STORE + ODD, END_OF_RAM),
    ("load-writeback" + hexadecimal(at=UART), LOAD + ODD, UART),
    ("load-exclusive" + hexadecimal(at=UART), LOAD + ODD, UART),
    ("load-simd" + hexadecimal(at=DIST), LOAD + ODD, DIST),
    ("zero-line" + hexadecimal(at=UART), STORE + ODD, UART),
    ("load-misaligned" + hexadecimal(at=UART + 1), "misaligned access to a device", UART + 1),
    ("route" + hexadecimal(**{"with": 1}), "interrupt routed to a foreign core", None),
    ("route" + hexadecimal(**{"with": 1 << 31}), "interrupt routed to a foreign core", None),
    ("sgi1r" + hexadecimal(**{"with": sgi(1, 1)}), FOREIGN_SGI, 0),
    ("sgi1r" + hexadecimal(**{"with": sgi(7, 0)}), FOREIGN_SGI, 0),
    ("sgi1r" + hexadecimal(**{"with": sgi(1, 1) | sgi(1, 2)}), FOREIGN_SGI, 0),
    ("sgi1r" + hexadecimal(**{"with": 0xffff}), FOREIGN_SGI, 0),
    ("sgi1r" + hexadecimal(**{"with": sgi(1, 1, scale=1)}), FOREIGN_SGI, 0),
    ("sgi1r" + hexadecimal(**{"with": 1 << 16 | sgi(1, 2)}), FOREIGN_SGI, 0),
    ("sgi1r" + hexadecimal(**{"with": 1 << 48 | sgi(1, 2)}), FOREIGN_SGI, 0),
    ("sgi0r" + hexadecimal(**{"with": sgi(7, 1)}), DENIED, 0),
    ("asgi1r" + hexadecimal(**{"with": sgi(7, 1)}), DENIED, 0),
    ("dir" + hexadecimal(**{"with": 33}), "deactivation of a foreign interrupt", 0),
    ("dir" + hexadecimal(**{"with": 1019}), "deactivation of a foreign interrupt", 0),
    ("dir" + hexadecimal(**{"with": 8192}), "deactivation of a foreign interrupt", 0),
    ("imp-def", DENIED, 0),
    ("imp-def-sys", DENIED, 0),
    ("actlr-read", DENIED, 0),
    ("actlr-write", DENIED, 0),
    ("group0", "interrupt put into Group 0", 0),
]

# (what it does, what it says afterwards)
HARMLESS = [
    ("route" + hexadecimal(**{"with": 2}), r"survived: 0x\w+"),
    ("sgi1r" + hexadecimal(**{"with": sgi(1, 2) | sgi(1, 3)}), r"survived: 0x0"),
    ("sgi-others", r"survived: 1000"),
    ("dir" + hexadecimal(**{"with": 27}), r"survived: 0x0"),
    ("sweep-dist", r"survived: [0-9] bits seen"),
    ("sweep-redist", r"survived: CTLR 0x0 PROPBASER 0x0 PENDBASER 0x0, 0 words not zero"),
    ("sweep-uart", r"survived: IMSC 0x7ff"),
    ("smc", r"survived: 0 of \d+ answered"),
    ("hvc", r"survived: 0 of \d+ answered"),
    # -4: already on; -2: invalid parameters
    ("cpu-on" + hexadecimal(at=1), r"survived: own 0x4 foreign 0x2 beyond 0x2 device 0x2"),
    # Undefined at EL1: the guest's own exception.
    ("hcr", r"exception: class 0x0, pc 0x\w+"),
    ("vttbr", r"exception: class 0x0, pc 0x\w+"),
    ("ich", r"exception: class 0x0, pc 0x\w+"),
    ("scr", r"exception: class 0x0, pc 0x\w+"),
    ("trace", r"exception: class 0x0, pc 0x\w+"),
    ("nothing", r"survived: 0x0"),
]


def ids(cases):
    return [case[0].replace(" ", "_") for case in cases]


def report(machine):
    """What the neighbour says of itself when asked on its console; its interrupt brings the question."""
    since = machine.attach("guard")
    match = machine.wait(r"guard: rounds (\d+) wrong (\d+) strays (\d+) ticks (\d+)\n", since)
    machine.detach()
    return [int(number) for number in match.groups()]


@pytest.fixture(scope="module")
def symbols():
    """Where each operation of the hostile guest is."""
    text = subprocess.run(["aarch64-linux-gnu-nm", GUESTS["hostile.img"].replace(".img", ".elf")], check=True,
                          capture_output=True, text=True).stdout
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


def operation(line):
    """The function of the hostile guest that does it."""
    name = line.split()[0]
    same = {"walk": "load", "route": "store", "load-misaligned": "load-half"}
    return "op_" + same.get(name, name).replace("-", "_")


def tell(machine, line):
    """Starts the evil guest with this to do."""
    since = machine.start("evil")
    machine.attach("evil")
    machine.send(f"do={line}\r")
    return since


@pytest.fixture(params=CPUS, scope="module")  # so that all tests on one processor come in a row
def cpu(request):
    return request.param


@pytest.fixture
def machine(share, cpu):
    machine = share(f"attacks-{cpu}", manifest(VMS), smp=8, **CPUS[cpu])
    machine.wait(r"guard\| guard: on")
    return machine


@pytest.mark.parametrize("line, what, address", FATAL, ids=ids(FATAL))
def test_ends_the_guest(machine, symbols, line, what, address):
    with Neighbour(machine):
        since = tell(machine, line)
        machine.wait(r"evil: abort 6/6: ended", since)
        abort = re.search(r"evil: abort 1/6: (.*), address (0x\w+), pc (0x\w+), syndrome (0x\w+)", machine.text[since:])
        assert abort, "no first step of the abort in the log"
        assert abort.group(1) == what
        if address is not None:
            assert int(abort.group(2), 16) == address
        if line != "group0":  # an interrupt comes anywhere
            assert int(abort.group(3), 16) == (address if what == FETCH else symbols[operation(line)])
        for step in range(1, 6):
            assert f"evil: stop {step}/5: " in machine.text[since:]
    assert machine.states()["evil"] == "stopped"
    assert {state for _, _, state in machine.memory("evil")} == {"clean"}


@pytest.mark.parametrize("line, answer", HARMLESS, ids=ids(HARMLESS))
def test_has_no_effect(machine, line, answer):
    with Neighbour(machine):
        since = tell(machine, line)
        machine.wait(answer + r".*\n", since)
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


def test_flood_of_output(machine):
    """The guest writes as fast as it can. The neighbour's console works; what nobody could read is counted."""
    since = machine.start("flood")
    machine.wait(r"flood\| flood \d", since)
    before = report(machine)
    machine.attach("guard")
    # While the operator looks at a console nobody takes the flood: it must fill its ring and lose the rest.
    here = machine.here()
    for _ in range(20):
        asked = machine.here()
        machine.send("\r")
        machine.wait(r"guard: rounds \d+ wrong 0 strays 0 ticks \d+\n", asked)
    assert "flood" not in machine.text[here:]
    machine.detach()
    since = machine.here()
    machine.stop("flood")
    dropped = machine.wait(r"flood: (\d+) bytes of console output dropped", since)
    assert int(dropped.group(1)) > 0
    after = report(machine)
    assert after[0] > before[0] and after[1:3] == [0, 0]
