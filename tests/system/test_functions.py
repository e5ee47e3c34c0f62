# SPDX-License-Identifier: Apache-2.0
"""PCI functions: found on real firmware's buses, and given by the plan that the loader prints."""
import re

import pytest

import machines
from conftest import PLATFORMS
from machine import EL2, friendly, manifest

SRIOV = 0x160  # where the capability stands in an igb
FIRST, SECOND = machines.device(0), machines.device(1)
EL2_MAX, SVM_MAX = PLATFORMS["el2-max"], PLATFORMS["svm-max"]


def with_iommu(platform, name, iommu):
    return platform.with_name(f"{platform.name}-{name}", options={**platform.options, "iommu": iommu})


VTD = with_iommu(SVM_MAX, "vtd", "intel")
AMD = with_iommu(SVM_MAX, "amdvi", "amd")
FDT = EL2_MAX.with_name("el2-max-fdt", options={**EL2_MAX.options, "acpi": False})


def printed(machine):
    """The plan's lines, from the first VM on."""
    return machine.wait(r"^VM 1 one: (.*\n)+?(?=\[)").group(0)


def windows(platform):
    """The guest's windows for BARs: below 4 GiB, and above."""
    return (0x20000000, 0x3f000000) if platform.backend is EL2 else (0xc0000000, 0xe0000000)


def bars(plan):
    """(number, machine address, bytes, guest address) of each BAR in the plan."""
    return [(int(n), int(base, 16), int(end, 16) - int(base, 16), int(at, 16)) for n, base, end, at in
            re.findall(r"BAR (\d): (0x\w+)-(0x\w+), in the guest at (0x\w+)", plan)]


def forwarded(machine, port):
    """The ranges of memory that the root port above device @port has forwarded since firmware placed BARs behind it, as QEMU shows them."""
    shown = machine.monitor.run("human-monitor-command", **{"command-line": "info pci"})
    part = shown.split(f'id "rp{port}"')[0].rsplit("PCI bridge:", 1)[1]
    return [(int(low, 16), int(high, 16)) for low, high in re.findall(r"memory range \[(0x\w+), (0x\w+)\]", part)]


def config(machine, bus, offset):
    """A word of configuration space of function 0 of @bus, past every processor; ECAM is where board or firmware have it."""
    at = {"arm64": 0x4010000000, "x86_64": 0xb0000000}[machine.backend.arch] + (bus << 20) + offset
    return int(machine.monitor.run("human-monitor-command", **{"command-line": f"xp /1wx {at:#x}"}).split()[1], 16)


@pytest.mark.platforms("el2-max", FDT, VTD, AMD)
def test_devices_are_in_the_plan(boot, platform):
    machine = boot(manifest({"one": friendly(1, "do=hello", devices=[FIRST, SECOND])}), devices=["virtio-net", "virtio-blk"])
    plan = printed(machine)
    assert f"  device: {FIRST} (1af4:1041), in the guest 00:02.0, IOMMU 0, stream 0x100\n" in plan
    assert f"  device: {SECOND} (1af4:1042), in the guest 00:03.0, IOMMU 0, stream 0x200\n" in plan
    found = bars(plan)
    assert [n for n, *_ in found] == [1, 4, 1, 4]
    low, high = windows(platform)
    places = sorted((at, at + size) for _, _, size, at in found)
    assert all(low <= at < end <= high for at, end in places)
    assert all(end <= after for (_, end), (after, _) in zip(places, places[1:]))
    assert all(base % size == 0 and at % size == 0 for _, base, size, at in found)
    for (_, base, size, _), port in zip(found, [0, 0, 1, 1]):
        assert any(low <= base and base + size - 1 <= high for low, high in forwarded(machine, port))
    machine.wait("one| hello")
    if platform.backend is EL2:
        machine.wait("GIC: LPIs of one number at two cores are two interrupts, by test", 0)


@pytest.mark.platforms("el2-max", VTD)
def test_virtual_functions_are_switched_on(boot, platform):
    """Two of an igb's, the second one left out, each to a VM of its own."""
    machine = boot(manifest({"one": friendly(1, "do=hello", devices=[f"{FIRST}/vf0"]),
                             "two": friendly(2, "do=hello", devices=[f"{FIRST}/vf2"])}), devices=["igb"])
    plan = printed(machine)
    assert f"  device: 0000:01:10.0 (8086:10ca, a VF of {FIRST}), in the guest 00:02.0, IOMMU 0, stream 0x180\n" in plan
    assert f"  device: 0000:01:10.4 (8086:10ca, a VF of {FIRST}), in the guest 00:02.0, IOMMU 0, stream 0x184\n" in plan
    assert [(n, size) for n, _, size, _ in bars(plan)] == [(0, 0x4000), (3, 0x4000)] * 2
    assert all(low <= base and base + size - 1 <= high for _, base, size, _ in bars(plan) for low, high in forwarded(machine, 0)[1:])
    assert config(machine, 1, SRIOV) & 0xffff == 0x0010
    assert config(machine, 1, SRIOV + 8) & 0x1f == 0x19  # VFs on, their memory too, ARI
    assert config(machine, 1, SRIOV + 0x10) & 0xffff == 3  # up to the highest that is given


@pytest.mark.platforms("el2-max", "svm-max")
def test_trusted_dma_is_said_loudly(boot, platform):
    options = {"iommu": "none" if platform.backend is EL2 else None}
    machine = boot(manifest({"one": friendly(1, "do=hello", devices=[FIRST], dma_trusted=1)}), devices=["virtio-rng"], **options)
    plan = printed(machine)
    assert f"  device: {FIRST} (1af4:1044), in the guest 00:02.0, NO IOMMU\n" in plan
    assert "  WARNING: DMA OF one IS TRUSTED, NOT CHECKED: " in plan
