# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/benchmarks.md that need a card: one function for each kind, as in figures.py."""
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import time

import rig
from cardside import CardSide
from figures import ASLEEP, BUSY, LIFECYCLE_BY_CARD, MANAGER, at, starting
from machine import Machine, Scenario, manifest
from machines import CARD
from managed import PING, Managed, RawCard, rounds, steps
from rig import Vm, bulkhead, command_line, emulators

PINGS = 300
SPARE = 3  # the core of the card's VMs
FLOOD = 1 << 17  # bytes of a console
STREAM_MIB = 64
SLOWER = 1.66667  # streaming reaches 60 % of what Linux does


def has_card(where):
    return where.plugin  # Bochs has no vsock device


@contextlib.contextmanager
def card_side():
    side = CardSide()
    try:
        yield side
    finally:
        side.close()


def median_ping(raw):
    """The median of round trips in milliseconds, by this host's clock."""
    times = []
    for _ in range(PINGS):
        begin = time.perf_counter()
        assert raw.tell(PING, data=b"x" * 64)[0] == 0
        times.append(time.perf_counter() - begin)
    return round(1000 * statistics.median(times), 2)


def others_exits(emulator):
    exits = emulator.exits()
    return exits["busy"]["total"] + exits["asleep"]["total"]


def work_of_the_card(where, emulator, managed, vms):
    """Starts each of @vms by the card, with a Linux that comes up, and ends it; then one whose console never rests."""
    with open(where.initrd(), "rb") as f:
        initrd = f.read()
    for i, vm in enumerate(vms):
        managed.define(vm.name, "", SPARE, guest="linux", initrd=initrd, memory=f"{vm.mib}M", bootargs=command_line(where, vm.words))
        managed.start(vm.name)
        emulator.wait_event("mark0", i + 1, SPARE)
        managed.stop(vm.name)
        managed.delete(vm.name)
    managed.run("flood", "flood", SPARE, guest="hostile")
    managed.until(lambda: len(managed.console("flood")) > FLOOD, "the console is silent")
    assert "flood: start 7/7" in managed.logs()
    managed.stop("flood")
    managed.delete("flood")


def card(where, sheet, _):
    """Starts by the card, what the guests beside notice of its work, and how long an answer takes."""
    if not has_card(where):
        return
    beside = [Vm("busy", [1], 256, BUSY, False), Vm("asleep", [2], 256, ASLEEP, False)]
    # Three of each: how much of its log the manager writes meanwhile depends on the host, and the least has none of it.
    vms = [Vm(f"{name}-{n}", [SPARE], size, ASLEEP) for n in range(3) for name, size in (("small", 256), ("large", 2048))]
    with card_side() as side, emulators(), bulkhead(where, "card", beside, card=side, spare=2560) as emulator:
        raw = RawCard(side.link)
        emulator.booted()
        quiet = median_ping(raw.welcome())
        for vm in beside:
            emulator.start(vm.name)
            emulator.wait_event("mark0", 1, vm.cores[0])
        emulator.wait_at_work([1])
        emulator.wait_asleep([2])
        loaded = median_ping(raw)
        raw.close()
        managed = Managed(emulator, side.start())
        before = others_exits(emulator)
        work_of_the_card(where, emulator, managed, vms)
        noticed = others_exits(emulator) - before
        emulator.send("poweroff\r")
        events = emulator.finish()
    by_core = dataclasses.replace(where, icount=False)
    starts, ups = [], [k for k, e in enumerate(events) if e.name == "mark0" and e.vcpu == SPARE]
    for i, vm in enumerate(vms):
        launch = at(events, "vm_launch", len(beside) + i)
        asked = max(k for k, e in enumerate(events[:launch]) if e.name == rig.REQUEST and e.vcpu == MANAGER)
        starts.append(starting(by_core, vm, events[asked:ups[i]]))
    starts = [min(starts[0::2]), min(starts[1::2])]
    for instructions, text in zip(starts, ("256 MiB", "2 GiB")):
        sheet.add(f"start, card's message to first instruction, {text}", instructions, "instructions", LIFECYCLE_BY_CARD)
    sheet.add("start by the card, difference between 256 MiB and 2 GiB", round(100 * abs(starts[1] - starts[0]) / starts[0], 2), "%", 1)
    sheet.add("exits of other guests while the card works", noticed, "exits", 0)
    sheet.add("control round trip, no guest runs", quiet, "ms")
    sheet.add("control round trip, two guests run", loaded, "ms")


def managed_server(where, side, name, **options):
    return Machine(Scenario(where.backend, f"bench-{where.name}-{name}", manifest({}, card=CARD)), card=side.start().qemu, disk=True,
                   **where.options, **options)


def linux_receives(where):
    """MiB/s of the yardstick, tests/bench/vsock."""
    with open(os.devnull, "wb") as null:
        out = subprocess.run([os.path.join(rig.ROOT, "tests/bench/vsock"), where.backend.arch, where.file("bench/vsock-initrd.gz"),
                              os.path.join(rig.ROOT, "build/host/vsock_source"), str(STREAM_MIB)], check=True, stdout=subprocess.PIPE,
                             stderr=null, text=True).stdout
    return json.loads(out.splitlines()[-1])["receive"]


def image_streams(managed, i):
    """MiB/s, by the server's clock, from an image's first bytes to the last ones of all."""
    managed.run(f"stream-{i}", "hello", 1, initrd=bytes(STREAM_MIB << 20), memory="256M")
    stamps = [stamp for stamp, _, _ in steps(managed.logs(), f"stream-{i}")]
    managed.stop(f"stream-{i}")
    managed.delete(f"stream-{i}")
    return STREAM_MIB * 1e6 / (stamps[2] - stamps[0])


def streaming(where, sheet, _):
    """Both in turns: what is bounded is how long a byte of an image takes against one that Linux receives."""
    if not has_card(where):
        return
    ours, linux = [], []
    with card_side() as side, emulators(), managed_server(where, side, "streaming", memory=1024) as emulator:
        managed = Managed(emulator.booted(), side)
        for i in range(3):
            linux.append(linux_receives(where))
            ours.append(image_streams(managed, i))
    sheet.add("image streaming into a VM", round(statistics.median(ours), 1), "MiB/s")
    sheet.add("vsock of a Linux guest, receiving", round(statistics.median(linux), 1), "MiB/s")
    sheet.add("time for a byte of an image against one that Linux receives", round(statistics.median(linux) / statistics.median(ours), 3),
              "ratio", SLOWER)


def card_rounds(where, sheet, options):
    """VMs of mixed sizes come and go; memory, cores, ids and slots are as before."""
    if not has_card(where):
        return
    with card_side() as side, emulators(), managed_server(where, side, "rounds") as emulator:
        managed = Managed(emulator.booted(), side)
        try:
            rounds(managed, options.rounds)
        except AssertionError as error:
            raise rig.Failure(f"after {emulator.text.count('deleted from slot')} rounds: {error}") from error
    sheet.add("create, start, stop, delete: rounds without a leak", options.rounds, f"of {options.rounds}")


STEPS = {f.__name__: f for f in (card, streaming, card_rounds)}
