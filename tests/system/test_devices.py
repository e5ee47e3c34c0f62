# SPDX-License-Identifier: Apache-2.0
"""
PCI functions in guests' hands: DMA through the IOMMU, interrupts without exits, and a guest that has its device reach for what
is not its own, tells its ITS what it must not, or forges messages. Its neighbours are a guest that checks its memory and one that
counts the requests and interrupts of a device of its own, with interrupts of the same numbers.
"""
import dataclasses
import hashlib
import os
import re
import struct
import subprocess

import pytest

import machines
from conftest import PLATFORMS, VIRTUAL
from machine import ROOT, friendly, guest, linux, manifest
from test_attacks import Neighbour, tell

ARM64 = ("el2-max", VIRTUAL)
pytestmark = pytest.mark.platforms(*ARM64, "svm-max")
# QEMU's AMD-Vi takes every function for one of bus 0, where its virtio functions have no reset: so NVMe.
AMD = PLATFORMS["svm-max"].with_name("svm-amdvi", options={"cpu": "max", "iommu": "amd"})
EACH_IOMMU = (*ARM64, "svm-max", AMD)

REQUESTS = 100
FAULTS_TOLD = 4  # of each VM, in the log


def device(at, cores, args, **options):
    return {**guest("device", cores, args, **options), "devices": at}


def vms(at, platform):
    """The evil one first: on x86 its own memory begins at 0, and the machine's lowest is not to be its neighbour's."""
    return {"evil": device(at(1), 3, "do=ask", autostart=0, **platform.vm), "guard": friendly(1, "do=guard"), "peer": device(at(0), 2, "do=watch")}


def told(machine, platform, since, what):
    """Waits for the log to say of the evil one's device @what. QEMU's AMD-Vi has no event for an entry that is zero."""
    if platform is not AMD:
        machine.wait(rf"evil: stream 0x200, {what}: DMA refused", since)


@pytest.fixture
def machine(share, platform):
    at, given = (machines.integrated, {"integrated": ["nvme"] * 2}) if platform is AMD else (machines.device, {"devices": ["virtio-rng"] * 2})
    machine = share("devices", manifest(vms(at, platform)), **given)
    machine.wait(r"guard\| guard: on")
    machine.wait(r"peer\| peer: on")
    return machine


def ask_peer(machine):
    since = machine.attach("peer")
    match = machine.wait(r"peer: requests (\d+) wrong (\d+) strange (\d+)\n", since)
    machine.detach()
    return [int(number) for number in match.groups()]


def quiet_exits(machine):
    return {reason: n for reason, n in machine.exits()["peer"].items() if reason not in ("console", "total")}


class Neighbours(Neighbour):
    """Nothing happens to either neighbour between the two ends of a `with`."""

    def __enter__(self):
        super().__enter__()
        self.requests = ask_peer(self.machine)[0]
        self.peer_exits = quiet_exits(self.machine)

    def __exit__(self, kind, *arguments):
        super().__exit__(kind, *arguments)
        if kind:
            return
        requests, wrong, strange = ask_peer(self.machine)
        while requests == self.requests:
            requests, wrong, strange = ask_peer(self.machine)
        assert (wrong, strange) == (0, 0), "the neighbour's device was disturbed"
        assert quiet_exits(self.machine) == self.peer_exits, "the neighbour came to the hypervisor"


def ends(machine, since):
    machine.send("\r")  # it waits for us to have read what it said
    machine.wait(r"evil: stop 5/5: cores idle", since)


@dataclasses.dataclass(frozen=True)
class Case:
    line: str
    at: object = None


def storms(backend):
    return [Case("storm"), *([Case("command-storm")] if backend.arch == "arm64" else [])]


# ---- what works -------------------------------------------------------------------------------------------------

@pytest.mark.platforms(*EACH_IOMMU)
def test_a_device_is_used_without_exits(machine):
    """Two guests have the same interrupt at once; each request is answered by one interrupt, and none of them exits."""
    with Neighbours(machine):
        since = tell(machine, "use")
        machine.wait(rf"device: {REQUESTS} of {REQUESTS} requests, {REQUESTS} interrupts, 0 strange\n", since)
        ends(machine, since)
    exits = machine.exits()["evil"]
    assert exits["intc"] <= 60 and exits["pci"] <= 100


@pytest.mark.platforms(*ARM64)
def test_masked_interrupts_wait_and_discarded_ones_are_lost(machine):
    with Neighbours(machine):
        since = tell(machine, "mask")
        machine.wait(r"mask: kept 1, lost 1\n", since)
        ends(machine, since)


@pytest.mark.platforms(*ARM64)
def test_the_next_guest_finds_nothing_pending(machine):
    with Neighbours(machine):
        since = tell(machine, "leave")
        machine.wait(r"left\n", since)
        ends(machine, since)
        since = tell(machine, "use")
        machine.wait(rf"device: {REQUESTS} of {REQUESTS} requests, {REQUESTS} interrupts, 0 strange\n", since)
        ends(machine, since)


@pytest.mark.platforms(*ARM64)
def test_interrupts_of_a_core_that_goes_off(boot, platform):
    """They move with their event and their route, also those that wait in its list registers."""
    machine = boot(manifest({"two": device(machines.device(0), [1, 2], "do=go-off", **platform.vm)}), devices=["virtio-rng"])
    machine.booted()
    machine.wait(r"two\| gone: early 0, LPI 1, SPI 1\n")


@pytest.mark.platforms(*EACH_IOMMU)
@pytest.mark.cases(of=storms)
def test_stopped_in_the_middle(machine, case):
    """Its device writes and interrupts, or its ITS has a full queue, when the stop comes: its memory stays zero."""
    for _ in range(3):
        with Neighbours(machine):
            since = tell(machine, case.line)
            machine.wait(r"holding\n", since)
            machine.detach()
            machine.stop("evil")
            assert {state for _, _, state in machine.memory("evil")} == {"stopped"}
            assert not any(machine.vm_bytes("evil")), "a write came late"


# ---- DMA --------------------------------------------------------------------------------------------------------

def target(machine, where):
    """A place as the device is told it; guests' addresses and the machine's are the same to a hostile guest."""
    if where == "neighbour":
        return machine.memory("guard")[0][0] + 0x100000
    if where == "peer":
        return machine.memory("peer")[0][0]
    if where == "hypervisor":
        return int(re.search(r"hypervisor: core 0, memory (0x\w+)-", machine.text).group(1), 16)
    return where


# Guests' addresses and the machine's; those of VMs and the hypervisor are known when it runs.
REFUSED = {
    "arm64": {"neighbour": "neighbour", "peer": "peer", "hypervisor": "hypervisor", "zero": 0, "behind its memory": 0x40400000,
              "last page": 0xfffffff000, "behind the last page": 0x10000000000, "distributor": 0x08000000, "ITS": 0x08080000, "its ITS": 0x08100000,
              "beside the doorbell": 0x08111000, "SMMU": 0x09050000, "UART": 0x09000000, "configuration space": 0x3f010000,
              "machine's configuration space": 0x4010000000, "its own BAR": 0x20000000, "machine's BARs": 0x8000000000},
    "x86_64": {"neighbour": "neighbour", "peer": "peer", "hypervisor": "hypervisor", "behind its memory": 0x400000,
               "last page": 0xfffffffff000, "IOAPIC": 0xfec00000, "HPET": 0xfed00000, "IOMMU": 0xfed90000, "flash": 0xffc00000,
               "its own BAR": 0xc0000000, "configuration space": 0xe0010000,
               "machine's configuration space": 0xb0000000, "machine's BARs": 0xe000000000},
}


def refused(backend):
    return [Case(name.replace(" ", "-"), at) for name, at in REFUSED[backend.arch].items()]


@pytest.mark.cases(of=refused)
def test_dma_is_refused(machine, case):
    at = target(machine, case.at)
    with Neighbours(machine):
        since = tell(machine, f"dma at={at:#x}")
        machine.wait(r"survived: done \d\n", since)
        ends(machine, since)
        machine.wait(rf"evil: stream 0x200, write at {at:#x}: DMA refused", since)
    assert machine.text[since:].count("DMA refused") <= FAULTS_TOLD


@pytest.mark.platforms(AMD)
@pytest.mark.parametrize("where", ["neighbour", "peer", "hypervisor"])
def test_dma_is_refused_without_a_word(machine, where):
    """There QEMU has neither an event nor an error for it: what counts is what stands there, in memory that nobody else writes."""
    at = target(machine, where)
    before = machine.physical(at, 64)
    with Neighbours(machine):
        since = tell(machine, f"dma at={at:#x}")
        machine.wait(r"survived: done \d\n", since)
        ends(machine, since)
    assert where == "neighbour" or machine.physical(at, 64) == before, "the neighbour looks itself"


@pytest.mark.platforms(*EACH_IOMMU)
@pytest.mark.parametrize("part", [1, 2, 3], ids=["descriptors", "available", "used"])
@pytest.mark.parametrize("where", ["neighbour", "hypervisor"])
def test_queues_in_foreign_memory_are_refused(machine, platform, where, part):
    at = target(machine, where)
    with Neighbours(machine):
        since = tell(machine, f"dma at={at:#x} with={part}")
        machine.wait(r"survived: done 0\n", since)
        ends(machine, since)
        told(machine, platform, since, r"(read|write) at 0x\w+")


def test_a_flood_of_refused_dma_is_cut_off(machine):
    with Neighbours(machine):
        since = tell(machine, f"dma-flood at={target(machine, 'neighbour'):#x}")
        machine.wait(r"holding\n", since)
        machine.detach()
        machine.wait(r"evil: stream 0x200, .*: too many DMAs refused: function cut off", since)
        machine.stop("evil")
    since = tell(machine, "use")  # the next start has it again
    machine.wait(rf"device: {REQUESTS} of {REQUESTS} requests", since)
    ends(machine, since)


# ---- the ITS ----------------------------------------------------------------------------------------------------

@pytest.mark.platforms(*ARM64)
@pytest.mark.parametrize("line, answer", [
    ("forge", "0 interrupts, 0 strange"),
    ("foreign-devices", "0 interrupts, 0 strange"),
    ("overlapping-collections", "0 moved away"),
    ("malformed-tables at={neighbour}", "stalled 1, then 1 interrupts"),
    ("malformed-tables at={hypervisor}", "stalled 1, then 1 interrupts"),
    ("malformed-tables at=0x8080000", "stalled 1, then 1 interrupts"),
    ("foreign-lpi-tables at={neighbour}", "0 interrupts"),
    ("foreign-lpi-tables at={hypervisor}", "0 interrupts"),
])
def test_the_its_does_nothing_for_others(machine, line, answer):
    line = line.format(neighbour=hex(target(machine, "neighbour") & ~0xffff), hypervisor=hex(target(machine, "hypervisor")))
    with Neighbours(machine):
        since = tell(machine, line)
        machine.wait(rf"survived: {answer}\n", since)
        ends(machine, since)


@pytest.mark.platforms(*ARM64)
def test_the_doorbell_is_for_devices_only(machine):
    """A processor's store there would be a message of device 0."""
    with Neighbours(machine):
        since = tell(machine, "ring")
        machine.wait(r"evil: abort 1/6: store to unowned memory", since)
        machine.wait(r"evil: stop 5/5: cores idle", since)


# ---- messages ---------------------------------------------------------------------------------------------------

@pytest.mark.platforms("svm-max", AMD)
@pytest.mark.parametrize("line", ["forge", "forge-index"])
def test_forged_messages_reach_nobody(machine, line):
    """In its MSI-X table: what is not for a core of its own stays masked, and an index is no index there."""
    with Neighbours(machine):
        since = tell(machine, line)
        machine.wait(r"survived: 0 interrupts, 0 strange\n", since)
        ends(machine, since)


@pytest.mark.platforms("svm-max", AMD)
def test_a_message_may_change(machine):
    with Neighbours(machine):
        since = tell(machine, "remap")
        machine.wait(r"survived: 16 of 16\n", since)
        ends(machine, since)


# VT-d 4.1 11.4.4.2, 11.4.14, 9.10
GSTS, IRTA = 0x1c, 0xb8
ON, COMPATIBLE = 1 << 31 | 1 << 26 | 1 << 25, 1 << 23
PEER, DEVICE_VECTOR, PEER_CORE = 0x100, 0x68, 2


@pytest.mark.platforms("svm-max")
def test_interrupt_entries_are_for_one_function_each(machine):
    """
    As the IOMMU has them: QEMU passes messages on that a real one blocks or finds to come from another function, so what
    is in force is looked at from outside.
    """
    registers = machine.physical(0xfed90000, 0x100)
    status, = struct.unpack_from("<I", registers, GSTS)
    table, = struct.unpack_from("<Q", registers, IRTA)
    assert status & ON == ON and not status & COMPATIBLE
    entries = struct.iter_unpack("<QQ", machine.physical(table & ~0xfff, 16 << (table & 0xf) + 1))
    present = [(low, high) for low, high in entries if low & 1]
    assert all(high >> 18 & 3 == 1 and high >> 16 & 3 == 0 for _, high in present), "the requester id is not verified"
    assert [(low >> 32, low >> 16 & 0xff) for low, high in present if high & 0xffff == PEER] == [(PEER_CORE, DEVICE_VECTOR)]
    assert len(present) == 2, "the peer's, and the UART's line"


# ---- Linux ------------------------------------------------------------------------------------------------------

DISK_MIB = 8
SET_UP = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for m in /modules/*; do insmod $m; done
"""
INIT = """\
while [ ! -b /dev/DISK ]; do sleep 0.1; done
echo "disk ready"
read line
while true; do
	echo 3 >/proc/sys/vm/drop_caches
	set -- $(md5sum /dev/DISK)
	echo "disk $1"
	read line
done
"""
MODULES = {"vda": ["virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"],
           "nvme0n1": ["crc64", "crc64_rocksoft", "crc_t10dif", "t10_pi", "nvme_core", "nvme"]}


def initrd(machine_files, wanted, script, folder):
    """Of a guest that does as @script says, once the modules of the drivers @wanted are in."""
    init = os.path.join(folder, "disk-init")
    with open(init, "w", encoding="ascii") as f:
        f.write(SET_UP + script)
    deps = os.path.dirname(machine_files["linux"])
    with open(os.path.join(deps, "modules/order"), encoding="ascii") as f:
        order = f.read().split()
    modules = [f"{deps}/modules/{name}.ko=/modules/{n:02}-{name}.ko" for n, name in enumerate(order)
               if name in wanted or name.startswith(("crc", "crct"))]
    out = os.path.join(folder, "disk.gz")
    subprocess.run([os.path.join(ROOT, "tools/mkinitrd"), out, os.path.join(deps, "busybox"), *modules, f"{init}=/init"],
                   check=True)
    return out


def disk_initrd(machine_files, disk, folder):
    """Of a guest that reads its disk whenever a line is typed."""
    return initrd(machine_files, MODULES[disk], INIT.replace("DISK", disk), folder)


BLK = {"disk": "vda", "at": machines.device(0), "given": {"devices": "virtio-blk"}}
NVME = {"disk": "nvme0n1", "at": machines.integrated(0), "given": {"integrated": "nvme"}}


def after_setup(counts, *others):
    """Exits that only the console, IPIs and the reasons @others add to."""
    return {reason: n for reason, n in counts.items() if reason not in ("console", "ipi", "total", *others)}


@pytest.mark.platforms(*EACH_IOMMU)
def test_linux_reads_its_disk_without_exits(boot, platform, tmp_path):
    """The set-up of functions and interrupts stays in its bounds; reading the whole disk exits for nothing but the console and IPIs."""
    kind = NVME if platform is AMD else BLK
    data = os.urandom(DISK_MIB << 20)
    disk = tmp_path / "disk.img"
    disk.write_bytes(data)
    digest = hashlib.md5(data).hexdigest()
    vm = linux("disk", [1, 2], args="quiet", devices=kind["at"], **platform.vm)
    given = {where: [f"{name},file={disk}"] for where, name in kind["given"].items()}
    machine = boot(manifest({"disk": vm}), files={"initrd.gz": disk_initrd(platform.backend.files, kind["disk"], str(tmp_path))},
                   memory=768, **given)
    machine.booted()
    machine.wait(r"disk\| disk ready")
    counts = machine.settled("disk")
    assert counts["intc"] <= 300, "250 of the ITS, 50 of redistributors; the distributor's are among them"
    assert counts["pci"] <= 500
    for _ in range(2):
        since = machine.attach("disk")
        machine.send("\r")
        assert machine.wait(r"disk ([0-9a-f]{32})\n", since).group(1) == digest
        machine.detach()
        after = machine.settled("disk")
        assert after_setup(after, "interrupt") == after_setup(counts, "interrupt")
        assert (after["interrupt"] > counts["interrupt"]) if platform is VIRTUAL else after.get("interrupt", 0) == 0
