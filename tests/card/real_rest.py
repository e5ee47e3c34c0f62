# SPDX-License-Identifier: Apache-2.0
"""The real bhcard, for the tests of bhctl and of the web page. At its other end is a fake hypervisor, whose guests are shells."""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time

from fake import CONSOLE, START, Hypervisor, cells64
from fake_rest import REASONS, Guest

ROOT = pathlib.Path(__file__).parents[2]


class Shells(Hypervisor):
    """A hypervisor whose guests answer on their consoles and whose counters go up"""

    def __init__(self, *args):
        super().__init__(*args)
        self.guests, self.began, self.printed = {}, {}, {}

    def handle(self, kind, request, props):
        name = props["vm"][:-1].decode() if "vm" in props else None
        if kind == CONSOLE:
            if self.vms[name].state == "running":
                self.guests[name].type(props["data"])
            return
        super().handle(kind, request, props)
        if name in self.vms:
            self.logs(f"[    1.000000] core0: {name}: {self.vms[name].state}\n")
        if kind == START and self.vms[name].state == "running":
            self.boot(name)

    def boot(self, name):
        def show(data):
            self.printed[name] += len(data)
            self.prints(name, data)
        self.began[name], self.printed[name] = time.monotonic(), 0
        self.guests[name] = Guest(name, show, lambda: self.ends(name, "off"))
        self.guests[name].boot(self.cores(self.vms[name]))

    @staticmethod
    def cores(vm):
        return struct.unpack("<I", vm.plan[36:40])[0]

    def do_abort(self, vm, _):
        if vm.state != "running":
            return self.wrong(vm)
        self.end(vm)
        threading.Timer(0.02, self.event, (vm.name, "aborted", "asked by the card")).start()
        return 0, {}, {}

    def do_stats(self, vm, _):
        """As fake_rest's guests have them"""
        seconds = time.monotonic() - self.began[vm.name] if vm.name in self.began else 0
        counts = []
        for i in range(self.cores(vm)):
            known = {"call": 12, "ipi": int(seconds * 10 * (i + 1)), "intc": 74, "register": 31,
                     "console": self.printed.get(vm.name, 0) if i == 0 else 0}
            counts += [known.get(reason, 0) for reason in REASONS]
        return 0, {"reasons": b"".join(r.encode() + b"\0" for r in REASONS), "exits": cells64(*counts)}, {}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class RealRest:
    """bhcard in @folder with one machine; what fake_rest.FakeRest offers to every test"""

    def __init__(self, program, folder, name):
        self.folder, self.port, self.path = folder, free_port(), str(folder / "run/api.sock")
        link = str(folder / "link")
        with open(folder / "stderr", "wb") as errors:
            self.process = subprocess.Popen([program, "--state", folder / "state", "--sockets", folder / "run", "--listen-unix",
                                             f"{name}={link}", "--http", f"127.0.0.1:{self.port}"], stdout=subprocess.PIPE,
                                            stderr=errors)
        assert self.process.stdout.readline() == b"bhcard: ready\n", (folder / "stderr").read_text()
        self.hypervisor = Shells(link, *self.machine(os.path.dirname(program)))
        self.hypervisor.connect()
        self.hypervisor.greeted.wait(10)
        self.hypervisor.logs("Bulkhead fake\n")

    def machine(self, build):
        tree, out = self.folder / "tree", self.folder / "machine"
        subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", ROOT / "tests/machines/virt-4.dts", "-o", tree], check=True)
        facts = subprocess.run([f"{build}/card-machine", "make", tree, out], check=True, capture_output=True, text=True).stdout
        return out.read_bytes(), json.loads(facts)

    def wait_for(self, *_):
        """bhcard does not say what it was asked."""
        time.sleep(0.7)

    def close(self):
        if self.process.poll() is None:
            self.hypervisor.close()
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
