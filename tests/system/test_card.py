# SPDX-License-Identifier: Apache-2.0
"""The card manages a server: bhcard and bhvsock as they are, the real image at the other end of QEMU's vsock device."""
import re
import socket
import struct
import time

import pytest

from machine import SECONDS, guest, manifest  # before the two: it knows where they are

from cardside import MACHINE, CardSide
from machines import CARD, device

pytestmark = pytest.mark.platforms("el2-max", "svm-max")

START = [r"start 1/7: asked", r"start 2/7: memory mapped, 8 MiB", r"start 3/7: images received", r"start 4/7: memory unmapped",
         r"start 5/7: start sent to 1 core", r"start 6/7: memory and I/O mappings installed", r"start 7/7: entering the guest"]
STOP = [r"stop 1/5: {why}", r"stop 2/5: stop sent, .*", r"stop 3/5: cores parked, interrupts cut off; scrubbing",
        r"stop 4/5: memory zero, mappings removed", r"stop 5/5: cores idle"]


class Managed:
    """A server without VMs and its card."""

    def __init__(self, boot, card):
        self.card = card
        self.server = boot(manifest({}, card=CARD), card=card.qemu, disk=True)

    def until(self, condition, what):
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.card.output()}\n{self.server.tail()}"
            self.server._read(time.monotonic() + 0.05)  # what the server says must not block it

    def connected(self):
        self.until(lambda: self.card.request("GET", f"/v1/machines/{MACHINE}")[1]["connected"], "not connected")
        return self

    def create(self, name, do, core, **options):
        spec = {"name": name, "cores": [core], "memory": "8M", "bootargs": f"do={do}", **options}
        status, answer = self.card.vm("POST", body=spec)
        assert status in (200, 201), answer
        with open(self.server.backend.files["friendly"], "rb") as f:
            assert self.card.vm("PUT", name, "images/kernel", f.read())[0] == 200

    def state(self, name):
        return self.card.vm("GET", name)[1]["state"]

    def start(self, name):
        status, answer = self.card.vm("POST", name, "start")
        assert status in (200, 202), answer
        self.until(lambda: self.state(name) == "running", f"{name} does not run")

    def logs(self):
        return self.card.request("GET", f"/v1/machines/{MACHINE}/logs")[1]

    def console(self, name):
        return self.card.vm("GET", name, "console?follow=0")[1] or ""

    def said(self, name, pattern):
        self.until(lambda: re.search(pattern, self.console(name)), f"{name} did not say {pattern}")


@pytest.fixture
def card():
    side = CardSide()
    yield side
    side.close()


@pytest.fixture
def managed(boot, card):
    card.start()
    server = Managed(boot, card)
    server.server.booted()
    return server.connected()


def assert_steps(log, vm, patterns):
    """All of @patterns in this order, with time stamps that do not go back."""
    at, last = 0, 0.0
    for pattern in patterns:
        match = re.compile(rf"^\[ *(\d+\.\d+)\] core\d+: {vm}: {pattern}$", re.M).search(log, at)
        assert match, f"{pattern} is not at its place in\n{log}"
        assert float(match.group(1)) >= last
        at, last = match.end(), float(match.group(1))


def owners(server):
    """Who owns which memory, as the prompt says it. Free memory may be in several states, and so in several pieces."""
    *lines, verdict = server.command("memory")
    assert verdict == "ledger: agrees with the plan"
    owned = []
    for line in lines:
        base, size, owner = re.fullmatch(r"0x([0-9a-f]+) +(\d+) KiB  (.*)", line).groups()
        base, size = int(base, 16), int(size) * 1024
        if owned and owner == "free" and owned[-1][2] == "free" and sum(owned[-1][:2]) == base:
            base, size = owned[-1][0], owned.pop()[1] + size
        owned.append((base, size, owner))
    return owned


def test_life_of_a_vm(managed):
    before = owners(managed.server)
    managed.create("one", "echo", 1)
    managed.start("one")
    assert_steps(managed.logs(), "one", START)
    assert managed.card.vm("POST", "one", "console", b"abc")[0] in (200, 204)
    managed.said("one", r"<c \d+>")
    assert managed.card.vm("POST", "one", "start")[0] == 409
    assert managed.card.vm("POST", "one", "stop")[0] in (200, 202)
    managed.until(lambda: managed.state("one") == "stopped", "one does not stop")
    managed.until(lambda: "stop 5/5" in managed.logs(), "the log lacks the stop's end")
    assert_steps(managed.logs(), "one", START + [s.format(why="asked by the card") for s in STOP])
    assert managed.card.vm("DELETE", "one")[0] in (200, 204)
    managed.until(lambda: owners(managed.server) == before, "memory is not as before")


def test_guest_that_switches_itself_off(managed):
    managed.create("brief", "off", 1, restart={"policy": "never"})
    assert managed.card.vm("POST", "brief", "start")[0] in (200, 202)
    managed.until(lambda: managed.state("brief") == "stopped" and "stop 5/5" in managed.logs(), "brief does not end")
    assert_steps(managed.logs(), "brief", START + [s.format(why="the guest switched itself off") for s in STOP])


def test_guests_outlive_the_daemon(managed):
    managed.create("one", "echo", 1)
    managed.start("one")
    managed.card.kill()
    managed.server.wait(r"core0: card: connection lost")
    assert managed.server.states()["one"] == "running"
    managed.card.start()
    managed.connected()
    managed.until(lambda: managed.state("one") == "running", "one is not found again")
    assert managed.card.vm("POST", "one", "console", b"!")[0] in (200, 204)
    managed.said("one", r"<! \d+>")


def test_many_rounds_leave_the_pool_as_it_was(managed):
    before = owners(managed.server)
    managed.create("stays", "echo", 3)
    managed.start("stays")
    middle = owners(managed.server)
    for i in range(10):
        managed.create("comes", "echo", 1 + i % 2, memory=f"{8 + 2 * i}M")
        managed.start("comes")
        assert managed.card.vm("POST", "comes", "stop")[0] in (200, 202)
        managed.until(lambda: managed.state("comes") == "stopped", "comes does not stop")
        assert managed.card.vm("DELETE", "comes")[0] in (200, 204)
        managed.until(lambda: "comes" not in managed.server.states(), "comes does not go")
    assert owners(managed.server) == middle
    assert managed.card.vm("POST", "stays", "stop")[0] in (200, 202)
    managed.until(lambda: managed.state("stays") == "stopped", "stays does not stop")
    assert managed.card.vm("DELETE", "stays")[0] in (200, 204)
    managed.until(lambda: owners(managed.server) == before, "memory is not as before")


# ---- A card that does not keep to the protocol ----

HEADER = struct.Struct("<IIHHIQ16s")
MAGIC, ANSWER = 0x31504842, 1
HELLO, PING, LIST = 1, 2, 3


def frame(kind, sequence, request, payload=b"", flags=0, magic=MAGIC, length=None, tag=bytes(16)):
    return HEADER.pack(magic, len(payload) if length is None else length, kind, flags, request, sequence, tag) + payload


class RawCard:
    """The end of the stream, byte by byte."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(SECONDS)
        self.stream = None

    def take(self):
        """The next connection, up to its hello."""
        self.stream, _ = self.listener.accept()
        self.stream.settimeout(SECONDS)
        kind, _, request, _ = self.read()
        assert kind == HELLO and request != 0

    def read(self):
        """(type, flags, request, payload) of the next frame; None when the stream has ended."""
        head = self.bytes(HEADER.size)
        if head is None:
            return None
        magic, length, kind, flags, request, _, tag = HEADER.unpack(head)
        assert magic == MAGIC and tag == bytes(16)
        return kind, flags, request, self.bytes(length)

    def bytes(self, count):
        data = b""
        while len(data) < count:
            more = self.stream.recv(count - len(data))
            if not more:
                return None
            data += more
        return data

    def answer(self, request):
        """The answer to @request; what is pushed before it is passed over. None when the stream has ended instead."""
        while (got := self.read()) is not None:
            if got[1] == ANSWER and got[2] == request:
                return got
        return None


WELCOME = frame(HELLO, 0, 1, flags=ANSWER)
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


def test_refused_dma_is_an_event(boot, card):
    """The VM of the boot manifest goes on; the card hears whose DMA it was, and where it went."""
    card.start()
    evil = {**guest("device", [1], "do=ask", autostart=0), "devices": device(0)}
    server = boot(manifest({"evil": evil}, card=CARD), card=card.qemu, disk=True, devices=["virtio-rng"])
    server.booted().wait("card: connected")
    since = server.start("evil")
    server.attach("evil")
    server.send("do=dma at=0x400000\r")
    server.wait(r"survived: done \d", since)
    server.detach()
    server.wait(r"evil: stream 0x100, write at 0x400000: DMA refused", since)
    event = card.event("dma-fault")
    assert (event["vm"], event["address"], event["syndrome"]) == ("evil", "0x400000", "0x100")
    assert event["why"] == "DMA refused"


def test_bad_frames_end_the_connection_only(boot, card):
    raw = RawCard(card.link)
    server = boot(manifest({}, card=CARD), card=card.qemu, disk=True).booted()
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
    assert server.command("list") == []


UNANSWERED = 0xffffffff
