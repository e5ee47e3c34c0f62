# SPDX-License-Identifier: Apache-2.0
"""
Guests that do not want to stop. On x86 an NMI stops each of them. On Arm, with stop-method "auto" (Group 0 SGI as FIQ),
all of them do but for one that holds an active interrupt of the highest priority; with "sgi" also those that switched
their interrupt group off stay. None does whose interrupts are virtual: its masks are not the hypervisor's. A core that stays
is quarantined with all its VM has, and the rest of the machine goes on.
"""
import pytest

from conftest import PLATFORMS, VIRTUAL
from machine import friendly, hostile, manifest
from stops import HOLDERS, METHODS, STAYS
from test_attacks import Neighbour

# How often each of four kinds is stopped in a row. In Bochs a stop takes ten times as long.
STOPS = {"svm": 250, "vmx": 25}
WFI = b"\x7f\x20\x03\xd5"


def el2(cpu, method):
    return PLATFORMS[f"el2-{cpu}"].with_name(f"el2-{cpu}-{method}", host={"stop_method": method})


pytestmark = pytest.mark.platforms(el2("max", "auto"), el2("max", "sgi"), el2("cortex-a72", "auto"),
                                   el2("neoverse-n1", "sgi"), VIRTUAL.with_name("el2-virtual-sgi", host={"stop_method": "sgi"}), "svm-max", "svm-milan", "vmx")


def method_of(platform):
    return platform.host.get("stop_method", "nmi")


def holders(backend):
    return HOLDERS[backend.arch]


def vm_of(machine, case):
    """On Arm each has a VM of its own, because some keep theirs for ever."""
    return case.line if machine.backend.arch == "arm64" else "hold"


def core_of(machine, case):
    return holders(machine.backend).index(case) + 4 if machine.backend.arch == "arm64" else 4


@pytest.fixture
def machine(share, platform):
    vms = {"guard": friendly(1, "do=guard"), "other": friendly([2, 3], "do=second-off", autostart=0)}
    if platform.backend.arch == "arm64":
        for core, case in enumerate(holders(platform.backend), 4):
            vms[case.line] = hostile(core, f"do={case.line}", autostart=0, **platform.vm)
        cores = 4 + len(holders(platform.backend))
    else:
        vms["hold"] = hostile(4, "do=ask", autostart=0)
        cores = 5
    machine = share("stop", manifest(vms, **platform.host), cores=cores)
    machine.wait(r"guard\| guard: on")
    return machine


def asleep_at(machine, vm, core):
    """True when @vm's @core sleeps: on x86 the emulator says so, on Arm it stands behind a WFI."""
    registers = machine.monitor.registers(core)
    if machine.backend.arch == "x86_64":
        return registers["HLT"] == 1
    pc = registers["PC"] - machine.backend.ram
    base, size, _ = machine.memory(vm)[0]
    return 4 <= pc < size and machine.physical(base + pc - 4, 4) == WFI


def hold(machine, case):
    vm = vm_of(machine, case)
    since = machine.start(vm)
    if vm != case.line:
        machine.attach(vm)
        machine.send(f"do={case.line}\r")
        machine.wait("^holding\n", since)
        machine.detach()
    else:
        machine.wait(rf"{vm}\| holding", since)
    if case.sleeps and machine.backend.monitor:
        machine.until(lambda: asleep_at(machine, vm, core_of(machine, case)), f"{case.line} does not fall asleep")


@pytest.mark.cases(of=holders)
def test_stop(machine, platform, case):
    vm, method = vm_of(machine, case), method_of(platform)
    stays = case.line in STAYS[method] and not platform.vm
    with Neighbour(machine):
        hold(machine, case)
        since = machine.here()
        answer = machine.command(f"stop {vm}")
        machine.wait(rf"{vm}: stop 2/5: stop sent, {METHODS[method]}\n", since)
        if stays:
            assert answer == ["a core did not leave its guest and is quarantined"]
            machine.wait(rf"{vm}: core {core_of(machine, case)} did not leave its guest: quarantined until reset", since)
        else:
            assert answer == []
            machine.wait(rf"{vm}: stop 5/5: cores idle", since)
    assert machine.states()[vm] == ("quarantined" if stays else "stopped")
    if stays:
        # It keeps its memory, and nothing brings it back.
        assert {state for _, _, state in machine.memory(vm)} == {"quarantined"}
        for command in ("start", "stop", "load"):
            assert machine.command(f"{command} {vm}") == ["the VM is in a state that does not allow this"]
    else:
        assert {state for _, _, state in machine.memory(vm)} == {"stopped"}
        if machine.backend.monitor:
            assert not any(machine.vm_bytes(vm))
        again = case.once and machine.backend.monitor
        hold(machine, holders(machine.backend)[0] if again else case)  # and its core is as good as new
        machine.stop(vm)


def test_stop_with_a_core_switched_off(machine):
    """After a core has been lost, too: this one runs last on its machine."""
    for _ in range(2):
        with Neighbour(machine):
            since = machine.start("other")
            machine.wait(r"other\| second is off", since)
            assert "stop 5/5: cores idle" in machine.stop("other")


@pytest.mark.platforms("svm-max", "vmx")
def test_stop_again_and_again(boot, platform):
    """The NMI always gets through."""
    kinds = ["spin", "sleep", "busy", "idle"]
    vms = {name: hostile(core, f"do={name}", autostart=0) for core, name in enumerate(kinds, 1)}
    machine = boot(manifest(vms), cores=1 + len(kinds)).booted()
    for _ in range(STOPS[platform.backend.name]):
        for name in kinds:
            machine.wait(rf"{name}\| holding", machine.start(name))
            assert "stop 5/5: cores idle" in machine.stop(name)
