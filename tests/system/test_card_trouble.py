# SPDX-License-Identifier: Apache-2.0
"""
Cards that hang, die at any step, come in pairs or do not keep to the protocol, and guests that give their card trouble. Each time
the card's answer is exact, what was begun can be brought to its end, and a neighbour that checks its memory notices nothing.
"""
import os
import re
import shutil
import struct
import threading

import pytest

from cardside import CardSide
from fake import BAD_DIGEST, BAD_VALUE, NO_SUCH_VM, WRONG_STATE
from machine import SECONDS, friendly, hostile
from managed import (ANSWER, CREATE, DELETE, EVENT, HELLO, IMAGE, INFO, PING, START, STOP, WELCOME, RawCard, boot_managed, frame, number,
                     properties, stopping, text, tree)
from test_attacks import Neighbour
from test_stop import asleep_at

pytestmark = pytest.mark.platforms("el2-max", "svm-max")

GUARD = {"guard": friendly(3, "do=guard")}
INITRD = bytes(range(256)) * 1200  # 300 KiB, in five pieces
FREE = 1  # a core


@pytest.fixture
def managed(boot, card):
    server = boot_managed(boot, card.start(), GUARD)
    # Where it says so depends on whether the card was there already.
    server.until(lambda: "guard: on" in server.server.text + server.console("guard"), "the neighbour does not come up")
    return server


@pytest.fixture
def undisturbed(managed):
    """The neighbour notices nothing of all that the test does, and in the end all is there that was there before."""
    before = managed.pool()
    with Neighbour(managed.server):
        yield managed
    managed.until(lambda: managed.pool() == before, f"the pool is not as it was: {before}")


# ---- The card is killed, or its connection cut, at every step ----

STEPS = {"create": CREATE, "image": IMAGE, "start": START, "stop": STOP, "delete": DELETE}
# The step that is under way, what is asked for, and what must come of it by itself once the card is back.
ASKED = {"create": "start", "image": "start", "start": "start", "stop": "stop", "delete": None}
ENDS = {"start": "running", "stop": "stopped", None: None}


def ask_in_vain(managed, vm, action):
    """In a thread: the answer may be an error, or never come."""
    def run():
        try:
            if action:
                managed.card.vm("POST", vm, action)
            else:
                managed.card.vm("DELETE", vm)
        except OSError:
            pass

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def interrupted(managed, tap, step, when, then):
    """A VM's life in which @step is cut off; it comes to its end all the same, and everything in it happens once."""
    vm, action = f"{step}-{when}", ASKED[step]
    managed.define(vm, "echo", FREE, initrd=INITRD)
    if action != "start":
        managed.start(vm)
    if action is None:
        managed.stop(vm)
    tap.cut(STEPS[step], when, then)
    thread = ask_in_vain(managed, vm, action)
    managed.until(tap.reached.is_set, f"{step} was not reached")
    thread.join()
    if managed.card.daemon is None:
        managed.card.start()
    managed.connected()
    managed.is_now(vm, ENDS[action])
    if action == "start":
        managed.echoes(vm, "!", 1)
        managed.stop(vm)
    if action:
        managed.delete(vm)
    # The log is read behind the card's back, and its last line comes when that has its answer already.
    managed.until(lambda: f"core0: {vm}: deleted from slot" in managed.server.text, "the log lacks the end")
    for once in ("created in slot", "start 7/7", "stop 5/5", "deleted from slot"):
        assert managed.server.text.count(f"core0: {vm}: {once}") + managed.server.text.count(f"core{FREE}: {vm}: {once}") == 1, once


@pytest.mark.parametrize("when", ["before", "half", "after"])
@pytest.mark.parametrize("what", ["killed", "cut off"])
def test_card_goes_at_every_step(tap, undisturbed, what, when):
    then = undisturbed.card.kill if what == "killed" else lambda: None
    for step in STEPS:
        interrupted(undisturbed, tap, step, when, then)


# ---- Images that do not arrive as they are ----

@pytest.fixture
def raw(tap, undisturbed):
    """A bare socket in bhcard's place, and the frames by which that made the VM "one" before it went."""
    managed = undisturbed
    managed.run("one", "echo", FREE, initrd=INITRD)
    managed.stop("one")
    managed.delete("one")
    frames = list(tap.frames)
    managed.card.kill()
    os.unlink(tap.inner)
    card = RawCard(tap.inner)
    card.create = next(f[5] for f in frames if f[2] == CREATE)
    card.images = {0: [], 1: [], 2: []}
    for f in frames:
        if f[1] and f[2] == IMAGE:
            card.images[number(properties(f[5])["image"])].append(f[5])
    assert [len(card.images[i]) for i in range(3)] == [1, 1, 5]
    yield card.welcome()
    assert card.tell(DELETE, vm=text("one"))[0] == 0
    card.close()
    managed.card.start()
    managed.connected()


def state_of(raw):
    return raw.tell(INFO, vm=text("one"))[2]["state"][:-1].decode()


def send_all(raw, *images):
    for image in images:
        for piece in raw.images[image]:
            assert raw.ask(IMAGE, piece)[0] == 0


def start_and_stop(raw):
    assert raw.tell(START, vm=text("one"))[:2] == (0, "")
    assert state_of(raw) == "running"
    assert raw.tell(STOP, vm=text("one"))[:2] == (0, "")
    assert state_of(raw) == "stopped"


def test_digest_does_not_match(raw):
    assert raw.ask(CREATE, raw.create)[0] == 0
    for image, pieces in raw.images.items():
        for piece in pieces[:-1]:
            assert raw.ask(IMAGE, piece)[0] == 0
        last = properties(pieces[-1])
        for spoilt in ("data", "digest"):
            wrong = {**last, spoilt: bytes([last[spoilt][0] ^ 1]) + last[spoilt][1:]}
            if spoilt == "digest" and len(pieces) > 1:
                send = pieces[:-1]
                for piece in send:
                    assert raw.ask(IMAGE, piece)[0] == 0
            assert raw.tell(IMAGE, **wrong)[:2] == (BAD_DIGEST, "the image is not what its digest says"), image
            assert raw.tell(START, vm=text("one"))[:2] == (WRONG_STATE, "the VM is in a state that does not allow this")
        assert state_of(raw) == "loading"
    send_all(raw, 1, 2)
    assert state_of(raw) == "loading"
    send_all(raw, 0)
    assert state_of(raw) == "loaded"
    start_and_stop(raw)


def test_stream_is_cut_in_the_middle(raw, managed):
    assert raw.ask(CREATE, raw.create)[0] == 0
    send_all(raw, 0, 1)
    for piece in raw.images[2][:2]:
        assert raw.ask(IMAGE, piece)[0] == 0
    raw.send(IMAGE, raw.images[2][2], cut=30000)
    raw.stream.close()
    raw.welcome()
    assert state_of(raw) == "loading"
    for piece in (raw.images[2][3], raw.images[2][4]):  # what was cut off has not arrived
        assert raw.ask(IMAGE, piece)[:2] == (BAD_VALUE, "a value is malformed or out of range")
    assert raw.tell(START, vm=text("one"))[0] == WRONG_STATE
    send_all(raw, 2)
    start_and_stop(raw)
    # What came is wiped when nothing more does.
    assert raw.ask(IMAGE, raw.images[2][0])[0] == 0
    raw.stream.close()
    raw.welcome()
    assert raw.tell(STOP, vm=text("one"))[:2] == (0, "")
    assert state_of(raw) == "stopped"
    assert {state for _, _, state in managed.server.memory("one")} == {"stopped"} and not any(managed.server.vm_bytes("one"))


def test_requests_again_after_their_answers_were_lost(raw):
    """Sent, carried out, never heard of: the card comes back and asks for the same once more."""
    def lose_answer(kind, payload):
        raw.send(kind, payload)
        raw.send(PING)  # so that the answer to the first one has come, and goes unread
        raw.answer(999 + raw.sequence)
        raw.stream.close()
        raw.welcome()

    vm = tree({"vm": text("one")})
    for _ in range(2):
        lose_answer(CREATE, raw.create)
        assert raw.ask(CREATE, raw.create)[0] == 0
        send_all(raw, 0, 1)
        for piece in raw.images[2]:
            lose_answer(IMAGE, piece)
        assert state_of(raw) == "loaded"
        lose_answer(START, vm)
        assert raw.ask(START, vm)[0] == WRONG_STATE and state_of(raw) == "running"
        lose_answer(STOP, vm)
        assert raw.ask(STOP, vm)[0] == WRONG_STATE and state_of(raw) == "stopped"
        lose_answer(DELETE, vm)
        assert raw.ask(DELETE, vm)[:2] == (NO_SUCH_VM, "there is no VM of this name")
    assert raw.ask(CREATE, raw.create)[0] == 0


# ---- Two cards ----

def test_two_cards(boot, card):
    """Two functions in one server: the one that the manifest names manages it, the other is not even spoken to."""
    other = CardSide()
    try:
        both = [card.qemu, other.qemu]
        card.start()
        other.start()
        card.qemu = both
        managed = boot_managed(boot, card, GUARD)
        managed.run("one", "echo", FREE)
        card.kill()
        managed.server.wait(r"card: connection lost")
        status, answer = other.request("GET", "/v1/machines/demo")
        assert status == 200 and not answer["connected"] and answer["model"] is None
        card.start()
        managed.connected()
        managed.is_now("one", "running")
        managed.echoes("one", "!", 1)
    finally:
        other.close()


def test_another_card_takes_over(managed):
    """A card that knows nothing takes the place of one that died: the VM runs on, can be stopped, and be taken away."""
    before = managed.pool()
    managed.run("one", "echo", FREE)
    managed.echoes("one", "a", 1)
    managed.card.kill()
    shutil.rmtree(os.path.join(managed.card.folder, "state"))
    managed.card.start()
    managed.connected()
    with Neighbour(managed.server):
        managed.is_now("one", "running")
        managed.echoes("one", "b", 2)
        managed.stop("one")
        status, answer = managed.vm("POST", "one", "start")
        assert (status, answer["error"]) == (409, "BH_WRONG_STATE"), answer
        managed.delete("one")
    assert managed.pool() == before


# ---- A VM that will not stop ----

HOLDERS = {"arm64": ("spin", "sleep", "sleep-both"), "x86_64": ("spin", "sleep", "sleep-nmi")}


def hold(managed, line):
    managed.run(line, line, FREE, guest="hostile")
    managed.said(line, "holding")
    if line != "spin":
        managed.until(lambda: asleep_at(managed.server, line, FREE), f"{line} does not fall asleep")


def test_guests_that_do_not_want_to_stop(undisturbed):
    for line in HOLDERS[undisturbed.server.backend.arch]:
        hold(undisturbed, line)
        undisturbed.stop(line)
        undisturbed.until(lambda: f"{line}: stop 5/5" in undisturbed.logs(), "the log lacks the stop's end")
        undisturbed.delete(line)


@pytest.mark.platforms("el2-max")
def test_guest_that_cannot_be_stopped(tap, managed):
    """It is asleep and holds an interrupt of the highest priority: the one kind that keeps its core. The card is told so, exactly."""
    lost = (409, {"error": "BH_CORE_LOST", "message": "a core did not leave its guest and is quarantined"})
    hold(managed, "sleep-active")
    with Neighbour(managed.server):
        assert managed.vm("POST", "sleep-active", "stop") == lost
        managed.is_now("sleep-active", "quarantined")
        managed.until(lambda: len(tap.of(EVENT, False, "sleep-active")) == 2, "no event")
        event = tap.of(EVENT, False, "sleep-active")[-1][1]
        assert (event["event"], event["why"]) == (text("quarantined"), text(lost[1]["message"]))
        managed.until(lambda: "core 1 did not leave its guest: quarantined until reset" in managed.logs(), "the log does not say so")
        assert [s for _, _, s in managed.steps("sleep-active")[7:]] == ["stop 1/5: asked by the card", managed.steps("sleep-active")[8][2]]
        assert re.fullmatch(stopping("")[1], managed.steps("sleep-active")[8][2])
    with Neighbour(managed.server):
        for method, action in (("POST", "start"), ("POST", "stop"), ("POST", "abort"), ("DELETE", "")):
            status, answer = managed.vm(method, "sleep-active", action)
            assert (status, answer["error"]) == (409, "BH_WRONG_STATE"), (action, answer)
        assert managed.ask("capacity")["cores_free"] == [2]
        managed.define("next", "echo", FREE)
        status, answer = managed.vm("POST", "next", "start")
        assert (status, answer["error"]) == (409, "BH_CORE_TAKEN"), answer
        managed.delete("next")
        managed.run("next", "echo", 2)
        managed.echoes("next", "!", 1)
        managed.card.kill()
        managed.card.start()
        managed.connected()
        managed.is_now("sleep-active", "quarantined")
        managed.stop("next")
        managed.delete("next")


# ---- Full rings ----

RING = 16 << 10  # bytes of a guest's console; each takes at least one exit


def written(server):
    return server.exits()["flood"]["console"]


def test_console_nobody_takes(boot, card):
    """A card asks and asks and does not read, while a guest writes without end: what is too much is dropped and counted, and no
    guest waits. When it reads again, each answer is there."""
    server = boot_managed(boot, card.start(), {**GUARD, "flood": hostile(FREE, "do=flood", autostart=0)}).server
    card.kill()
    os.unlink(card.link)
    raw = RawCard(card.link).welcome()
    ping = tree({"data": os.urandom(60000)})
    asked, rest = [], b""
    raw.stream.settimeout(2)  # then nothing moves any more
    try:
        while True:
            if not rest:
                asked.append(1000 + raw.sequence)
                rest = frame(PING, raw.sequence, asked[-1], ping)
                raw.sequence += 1
            rest = rest[raw.stream.send(rest):]
    except TimeoutError:
        raw.stream.settimeout(SECONDS)
    server.start("flood")
    with Neighbour(server):
        server.until(lambda: written(server) > 4 * RING, "it does not write on")
    for number_of in asked:
        if number_of == asked[-1]:
            raw.stream.sendall(rest)
        assert properties(raw.answer(number_of)[3])["data"] == properties(ping)["data"]
    dropped = number(raw.tell(INFO, vm=text("flood"))[2]["dropped"])
    assert dropped > 0
    assert raw.tell(STOP, vm=text("flood"))[:2] == (0, "")
    assert int(server.wait(r"flood: (\d+) bytes of console output dropped").group(1)) >= dropped
    assert server.text.count("connection lost") == 1  # that of bhcard
    raw.close()


def test_input_nobody_takes(undisturbed):
    """Bytes for a guest that does not read: the rest is dropped, and one that reads gets what it has room for."""
    managed = undisturbed
    managed.run("deaf", "spin", FREE, guest="hostile")
    managed.run("one", "echo", 2)
    for _ in range(5):
        assert managed.vm("POST", "deaf", "console", b"x" * 60000)[0] in (200, 204)
    managed.echoes("one", "!", 1)
    assert managed.vm("POST", "one", "console", b"y" * 60000)[0] in (200, 204)
    managed.said("one", r"<y \d+>")
    managed.said("one", r"<y \d+>")
    for vm in ("deaf", "one"):
        managed.stop(vm)
        managed.delete(vm)


# ---- A card that does not keep to the protocol ----

BAD_STREAMS = {
    "noise": b"GET / HTTP/1.1\r\nHost: bulkhead.example\r\nAccept: */*\r\n\r\n",
    "long": frame(HELLO, 0, 1, flags=ANSWER, length=65537),
    "tagged": frame(HELLO, 0, 1, flags=ANSWER, tag=b"x" * 16),
    "first is no hello": frame(PING, 0, 1),
    "repeated": WELCOME + frame(PING, 1, 1) + frame(PING, 1, 2),
    "gap": WELCOME + frame(PING, 2, 1),
    "answer to nothing": WELCOME + frame(PING, 1, 1, flags=ANSWER),
    "request 0": WELCOME + frame(PING, 1, 0),
    "no tree": WELCOME + frame(PING, 1, 1, b"x" * 64),
    "half a tree": WELCOME + frame(PING, 1, 1, struct.pack(">10I", 0xd00dfeed, 4096, 56, 64, 40, 17, 16, 0, 8, 8) + bytes(24)),
}
UNANSWERED = 0xffffffff


def test_bad_frames_end_the_connection_only(undisturbed):
    managed = undisturbed
    managed.card.kill()
    os.unlink(managed.card.link)
    raw = RawCard(managed.card.link)
    for name, data in BAD_STREAMS.items():
        raw.take()
        raw.stream.sendall(data)
        assert raw.answer(UNANSWERED) is None, name
        raw.stream.close()
    # Truncated, then gone: nothing is waited for.
    raw.take()
    raw.stream.sendall(WELCOME + frame(PING, 1, 1, b"x" * 64)[:50])
    raw.stream.close()
    raw.take()
    raw.stream.sendall(WELCOME + frame(99, 1, 7) + frame(PING, 2, 8))
    assert b"malformed" in raw.answer(7)[3]  # a request nobody knows is answered
    assert raw.answer(8)[0] == PING
    raw.close()
    managed.card.start()
    managed.connected()
