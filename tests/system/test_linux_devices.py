# SPDX-License-Identifier: Apache-2.0
"""Linux guests with functions of their own: a network card's virtual function, and a console that exits for nothing."""
import os
import subprocess

import pytest

import machines
from igb import PhysicalFunction
from machine import ROOT, linux, manifest
from test_linux import ready, run, shell

pytestmark = pytest.mark.platforms("el2-max", "svm-max")
VIRTIO = ["virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"]


def initrd(machine_files, modules, folder):
    """The demo's, with drivers."""
    deps = os.path.dirname(machine_files["linux"])
    with open(os.path.join(deps, "modules/order"), encoding="ascii") as f:
        order = [name for name in f.read().split() if name in modules]
    out = os.path.join(folder, "drivers.gz")
    subprocess.run([os.path.join(ROOT, "tools/mkinitrd"), out, os.path.join(deps, "busybox"),
                    *(f"{deps}/modules/{name}.ko=/modules/{n:02}-{name}.ko" for n, name in enumerate(order))], check=True)
    return out


def after_setup(counts):
    """Exits that only the console and IPIs add to."""
    return {reason: n for reason, n in counts.items() if reason not in ("console", "ipi", "total")}


def test_a_virtual_function_carries_a_guests_network(boot, platform, tmp_path):
    """An igb's, beside a guest with a network card of its own on the same network; frames in both directions exit for nothing."""
    vms = {"vf": linux("vf", 1, args="quiet", devices=f"{machines.device(0)}/vf0", autostart=0),
           "peer": linux("peer", 2, args="quiet", devices=machines.device(1))}
    drivers = initrd(platform.backend.files, [*VIRTIO, "failover", "net_failover", "virtio_net", "igbvf"], str(tmp_path))
    machine = boot(manifest(vms), files={"initrd.gz": drivers}, devices=["igb", "virtio-net"], registers=True, low_bars=True,
                   memory=1024)
    machine.booted()
    physical = PhysicalFunction(machine)
    for _ in range(2):
        machine.wait(r"vf\| Welcome", machine.start("vf"))
        for vm, address in (("peer", 2), ("vf", 1)):
            shell(machine, vm)
            run(machine, vm, f"ifconfig eth0 10.0.0.{address} up")
            machine.detach()
        shell(machine, "vf")
        run(machine, "vf", "until ping -c 1 -W 1 10.0.0.2; do sleep 1; done")
        machine.detach()
        counts, sent = machine.settled("vf"), physical.frames_sent(0)
        shell(machine, "vf")
        assert "20 packets received" in run(machine, "vf", "ping -c 20 -i 0.1 10.0.0.2")
        machine.detach()
        assert after_setup(machine.settled("vf")) == after_setup(counts)
        assert physical.frames_sent(0) >= sent + 20
        machine.stop("vf")
        assert not any(machine.vm_bytes("vf"))
