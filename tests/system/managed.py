# SPDX-License-Identifier: Apache-2.0
"""A server that its card manages, for tests: by bhcard's API; the frames between the two, and both cut; a card that is only a socket."""
import os
import re
import socket
import sys
import threading
import time

from machine import ROOT, SECONDS, manifest  # before the others: it knows where they are

sys.path.append(os.path.join(ROOT, "tests/card"))

from cardside import MACHINE  # noqa: E402
from fake import (ANSWER, CREATE, DELETE, EVENT, FRAME, HELLO, IMAGE, INFO, LOG, MAGIC, NAMES, PING,  # noqa: E402
                  START, STOP, cell, number, properties, text, tree)
from machines import CARD  # noqa: E402

__all__ = ["ANSWER", "CREATE", "DELETE", "EVENT", "HELLO", "IMAGE", "INFO", "LOG", "NAMES", "PING", "START", "STOP", "number",
           "properties", "text", "tree"]

# ---- The steps of docs/lifecycle.md, in DESIGN section 3's order ----

MANAGER = 0  # the core of the system manager
STARTING = ["start 1/7: asked", r"start 2/7: memory mapped, \d+ MiB", "start 3/7: images received", "start 4/7: memory unmapped",
            r"start 5/7: start sent to \d+ cores?", "start 6/7: memory and I/O mappings installed", "start 7/7: entering the guest"]
THE_GUESTS_CORE = ("start 6/7", "start 7/7")
STEP = re.compile(r"^\[ *(\d+)\.(\d{6})\] core(\d+): (\S+): ((?:start|stop|abort) \d/\d: .*)$", re.M)


def stopping(why):
    return [f"stop 1/5: {why}", "stop 2/5: stop sent, .*", "stop 3/5: cores parked, interrupts cut off; scrubbing",
            "stop 4/5: memory zero, mappings removed", "stop 5/5: cores idle"]


def steps(log, vm):
    """What the log says of @vm's steps: (microseconds, core, text)."""
    return [(int(s) * 1000000 + int(us), int(core), step) for s, us, core, name, step in STEP.findall(log) if name == vm]


def assert_steps(log, vm, core, patterns):
    """All of @vm's steps are @patterns, in their order, each by the core whose it is, with time stamps that never go back."""
    found = steps(log, vm)
    assert len(found) == len(patterns), f"not these steps:\n{log}"
    for (_, by, step), pattern in zip(found, patterns):
        assert re.fullmatch(pattern, step), f"{step} stands where {pattern} should be"
        assert by == (core if step.startswith(THE_GUESTS_CORE) else MANAGER), step
    stamps = [at for at, _, _ in found]
    assert stamps == sorted(stamps)
    return stamps


# ---- By bhcard ----

def boot_managed(boot, card, vms=None, **options):
    """A server with a card that has been started; @vms are the boot manifest's, @options the machine's."""
    return Managed(boot(manifest(vms or {}, card=CARD), card=card.qemu, disk=True, **options).booted(), card)


class Managed:
    """A server that is up, and its card."""

    def __init__(self, server, card):
        self.server, self.card = server, card
        self.connected()

    def until(self, condition, what):
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.card.output()}\n{self.server.tail()}"
            self.server._read(time.monotonic() + 0.02)

    def vm(self, method, name="", what="", body=None):
        """(status, answer) of a request about a VM. What the server has said is read: else it waits at its serial port."""
        self.server._read(time.monotonic())
        return self.card.vm(method, name, what, body)

    def ask(self, what=""):
        return self.card.request("GET", f"/v1/machines/{MACHINE}{what and '/' + what}")[1]

    def connected(self):
        self.until(lambda: self.ask()["connected"], "not connected")
        return self

    def define(self, name, do, cores, guest="friendly", initrd=b"", **options):
        """What is wanted and its images, on the card only."""
        spec = {"name": name, "cores": [cores] if isinstance(cores, int) else cores, "memory": "8M", "bootargs": f"do={do}",
                "restart": {"policy": "never"}, **options}
        status, answer = self.vm("POST", body=spec)
        assert status == 201, answer
        with open(self.server.backend.files[guest], "rb") as f:
            assert self.vm("PUT", name, "images/kernel", f.read())[0] == 200
        if initrd:
            assert self.vm("PUT", name, "images/initrd", initrd)[0] == 200

    def state(self, name):
        status, answer = self.vm("GET", name)
        return answer["state"] if status == 200 else None

    def is_now(self, name, state):
        self.until(lambda: self.state(name) == state, f"{name} is not {state}")

    def do(self, name, action):
        status, answer = self.vm("POST", name, action)
        assert status == 200, answer

    def start(self, name):
        self.do(name, "start")
        assert self.state(name) == "running"

    def stop(self, name):
        self.do(name, "stop")
        assert self.state(name) == "stopped"

    def delete(self, name):
        assert self.vm("DELETE", name)[0] == 204
        assert self.state(name) is None

    def run(self, name, do, cores, **options):
        self.define(name, do, cores, **options)
        self.start(name)

    def logs(self):
        return self.ask("logs")

    def steps(self, name):
        return steps(self.logs(), name)

    def console(self, name):
        return self.vm("GET", name, "console?follow=0")[1] or ""

    def said(self, name, pattern):
        self.until(lambda: re.search(pattern, self.console(name)), f"{name} did not say {pattern}")

    def echoes(self, name, letter, count):
        """The guest "echo" answers, and this is the @count-th letter that it has had since its start."""
        assert self.vm("POST", name, "console", letter.encode())[0] in (200, 204)
        self.said(name, f"<{letter} {count}>")

    def owners(self):
        """Who owns which memory, as the prompt says it. Free memory may be in several states, and so in several pieces."""
        *lines, verdict = self.server.command("memory")
        assert verdict == "ledger: agrees with the plan"
        owned = []
        for line in lines:
            base, size, owner = re.fullmatch(r"0x([0-9a-f]+) +(\d+) KiB  (.*)", line).groups()
            base, size = int(base, 16), int(size) * 1024
            if owned and owner == "free" and owned[-1][2] == "free" and sum(owned[-1][:2]) == base:
                base, size = owned[-1][0], owned.pop()[1] + size
            owned.append((base, size, owner))
        return owned

    def pool(self):
        """All that can be given away, as both sides say it: memory, cores, ids, slots."""
        return self.ask("capacity"), self.owners(), self.server.command("list")


SIZES = (8, 34, 4, 64, 16, 6, 128, 10)  # MiB


def rounds(managed, count):
    """@count VMs come and go on cores 1 and 2, of mixed sizes, each while the one before it still runs; the pool is as before."""
    before = managed.pool()
    last = None
    for i in range(count):
        name = f"round-{i}"
        managed.run(name, "hello", 1 + i % 2, memory=f"{SIZES[i % len(SIZES)]}M")
        if last:
            managed.stop(last)
            managed.delete(last)
        last = name
    managed.stop(last)
    managed.delete(last)
    assert managed.pool() == before
    slots = set(re.findall(r"round-\d+: created in slot (\d+)", managed.server.text))
    assert len(slots) == 2, f"slots {slots}"  # no more than live at once


# ---- Between bhcard and bhvsock ----

def read_frame(stream):
    """(header's fields, all of its bytes) of the next frame; None when the stream has ended."""
    head = read_bytes(stream, FRAME.size)
    if head is None:
        return None
    fields = FRAME.unpack(head)
    assert fields[0] == MAGIC and fields[6] == bytes(16)
    payload = read_bytes(stream, fields[1])
    return None if payload is None else (fields, head + payload)


def read_bytes(stream, count):
    data = b""
    while len(data) < count:
        try:
            more = stream.recv(count - len(data))
        except ConnectionError:
            return None
        if not more:
            return None
        data += more
    return data


class Tap:
    """
    Sees every frame between bhvsock and bhcard, as (monotonic time, from the card?, type, flags, request, payload), and cuts the
    connection where it is told to. It must be there before bhcard is started.
    """

    def __init__(self, card):
        self.frames, self.pairs = [], []
        self.place, self.then, self.reached = None, None, threading.Event()
        self.inner = card.link + "-card"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(card.link)
        self.listener.listen()
        card.link = self.inner
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self, kind, when, then):
        """
        Once: at the next request of @kind "before" the server gets it, when it has "half" of it, or "after" it was done, before the
        card gets the answer; @then() is called, both ends are closed, and @reached is set.
        """
        self.place, self.then = (kind, when), then
        self.reached.clear()

    def close(self):
        self.listener.close()
        self._hang_up()

    def of(self, kind, from_card, vm=None):
        """The payloads of @kind in one direction, as properties: (time, properties)."""
        found = [(f[0], properties(f[5])) for f in list(self.frames) if f[1:3] == (from_card, kind) and f[5]]
        return [(at, p) for at, p in found if vm is None or p.get("vm") == text(vm)]

    def _serve(self):
        while True:
            try:
                server, _ = self.listener.accept()
            except OSError:
                return
            card = socket.socket(socket.AF_UNIX)
            try:
                card.connect(self.inner)
            except OSError:
                server.close()
                card.close()
                continue
            self.pairs = [server, card]
            for source, to, from_card in ((server, card, False), (card, server, True)):
                threading.Thread(target=self._pump, args=(source, to, from_card), daemon=True).start()

    def _pump(self, source, to, from_card):
        try:
            while (frame := read_frame(source)) is not None:
                (_, _, kind, flags, request, _, _), data = frame
                if self.place and self.place[0] == kind and self._here(from_card, flags, to, data):
                    return
                self.frames.append((time.monotonic(), from_card, kind, flags, request, data[FRAME.size:]))
                to.sendall(data)
        except OSError:
            pass
        self._hang_up((source, to))

    def _here(self, from_card, flags, to, data):
        """Whether the connection is cut at this frame."""
        when = self.place[1]
        if from_card != (when != "after") or (when == "after") != (flags == ANSWER):
            return False
        if when == "half":
            to.sendall(data[:len(data) // 2])
        self.place = None
        self.then()
        self._hang_up()
        self.reached.set()
        return True

    def _hang_up(self, sockets=None):
        for one in sockets or self.pairs:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


# ---- Without bhcard ----

def frame(kind, sequence, request, payload=b"", flags=0, magic=MAGIC, length=None, tag=bytes(16)):
    return FRAME.pack(magic, len(payload) if length is None else length, kind, flags, request, sequence, tag) + payload


WELCOME = frame(HELLO, 0, 1, tree({"version": cell(1)}), flags=ANSWER)


class RawCard:
    """The end of the stream, byte by byte."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(SECONDS)
        self.stream, self.sequence, self.pushed = None, 0, []

    def take(self):
        """The next connection, up to its hello."""
        self.stream, _ = self.listener.accept()
        self.stream.settimeout(SECONDS)
        kind, _, request, _ = self.read()
        assert kind == HELLO and request != 0
        return self

    def welcome(self):
        """The same, and the server is told that it is welcome."""
        self.take().stream.sendall(WELCOME)
        self.sequence = 1
        return self

    def read(self):
        """(type, flags, request, payload) of the next frame; None when the stream has ended."""
        found = read_frame(self.stream)
        if found is None:
            return None
        (_, _, kind, flags, request, _, _), data = found
        return kind, flags, request, data[FRAME.size:]

    def answer(self, request):
        """The answer to @request; what is pushed before it goes to @pushed. None when the stream has ended instead."""
        while (got := self.read()) is not None:
            if got[1] == ANSWER and got[2] == request:
                return got
            self.pushed.append(got)
        return None

    def send(self, kind, payload=b"", cut=None):
        """One request, or its first @cut bytes; its number."""
        self.stream.sendall(frame(kind, self.sequence, 1000 + self.sequence, payload)[:cut])
        self.sequence += 1
        return 999 + self.sequence

    def ask(self, kind, payload=b""):
        """(error, detail, properties) of the answer."""
        found = properties(self.answer(self.send(kind, payload))[3])
        return number(found.get("error", b"")), found.get("detail", b"\0")[:-1].decode(), found

    def tell(self, kind, **props):
        """The same of a request with these properties."""
        return self.ask(kind, tree(props))

    def close(self):
        for one in (self.stream, self.listener):
            if one:
                one.close()
