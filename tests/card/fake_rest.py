# SPDX-License-Identifier: Apache-2.0
"""
A server that answers as tools/bhcard/openapi.yaml says, with VMs that exist in memory only: what bhctl and the web page are
tested against, on a Unix socket and on a TCP port. Each VM's guest is a tiny shell on the console.

  python3 tests/card/fake_rest.py SOCKET PORT     to look at bhctl and the page by hand
"""
import collections
import hashlib
import http.server
import json
import os
import pathlib
import re
import select
import socketserver
import sys
import threading
import time
import urllib.parse

MIB = 1 << 20
BLOCK = 2 * MIB
NAME = re.compile(r"[a-z0-9-]{1,31}$")
PAGE = pathlib.Path(__file__).parents[2] / "tools/bhcard/web/index.html"
SPEC = {"name", "cores", "core_count", "memory", "bootargs", "boot_protocol", "console", "autostart", "restart", "devices",
        "dma_trusted", "hotplug_ports", "virtual_interrupts"}
REASONS = ["call", "ipi", "intc", "interrupt", "console", "register", "port", "cpuid", "nmi", "stop", "illegal"]
KEPT_EVENTS, KEPT_CONSOLE = 256, 256 * 1024


class Refusal(Exception):
    def __init__(self, status, name, sentence):
        super().__init__(sentence)
        self.status, self.name, self.sentence = status, name, sentence


def wrong_state(vm, verb):
    return Refusal(409, "BH_WRONG_STATE", f"{vm.name} is {vm.state}; it cannot be {verb} now")


def size_of(value):
    """A size as the manifest writes it, in bytes"""
    units = {"K": 1 << 10, "M": MIB, "G": 1 << 30}
    text = str(value)
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    size = int(number) * unit if number.isdigit() else 0
    if size < BLOCK or size % BLOCK:
        raise Refusal(400, "BH_BAD_VALUE", f"memory: '{value}'; a multiple of 2M is allowed")
    return size


class Guest:
    """A tiny shell on a console: @show takes what it prints, @power_off ends it."""

    def __init__(self, name, show, power_off):
        self.name, self.show, self.power_off, self.line = name, show, power_off, b""

    def boot(self, cores):
        self.line = b""
        self.show(f"Welcome to {self.name}: {cores} CPUs\r\n".encode())
        self.prompt()

    def type(self, data):
        """Echo and a shell: "echo" and "poweroff" are all it knows."""
        for byte in data:
            char = bytes([byte])
            if char in b"\r\n":
                self.show(b"\r\n")
                words, self.line = self.line.decode("utf-8", "replace").split(maxsplit=1), b""
                self.run(words)
            elif byte in (8, 127):
                if self.line:
                    self.line = self.line[:-1]
                    self.show(b"\b \b")
            elif byte >= 32:
                self.line += char
                self.show(char)

    def run(self, words):
        if words[:1] == ["poweroff"]:
            self.power_off()
            return
        if words[:1] == ["echo"]:
            self.show(" ".join(words[1:]).encode() + b"\r\n")
        elif words:
            self.show(b"\x1b[31msh: " + words[0].encode() + b": not found\x1b[0m\r\n")
        self.prompt()

    def prompt(self):
        self.show(b"\x1b[1;32m" + self.name.encode() + b":/#\x1b[0m ")


class Vm:
    """A VM and its guest; the machine's lock is held by all who call."""

    def __init__(self, machine, spec=None, name=None):
        self.machine, self.spec, self.name = machine, spec, name or spec["name"]
        self.guest = Guest(self.name, self.show, lambda: machine.end(self, "off", "the guest switched itself off"))
        self.kept = spec is None
        self.state = "stopped" if self.kept else "unconfigured" if len(spec) == 1 else "defined"
        self.wanted = None if self.kept else "stopped"
        self.busy = None
        self.images = {"kernel": None, "initrd": None}
        self.cores, self.regions = [], []
        self.ports = []  # what is in each
        self.output, self.written = bytearray(), 0
        self.started = None
        self.extra = collections.Counter()
        self.last_error = None

    def describe(self):
        return {"name": self.name, "state": self.state if self.machine.connected else "unknown", "wanted": self.wanted,
                "busy": self.busy, "kept": self.kept, "spec": self.spec, "images": self.images, "cores": self.cores,
                "memory": sum(r["size"] for r in self.regions), "regions": self.regions, "restarts": 0,
                "devices": [{"function": f, "vf": None, "guest": f"0000:{i + 1:02x}:00.0", "port": i}
                            for i, f in enumerate(self.ports) if f], "hotplug_ports": len(self.ports),
                "last_error": self.last_error, "console_dropped": 0, "api_socket": f"/run/bulkhead/{self.name}.sock"}

    def show(self, data):
        self.output += data
        self.written += len(data)
        self.extra["console"] += len(data)
        del self.output[:-KEPT_CONSOLE]

    def exits(self, index):
        """Counters as a guest's would go: an IPI ten times a second, the console's by what it printed."""
        if self.started is None:
            return dict.fromkeys(REASONS, 0)
        seconds = time.monotonic() - self.started
        counts = {"call": 12, "ipi": int(seconds * 10 * (index + 1)), "intc": 74, "register": 31}
        if index == 0:
            counts["console"] = self.extra["console"]
        return {**dict.fromkeys(REASONS, 0), **counts}


class Machine:
    """One server. @lock guards all of it and tells streams that there is something new."""

    def __init__(self, name, cores=4, memory=((0x40000000, 2048 * MIB),), arch="arm64", connected=True, slow=0.0):
        self.name, self.cores, self.arch, self.connected = name, cores, arch, connected
        self.memory = list(memory)
        base, size = self.memory[-1]
        self.own = (base + size - BLOCK, BLOCK)
        self.functions = {"0000:01:00.0", "0000:02:00.0"}
        self.gives_back = 0.05  # seconds until a guest that is asked for a function gives it back; None: it never does
        self.slow = slow  # seconds that each step of a start or stop takes
        self.lock = threading.Condition()
        self.vms = {}
        self.events, self.event_id = collections.deque(maxlen=KEPT_EVENTS), 0
        self.log = bytearray(f"Bulkhead fake on {self.model()}\n".encode())
        self.since = time.time() - 60
        if connected:
            self.tell("connected", None, self.model())

    def model(self):
        return "QEMU Virtual Machine (ACPI)" if self.arch == "arm64" else "Standard PC (Q35 + ICH9, 2009)"

    def describe(self):
        known = self.connected
        return {"name": self.name, "connected": known, "refused": None, "model": self.model() if known else None,
                "arch": self.arch if known else None, "cores": self.cores if known else 0,
                "memory": sum(size for _, size in self.memory) if known else 0, "management_core": 0,
                "build_id": "67ebb8a000000001" if known else None, "boot_id": "00c0ffee00c0ffee" if known else None,
                "uptime_us": int((time.time() - self.since) * 1e6) if known else 0, "vms": len(self.vms)}

    def free_cores(self):
        taken = {0}.union(*(vm.cores for vm in self.vms.values()))
        return [c for c in range(self.cores) if c not in taken]

    def free_extents(self):
        taken = sorted([self.own] + [(r["base"], r["size"]) for vm in self.vms.values() for r in vm.regions])
        free = []
        for base, size in self.memory:
            at, end = base, base + size
            for start, length in [t for t in taken if base <= t[0] < end] + [(end, 0)]:
                if start > at:
                    free.append({"base": at, "size": start - at, "node": 0})
                at = start + length
        return free

    def capacity(self):
        extents = self.free_extents()
        return {"cores_free": self.free_cores(), "memory_free": sum(e["size"] for e in extents), "extents": extents,
                "vms_free": 16 - len(self.vms),
                "devices_free": sorted(self.functions - {f for vm in self.vms.values() for f in vm.ports})}

    # --- what happens ---

    def tell(self, event, vm=None, why=None):
        with self.lock:
            self.event_id += 1
            self.events.append({"id": self.event_id, "event": event, "machine": self.name, "vm": vm.name if vm else None,
                                "time": time.time(), "why": why})
            self.lock.notify_all()

    def say(self, sentence):
        self.log += f"[{time.time() - self.since:12.6f}] core0: {sentence}\n".encode()
        self.lock.notify_all()

    def step(self, vm, state):
        vm.state = state
        self.say(f"{vm.name}: {state}")
        if self.slow:
            self.lock.wait(self.slow)

    def plan(self, vm):
        free, spec = self.free_cores(), vm.spec
        wanted = spec.get("cores") or free[:spec.get("core_count", 1)]
        for core in wanted:
            if core not in free:
                raise Refusal(409, "BH_CORE_TAKEN", f"/vms/{vm.name}: cores: core {core} is not free")
        if len(wanted) < spec.get("core_count", 0):
            raise Refusal(409, "BH_NO_CORE", f"/vms/{vm.name}: core-count: {spec['core_count']} cores; "
                                             f"this machine has {len(free)} left for it")
        return wanted, self.carve(vm.name, size_of(spec["memory"]))

    def carve(self, name, left):
        regions, guest = [], 0x40000000
        fits = [e for e in self.free_extents() if e["size"] >= left]
        for e in fits[:1] or self.free_extents():
            size = min(left, e["size"])
            if size:
                regions.append({"base": e["base"], "guest": guest, "size": size})
            left, guest = left - size, guest + size
        if left:
            raise Refusal(409, "BH_NO_MEMORY", f"/vms/{name}: memory: {left // MIB} MiB more than are left")
        return regions

    # --- what is asked ---

    def create(self, spec):
        if not isinstance(spec, dict) or set(spec) - SPEC or not NAME.match(str(spec.get("name", ""))):
            raise Refusal(400, "BH_BAD_REQUEST", "the body is not the description of a VM")
        if spec["name"] in self.vms:
            raise Refusal(409, "BH_DUPLICATE", f"/vms/{spec['name']}: two VMs have this name; each name may stand once")
        if len(spec) > 1:
            self.check(spec)
        vm = self.vms[spec["name"]] = Vm(self, spec)
        self.tell("created", vm)
        return vm

    @staticmethod
    def check(spec):
        where = f"/vms/{spec['name']}"
        if ("cores" in spec) == ("core_count" in spec):
            raise Refusal(400, "BH_BAD_VALUE", f"{where}: one of cores and core-count is required")
        if "memory" not in spec:
            raise Refusal(400, "BH_MISSING", f"{where}: memory is required")
        size_of(spec["memory"])

    def start(self, vm):
        self.must_be(vm, ("defined", "stopped"), "started")
        if not vm.kept and not vm.images["kernel"]:
            raise Refusal(409, "BH_NO_IMAGE", f"/vms/{vm.name}: kernel: there is none yet")
        vm.busy = "start"
        try:
            if not vm.kept and not vm.regions:  # a stopped VM still owns what it had
                vm.cores, vm.regions = self.plan(vm)
                vm.ports = [None] * vm.spec.get("hotplug_ports", 0)
            for state in ("loading", "loaded"):
                self.step(vm, state)
        except Refusal as refusal:
            vm.last_error = {"error": refusal.name, "message": refusal.sentence}
            raise
        finally:
            vm.busy = None
        self.run(vm)

    def run(self, vm):
        vm.last_error, vm.wanted, vm.started = None, None if vm.kept else "running", time.monotonic()
        vm.extra.clear()
        vm.guest.boot(len(vm.cores))
        self.step(vm, "running")
        self.tell("started", vm, "asked")

    def end(self, vm, event, why=None):
        vm.busy = {"stopped": "stop", "aborted": "abort"}.get(event)
        for state in ("stopping", "scrubbing"):
            self.step(vm, state)
        vm.state, vm.busy, vm.started = "stopped", None, None
        vm.wanted = None if vm.kept else "stopped"
        self.tell(event, vm, why)

    def stop(self, vm, grace=0):
        """@grace: seconds in which the guest may end by itself"""
        self.must_be(vm, ("running",), "stopped")
        if grace == 0:
            self.end(vm, "stopped")
            return
        vm.wanted = "stopped"
        timer = threading.Timer(grace, self.end_grace, (vm,))
        timer.daemon = True
        timer.start()

    def end_grace(self, vm):
        with self.lock:
            if vm.state == "running" and vm.wanted == "stopped":
                self.end(vm, "stopped")

    def abort(self, vm):
        self.must_be(vm, ("running",), "aborted")
        self.end(vm, "aborted", "the operator")

    def reset(self, vm):
        self.must_be(vm, ("running",), "reset")
        self.end(vm, "reset")
        self.run(vm)

    def delete(self, vm):
        if vm.kept:
            raise Refusal(409, "BH_WRONG_STATE", f"{vm.name} is the boot manifest's; it cannot be deleted")
        self.must_be(vm, ("unconfigured", "defined", "stopped"), "deleted")
        del self.vms[vm.name]
        self.tell("deleted", vm)

    def plug(self, vm, function):
        self.must_be(vm, ("stopped", "running"), "given a device")
        where = f"/vms/{vm.name}: devices: '{function}'"
        if function not in self.functions:
            raise Refusal(400, "BH_NO_DEVICE", f"{where} is not there")
        for other in self.vms.values():
            if function in other.ports:
                raise Refusal(400, "BH_NO_DEVICE", f"{where} is a device of /vms/{other.name}")
        if None not in vm.ports:
            raise Refusal(409, "BH_TOO_MANY", f"{where} finds no free port; the VM has {len(vm.ports)} (hotplug-ports)")
        vm.ports[vm.ports.index(None)] = function
        self.tell("plugged", vm, function)

    def unplug(self, vm, function, force):
        """True: the guest was asked"""
        self.must_be(vm, ("stopped", "running"), "asked for a device")
        if function not in vm.ports:
            raise Refusal(404, "BH_NO_DEVICE", f"{vm.name} has no '{function}' in a port")
        asks = vm.state == "running" and not force
        if not asks:
            self.empty(vm, function)
        elif self.gives_back is not None:
            threading.Timer(self.gives_back, self.empty, (vm, function)).start()
        return asks

    def empty(self, vm, function):
        with self.lock:
            vm.ports = [None if there == function else there for there in vm.ports]
            self.tell("unplugged", vm)

    def must_be(self, vm, states, verb):
        if not self.connected:
            raise Refusal(503, "BH_NOT_CONNECTED", f"{self.name} is not connected")
        if vm.busy:
            raise Refusal(409, "BH_BUSY", f"{vm.name} is busy: {vm.busy}")
        if vm.state not in states:
            raise wrong_state(vm, verb)


class Handler(http.server.BaseHTTPRequestHandler):
    """One request; @server.machines is what it is about."""
    protocol_version = "HTTP/1.1"
    ROUTES = [
        ("GET", r"/", "page"),
        ("GET", r"/metrics", "metrics"),
        ("GET", r"/v1/machines", "machines"),
        ("GET", r"/v1/machines/(?P<m>[^/]+)", "machine"),
        ("GET", r"/v1/machines/(?P<m>[^/]+)/capacity", "capacity"),
        ("GET", r"/v1/machines/(?P<m>[^/]+)/events", "events"),
        ("GET", r"/v1/machines/(?P<m>[^/]+)/logs", "logs"),
        ("GET", r"/v1/machines/(?P<m>[^/]+)/vms", "vms"),
        ("POST", r"/v1/machines/(?P<m>[^/]+)/vms", "create"),
        ("GET", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)", "vm"),
        ("DELETE", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)", "delete"),
        ("POST", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)/(?P<verb>start|stop|abort|reset)", "act"),
        ("POST", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)/devices", "plug"),
        ("DELETE", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)/devices/(?P<function>.+)", "unplug"),
        ("PUT", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)/images/(?P<image>kernel|initrd)", "upload"),
        ("GET", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)/stats", "stats"),
        ("GET", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)/console", "console"),
        ("POST", r"/v1/machines/(?P<m>[^/]+)/vms/(?P<vm>[^/]+)/console", "typed"),
    ]

    def address_string(self):
        return "client"

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        self.server.requests.append(format % args)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def dispatch(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        try:
            self.route(urllib.parse.unquote(url.path))
        except Refusal as r:
            self.reply(r.status, {"error": r.name, "message": r.sentence})

    do_GET = do_POST = do_PUT = do_DELETE = dispatch

    def route(self, path):
        known = False
        for method, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            known = known or bool(match)
            if match and method == self.command:
                getattr(self, name)(**self.find(match.groupdict()))
                return
        if known:
            raise Refusal(405, "BH_METHOD", f"{self.command} is not possible here")
        raise Refusal(404, "BH_NO_SUCH_PATH", f"there is no {path}")

    def find(self, words):
        """The machine and the VM that a path names, in place of their names"""
        if "m" in words:
            machine = self.server.machines.get(words["m"])
            if not machine:
                raise Refusal(404, "BH_UNKNOWN", f"there is no machine '{words['m']}'")
            words["m"] = machine
        if "vm" in words:
            name = words["vm"]
            words["vm"] = words["m"].vms.get(name)
            if not words["vm"]:
                raise Refusal(404, "BH_NO_SUCH_VM", f"there is no VM '{name}'")
        return words

    # --- answers ---

    def head(self, status, kind, length=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.close_connection = True

    def reply(self, status, value):
        data = b"" if value is None else json.dumps(value).encode()
        self.head(status, "application/json", len(data))
        self.wfile.write(data)

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return data

    def stream(self, machine, more):
        """Sends what @more(lock held) returns, until it returns None or the client has left."""
        while True:
            with machine.lock:
                data = more()
                if data == b"":
                    machine.lock.wait(0.1)
                    data = more()
            if data is None or self.server.closing:
                return
            self.wfile.write(data)
            self.wfile.flush()
            if select.select([self.connection], [], [], 0)[0]:
                return

    # --- the API ---

    def page(self):
        data = PAGE.read_bytes()
        self.head(200, "text/html; charset=utf-8", len(data))
        self.wfile.write(data)

    def metrics(self):
        data = f"bhcard_machines {len(self.server.machines)}\n".encode()
        self.head(200, "text/plain; version=0.0.4", len(data))
        self.wfile.write(data)

    def machines(self):
        self.reply(200, [m.describe() for m in self.server.machines.values()])

    def machine(self, m):
        self.reply(200, m.describe())

    def capacity(self, m):
        if not m.connected:
            raise Refusal(503, "BH_NOT_CONNECTED", f"{m.name} is not connected")
        with m.lock:
            self.reply(200, m.capacity())

    def vms(self, m):
        with m.lock:
            self.reply(200, [vm.describe() for vm in m.vms.values()])

    def vm(self, m, vm):
        with m.lock:
            self.reply(200, vm.describe())

    def create(self, m):
        try:
            spec = json.loads(self.body())
        except ValueError:
            raise Refusal(400, "BH_BAD_REQUEST", "the body is not JSON") from None
        with m.lock:
            self.reply(201, m.create(spec).describe())

    def delete(self, m, vm):
        with m.lock:
            m.delete(vm)
        self.head(204, "application/json")

    def act(self, m, vm, verb):
        options = json.loads(self.body() or b"{}")
        with m.lock:
            getattr(m, verb)(vm, **({"grace": options["grace_ms"] / 1000} if options else {}))
            self.reply(200, vm.describe())

    def plug(self, m, vm):
        with m.lock:
            m.plug(vm, json.loads(self.body())["function"])
            self.reply(200, vm.describe())

    def unplug(self, m, vm, function):
        with m.lock:
            if m.unplug(vm, function, self.query.get("force", "0") != "0"):
                self.reply(202, vm.describe())
            else:
                self.head(204, "application/json")

    def upload(self, m, vm, image):
        if vm.state not in ("defined", "stopped"):
            raise wrong_state(vm, "given images")
        left = int(self.headers["Content-Length"])
        if left > self.server.image_limit:
            raise Refusal(413, "BH_TOO_BIG", f"{image}: {left} bytes; at most {self.server.image_limit} are allowed")
        digest, size = hashlib.blake2b(digest_size=32), 0
        while size < left:
            data = self.rfile.read(min(65536, left - size))
            size += len(data)
            if not data or size > self.server.break_upload_at:
                self.close_connection = True
                return
            digest.update(data)
            time.sleep(self.server.upload_pause)
        with m.lock:
            vm.images[image] = {"size": size, "blake2b": digest.hexdigest()}
            self.reply(200, vm.images[image])

    def stats(self, m, vm):
        if not m.connected:
            raise Refusal(503, "BH_NOT_CONNECTED", f"{m.name} is not connected")
        if vm.state in ("defined", "unconfigured"):
            raise wrong_state(vm, "counted")
        with m.lock:
            self.reply(200, {"reasons": REASONS,
                             "vcpus": [{"core": c, "exits": vm.exits(i)} for i, c in enumerate(vm.cores)]})

    def console(self, m, vm):
        kept = min(len(vm.output), int(self.query.get("tail", KEPT_CONSOLE)))
        at = vm.written - kept

        def more():
            nonlocal at
            data = bytes(vm.output[len(vm.output) - (vm.written - at):]) if vm.written > at else b""
            at = vm.written
            if not data and (vm.name not in m.vms or self.query.get("follow") == "0"):
                return None
            return data
        self.head(200, "application/octet-stream")
        self.stream(m, more)

    def typed(self, m, vm):
        data = self.body()
        with m.lock:
            if vm.state != "running":
                raise wrong_state(vm, "typed to")
            vm.guest.type(data)
            m.lock.notify_all()
        self.head(204, "application/json")

    def logs(self, m):
        at = 0

        def more():
            nonlocal at
            data, at = bytes(m.log[at:]), len(m.log)
            return data if data or "follow" in self.query else None
        self.head(200, "text/plain; charset=utf-8")
        self.stream(m, more)

    def events(self, m):
        since = self.headers.get("Last-Event-ID") or self.query.get("since")
        at = int(since) if since is not None else m.event_id

        def more():
            nonlocal at
            new = [e for e in m.events if e["id"] > at]
            at = m.event_id
            return "".join(f"id: {e['id']}\nevent: {e['event']}\ndata: {json.dumps(e)}\n\n" for e in new).encode()
        self.head(200, "text/event-stream")
        self.wfile.write(b": hello\n\n")
        self.stream(m, more)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads, request_queue_size = True, 64


class TcpServer(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 64


class FakeRest:
    """The server, on @path and on @port (0: any) of the loopback interface"""

    def __init__(self, path, machines, port=0):
        self.path, self.machines = path, {m.name: m for m in machines}
        self.servers = [UnixServer(path, Handler), TcpServer(("127.0.0.1", port), Handler)]
        self.port = self.servers[1].server_address[1]
        self.requests = []
        for server in self.servers:
            server.machines, server.requests, server.closing = self.machines, self.requests, False
            server.image_limit, server.break_upload_at, server.upload_pause = 1 << 30, 1 << 40, 0
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def wait_for(self, piece, times=1):
        """Until so many requests with @piece in their path have come"""
        while sum(piece in r for r in self.requests) < times:
            time.sleep(0.02)

    def set(self, **settings):
        """image_limit (bytes), break_upload_at (bytes), upload_pause (seconds for each 64 KiB)"""
        for server in self.servers:
            for name, value in settings.items():
                setattr(server, name, value)

    def close(self):
        """Once is enough, twice does no harm."""
        if self.servers[0].closing:
            return
        for server in self.servers:
            server.closing = True
            server.shutdown()
            server.server_close()
        os.unlink(self.path)


def main(path, port):
    rack = Machine("rack1", cores=8, memory=((0x40000000, 4096 * MIB),), slow=0.2)
    FakeRest(path, [rack, Machine("rack2", arch="x86_64"), Machine("rack3", connected=False)], int(port))
    print(f"fake_rest: {path} and http://127.0.0.1:{port}/; Ctrl-C ends it")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        os.unlink(path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
