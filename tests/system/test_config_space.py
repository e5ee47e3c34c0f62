# SPDX-License-Identifier: Apache-2.0
"""
A guest attacks with the configuration space of its function: it may switch on memory space, bus mastering and MSI-X, and
nothing else changes, in its own function or in others. Its neighbours are as in test_devices.py.
"""
import dataclasses
import re

import pytest

import machines
from machine import friendly, hostile, manifest
from test_attacks import Neighbour, tell
from test_devices import ask_peer, device, quiet_exits

pytestmark = pytest.mark.platforms("el2-max", "svm-max")

VMS = {"guard": friendly(1, "do=guard"), "peer": device(machines.device(0), 2, "do=watch"),
       "evil": hostile(3, "do=ask", autostart=0, devices=machines.device(1))}
OWN = {"arm64": 0x3f010000, "x86_64": 0xe0010000}  # function 00:02.0


@pytest.fixture
def machine(share):
    machine = share("config", manifest(VMS), cores=4, devices=["virtio-rng"] * 2)
    machine.wait(r"guard\| guard: on")
    machine.wait(r"peer\| peer: on")
    return machine


class Neighbours(Neighbour):
    """As in test_devices.py, but a device that is slow because the machine is busy is not wrong."""

    def __enter__(self):
        super().__enter__()
        self.requests, self.peer_exits = ask_peer(self.machine)[0], quiet_exits(self.machine)

    def __exit__(self, kind, *arguments):
        super().__exit__(kind, *arguments)
        if kind:
            return
        requests, strange = self.requests, 0
        while requests == self.requests:
            requests, _, strange = ask_peer(self.machine)
        assert strange == 0, "the neighbour got an interrupt that is not its own"
        assert quiet_exits(self.machine) == self.peer_exits, "the neighbour came to the hypervisor"


@dataclasses.dataclass(frozen=True)
class Case:
    line: str
    answer: str


def same(*cases):
    return lambda backend: [Case(line.format(own=OWN[backend.arch]), answer) for line, answer in cases]


def others(machine):
    """Where every function but the attacker's has its BARs, and bridges their windows, seen from outside."""
    def flat(devices):
        for d in devices:
            yield d
            yield from flat(d.get("pci_bridge", {}).get("devices", []))

    found = {}
    for bus in machine.monitor.run("query-pci"):
        for d in flat(bus["devices"]):
            bridge = {key: v for key, v in d.get("pci_bridge", {}).get("bus", {}).items()}
            found[d["bus"], d["slot"], d["function"]] = (d["id"], bridge, [(r["bar"], r["address"]) for r in d["regions"]])
    found.pop((2, 0, 0))  # which is off between owners
    return found


@pytest.mark.cases(of=same(
    ("pci-sweep", "command 0x406, MSI-X 0x3, 0 strays"),
    ("pci-move at=0xfee00000", "0 BARs moved, 1 queue"),
    ("pci-move at=0x10000000", "0 BARs moved, 1 queue"),
    ("pci-others", "0 others found"),
    ("pci-reset", "command 0x6, 1"),
))
def test_nothing_else_changes(machine, case):
    before = others(machine)
    with Neighbours(machine):
        since = tell(machine, case.line)
        machine.wait(rf"survived: {case.answer}\n", since)
        machine.send("\r")  # it waits for us to have read this
        machine.wait(r"evil: stop 5/5: cores idle", since)
    assert others(machine) == before


def test_what_is_shown(machine):
    """No power management, no extended capabilities, no interrupt line, one function: the list that docs/decisions/0007 has."""
    since = tell(machine, "pci-show")
    machine.wait(r"survived: \d+ words", since)
    machine.send("\r")
    machine.wait(r"evil: stop 5/5: cores idle", since)
    words = {int(at, 16): int(v, 16) for at, v in re.findall(r"config (0x\w+) (0x\w+)", machine.text[since:])}
    assert words[0] & 0xffff == 0x1af4 and words[4] == 1 << 20
    assert not [at for at in words if at >= 0x100 or 0x0c <= at < 0x10 or 0x30 <= at < 0x34 or 0x3c <= at < 0x40]
    at, seen = words[0x34], []
    while at:
        seen.append(words[at] & 0xff)
        at = words[at] >> 8 & 0xff
    assert sorted(set(seen)) == [0x09, 0x10, 0x11]
    pcie = next(at for at in words if at >= 0x40 and words[at] & 0xff == 0x10)
    assert words[pcie] >> 20 & 0xf == 9 and words.get(pcie + 4, 0) >> 28 & 1 == 0


ODD = {
    "arm64": [Case("load-pair at={own:#x}", "load from unowned memory, of a kind no device takes"),
              Case("store-pair at={own:#x}", "store to unowned memory, of a kind no device takes"),
              Case("load-misaligned at={own1:#x}", "misaligned access to a device")],
    "x86_64": [Case("add-locked at={own:#x}", "access to a device by an instruction that is not decoded"),
               Case("load at={own1:#x}", "access to a device by an instruction that is not decoded"),
               Case("fetch at={own:#x}", "fetch from unowned memory")],
}


@pytest.mark.cases(of=lambda backend: [Case(case.line.format(own=OWN[backend.arch], own1=OWN[backend.arch] + 1), case.answer)
                                       for case in ODD[backend.arch]])
def test_odd_accesses_end_the_guest(machine, case):
    with Neighbours(machine):
        since = tell(machine, case.line)
        machine.wait(rf"evil: abort 1/6: {case.answer}, address {case.line.split('=')[1]}, ", since)
        machine.wait(r"evil: abort 6/6: ended", since)
    assert {state for _, _, state in machine.memory("evil")} == {"stopped"}
