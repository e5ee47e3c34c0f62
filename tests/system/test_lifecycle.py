# SPDX-License-Identifier: Apache-2.0
"""Start, stop and abort leave nothing behind: not in memory, not in registers, not in the ledger."""
import re

import pytest

from conftest import CPUS
from machine import friendly, hostile, manifest
from test_attacks import Neighbour

CYCLES = 200


def registers(machine, vm, since):
    machine.wait(rf"{vm}\| registers: done", since)
    return dict(re.findall(rf"{vm}\| reg (\S+) (0x\w+)$", machine.text[since:], re.MULTILINE))


@pytest.mark.parametrize("cpu", CPUS)
def test_registers(boot, cpu):
    """What one guest leaves in its registers the next one on that core does not find."""
    vms = {"one": friendly(1, "do=registers"), "ask": friendly(3, "do=ask", autostart=0)}
    machine = boot(manifest(vms), **CPUS[cpu]).booted()
    fresh = registers(machine, "one", 0)
    for name in ("x1-x30", "simd", "vbar_el1", "ttbr0_el1", "tpidr_el0", "cntv_ctl_el0", "icc_igrpen1_el1",
                 "gicr_isenabler0", "gicr_ispendr0", "cpacr_el1", "mdscr_el1"):
        assert int(fresh[name], 16) == 0, name
    assert fresh["igroupr0"] == "0xffffffff"

    def run(what):
        since = machine.start("ask")
        machine.attach("ask")
        machine.send(f"do={what}\r")
        machine.wait(r"registers: done", since)
        found = dict(re.findall(r"reg (\S+) (0x\w+)$", machine.text[since:], re.MULTILINE))
        machine.detach()
        machine.stop("ask")
        return found

    before = run("registers")
    left = run("dirty")
    after = run("registers")
    dirtied = {name for name in left if left[name] != before[name]}
    assert len(dirtied) > 40, f"the dirty guest could not even write {sorted(set(left) - dirtied)}"
    assert before == fresh
    assert {name: (before[name], after[name]) for name in after if after[name] != before[name]} == {}


@pytest.mark.parametrize("cpu", CPUS)
def test_memory(boot, cpu):
    """All of a guest's memory but its images is zero when it starts, and all of it when it has stopped."""
    vms = {"fill": friendly([1, 2], "do=fill", memory="6M", autostart=0),
           "zero": friendly(3, "do=zero", memory="8M", autostart=0)}
    machine = boot(manifest(vms), **CPUS[cpu]).booted()
    assert not any(machine.vm_bytes("fill")), "not scrubbed at boot"
    for _ in range(2):
        since = machine.start("fill")
        machine.wait(r"fill\| filled", since)
        filled = machine.vm_bytes("fill")
        assert len(filled) == 6 << 20 and filled.count(0) < len(filled) // 2
        machine.stop("fill")
        assert not any(machine.vm_bytes("fill")), "not scrubbed at stop"
        since = machine.start("zero")
        machine.wait(r"zero\| memory: 0 words not zero", since)
        machine.wait(r"zero: stop 5/5", since)
        assert not any(machine.vm_bytes("zero"))


def test_abort_scrubs(boot):
    vms = {"evil": hostile(1, "do=load at=0", autostart=0)}
    machine = boot(manifest(vms)).booted()
    since = machine.start("evil")
    machine.wait(r"evil: abort 6/6", since)
    assert not any(machine.vm_bytes("evil"))


def test_reset_restarts_with_fresh_seeds(boot):
    """SYSTEM_RESET: scrubbed, loaded, started again, and with other random numbers than before."""
    machine = boot(manifest({"one": friendly(1, "do=ask")})).booted()
    machine.wait(r"one\| ask")

    def seed():
        data = machine.vm_bytes("one")
        at = data.index(b"\xd0\x0d\xfe\xed", 0x200000)
        tree = data[at:at + 65536]
        struct_at = int.from_bytes(tree[8:12], "big")
        strings_at = int.from_bytes(tree[12:16], "big")
        name = tree.index(b"rng-seed\0", strings_at) - strings_at
        prop = tree.index((3).to_bytes(4, "big") + (64).to_bytes(4, "big") + name.to_bytes(4, "big"), struct_at)
        return tree[prop + 12:prop + 76]

    first = seed()
    since = machine.attach("one")
    machine.send("do=reset\r")
    again = machine.wait(r"hello, resetting\n", since).end()
    machine.wait(r"^ask\n", again)  # the operator is still attached, to its successor
    machine.detach()
    machine.wait(r"one: stop 1/5: the guest asked for a reset", since)
    machine.wait(r"one: restart 1 of 3 in 60 s", since)
    second = seed()
    assert len(set(first)) > 16 and len(set(second)) > 16 and first != second
    since = machine.attach("one")
    machine.send("do=hello\r")
    machine.wait(r"hello from 0x1", since)


def test_timer_ticks(boot):
    machine = boot(manifest({"one": friendly(1, "do=timer")})).booted()
    ticks, milliseconds = machine.wait(r"one\| timer: (\d+) ticks in (\d+) ms").groups()
    assert int(ticks) == 1000 and int(milliseconds) >= 1000
    assert machine.exits()["one"]["total"] < 200, "ticks must not exit"


@pytest.mark.parametrize("cpu", ["max", "cortex-a72"])
def test_cycles(boot, cpu):
    """200 starts and stops or aborts in a row: the ledger as before, the memory zero, the neighbour undisturbed."""
    vms = {"guard": friendly(1, "do=guard"), "fill": friendly(2, "do=fill", autostart=0),
           "pair": friendly([4, 5], "do=second-off", autostart=0),
           "evil": hostile(3, "do=store at=0x9040000", autostart=0), "off": friendly(6, "do=off", autostart=0)}
    ends = {"fill": (r"fill\| filled", True), "pair": (r"pair\| second is off", True),
            "evil": (r"evil: abort 6/6", False), "off": (r"off: stop 5/5", False)}
    machine = boot(manifest(vms), smp=8, **CPUS[cpu]).booted()
    machine.wait(r"guard\| guard: on")
    ledger = machine.command("memory")
    assert ledger[-1] == "ledger: agrees with the plan"
    with Neighbour(machine):
        for cycle in range(CYCLES):
            name = list(ends)[cycle % len(ends)]
            sign, stop = ends[name]
            machine.wait(sign, machine.start(name))
            if stop:
                machine.stop(name)
    assert machine.command("memory") == ledger
    for name in ends:
        assert machine.states()[name] == "stopped"
        assert not any(machine.vm_bytes(name))
