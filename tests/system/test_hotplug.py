# SPDX-License-Identifier: Apache-2.0
"""
Functions that come and go while their VM runs: standard PCIe hot plug for a guest's Linux, with its agreement or without, driven by
the card. A neighbour that checks its memory notices nothing.
"""
import hashlib
import os
import re

import pytest

import machines
from machine import friendly, linux, manifest
from machines import CARD
from managed import Managed, RawCard, boot_managed, number, text
from test_attacks import Neighbour
from test_devices import MODULES, initrd

pytestmark = pytest.mark.platforms("el2-max", "svm-max")

DISK_MIB = 4
BLK, NVME = machines.device(0), machines.device(1)
PLUG = 16
BAD_PLAN, NO_DEVICE, PORT_BUSY = 17, 15, 27
# Where the first port's window is, in which the first BAR of what is plugged in stands.
WINDOW = {"arm64": 0x3b000000, "x86_64": 0xdc000000}
INIT = """\
echo "disks ready"
while read line; do
	set -- $line
	case $1 in
	read)
		for n in $(seq $3); do
			echo 3 >/proc/sys/vm/drop_caches
			sum=$(md5sum /dev/$2)
		done
		echo "disk" $sum
		;;
	word) echo "holds $(devmem $2 32)" ;;
	list) echo "disks:" $(ls /sys/block) "." ;;
	esac
done
"""


class Guest:
    """The Linux guest with ports, and its two disks, of which it has neither at first."""

    def __init__(self, managed, digests):
        self.managed, self.digests = managed, digests
        managed.said("linux", "disks ready")

    def answers(self, line, pattern):
        """What comes after this line was typed."""
        before = len(self.managed.console("linux"))
        assert self.managed.vm("POST", "linux", "console", line.encode() + b"\n")[0] in (200, 204)
        return self.sees(pattern, before)

    def sees(self, pattern, before):
        found = []
        self.managed.until(lambda: found.extend(re.findall(pattern, self.managed.console("linux")[before:])) or found,
                           f"the guest does not say {pattern}")
        return found[0]

    def reads(self, disk, times=1):
        assert self.answers(f"read {disk} {times}", r"disk ([0-9a-f]{32})\s") == self.digests[disk]

    def plug(self, function, disk):
        status, answer = self.managed.vm("POST", "linux", "devices", {"function": function})
        assert status == 200, answer
        self.managed.until(lambda: disk in self.answers("list", r"disks:([^.]*)\."), f"{disk} does not appear")

    def has(self):
        return [d["function"] for d in self.managed.vm("GET", "linux")[1]["devices"]]


@pytest.fixture
def guest(boot, platform, card, tmp_path):
    disks, digests = {}, {}
    for name in ("vda", "nvme0n1"):
        data = os.urandom(DISK_MIB << 20)
        disks[name] = tmp_path / name
        disks[name].write_bytes(data)
        digests[name] = hashlib.md5(data).hexdigest()
    vms = {"linux": {**linux("linux", [1, 2], args="quiet iomem=relaxed"), "hotplug-ports": 2}, "guard": friendly(3, "do=guard")}
    managed = boot_managed(boot, card.start(), vms, files={"initrd.gz": initrd(platform.backend.files, MODULES["vda"] + MODULES["nvme0n1"], INIT, str(tmp_path))}, memory=768,
                           devices=[f"virtio-blk,file={disks['vda']}", f"nvme,file={disks['nvme0n1']}"])
    managed.until(lambda: "guard: on" in managed.server.text + managed.console("guard"), "the neighbour does not come up")
    return Guest(managed, digests)


def read_exits(guest, times):
    """How often the guest exits, but for its console and IPIs, while it reads its disk so many times."""
    def exits():
        return sum(n for r, n in guest.managed.server.settled("linux").items() if r not in ("console", "ipi", "total"))
    before = exits()
    guest.reads("vda", times)
    return exits() - before


def test_a_disk_comes_and_goes(guest):
    """It is read without exits; given back when asked for, reset, and can come again."""
    managed = guest.managed
    free = managed.ask("capacity")
    with Neighbour(managed.server):
        for _ in range(2):
            guest.plug(BLK, "vda")
            assert guest.has() == [BLK]
            guest.reads("vda")
            # On Arm each console interrupt also asks the two ports, whose line it shares: so at most for what is typed.
            assert read_exits(guest, 9) <= 2 * len("read vda 9\n"), "reading exits"
            status, answer = managed.vm("DELETE", "linux", f"devices/{BLK}")
            assert status == 202, answer
            managed.until(lambda: not guest.has(), "the guest does not give its disk back")
            assert "vda" not in guest.answers("list", r"disks:([^.]*)\.")
            assert managed.ask("capacity") == free


def test_a_disk_is_pulled_out(guest):
    """Without asking: its registers are gone at once, from all cores' TLBs too, and the guest goes on. Another time it works again."""
    managed = guest.managed
    register = f"word {WINDOW[managed.server.backend.arch]:#x}"
    with Neighbour(managed.server):
        for _ in range(2):
            guest.plug(NVME, "nvme0n1")
            guest.reads("nvme0n1")
            assert guest.answers(register, r"holds (0x\w+)\s") != "0xFFFFFFFF"
            status, answer = managed.vm("DELETE", "linux", f"devices/{NVME}?force=1")
            assert status == 204, answer
            assert guest.answers(register, r"holds (0x\w+)\s") == "0xFFFFFFFF"
            managed.until(lambda: "nvme" not in guest.answers("list", r"disks:([^.]*)\."), "the guest keeps what is not there")


def test_a_port_is_busy_until_the_guest_is_done(tap, guest):
    """While Linux keeps to itself a port whose function has gone, for a second, nothing is put into it that it would forget."""
    guest.plug(NVME, "nvme0n1")
    assert guest.managed.vm("DELETE", "linux", f"devices/{NVME}?force=1")[0] == 204
    guest.plug(NVME, "nvme0n1")
    guest.reads("nvme0n1")
    first, *busy, last = [number(answer["error"]) for _, answer in tap.of(PLUG, False)]
    assert first == last == 0 and busy and set(busy) == {PORT_BUSY}


def test_both_ports_over_a_restart(guest):
    """What is in a port stays there when the VM stops, can be taken out meanwhile, and is found by the next start's enumeration."""
    managed = guest.managed
    guest.plug(BLK, "vda")
    guest.plug(NVME, "nvme0n1")
    guest.reads("vda")
    guest.reads("nvme0n1")
    managed.stop("linux")
    assert sorted(guest.has()) == sorted([BLK, NVME])
    assert managed.vm("DELETE", "linux", f"devices/{BLK}")[0] == 204
    assert guest.has() == [NVME]
    before = len(managed.console("linux"))
    managed.start("linux")
    guest.sees(r"(disks ready)", before)
    managed.until(lambda: "nvme0n1" in guest.answers("list", r"disks:([^.]*)\."), "the disk is not there")
    assert "vda" not in guest.answers("list", r"disks:([^.]*)\.")
    guest.reads("nvme0n1")


def test_refused(guest):
    """What may not be: each with its sentence, and the guest has what it had. Then a card that lies about where things stand."""
    managed = guest.managed
    guest.plug(BLK, "vda")
    for vm, function, why in [("linux", BLK, "is a device of /vms/linux"), ("guard", NVME, "finds no free port"),
                              ("linux", "0000:00:00.0", "part of the machine"), ("linux", "0000:7f:00.0", "is not there"),
                              ("linux", "01:00.0", "is not a PCI function")]:
        status, answer = managed.vm("POST", vm, "devices", {"function": function})
        assert status in (400, 409) and why in answer["message"], (function, status, answer)
    assert managed.vm("POST", "nobody", "devices", {"function": NVME})[0] == 404
    assert managed.vm("DELETE", "linux", f"devices/{NVME}")[0] == 404
    assert guest.has() == [BLK]
    guest.reads("vda")


def test_virtual_functions_for_vms_to_come(boot, card):
    """Those that the manifest has switched on though no VM of its has them: one is created with, one is plugged in."""
    server = boot(manifest({}, card=CARD, virtual_functions=f"{BLK}/vf1"), card=card.start().qemu, disk=True,
                  devices=["igb"])
    managed = Managed(server.booted(), card)
    managed.run("one", "echo", 1, devices=[f"{BLK}/vf0"])
    managed.run("two", "echo", 2, hotplug_ports=1)
    status, answer = managed.vm("POST", "two", "devices", {"function": f"{BLK}/vf1"})
    assert status == 200, answer
    assert [d["vf"] for name in ("one", "two") for d in managed.vm("GET", name)[1]["devices"]] == [f"{BLK}/vf0", f"{BLK}/vf1"]
    managed.define("three", "echo", 3, devices=[BLK])
    status, answer = managed.vm("POST", "three", "start")
    assert status == 400 and "has virtual functions that are on" in answer["message"], answer
    managed.echoes("two", "!", 1)
    assert managed.vm("DELETE", "two", f"devices/{BLK}%2Fvf1?force=1")[0] == 204


def test_virtual_functions_that_are_not_there(boot):
    """Nobody else would miss them."""
    machine = boot(manifest({"one": friendly(1, "do=hello")}, virtual_functions="0000:7f:00.0/vf0"))
    machine.wait(r"/host: virtual-functions: '0000:7f:00.0/vf0' is not there; this machine has \d+ PCI functions that can be seen")


def test_plans_that_lie(guest):
    managed = guest.managed
    managed.card.kill()
    os.unlink(managed.card.link)
    raw = RawCard(managed.card.link).welcome()
    window = WINDOW[managed.server.backend.arch]
    # Of no port, in another port's place, outside of its window, of what is no function.
    for index in range(16):
        for ident, bar in ((0x500, window), (0x104, window), (0x100, window + (16 << 20)), (0x100, 0x1000), (0x200, window)):
            plan = index.to_bytes(4, "little") + ident.to_bytes(4, "little") + bar.to_bytes(8, "little") + bytes(40)
            assert raw.tell(PLUG, vm=text("linux"), plan=plan)[0] in (BAD_PLAN, NO_DEVICE), (index, hex(ident), hex(bar))
    raw.close()
    managed.card.start()
    managed.connected()
    assert guest.has() == []
