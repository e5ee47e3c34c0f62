# SPDX-License-Identifier: Apache-2.0
"""Start, stop and abort leave nothing behind: not in memory, not in registers, not in the ledger."""
import re

import pytest

from conftest import ALL
from machine import friendly, hostile, manifest
from stops import AGAIN, ENDS
from test_attacks import Neighbour

CYCLES = 200

# Registers that a guest must find as they are after reset; how many of them the dirty guest can write at least.
ZERO = {"arm64": ("x1-x30", "simd", "vbar_el1", "ttbr0_el1", "tpidr_el0", "cntv_ctl_el0", "icc_igrpen1_el1",
                  "gicr_isenabler0", "gicr_ispendr0", "cpacr_el1", "mdscr_el1"),
        "x86_64": ("rax-r15", "rsp", "cr2", "cr8", "dr0", "dr3", "lstar", "kernel_gs_base", "sysenter_eip", "fs_base",
                   "tpr", "timer_initial", "isr", "irr", "st0-7", "xmm0-15")}
RESET = {"arm64": {"igroupr0": 0xffffffff}, "x86_64": {"dr7": 0x400, "rflags": 2, "fcw": 0x37f, "lvt_timer": 0x10000}}
DIRTY = {"arm64": 40, "x86_64": 25}


def ask(machine, vm, what, answer):
    """Starts @vm, which asks what to do; the log from there until it has given the answer."""
    since = machine.start(vm)
    machine.attach(vm)
    machine.send(f"do={what}\r")
    machine.wait(answer, since)
    machine.detach()
    return machine.text[since:]


def assert_zero(machine, vm):
    """Seen from outside where that can be; where not, the guest that runs there next looks."""
    assert {state for _, _, state in machine.memory(vm)} == {"stopped"}
    if machine.backend.monitor:
        assert not any(machine.vm_bytes(vm)), f"the memory of {vm} is not zero"


@pytest.mark.platforms(*ALL)
def test_registers(boot, platform):
    """What one guest leaves in its registers the next one on that core does not find."""
    vms = {"one": friendly(1, "do=registers"), "ask": friendly(3, "do=ask", autostart=0)}
    machine = boot(manifest(vms)).booted()
    machine.wait(r"one\| registers: done", 0)
    fresh = dict(re.findall(r"one\| reg (\S+) (0x\w+)$", machine.text, re.MULTILINE))
    arch = machine.backend.arch
    for name in ZERO[arch]:
        assert int(fresh[name], 16) == 0, name
    for name, value in RESET[arch].items():
        assert int(fresh[name], 16) == value, name

    def run(what):
        text = ask(machine, "ask", what, "registers: done")
        machine.stop("ask")
        return dict(re.findall(r"reg (\S+) (0x\w+)$", text, re.MULTILINE))

    before = run("registers")
    left = run("dirty")
    after = run("registers")
    dirtied = {name for name in left if left[name] != before[name]}
    assert len(dirtied) > DIRTY[arch], f"the dirty guest could not even write {sorted(set(left) - dirtied)}"
    assert before == fresh
    assert {name: (before[name], after[name]) for name in after if after[name] != before[name]} == {}


@pytest.mark.platforms(*ALL)
def test_memory(boot):
    """All of a guest's memory but its images is zero when it starts, and all of it when it has stopped."""
    vms = {"ask": friendly([1, 2], "do=ask", memory="6M", autostart=0)}
    machine = boot(manifest(vms)).booted()
    assert_zero(machine, "ask")
    for _ in range(2):
        ask(machine, "ask", "fill", "^filled\n")
        if machine.backend.monitor:
            filled = machine.vm_bytes("ask")
            assert len(filled) == 6 << 20 and filled.count(0) < len(filled) // 2
        machine.stop("ask")
        assert_zero(machine, "ask")
        ask(machine, "ask", "zero", "^memory: 0 words not zero\n")
        machine.stop("ask")
        assert_zero(machine, "ask")


@pytest.mark.platforms("el2-max", "svm-max")
def test_abort_scrubs(boot, platform):
    vms = {"evil": hostile(1, f"do=load at={platform.backend.ram + (4 << 20):#x}", autostart=0)}
    machine = boot(manifest(vms)).booted()
    since = machine.start("evil")
    machine.wait(r"evil: abort 6/6", since)
    assert_zero(machine, "evil")


def seed_in_tree(data):
    """rng-seed of the device tree."""
    at = data.index(b"\xd0\x0d\xfe\xed", 0x200000)
    tree = data[at:at + 65536]
    struct_at = int.from_bytes(tree[8:12], "big")
    strings_at = int.from_bytes(tree[12:16], "big")
    name = tree.index(b"rng-seed\0", strings_at) - strings_at
    prop = tree.index((3).to_bytes(4, "big") + (64).to_bytes(4, "big") + name.to_bytes(4, "big"), struct_at)
    return tree[prop + 12:prop + 76]


def seed_in_setup_data(data):
    """SETUP_RNG_SEED behind boot_params: Linux Documentation/arch/x86/boot.rst, setup_data."""
    boot_params = 0x10000
    at = int.from_bytes(data[boot_params + 0x250:][:8], "little")
    while at:
        following, kind, size = (int.from_bytes(data[at + i:at + j], "little") for i, j in ((0, 8), (8, 12), (12, 16)))
        if kind == 9:
            return data[at + 16:at + 16 + size]
        at = following
    raise AssertionError("there is no seed")


SEED = {"arm64": seed_in_tree, "x86_64": seed_in_setup_data}


@pytest.mark.platforms("el2-max", "svm-max")
def test_reset_restarts_with_fresh_seeds(boot, platform):
    """A reset: scrubbed, loaded, started again, and with other random numbers than before."""
    machine = boot(manifest({"one": friendly(1, "do=ask")})).booted()
    machine.wait(r"one\| ask")
    first = SEED[platform.backend.arch](machine.vm_bytes("one"))
    since = machine.attach("one")
    machine.send("do=reset\r")
    again = machine.wait(r"hello, resetting\n", since).end()
    machine.wait(r"^ask\n", again)  # the operator is still attached, to its successor
    machine.detach()
    machine.wait(r"one: stop 1/5: the guest asked for a reset", since)
    machine.wait(r"one: restart 1 of 3 in 60 s", since)
    second = SEED[platform.backend.arch](machine.vm_bytes("one"))
    assert len(first) >= 32 and len(set(first)) > 16 and len(set(second)) > 16 and first != second
    since = machine.attach("one")
    machine.send("do=hello\r")
    machine.wait(r"hello from 0x1", since)


def test_guest_s_own_ends(boot, platform):
    """Off is off; each way to reset restarts the VM until it has done so too often. Nobody else notices."""
    ends = ENDS[platform.backend.arch]
    vms = {"guard": friendly(1, "do=guard"),
           **{end.line: friendly(core, f"do={end.line}", autostart=0, restart_limit=[2, 60])
              for core, end in enumerate(ends, 2)}}
    machine = boot(manifest(vms), cores=2 + len(ends)).booted()
    machine.wait(r"guard\| guard: on")
    with Neighbour(machine):
        for end in ends:
            vm = end.line
            since = machine.start(vm)
            if end.what == AGAIN:
                for number in (1, 2):
                    machine.wait(rf"{vm}: restart {number} of 2 in 60 s", since)
                machine.wait(rf"{vm}: the VM restarted too often and stays stopped: limit 2 in 60 s", since)
            else:
                machine.wait(rf"{vm}: stop 5/5: cores idle", since)
            assert len(re.findall(rf"{vm}: stop 1/5: {end.what}", machine.text[since:])) == (3 if end.what == AGAIN else 1)
            assert machine.states()[vm] == "stopped"


def test_timer_ticks(boot):
    machine = boot(manifest({"one": friendly(1, "do=timer")})).booted()
    ticks, milliseconds = machine.wait(r"one\| timer: (\d+) ticks in (\d+) ms").groups()
    assert int(ticks) == 1000 and int(milliseconds) >= 1000
    assert machine.exits()["one"]["total"] < 200, "ticks must not exit"


@pytest.mark.platforms(*ALL[:2], "svm-max", "vmx")
def test_cycles(boot, platform):
    """200 starts and stops or aborts in a row: the ledger as before, the memory zero, the neighbour undisturbed."""
    abort = platform.backend.ram + (4 << 20)
    vms = {"guard": friendly(1, "do=guard"), "fill": friendly(2, "do=fill", autostart=0),
           "pair": friendly([4, 5], "do=second-off", autostart=0),
           "evil": hostile(3, f"do=store at={abort:#x}", autostart=0), "off": friendly(6, "do=off", autostart=0)}
    ends = {"fill": (r"fill\| filled", True), "pair": (r"pair\| second is off", True),
            "evil": (r"evil: abort 6/6", False), "off": (r"off: stop 5/5", False)}
    machine = boot(manifest(vms), cores=7).booted()
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
        assert_zero(machine, name)
