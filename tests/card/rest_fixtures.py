# SPDX-License-Identifier: Apache-2.0
"""
Fixtures for the tests of bhctl and of the web page: a server with the machine rack1 (4 cores, 2 GiB, no VM), and the command
line. Import `rest` and `ctl` where they are used. The server is the fake, or, with BHCARD=PATH in the environment, that bhcard
with a fake hypervisor at its other end; tests that need `fake` are skipped then.
"""
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import time

import pytest

import fake_rest

ROOT = pathlib.Path(__file__).parents[2]
BHCTL = str(ROOT / "tools/bhctl")
KERNEL_BYTES = 300_000
BHCARD = os.environ.get("BHCARD")


def until(condition, seconds=10):
    """Waits until @condition() is true, and returns that"""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.02)
    return value


@pytest.fixture
def rest():
    """The server; its `path` is the socket, its `port` the TCP port"""
    with tempfile.TemporaryDirectory(prefix="bhc") as folder:  # a short name: a socket's has 107 bytes
        if BHCARD:
            from real_rest import RealRest  # pylint: disable=import-outside-toplevel
            server = RealRest(BHCARD, pathlib.Path(folder), "rack1")
        else:
            server = fake_rest.FakeRest(f"{folder}/api.sock", [fake_rest.Machine("rack1")])
        yield server
        server.close()


@pytest.fixture
def fake(rest):
    """The server, for what only the fake can be told"""
    if BHCARD:
        pytest.skip("only the fake does this")
    return rest


def arm64_image(size):
    """The header of an arm64 Image (Linux Documentation/arch/arm64/booting.rst) that wants 4 MiB, and noise"""
    return struct.pack("<IIQQQQQQII", 0, 0, 0, 4 << 20, 0, 0, 0, 0, 0x644d5241, 0) + os.urandom(size - 64)


class Ctl:
    """Runs bhctl against one server"""

    def __init__(self, socket, folder):
        self.environment = {**os.environ, "BHCTL_SOCKET": socket, "PYTHONDONTWRITEBYTECODE": "1"}
        self.kernel = str(folder / "Image")
        pathlib.Path(self.kernel).write_bytes(arm64_image(KERNEL_BYTES))

    def __call__(self, *words, **options):
        return subprocess.run([BHCTL, *map(str, words)], env=self.environment, capture_output=True, timeout=30, check=False,
                              **{"text": True, "stdin": subprocess.DEVNULL, **({} if "input" not in options else {"stdin": None}),
                                 **options})

    def start(self, *words, **options):
        """Does not wait for its end"""
        return subprocess.Popen([BHCTL, *words], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.DEVNULL, text=True, **options)

    def done(self, *words, **options):
        """It succeeds and says nothing on standard error; returns what it prints"""
        out = self(*words, **options)
        assert (out.returncode, out.stderr) == (0, ""), out
        return out.stdout

    def json(self, *words):
        return json.loads(self.done("--json", *words))

    def fails(self, status, *words, **options):
        """It ends with @status and one sentence, which is returned"""
        out = self(*words, **options)
        assert out.returncode == status, out
        assert out.stderr and "Traceback" not in out.stderr, out.stderr
        return out.stderr.strip()

    def make(self, name, *words, cores="1"):
        """A small VM"""
        self.done("create", name, "--cores", cores, "--memory", "64M", "--kernel", self.kernel, *words)

    def state(self, name):
        return self.json("info", name)["state"]


@pytest.fixture
def ctl(rest, tmp_path):
    return Ctl(rest.path, tmp_path)
