# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/benchmarks.md about PCI functions in a guest's hands, as in figures.py."""
import statistics
import struct

import machines
from figures import BUSY, MANAGER, Exits
from igb import PhysicalFunction
from machine import Machine, Scenario, friendly, manifest
from managed import steps
from rig import Vm, bulkhead, emulators, native, phases, side_by_side

DISK, CARD = "virtio-blk", "virtio-net-alone"  # the disk reads as zeroes
WORKS = (("read:1000", "virtio-blk, 4 KiB read"), ("write:1000", "virtio-blk, 4 KiB written"), ("send:5000", "virtio-net, frame sent"))
FRAMES = 5000
REPEATS = 5
INSTRUCTIONS = 1.03
TABLE_BYTES = 8192  # for each GiB of a guest
RESET_MS = 1100  # 100 ms of silence, and 1 s for a function that asks for patience (PCIe 6.6.2, 2.3.1)


def guest(words="", more=""):
    return Vm("one", [1], 256, words, more=more, devices=(DISK, CARD))


def has_devices(where):
    return where.bare_with_devices is not None


def device_exits(where, sheet, _):
    """A guest's exits while its devices work. Linux goes on setting up its network card when a shell is there already: it may."""
    if not has_devices(where):
        return
    run = Exits(where, "exits-devices", guest(), ["idle:1000", *(work for work, _ in WORKS)])
    for i, (_, name) in enumerate(WORKS, 1):
        own, logged = run.own_exits(i), run.logged[i][0]
        sheet.add(f"exits, {name}", round(max(own, logged) / run.seconds(i), 1) or 0, "exits/s", 0, own == logged)


class Allowed:
    """A virtual function that passes what its guest sends, and counts it."""

    def begin(self, emulator):
        self.physical = PhysicalFunction(emulator)
        emulator.start("one")

    def end(self):
        self.frames = self.physical.frames_sent(0)


def virtual_function_exits(where, sheet, _):
    """The same of a guest with an igb's virtual function, which has to have sent the frames."""
    if not has_devices(where):
        return
    vm, allowed = Vm("one", [1], 256, autostart=False, devices=("igb/vf0",)), Allowed()
    run = Exits(where, "exits-vf", vm, ["idle:1000", f"send:{FRAMES}"], allowed, registers=True, low_bars=True)
    own, logged = run.own_exits(1), run.logged[1][0]
    sheet.add("exits, igb VF, frame sent", round(max(own, logged) / run.seconds(1), 1) or 0, "exits/s", 0,
              own == logged and allowed.frames >= FRAMES)


def device_instructions(where, sheet, _):
    """Instructions of the whole machine for each operation; the same Linux without Bulkhead uses the IOMMU itself."""
    if not has_devices(where):
        return
    vm = guest(",".join([*(work for work, _ in WORKS), "off"]), where.steady)
    both = []
    for i in range(REPEATS):
        both.append(side_by_side([lambda: bulkhead(where, f"devices-bulkhead-{i}", [vm], icount=True, count="all"),
                                  lambda: native(where, f"devices-native-{i}", vm, icount=True, count="all")]))
    for k, (_, name) in enumerate(WORKS):
        ours, plain = (statistics.median(end.total - begin.total for begin, end in (phases(pair[side])[k] for pair in both))
                       for side in (0, 1))
        sheet.add(f"instructions against no hypervisor, {name}", round(ours / plain, 6), "ratio", INSTRUCTIONS)


def device_wall_clock(where, sheet, _):
    """The same by the wall clock, in turns. Published only."""
    if not has_devices(where):
        return
    vm = guest(",".join([*(work for work, _ in WORKS), "off"]), where.steady)
    times = {True: [], False: []}
    for i in range(3):
        for ours in (True, False):
            with emulators(), (bulkhead(where, f"device-time-bulkhead-{i}", [vm], count="none") if ours
                               else native(where, f"device-time-native-{i}", vm, count="none")) as emulator:
                times[ours].append([end.us - begin.us for begin, end in phases(emulator.finish())])
    for k, (_, name) in enumerate(WORKS):
        ours, plain = (statistics.median(run[k] for run in times[which]) for which in (True, False))
        sheet.add(f"wall clock against no hypervisor, {name}", round(ours / plain, 3), "ratio")


# ---- Tables ----------------------------------------------------------------------------------------------------------

TABLE = 4096
ADDRESS = (1 << 48) - TABLE  # of a table, in an entry of any of them


def words(emulator, at, count):
    return struct.unpack(f"<{count}Q", emulator.physical(at, 8 * count))


def smmu_tables(emulator, stream):
    """The tables of @stream in QEMU's SMMUv3: where the first is, pages, levels below, how an entry names a table. IHI 0070F 5.2, 6.3.23."""
    base, = words(emulator, 0x09050080, 1)
    entry = words(emulator, (base & ADDRESS) + 64 * stream, 4)
    size, level = 64 - (entry[2] >> 32 & 0x3f), 2 - (entry[2] >> 38 & 3)
    below = 3 - level
    if entry[0] & 0xf != 0xd:
        emulator.fail("the stream has no second stage")
    return entry[3] & ADDRESS, max(1, 1 << size - 21 - 9 * below), below, lambda word: word & 3 == 3


def vtd_tables(emulator, stream):
    """The same in QEMU's VT-d: root table, context table. VT-d 4.1 9.1, 9.3, 9.8."""
    root, = words(emulator, 0xfed90020, 1)
    contexts, = words(emulator, (root & ADDRESS) + 16 * (stream >> 8), 1)
    low, high = words(emulator, (contexts & ADDRESS) + 16 * (stream & 0xff), 2)
    if not low & 1 or high & 7 != 2:
        emulator.fail("the stream has no tables of four levels")
    return low & ADDRESS, 1, 3, lambda word: word & 3 and not word >> 7 & 1


TABLES = {"arm64": smmu_tables, "x86_64": vtd_tables}


def table_bytes(emulator, at, pages, below, is_table):
    """Of the tables at @at and all that they lead to."""
    found = [word & ADDRESS for word in words(emulator, at, pages * TABLE // 8) if below and is_table(word)]
    return pages * TABLE + sum(table_bytes(emulator, table, 1, below - 1, is_table) for table in found)


def device_tables(where, sheet, _):
    """What an IOMMU has been told of a running VM's memory, counted page by page in the machine's memory."""
    if not has_devices(where):
        return
    sizes = (1, 4)
    vms = {f"gib{gib}": friendly(n + 1, "do=hello", memory=f"{gib}G", devices=machines.device(n)) for n, gib in enumerate(sizes)}
    scenario = Scenario(where.backend, f"bench-{where.name}-tables", manifest(vms))
    tables = []
    with emulators(), Machine(scenario, cores=3, memory=512 + 1024 * sum(sizes), devices=["virtio-rng"] * 2, **where.options) as emulator:
        emulator.booted()
        for n, vm in enumerate(vms):
            emulator.wait(rf"{vm}\| hello")
            tables.append(table_bytes(emulator, *TABLES[where.backend.arch](emulator, n + 1 << 8)))
    for gib, size in zip(sizes, tables):
        sheet.add(f"IOMMU tables of a VM, {gib} GiB", size, "bytes")
    sheet.add("IOMMU table bytes per GiB of guest memory, 4 GiB", tables[1] // sizes[1], "bytes", TABLE_BYTES)


# ---- Start and stop --------------------------------------------------------------------------------------------------

def device_lifecycle(where, sheet, _):
    """A function given to a VM and taken from it, in instructions of the hypervisor; it waits no longer than a reset takes."""
    if not has_devices(where):
        return
    vm = Vm("one", [1], 256, BUSY, False, devices=(DISK,))
    with emulators(), bulkhead(where, "device-lifecycle", [vm], icount=True) as emulator:
        emulator.booted()
        for i in range(2):
            emulator.start(vm.name)
            emulator.wait_event("mark0", i + 1)
            emulator.wait_at_work(vm.cores)
            if "cores idle" not in emulator.stop(vm.name):
                emulator.fail(f"'stop {vm.name}' did not come to its end")
        emulator.send("poweroff\r")
        events = emulator.finish()
        log = emulator.text

    def spent(name, i):
        begin, end = ([e for e in events if e.name == which][i] for which in (name, f"{name}_end"))
        return end.core - begin.core if where.icount else end.each[MANAGER] - begin.each[MANAGER]

    sheet.add("device reset and assignment at VM start, the first", spent("pci_open", 0), "instructions")
    sheet.add("device assignment at VM start", spent("pci_open", 1), "instructions")
    sheet.add("device reset and revocation at stop", max(spent("pci_close", i) for i in range(2)), "instructions")
    sheet.add("longest time of a reset, start or stop", reset_ms(log, vm.name), "ms", RESET_MS)


def reset_ms(log, vm):
    """The longest time between the steps of @vm that a reset lies between, by the hypervisor's clock."""
    found = [(stamp, step[:9]) for stamp, _, step in steps(log, vm)]
    times = [after - before for (before, step), (after, following) in zip(found, found[1:])
             if (step, following) in (("start 4/7", "start 5/7"), ("stop 2/5:", "stop 3/5:"))]
    return round(max(times) / 1000, 1)


STEPS = {f.__name__: f for f in (device_exits, virtual_function_exits, device_instructions, device_wall_clock, device_tables, device_lifecycle)}
