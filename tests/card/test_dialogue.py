# SPDX-License-Identifier: Apache-2.0
"""
The dialogue in docs/control-protocol.md, with the resident code at the other end: what stands after `>` is sent, what stands
after `<` must come. A line is: direction, message, request number, `answer`, properties; then nodes with theirs.
"""
import re
import shlex

import pytest

import fake
from conftest import BUILD, ROOT
from fake import ANSWER, CONSOLE, NAMES
from resident import Resident

ERRORS = re.findall(r"^\tX\((BH_\w+),", (ROOT / "include/bulkhead/error.h").read_text(), re.M)
U32 = ("version", "plan-size", "management-core", "console-interrupt", "slot", "kept", "image")
U64 = ("build-id", "boot-id", "time-us", "offset")
TEXT = ("vm", "event", "why", "state", "detail")
HEX = ("digest",)
KERNEL, BOOT = 31, 13  # bytes of the dialogue's images


def dialogue():
    text = (ROOT / "docs/control-protocol.md").read_text()
    block = re.search(r"^## A dialogue\n.*?^```\n(.*?)^```", text, re.M | re.S)[1]
    return block.replace("\\\n", " ").splitlines()


def to_bytes(name, value):
    if name == "error":
        return ERRORS.index(value).to_bytes(4, "big")
    if name in U32 + U64:
        return int(value).to_bytes(4 if name in U32 else 8, "big")
    if name in HEX:
        return bytes.fromhex(value)
    return value.encode().decode("unicode_escape").encode() + (b"\0" if name in TEXT else b"")


class Line:
    """One of the dialogue's."""

    def __init__(self, text):
        self.text = text
        self.direction, kind, *words = shlex.split(text, posix=True)
        self.kind = NAMES.index(kind.rstrip(":"))
        self.request = int(words.pop(0).rstrip(":")) if words and re.match(r"\d+:?$", words[0]) else 0
        self.flags = ANSWER if words and words[0] == "answer:" and words.pop(0) else 0
        self.properties, self.nodes = {}, {}
        to = self.properties
        for word in words:
            if word.startswith("/"):
                to = self.nodes.setdefault(word[1:].rstrip(":"), {})
            else:
                name, _, value = word.partition("=")
                to[name] = None if value == "*" else to_bytes(name, value)

    def agrees(self, found, nodes):
        """Also in which properties there are; those shown as * may be anything."""
        def same(shown, there):
            return shown.keys() == there.keys() and all(v is None or v == there[k] for k, v in shown.items())
        return same(self.properties, found) and self.nodes.keys() == nodes.keys() and \
            all(same(v, nodes[k]) for k, v in self.nodes.items())


class Replay:
    def __init__(self, server):
        self.server, self.hello, self.printed = server, None, b""

    def say(self, line):
        if "plan" in line.properties:
            line.properties["plan"] = self.server.plan(self.hello, "web", KERNEL, BOOT)
        self.server.send(line.kind, fake.tree(line.properties) if line.properties else b"", line.request, line.flags)

    def hear(self, line):
        if line.kind == CONSOLE:
            self.hear_console(line)
            return
        if line.request == 0:
            self.server.push(line.kind, lambda found: line.agrees(found, {}))
            return
        frame = self.server.answer()
        assert (frame.kind, frame.flags, frame.request) == (line.kind, line.flags, line.request), line.text
        assert line.agrees(frame.properties, frame.nodes), (line.text, frame.properties, frame.nodes)
        if NAMES[line.kind] == "hello":
            self.hello = frame.properties

    def hear_console(self, line):
        """Its bytes may come in pieces."""
        while self.printed != line.properties["data"]:
            piece = self.server.push(CONSOLE, lambda found: found["vm"] == line.properties["vm"]).properties["data"]
            self.printed += piece
            assert line.properties["data"].startswith(self.printed), (line.text, self.printed)
        self.printed = b""


@pytest.fixture
def server(folder):
    resident = Resident(BUILD, folder)
    yield resident
    resident.close()


def test_the_documents_dialogue(server):
    replay, kinds = Replay(server), set()
    for text in dialogue():
        line = Line(text)
        kinds.add(NAMES[line.kind])
        if line.direction == ">":
            replay.say(line)
        else:
            replay.hear(line)
    assert kinds >= {"hello", "create", "image", "start", "event", "stop", "delete"}
