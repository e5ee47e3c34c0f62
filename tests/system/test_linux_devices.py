# SPDX-License-Identifier: Apache-2.0
"""Linux guests with functions of their own: a network card's virtual function, and a console that exits for nothing."""
import os
import re
import socket
import subprocess
import tempfile
import time

import pytest

import machines
from igb import PhysicalFunction
from machine import ROOT, linux, manifest
from test_devices import after_setup
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


class FromOutside:
    """The other end of a guest's virtio-console: a socket of the emulator."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.text = ""

    def wait(self, machine, pattern):
        """The first match of @pattern in what is left of the text; what is before its end is taken."""
        deadline = time.monotonic() + machine.patience
        while not (match := re.search(pattern, self.text)):
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                self.text += self.socket.recv(65536).decode().replace("\r", "")
            except TimeoutError:
                machine.fail(f"no /{pattern}/ on the guest's own console: {self.text[-2000:]}")
        self.text = self.text[match.end():]
        return match

    def run(self, machine, line, pattern):
        self.socket.sendall(f"{line}\n".encode())
        return self.wait(machine, pattern)


LINES = 2000


@pytest.fixture
def socket_path():
    with tempfile.TemporaryDirectory(prefix="bulkhead-") as folder:  # pytest's own are too long for a socket
        yield os.path.join(folder, "console")


def test_a_virtio_console_instead_of_the_uart(boot, platform, tmp_path, socket_path):
    """A guest without a UART of the hypervisor's prints and is typed at, and neither exits."""
    vm = {**linux("one", 1, devices=machines.device(0)), "console": "none", "bootargs": "console=hvc0 bulkhead.name=one"}
    drivers = initrd(platform.backend.files, [*VIRTIO, "virtio_console"], str(tmp_path))
    machine = boot(manifest({"one": vm}), files={"initrd.gz": drivers}, devices=[f"virtio-console,socket={socket_path}"], memory=768)
    machine.booted()
    console = FromOutside(socket_path)
    console.wait(machine, r"Welcome to one: 1 CPUs")
    console.wait(machine, r"one:/# ")
    assert "one|" not in machine.text, "it has a console of the hypervisor's"
    counts = machine.settled("one")
    console.run(machine, f"seq {LINES}; hostname", rf"\n{LINES}\none\n")
    assert machine.settled("one") == counts, "printing exits"
    machine.stop("one")
