# SPDX-License-Identifier: Apache-2.0
"""From firmware to guests: every processor, each description of a machine, each way to bring the files."""
import re

import pytest

from conftest import ALL, EACH, PLATFORMS, VIRTUAL
from machine import friendly, guest, manifest

HELLO = {"one": friendly(1, "do=hello"), "two": friendly([2, 3], "do=smp")}
# To start the second vCPU twice: a call on Arm; on x86 two halves of INIT and one SIPI or two.
START = {"arm64": {0}, "x86_64": {6, 7, 8}}


def both_descriptions(name):
    """Arm servers describe themselves in either of two ways."""
    return [PLATFORMS[name].with_name(f"{name}-{word}", options={**PLATFORMS[name].options, "acpi": acpi}, source=source)
            for word, acpi, source in (("acpi", True, "ACPI"), ("fdt", False, "device tree"))]


@pytest.mark.platforms(*(p for name in ALL if name.startswith("el2") for p in both_descriptions(name)),
                       *(name for name in ALL if not name.startswith("el2")))
def test_hello(boot, platform):
    machine = boot(manifest(HELLO)).booted()
    machine.wait(r"one\| hello from 0x1\n")
    machine.wait(r"two\| smp: 2000 pings, 2000 pongs, 2 times on\n")
    assert f"({platform.source})" in machine.text
    assert machine.states() == {"one": "running", "two": "running"}
    for step in range(1, 8):
        machine.wait(rf"core\d: two: start {step}/7: ")
    # Every exit of the second VM is a call, set-up, a console byte or the sending of an IPI: none for what it receives.
    exits = machine.exits()["two"]
    assert exits["ipi"] - 4000 in START[machine.backend.arch]
    assert all(exits.get(reason, 0) == 0 for reason in ("illegal", "stop", "nmi", "port"))


@pytest.mark.platforms(*EACH, VIRTUAL)
def test_interrupts(boot, platform):
    """IPIs in bursts, a timer, a second vCPU: none is lost; each is an exit where they come by list registers, and only there."""
    vms = {"burst": friendly(1, "do=burst", **platform.vm), "smp": friendly([2, 3], "do=smp", **platform.vm)}
    machine = boot(manifest(vms)).booted()
    machine.wait(r"smp\| smp: 2000 pings, 2000 pongs, 2 times on\n")
    machine.wait(r"burst\| burst: 100 times all\n")
    machine.wait(r"burst\| timer: 1000 ticks in ")
    for vm, exits in machine.exits().items():
        assert (exits["interrupt"] >= 1000) if platform.vm else exits.get("interrupt", 0) == 0


@pytest.mark.platforms("el2-max", VIRTUAL)
def test_pending_interrupts_wake(boot, platform):
    """In a call and out of it. QEMU's WFI in EL2 ends for what is in a list register too, so that part is not shown here."""
    machine = boot(manifest({"one": friendly(1, "do=doze", **platform.vm)})).booted()
    machine.wait(r"one\| doze: awake\n")


@pytest.mark.platforms("el2-max")
def test_from_disk(boot):
    machine = boot(manifest(HELLO), disk=True).booted()
    machine.wait(r"two\| smp: 2000 pings")


@pytest.mark.platforms("el2-max")
def test_gic_v4(boot):
    machine = boot(manifest(HELLO), gic_version=4).booted()
    machine.wait(r"two\| smp: 2000 pings")
    assert "GICv4" in machine.text


@pytest.mark.platforms("el2-max", "svm-max")
def test_smallest_host(boot):
    """Two cores, 256 MiB, no random number generator."""
    machine = boot(manifest({"one": friendly(1, "do=hello")}), cores=2, memory=256, random=False).booted()
    machine.wait(r"one\| hello from 0x1\n")


@pytest.mark.platforms("el2-max", "svm-max")
def test_sixteen_vms_on_a_large_host(boot, platform):
    vms = {f"vm{core}": friendly(core, "do=hello", memory="1G" if core == 1 else "8M") for core in range(1, 17)}
    machine = boot(manifest(vms), cores=18, memory=4096).booted()
    for core in range(1, 17):
        # QEMU numbers 16 Arm cores to a cluster.
        number = core // 16 << 8 | core % 16 if platform.backend.arch == "arm64" else core
        machine.wait(rf"vm{core}\| hello from {number:#x}\n")
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


@pytest.mark.platforms("svm-max", "svm-milan", "vmx")
def test_pvh(boot):
    """A guest that begins in 32-bit mode by PVH finds what Xen's pvh.pandoc says."""
    vms = {"one": guest("pvh", [1, 2], "do=pvh and more", memory="6M")}
    machine = boot(manifest(vms)).booted()
    machine.wait(r"one\| pvh: cr0 0x[13]1 cr4 0x0 eflags 0x2\n")
    machine.wait(r"one\| pvh: magic 0x336ec578 version 1 flags 0x0 modules 0\n")
    machine.wait(r"one\| pvh: cmdline .*do=pvh and more\n")
    machine.wait(r"one\| pvh: memmap \d+ entries, 57\d\d KiB of RAM\n")
    machine.wait(r"one\| pvh: rsdp good, 2 vCPUs\n")
    machine.wait(r"one\| hello from 0x1\n")
    assert re.search(r"^  entry: .*, PVH$", machine.text, re.MULTILINE)


@pytest.mark.platforms("el2-max", "svm-max")
def test_poweroff_ends_the_machine(boot):
    machine = boot(manifest(HELLO)).booted()
    machine.send("poweroff\r")
    machine.wait_end()


@pytest.mark.platforms("el2-max", "svm-max")
def test_when_idle_poweroff(boot):
    machine = boot(manifest({"one": friendly(1, "do=off")}, when_idle="poweroff"))
    machine.wait(r"one: stop 1/5: the guest switched itself off")
    machine.wait(r"no VM runs any more: switching the machine off")
    machine.wait_end()
