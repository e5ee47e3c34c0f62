# SPDX-License-Identifier: Apache-2.0
"""The daemon with sanitizers, fake machines at its other end, and a client without any library between."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import pytest

from fake import Hypervisor

BUILD = pathlib.Path(os.environ.get("BUILD", "build/host")).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


def ask(socket_path, method, path, body=None, headers=None):
    connection = UnixConnection(socket_path)
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


def wait(what, timeout=15):
    """Waits until @what() is true; its value."""
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


def arm64_image(size=200000, run=4 << 20, fill=b"k"):
    """An arm64 Image's header (Linux Documentation/arch/arm64/booting.rst) and a body."""
    head = struct.pack("<IIQQQQQQII", 0, 0, 0, max(run, size), 0, 0, 0, 0, 0x644d5241, 0)
    return head + fill * (size - len(head))


class Stream:
    """An answer without an end."""

    def __init__(self, socket_path, path, headers=None):
        self.connection = UnixConnection(socket_path)
        self.connection.request("GET", path, None, headers or {})
        self.sock = self.connection.sock  # the connection forgets it: the answer says close
        self.response = self.connection.getresponse()
        self.data = b""

    def until(self, token):
        while token not in self.data:
            more = self.response.read1(65536)
            assert more, f"it ended without {token}: {self.data}"
            self.data += more
        return self.data

    def close(self):
        self.response.close()
        self.connection.close()


class Daemon:
    """bhcard, which may be killed and started again."""

    def __init__(self, folder, machines=("m1",), *options):
        self.folder, self.machines, self.options = folder, machines, options
        self.api = folder / "run" / "api.sock"
        self.process = None
        self.errors = open(folder / "stderr", "ab")

    def start(self):
        arguments = [str(BUILD / "bhcard-sanitized"), "--state", str(self.folder / "state"), "--sockets",
                     str(self.folder / "run"), *self.options]
        for m in self.machines:
            arguments += ["--listen-unix", f"{m}={self.link(m)}"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=self.errors,
                                        env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=8"})
        assert self.process.stdout.readline() == b"bhcard: ready\n", self.stderr()
        return self

    def link(self, machine):
        return str(self.folder / f"{machine}.link")

    def stderr(self):
        return (self.folder / "stderr").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) in (0, -signal.SIGKILL), self.stderr()
        assert "Sanitizer" not in self.stderr() and "runtime error" not in self.stderr(), self.stderr()

    def ask(self, method, path, body=None, headers=None):
        return ask(self.api, method, path, body, headers)

    def vm(self, name, machine="m1"):
        return self.ask("GET", f"/v1/machines/{machine}/vms/{name}").json

    def post(self, path, body=None, machine="m1"):
        return self.ask("POST", f"/v1/machines/{machine}/{path}", body)

    def define(self, name="web", machine="m1", kernel=None, initrd=None, **spec):
        spec = {"name": name, "core_count": 1, "memory": "64M", "bootargs": "console=ttyAMA0", **spec}
        answer = self.post("vms", spec, machine)
        assert answer.status == 201, answer.body
        for image, data in (("kernel", kernel or arm64_image()), ("initrd", initrd)):
            if data is not None:
                answer = self.ask("PUT", f"/v1/machines/{machine}/vms/{name}/images/{image}", data)
                assert answer.status == 200, answer.body

    def events(self, machine="m1", since=0):
        """All there are by now."""
        stream = Stream(self.api, f"/v1/machines/{machine}/events?since={since}")
        stream.sock.settimeout(0.2)
        try:
            while True:
                more = stream.response.read1(65536)
                if not more:
                    break
                stream.data += more
        except (TimeoutError, socket.timeout):
            pass
        stream.close()
        return [json.loads(line[6:]) for line in stream.data.decode().splitlines() if line.startswith("data: ")]

    def kinds(self, vm=None, machine="m1"):
        return [e["event"] for e in self.events(machine) if vm is None or e.get("vm") == vm]


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """A struct machine, as the loader would make it, and the sizes of its build."""
    folder = tmp_path_factory.mktemp("machine")
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", str(ROOT / "tests/machines/virt-4.dts"), "-o",
                    str(folder / "tree")], check=True)
    out = subprocess.run([str(BUILD / "card-machine"), "make", str(folder / "tree"), str(folder / "machine")], check=True,
                         capture_output=True, text=True).stdout
    return folder / "machine", json.loads(out)


@pytest.fixture
def folder():
    """Short: a socket's path has 107 bytes."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="bhc"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder):
    """Starts daemons; all end well."""
    daemons = []

    def run(machines=("m1",), *options):
        daemons.append(Daemon(folder, machines, *options).start())
        return daemons[-1]

    yield run
    for d in daemons:
        d.stop()


@pytest.fixture
def dial(machine):
    """Makes hypervisors."""
    fakes = []

    def run(daemon, name="m1", connect=True, **more):
        fakes.append(Hypervisor(daemon.link(name), machine[0].read_bytes(), machine[1], **more))
        if connect:
            fakes[-1].connect()
            wait(lambda: daemon.ask("GET", f"/v1/machines/{name}").json["connected"])
        return fakes[-1]

    yield run
    for fake in fakes:
        fake.close()


@pytest.fixture
def card(start):
    return start()


@pytest.fixture
def hyp(card, dial):
    return dial(card)
