# SPDX-License-Identifier: Apache-2.0
"""The card manages a server: bhcard and bhvsock as they are, the real image at the other end of QEMU's vsock device."""
import os
import re

import pytest

from machine import guest  # before the others: it knows where they are

from machines import device
from managed import EVENT, LOG, NAMES, STARTING, START, STOP, assert_steps, boot_managed, number, properties, rounds, stopping, text
from test_attacks import symbols

pytestmark = pytest.mark.platforms("el2-max", "svm-max")

ROUNDS = int(os.environ.get("BULKHEAD_ROUNDS", "100"))  # `make bench` has 1,000


def events(tap, vm):
    """The events of @vm that the card has had: (name, microseconds of the server's time, why)."""
    return [(p["event"][:-1].decode(), number(p["time-us"]), p["why"][:-1].decode()) for _, p in tap.of(EVENT, False, vm)]


def log_of(tap):
    """The server's log as the card has had it."""
    return "".join(p["text"][:-1].decode() for _, p in tap.of(LOG, False))


def had(managed, tap, vm, event):
    managed.until(lambda: [e for e in events(tap, vm) if e[0] == event], f"the card has heard of no {event}")


def assert_told_in_order(tap, step, vm, event):
    """From the card's side: what leads to an event is in the log that came before it."""
    frames = [(kind, payload) for _, from_card, kind, _, _, payload in tap.frames if not from_card and kind in (LOG, EVENT)]
    at = next(i for i, (kind, payload) in enumerate(frames) if kind == EVENT and properties(payload)["vm"] == text(vm)
              and properties(payload)["event"] == text(event))
    before = "".join(properties(payload)["text"][:-1].decode() for kind, payload in frames[:at] if kind == LOG)
    assert f"{vm}: {step}" in before


# ---- Each step of DESIGN section 3, as the card sees it ----

def test_steps_of_start_and_stop(tap, managed):
    for vm, cores in (("one", [1]), ("two", [2, 3])):
        managed.run(vm, "echo", cores)
        had(managed, tap, vm, "started")
        managed.stop(vm)
        had(managed, tap, vm, "stopped")
        managed.until(lambda: f"{vm}: stop 5/5" in managed.logs(), "the log lacks the stop's end")
        stamps = assert_steps(managed.logs(), vm, cores[0], STARTING + stopping("asked by the card"))
        assert log_of(tap).endswith(managed.logs()[-200:])
        (started, began, _), (stopped, ended, why) = events(tap, vm)
        assert (started, stopped, why) == ("started", "stopped", "asked by the card")
        assert stamps[6] <= began <= stamps[7] and stamps[11] <= ended
        assert_told_in_order(tap, "start 7/7", vm, "started")
        assert_told_in_order(tap, "stop 5/5", vm, "stopped")
    # An answer comes when what was asked for has been done.
    done = [NAMES[kind] for _, from_card, kind, flags, _, _ in tap.frames if not from_card and flags and kind in (START, STOP)]
    assert done == ["start", "stop"] * 2


def test_steps_of_abort(tap, managed):
    managed.run("stays", "echo", 3)
    managed.define("evil", f"load at={1 << 36:#x}", 1, guest="hostile")
    managed.do("evil", "start")
    had(managed, tap, "evil", "aborted")
    managed.is_now("evil", "stopped")
    managed.until(lambda: "evil: abort 6/6" in managed.logs(), "the log lacks the abort's end")
    reason = next(r for r in events(tap, "evil") if r[0] == "aborted")[2]
    facts = r", address 0x\w+, pc 0x\w+, syndrome 0x\w+"
    stamps = assert_steps(managed.logs(), "evil", 1, STARTING + [f"abort 1/6: {re.escape(reason)}{facts}"] + stopping("aborted") +
                          ["abort 6/6: ended, reported to the manager"])
    assert [e[0] for e in events(tap, "evil")] == ["started", "aborted"]
    told = tap.of(EVENT, False, "evil")[-1][1]
    assert number(told["pc"]) == symbols(managed.server.backend)["op_load"]
    assert f"{number(told['address']):#x}, pc {number(told['pc']):#x}, syndrome {number(told['syndrome']):#x}\n" in managed.logs()
    assert stamps[12] <= number(told["time-us"]) <= stamps[13]
    assert_told_in_order(tap, "stop 5/5", "evil", "aborted")
    managed.echoes("stays", "!", 1)


def test_steps_when_a_guest_switches_itself_off(tap, managed):
    managed.define("brief", "off", 1)
    managed.do("brief", "start")
    had(managed, tap, "brief", "off")
    managed.is_now("brief", "stopped")
    managed.until(lambda: "stop 5/5" in managed.logs(), "the log lacks the stop's end")
    assert_steps(managed.logs(), "brief", 1, STARTING + stopping("the guest switched itself off"))


# ---- VMs that come and go ----

def test_life_of_a_vm(managed):
    before = managed.pool()
    managed.run("one", "echo", 1)
    managed.echoes("one", "c", 1)
    assert managed.vm("POST", "one", "start")[0] == 409
    managed.stop("one")
    managed.delete("one")
    assert managed.pool() == before


def test_rounds_leave_the_pool_as_it_was(managed):
    managed.run("stays", "echo", 3)
    rounds(managed, ROUNDS)
    managed.echoes("stays", "!", 1)


def test_guests_outlive_the_daemon(managed):
    managed.run("one", "echo", 1)
    managed.card.kill()
    managed.server.wait(r"core0: card: connection lost")
    assert managed.server.states()["one"] == "running"
    managed.card.start()
    managed.connected()
    managed.is_now("one", "running")
    managed.echoes("one", "!", 1)


# ---- What an IOMMU refuses ----

def test_refused_dma_is_an_event(boot, card):
    """The VM of the boot manifest goes on; the card hears whose DMA it was, and where it went."""
    evil = {**guest("device", [1], "do=ask", autostart=0), "devices": device(0)}
    server = boot_managed(boot, card.start(), {"evil": evil}, devices=["virtio-rng"]).server
    since = server.start("evil")
    server.attach("evil")
    server.send("do=dma at=0x400000\r")
    server.wait(r"survived: done \d", since)
    server.detach()
    server.wait(r"evil: stream 0x100, write at 0x400000: DMA refused", since)
    event = card.event("dma-fault")
    assert (event["vm"], event["address"], event["syndrome"]) == ("evil", "0x400000", "0x100")
    assert event["why"] == "DMA refused"
