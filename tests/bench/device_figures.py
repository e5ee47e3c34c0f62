# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/benchmarks.md about PCI functions in a guest's hands, as in figures.py."""
import statistics

from figures import Exits
from rig import Vm, bulkhead, emulators, native, phases, side_by_side

DISK, CARD = "virtio-blk", "virtio-net-alone"  # the disk reads as zeroes
WORKS = (("read:1000", "virtio-blk, 4 KiB read"), ("write:1000", "virtio-blk, 4 KiB written"), ("send:5000", "virtio-net, frame sent"))
REPEATS = 5
INSTRUCTIONS = 1.03


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


STEPS = {f.__name__: f for f in (device_exits, device_instructions, device_wall_clock)}
