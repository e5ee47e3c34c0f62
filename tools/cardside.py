# SPDX-License-Identifier: Apache-2.0
"""The card's side of an emulated server: bhcard, and bhvsock between it and QEMU, with all their files in one folder."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
HOST = os.path.join(ROOT, "build/host")
MACHINE = "demo"


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout=60):
        super().__init__("card", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def until(condition, pause):
    """Looks again after each @pause, in seconds, until @condition() is true."""
    while not condition():
        time.sleep(pause)


def listens(path):
    """Whether somebody takes connections at this Unix socket. Its file is there a moment earlier, when it is only bound."""
    with open("/proc/net/unix", encoding="utf-8") as f:
        return any(line.split()[3] == "00010000" and line.endswith(f" {path}\n") for line in f)  # __SO_ACCEPTCON


class CardSide:
    """bhvsock runs from the start; bhcard between start() and kill(), as often as wanted. The state is kept in between."""

    def __init__(self, http_port=None):
        self.folder = tempfile.mkdtemp(prefix="bulkhead-card-")  # a short path: those of sockets have a limit
        self.http_port = http_port
        self.qemu, self.link = self._path("qemu"), self._path("link")
        self.api = self._path("sockets/api.sock")
        self.log = open(self._path("log"), "wb")
        self.daemon = None
        self.bridge = self._run("bhvsock", "--qemu", self.qemu, "--to", self.link)
        self._wait(self.bridge, self.qemu)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _run(self, program, *arguments):
        # Of a group of its own: Ctrl-C at the terminal is for the emulator.
        return subprocess.Popen([os.path.join(HOST, program), *arguments], stdin=subprocess.DEVNULL, stdout=self.log,
                                stderr=self.log, start_new_session=True)

    def _wait(self, program, path):
        deadline = time.monotonic() + 30
        while not listens(path):
            if program.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{program.args[0]} did not start:\n{self.output()}")
            time.sleep(0.01)

    def output(self):
        """What the daemons said."""
        with open(self._path("log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def start(self):
        for path in (self.link, self.api):
            if os.path.exists(path):
                os.unlink(path)
        web = ["--http", f"127.0.0.1:{self.http_port}"] if self.http_port else []
        self.daemon = self._run("bhcard", "--listen-unix", f"{MACHINE}={self.link}", "--state", self._path("state"),
                                "--sockets", self._path("sockets"), *web)
        self._wait(self.daemon, self.api)
        return self

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()
        self.daemon = None

    def close(self):
        for program in (self.daemon, self.bridge):
            if program:
                program.kill()
                program.wait()
        self.log.close()
        shutil.rmtree(self.folder)

    def request(self, method, path, body=None):
        """(status, answer) of a request to the API of all machines; bodies that are no bytes go and come as JSON."""
        connection = _Connection(self.api)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text) if text else None
        except ValueError:
            return answer.status, text.decode("utf-8", "replace")

    def follow(self, name):
        """The whole lines of a VM's console, as they come."""
        connection = _Connection(self.api, None)
        connection.request("GET", f"/v1/machines/{MACHINE}/vms/{name}/console")
        for line in connection.getresponse():
            if line.endswith(b"\n"):
                yield line.decode("utf-8", "replace").rstrip("\r\n")

    def vm(self, method, vm="", what="", body=None):
        return self.request(method, f"/v1/machines/{MACHINE}/vms{vm and '/' + vm}{what and '/' + what}", body)

    def event(self, kind):
        """The first event of this kind; waits until there is one."""
        connection = _Connection(self.api)
        try:
            connection.request("GET", f"/v1/machines/{MACHINE}/events?since=0")
            for line in connection.getresponse():
                event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
                if event.get("event") == kind:
                    return event
        finally:
            connection.close()
        raise RuntimeError(f"the events ended without {kind}:\n{self.output()}")
