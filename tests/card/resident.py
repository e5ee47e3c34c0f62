# SPDX-License-Identifier: Apache-2.0
"""The card's end of a connection whose other end is the resident code itself, on the fake machine (tests/card/server.c)."""
import os
import socket
import struct
import subprocess
import sys

from fake import ANSWER, CONSOLE, EVENT, FRAME, HELLO, LOG, MAGIC

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../tools"))

from ctl.manifest import fdt  # noqa: E402  pylint: disable=wrong-import-position

PUSHED = (CONSOLE, LOG, EVENT)


class Frame:
    def __init__(self, header, payload):
        _, _, self.kind, self.flags, self.request, self.sequence, _ = header
        self.properties, nodes = fdt(payload) if payload else ({}, {})
        self.nodes = {name: node[0] for name, node in nodes.items()}


class Resident:
    """A server in @folder that has dialled us; hello() comes first."""

    def __init__(self, build, folder):
        self.build, self.folder, self.sequence, self.pushed = build, folder, 0, []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "link"))
        listener.listen()
        listener.settimeout(20)
        self.log = open(folder / "server.log", "wb")
        self.process = subprocess.Popen([build / "card/server", folder / "link"], stdout=self.log, stderr=self.log)
        self.socket, _ = listener.accept()
        self.socket.settimeout(20)
        listener.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self.log.close()
        assert "Sanitizer" not in self.said() and "runtime error" not in self.said(), self.said()

    def said(self):
        return (self.folder / "server.log").read_text(errors="replace")

    def send(self, kind, payload=b"", request=0, flags=0):
        self.socket.sendall(FRAME.pack(MAGIC, len(payload), kind, flags, request, self.sequence, bytes(16)) + payload)
        self.sequence += 1

    def bytes(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, f"the server hung up\n{self.said()}"
            data += more
        return data

    def read(self):
        """The next frame."""
        header = FRAME.unpack(self.bytes(FRAME.size))
        assert header[0] == MAGIC
        return Frame(header, self.bytes(header[1]))

    def answer(self):
        """The next frame that is no push; those are kept."""
        while (frame := self.read()).kind in PUSHED:
            self.pushed.append(frame)
        return frame

    def push(self, kind, wanted):
        """The first push of that kind for which @wanted(its properties); it is not found again."""
        while True:
            for frame in self.pushed:
                if frame.kind == kind and wanted(frame.properties):
                    self.pushed.remove(frame)
                    return frame
            try:
                frame = self.read()
            except TimeoutError as e:
                raise AssertionError(f"of kind {kind} only these came: {[f.properties for f in self.pushed if f.kind == kind]}") from e
            assert frame.kind in PUSHED, f"no such push came before an answer to {frame.kind}"
            self.pushed.append(frame)

    def hello(self):
        """Takes it and answers; its properties."""
        frame = self.answer()
        assert (frame.kind, frame.flags, frame.sequence) == (HELLO, 0, 0)
        self.send(HELLO, b"", frame.request, ANSWER)
        return frame.properties

    def ask(self, kind, payload=b"", request=1):
        """The properties of the answer to a request."""
        self.send(kind, payload, request)
        frame = self.answer()
        assert (frame.kind, frame.flags, frame.request) == (kind, ANSWER, request)
        return frame.properties

    def plan(self, hello, name, kernel, boot):
        """The bytes of a struct plan_vm for the first VM of this server."""
        machine = self.folder / "machine"
        machine.write_bytes(hello["machine"])
        numbers = hello["core"] + hello["images"]
        extents = map(str, struct.unpack(f"<{len(numbers) // 8}Q", numbers))
        return subprocess.run([self.build / "card-machine", "plan", machine, name, str(kernel), str(boot), *extents], check=True,
                              capture_output=True).stdout
