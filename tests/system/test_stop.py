# SPDX-License-Identifier: Apache-2.0
"""
Guests that do not want to stop. With stop-method "auto" (Group 0 SGI as FIQ) all of them do, but for one that holds an
active interrupt of the highest priority; with "sgi" also those that switched their interrupt group off stay. A core
that stays is quarantined with all its VM has, and the rest of the machine goes on.
"""
import pytest

from conftest import CPUS
from machine import friendly, hostile, manifest
from test_attacks import Neighbour

HOLDERS = ["spin", "sleep", "sleep-at-reset", "sleep-priority", "sleep-group", "sleep-both", "sleep-disabled",
           "sleep-pending", "sleep-active", "exception-loop", "suspend", "all-off", "sgi-storm", "call-storm"]
GROUP_OFF = {"sleep-at-reset", "sleep-group", "sleep-both", "sleep-disabled", "sleep-pending"}
STAYS = {"auto": {"sleep-active"}, "sgi": {"sleep-active"} | GROUP_OFF}

VMS = {"guard": friendly(1, "do=guard"), "other": friendly([2, 3], "do=second-off", autostart=0),
       **{name: hostile(core, f"do={name}", autostart=0) for core, name in enumerate(HOLDERS, 4)}}
GUEST_RAM = 0x40000000
WFI = b"\x7f\x20\x03\xd5"
METHODS = {"auto": "by SGI and by Group 0 SGI taken as FIQ", "sgi": "by SGI"}


@pytest.fixture(params=[("max", "auto"), ("max", "sgi"), ("cortex-a72", "auto"), ("neoverse-n1", "sgi")],
                ids="-".join, scope="module")
def method(request):
    return request.param


@pytest.fixture
def machine(share, method):
    cpu, stop_method = method
    machine = share(f"stop-{cpu}-{stop_method}", manifest(VMS, stop_method=stop_method), smp=4 + len(HOLDERS),
                    **CPUS[cpu])
    machine.wait(r"guard\| guard: on")
    return machine


def core_of(name):
    return HOLDERS.index(name) + 4


def asleep(machine, name):
    """True when the guest's core stands behind a WFI."""
    pc = machine.monitor.pc(core_of(name)) - GUEST_RAM
    base, size, _ = machine.memory(name)[0]
    return 4 <= pc < size and machine.physical(base + pc - 4, 4) == WFI


def hold(machine, name):
    since = machine.start(name)
    machine.wait(rf"{name}\| holding", since)
    if name.startswith("sleep"):
        machine.until(lambda: asleep(machine, name), f"{name} does not fall asleep")


@pytest.mark.parametrize("name", HOLDERS)
def test_stop(machine, method, name):
    stays = name in STAYS[method[1]]
    with Neighbour(machine):
        hold(machine, name)
        since = machine.here()
        answer = machine.command(f"stop {name}")
        machine.wait(rf"{name}: stop 2/5: stop sent, {METHODS[method[1]]}\n", since)
        if stays:
            assert answer == ["a core did not leave its guest and is quarantined"]
            machine.wait(rf"{name}: core {core_of(name)} did not leave its guest: quarantined until reset", since)
        else:
            assert answer == []
            machine.wait(rf"{name}: stop 5/5: cores idle", since)
    assert machine.states()[name] == ("quarantined" if stays else "stopped")
    if stays:
        # It keeps its memory, and nothing brings it back.
        assert {state for _, _, state in machine.memory(name)} == {"in use"}
        for command in ("start", "stop", "load"):
            assert machine.command(f"{command} {name}") == ["the VM is in a state that does not allow this"]
    else:
        assert not any(machine.vm_bytes(name))
        hold(machine, name)  # and its core is as good as new
        machine.stop(name)


def test_stop_with_a_core_switched_off(machine, method):
    """After a core has been lost, too: this one runs last on its machine."""
    for _ in range(2):
        with Neighbour(machine):
            since = machine.start("other")
            machine.wait(r"other\| second is off", since)
            assert "stop 5/5: cores idle" in machine.stop("other")
