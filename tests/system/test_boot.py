# SPDX-License-Identifier: Apache-2.0
"""From firmware to guests: every processor, both descriptions of the machine, both ways to bring the files."""
import pytest

from machine import friendly, manifest

HELLO = {"one": friendly(1, "do=hello"), "two": friendly([2, 3], "do=smp")}


@pytest.mark.parametrize("acpi", [True, False], ids=["acpi", "fdt"])
@pytest.mark.parametrize("cpu", ["max", "cortex-a72", "neoverse-n1"])
def test_hello(boot, cpu, acpi):
    machine = boot(manifest(HELLO), cpu=cpu, acpi=acpi).booted()
    machine.wait(r"one\| hello from 0x1\n")
    machine.wait(r"two\| smp: 2000 pings, 2000 pongs, 2 times on\n")
    assert f"({'ACPI' if acpi else 'device tree'})" in machine.text
    assert machine.states() == {"one": "running", "two": "running"}
    for step in range(1, 8):
        machine.wait(rf"core\d: two: start {step}/7: ")
    # Every exit of the second VM is a call, set-up, a console byte or the sending of an IPI: none for what it receives.
    exits = machine.exits()["two"]
    assert exits["ipi"] == 4000 and exits["illegal"] == exits["stop"] == 0


def test_from_disk(boot):
    machine = boot(manifest(HELLO), disk=True).booted()
    machine.wait(r"two\| smp: 2000 pings")


def test_gic_v4(boot):
    machine = boot(manifest(HELLO), gic=4).booted()
    machine.wait(r"two\| smp: 2000 pings")
    assert "GICv4" in machine.text


def test_smallest_host(boot):
    """Two cores, 256 MiB, no random number generator."""
    machine = boot(manifest({"one": friendly(1, "do=hello")}), smp=2, memory="256M", random=False).booted()
    machine.wait(r"one\| hello from 0x1\n")


def test_sixteen_vms_on_a_large_host(boot):
    vms = {f"vm{core}": friendly(core, "do=hello", memory="1G" if core == 1 else "8M") for core in range(1, 17)}
    machine = boot(manifest(vms), smp=18, memory="4G").booted()
    for core in range(1, 17):
        # QEMU numbers 16 cores to a cluster.
        machine.wait(rf"vm{core}\| hello from {core // 16 << 8 | core % 16:#x}\n")
    assert set(machine.states().values()) == {"running"}


def test_another_management_core(boot):
    machine = boot(manifest({"one": friendly(0, "do=hello")}, management_core=2)).booted()
    machine.wait(r"4 cores up, core 2 manages")
    machine.wait(r"core2: one\| hello from 0x0\n")


def test_planner_chooses_cores(boot):
    vm = friendly(0, "do=smp")
    del vm["cores"]
    machine = boot(manifest({"one": {**vm, "core-count": 2}})).booted()
    machine.wait(r"one\| smp: 2000 pings")
    assert machine.command("list")[0].endswith("cores 1 2")


def test_poweroff_ends_the_machine(boot):
    machine = boot(manifest(HELLO)).booted()
    machine.send("poweroff\r")
    machine.wait_end()


def test_when_idle_poweroff(boot):
    machine = boot(manifest({"one": friendly(1, "do=off")}, when_idle="poweroff"))
    machine.wait(r"one: stop 1/5: the guest switched itself off")
    machine.wait(r"no VM runs any more: switching the machine off")
    machine.wait_end()
