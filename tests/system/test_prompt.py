# SPDX-License-Identifier: Apache-2.0
"""The operator's prompt, and the consoles behind it."""
import pytest

from machine import friendly, manifest

VMS = {"one": friendly(1, "do=echo"), "two": friendly(2, "do=echo"), "later": friendly(3, "do=hello", autostart=0),
       "mute": friendly(4, "do=hello", console="none")}


@pytest.fixture
def machine(share):
    return share("prompt", manifest(VMS), cores=5)


def test_help_lists_the_commands(machine):
    words = {line.split()[0] for line in machine.command("help")}
    assert words == {"list", "start", "stop", "load", "stats", "memory", "console", "poweroff", "help"}


def test_list(machine):
    lines = machine.command("list")
    assert lines[0].split() == ["one", "running", "4", "MiB", "cores", "1"]
    assert machine.states()["later"] == "stopped"


@pytest.mark.parametrize("line, answer", [
    ("frobnicate", "frobnicate: not a command; 'help' lists them"),
    ("start", "usage: start VM"),
    ("list all", "usage: list "),
    ("start nobody", "there is no VM of this name"),
    ("start one", "the VM is in a state that does not allow this"),
    ("load one", "the VM is in a state that does not allow this"),
    ("stop later", "the VM is in a state that does not allow this"),
    ("console nobody", "there is no VM of this name"),
    ("console mute", "mute has no console"),
    ("start " + "x" * 73, "there is no VM of this name"),
])
def test_mistakes_are_answered(machine, line, answer):
    assert machine.command(line) == [answer]


def test_empty_line_and_corrections(machine):
    assert machine.command("") == []
    since = machine.here()
    machine.send("lisx\x7ft\r")
    machine.wait(r"one +running", since)


@pytest.mark.parametrize("vm, other", [("one", "two"), ("two", "one")])
def test_typing_reaches_one_guest_only(machine, vm, other):
    before = machine.exits()[other]
    since = machine.attach(vm)
    machine.wait(r"<\r? \d+>", since)  # the carriage return that attaching types
    for key in "hypervisor":
        since = machine.here()
        machine.send(key)
        machine.wait(rf"<{key} \d+>", since)
    machine.detach()
    assert machine.exits()[other] == before


def test_vm_that_waits(machine):
    assert machine.command("load later") == []
    assert machine.states()["later"] == "loaded"
    assert machine.command("load later") == ["the VM is in a state that does not allow this"]
    since = machine.start("later")
    machine.wait(r"later\| hello from 0x3\n", since)
    machine.stop("later")
    # Loaded and given up again: zero as before.
    assert machine.command("load later") == []
    if machine.backend.monitor:
        assert any(machine.vm_bytes("later"))
    assert machine.command("stop later") == []
    assert machine.states()["later"] == "stopped"
    assert {state for _, _, state in machine.memory("later")} == {"stopped"}
    if machine.backend.monitor:
        assert not any(machine.vm_bytes("later"))


def test_input_costs_exits_of_the_console_only(machine):
    """A guest that sleeps does not exit; a key wakes it, and it exits to read it and to answer, and for nothing else."""
    before = machine.settled("one")
    assert machine.settled("one") == before
    since = machine.attach("one")
    machine.wait(r"<\r? \d+>", since)
    machine.detach()
    after = machine.settled("one")
    spent = {reason: after[reason] - before[reason] for reason in after}
    assert 0 < spent["console"] == spent["total"] <= 40, spent


def test_restart_of_a_vm_whose_console_is_open(machine):
    """The console stays usable after its VM has gone and come again."""
    machine.attach("one")
    machine.detach()
    machine.stop("one")
    since = machine.start("one")
    machine.wait(r"one\| echo: on", since)
    since = machine.attach("one")
    machine.send("z")
    machine.wait(r"<z \d+>", since)
    machine.detach()
