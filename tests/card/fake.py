# SPDX-License-Identifier: Apache-2.0
"""A hypervisor as the card sees it: the other end of docs/control-protocol.md, in a thread, with a plan it does not look into."""
import hashlib
import os
import queue
import socket
import struct
import threading
import time

FRAME = struct.Struct("<IIHHIQ16s")
MAGIC = 0x31504842
ANSWER = 1
HELLO, PING, LIST, INFO, STATS, CREATE, IMAGE, START, STOP, ABORT, RESET, DELETE, CONSOLE, LOG, EVENT, PLUG, UNPLUG = range(1, 18)
NAMES = ("", "hello", "ping", "list", "info", "stats", "create", "image", "start", "stop", "abort", "reset", "delete",
         "console", "log", "event", "plug", "unplug")
# enum bh_error
BAD_VALUE, DUPLICATE, TOO_MANY, NO_DEVICE, BAD_PLAN, NO_SUCH_VM, WRONG_STATE, BAD_DIGEST, PORT_BUSY = 3, 5, 6, 15, 17, 18, 19, 25, 27
NOTHING = 0xffffffff  # in a port


# ---- Device trees (Devicetree Specification 0.4, 5) ----

def pad(data):
    return data + b"\0" * (-len(data) % 4)


def cell(value):
    return struct.pack(">I", value)


def cells64(*values):
    return struct.pack(f">{len(values)}Q", *values)


def text(value):
    return value.encode() + b"\0"


def tree(properties, nodes=None):
    """The blob of a root with @properties and child @nodes (name: properties); values are bytes."""
    strings = b""
    offsets = {}

    def node(name, props, children):
        nonlocal strings
        out = cell(1) + pad(text(name))
        for key, value in props.items():
            if key not in offsets:
                offsets[key] = len(strings)
                strings += text(key)
            out += cell(3) + cell(len(value)) + cell(offsets[key]) + pad(value)
        for key, value in children.items():
            out += node(key, value, {})
        return out + cell(2)

    body = node("", properties, nodes or {}) + cell(9)
    header = 40 + 16
    total = header + len(body) + len(strings)
    return struct.pack(">10I", 0xd00dfeed, total, header, header + len(body), 40, 17, 16, 0, len(strings), len(body)) + \
        b"\0" * 16 + body + strings


def properties(blob):
    """The root's properties."""
    _, _, off_struct, off_strings = struct.unpack(">4I", blob[:16])
    at, found = off_struct + 8, {}
    while struct.unpack(">I", blob[at:at + 4])[0] == 3:
        size, name = struct.unpack(">2I", blob[at + 4:at + 12])
        name = blob[off_strings + name:]
        found[name[:name.index(b"\0")].decode()] = blob[at + 12:at + 12 + size]
        at += 12 + size + -size % 4
    return found


def number(value):
    return int.from_bytes(value, "big")


# ---- The hypervisor ----

class Vm:
    def __init__(self, name, slot, plan, kept=False):
        self.name, self.slot, self.plan, self.kept = name, slot, plan, kept
        self.state = "stopped"
        self.images = {}
        self.stream = None
        self.starts = 0


class Hypervisor:
    """
    One machine. It outlives its connections: connect() dials once, `keep` does so whenever there is none.
    @stop_at: the connection is cut when that request arrives, ("start", "before") it is done or "after", unanswered.
    """

    def __init__(self, path, machine, facts, boot_id=1, build_id=0xb01d):
        self.path, self.machine, self.facts = path, machine, facts
        self.boot_id, self.build_id = boot_id, build_id
        self.vms = {}
        self.requests = []  # names, in order
        self.typed = b""
        self.socket = None
        self.sequence = self.received = 0
        self.lock = threading.RLock()
        self.stop_at = None
        self.cut = threading.Event()  # stop_at was reached
        self.refuse = {}  # request name: (error, detail), once
        self.gives_back = 0.05  # seconds until a guest that is asked for a function gives it back; None: it never does
        self.port_busy = 0  # so many plugs come before the guest is done with what was in the port
        self.on_cut = None
        self.keep = False
        self.greeted = threading.Event()
        self.closed = threading.Event()
        self.closing = False

    # -- the connection --

    def connect(self, hello=None, timeout=10):
        end = time.monotonic() + timeout
        while True:
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(self.path)
                break
            except OSError:
                s.close()
                if time.monotonic() > end or self.closing:
                    raise
                time.sleep(0.02)
        self.greeted.clear()
        self.closed.clear()
        self.socket, self.sequence, self.received = s, 0, 0
        self.send(HELLO, tree(hello or self.hello()), request=1)
        threading.Thread(target=self.serve, args=(s,), daemon=True).start()
        return self

    def hello(self, **changes):
        props = {"version": cell(1), "build-id": cells64(self.build_id), "boot-id": cells64(self.boot_id),
                 "time-us": cells64(1000000), "machine": self.machine, "plan-size": cell(self.facts["plan_size"]),
                 "core": struct.pack("<2Q", *self.facts["core"]), "images": b"", "management-core": cell(0),
                 "console-interrupt": cell(0)}
        props.update(changes)
        return {k: v for k, v in props.items() if v is not None}

    def disconnect(self):
        with self.lock:
            if self.socket:
                try:
                    self.socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.closing, self.keep = True, False
        self.disconnect()

    def send(self, kind, payload=b"", flags=0, request=0, sequence=None, magic=MAGIC, length=None, tag=b""):
        with self.lock:
            head = FRAME.pack(magic, len(payload) if length is None else length, kind, flags, request,
                              self.sequence if sequence is None else sequence, tag.ljust(16, b"\0"))
            self.sequence += 1
            self.socket.sendall(head + payload)

    def raw(self, data):
        self.socket.sendall(data)

    def take(self, s, size):
        data = b""
        while len(data) < size:
            more = s.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def serve(self, s):
        try:
            while True:
                magic, length, kind, flags, request, sequence, tag = FRAME.unpack(self.take(s, FRAME.size))
                assert magic == MAGIC and length <= 65536 and sequence == self.received and tag == b"\0" * 16
                self.received += 1
                payload = self.take(s, length)
                if kind == HELLO:
                    assert flags == ANSWER and request == 1 and number(properties(payload)["version"]) == 1
                    self.greeted.set()
                    continue
                assert self.greeted.is_set() and flags == 0
                self.handle(kind, request, properties(payload) if payload else {})
        except (ConnectionError, OSError):
            pass
        finally:
            s.close()
            self.closed.set()
            if self.keep:
                threading.Thread(target=self.again, daemon=True).start()

    def again(self):
        try:
            self.connect(timeout=60)
        except OSError:
            pass

    def handle(self, kind, request, props):
        if kind == CONSOLE:
            self.typed += props["data"]
            return
        name = NAMES[kind]
        self.requests.append(name)
        step = self.stop_at and self.stop_at[0] == name and self.stop_at[1]
        if step:
            self.stop_at = None
        if step == "before":
            self.reached()
        with self.lock:
            error, answer, nodes = self.refuse.pop(name, None) or self.run(kind, props)
        if step == "after":
            self.reached()
        answer = dict(answer)
        if error:
            answer = {"error": cell(error), "detail": text(answer.get("detail", "refused by the fake"))}
        self.send(kind, tree(answer, nodes), ANSWER, request)
        if kind == START and not error:
            self.event(props["vm"][:-1].decode(), "started", "asked")

    def reached(self):
        if self.on_cut:
            self.on_cut()
        self.disconnect()
        self.cut.set()
        raise ConnectionError

    # -- what is asked --

    def run(self, kind, props):
        vm = self.vms.get(props["vm"][:-1].decode()) if "vm" in props else None
        if kind == PING:
            return 0, {"time-us": cells64(2)}, {}
        if kind == LIST:
            return 0, {}, {v.name: self.describe(v) for v in self.vms.values()}
        if kind == CREATE:
            return self.create(props["plan"])
        if vm is None:
            return NO_SUCH_VM, {"detail": "there is no VM of this name"}, {}
        return getattr(self, "do_" + NAMES[kind])(vm, props)

    @staticmethod
    def describe(vm):
        return {"slot": cell(vm.slot), "state": text(vm.state), "kept": cell(vm.kept)}

    @staticmethod
    def wrong(vm):
        return WRONG_STATE, {"detail": f"{vm.name} is {vm.state}"}, {}

    def create(self, plan):
        assert len(plan) == self.facts["plan_vm_size"]
        name = plan[:32].split(b"\0")[0].decode()
        there = self.vms.get(name)
        if there:
            return (0, {"slot": cell(there.slot)}, {}) if there.plan == plan else (DUPLICATE, {"detail": "twice"}, {})
        slot = min(set(range(self.facts["max_vms"])) - {v.slot for v in self.vms.values()})
        self.vms[name] = Vm(name, slot, plan)
        return 0, {"slot": cell(slot)}, {}

    def do_info(self, vm, _):
        return 0, {**self.describe(vm), "plan": vm.plan, "restarts": cell(0), "started-us": cells64(5), "dropped": cell(0)}, {}

    def do_stats(self, vm, _):
        cores = struct.unpack("<I", vm.plan[36:40])[0]
        return 0, {"reasons": b"call\0ipi\0", "exits": cells64(*range(2 * cores))}, {}

    def image_sizes(self, vm):
        at = self.facts["images_offset"]
        return [struct.unpack("<Q", vm.plan[at + 24 * i + 8:at + 24 * i + 16])[0] for i in range(3)]

    def do_image(self, vm, props):
        image, offset, data = number(props["image"]), number(props["offset"]), props["data"]
        size = self.image_sizes(vm)[image]
        if vm.state not in ("stopped", "loading") or vm.kept:
            return self.wrong(vm)
        if not 0 < len(data) <= 61440 or ("digest" in props) != (offset + len(data) == size):
            return BAD_VALUE, {"detail": "not the image's size"}, {}
        vm.state = "loading"
        if offset == 0:
            vm.images.pop(image, None)
            vm.stream = (image, b"")
        if vm.stream is None or vm.stream[0] != image or len(vm.stream[1]) != offset:
            return BAD_VALUE, {"detail": "out of order"}, {}
        vm.stream = (image, vm.stream[1] + data)
        if "digest" in props:
            if hashlib.blake2b(vm.stream[1], digest_size=32).digest() != props["digest"]:
                return BAD_DIGEST, {"detail": "the image is not what its digest says"}, {}
            vm.images[image] = vm.stream[1]
            if all(i in vm.images for i, s in enumerate(self.image_sizes(vm)) if s):
                vm.state = "loaded"
        return 0, {}, {}

    def do_start(self, vm, _):
        if vm.state != "loaded" and not (vm.kept and vm.state == "stopped"):
            return self.wrong(vm)
        vm.state = "running"
        vm.starts += 1
        return 0, {}, {}

    def end(self, vm):
        vm.state = "stopped"
        vm.images, vm.stream = {}, None

    def ends_unseen(self, name):
        """The VM ends while there is no connection, and no event tells of it."""
        self.disconnect()
        self.closed.wait(10)
        self.end(self.vms[name])
        self.connect()

    def do_stop(self, vm, _):
        if vm.state not in ("running", "loading", "loaded"):
            return self.wrong(vm)
        was = vm.state
        self.end(vm)
        if was == "running":
            threading.Timer(0.02, self.event, (vm.name, "stopped", "asked by the card")).start()
        return 0, {}, {}

    do_abort = do_stop

    def do_reset(self, vm, _):
        return (0, {}, {}) if vm.kept and vm.state == "running" else self.wrong(vm)

    def do_delete(self, vm, _):
        if vm.state != "stopped":
            return self.wrong(vm)
        del self.vms[vm.name]
        return 0, {}, {}

    # -- hot plug --

    def word(self, vm, name):
        return struct.unpack_from("<I", vm.plan, self.facts[name])[0]

    def ports(self, vm):
        """Where in the plan each port stands, and the function that is in it"""
        first, nports = self.word(vm, "nfunctions_offset") - self.word(vm, "nports_offset"), self.word(vm, "nports_offset")
        for i in range(first, first + nports):
            at = self.facts["functions_offset"] + i * self.facts["function_size"]
            yield at, struct.unpack_from("<I", vm.plan, at)[0]

    def plugged(self, vm):
        """The indices of all functions that are in ports"""
        return [function for _, function in self.ports(self.vms[vm]) if function != NOTHING]

    def do_plug(self, vm, props):
        new, size = props["plan"], self.facts["function_size"]
        assert len(new) == size
        port = (struct.unpack_from("<I", new, 4)[0] >> 8) - 1
        ports = list(self.ports(vm))
        if port >= len(ports):
            return NO_DEVICE, {}, {}
        at, function = ports[port]
        if vm.plan[at:at + size] == new:
            return 0, {}, {}
        if function != NOTHING or vm.state not in ("running", "stopped", "loading", "loaded"):
            return self.wrong(vm)
        if self.port_busy:
            self.port_busy -= 1
            return PORT_BUSY, {}, {}
        if any(function == struct.unpack_from("<I", new)[0] for other in self.vms.values() for _, function in self.ports(other)):
            return BAD_PLAN, {"detail": "it has another owner"}, {}
        vm.plan = vm.plan[:at] + new + vm.plan[at + size:]
        return 0, {}, {}

    def do_unplug(self, vm, props):
        function = number(props["function"])
        if function == NOTHING or function not in self.plugged(vm.name):
            return NO_DEVICE, {}, {}
        if vm.state not in ("running", "stopped", "loading", "loaded"):
            return self.wrong(vm)
        if vm.state != "running" or number(props.get("force", b"\0")):
            self.unplug(vm, function)
        elif self.gives_back is not None:
            threading.Timer(self.gives_back, self.gives, (vm, function)).start()
        return 0, {}, {}

    def gives(self, vm, function):
        """The guest switches the slot off."""
        with self.lock:
            if function in [there for _, there in self.ports(vm)]:
                self.unplug(vm, function)

    def unplug(self, vm, function):
        size = self.facts["function_size"]
        for at, there in self.ports(vm):
            if there == function:
                vm.plan = vm.plan[:at] + struct.pack("<I", NOTHING) + vm.plan[at + 4:at + 8] + bytes(size - 8) + vm.plan[at + size:]
        self.event(vm.name, "unplugged", "its port is empty")

    # -- what happens --

    def event(self, vm, kind, why="because", **numbers):
        try:
            self.send(EVENT, tree({"vm": text(vm), "event": text(kind), "time-us": cells64(7), "why": text(why),
                                   **{k: cells64(v) for k, v in numbers.items()}}))
        except OSError:
            pass

    def ends(self, vm, kind, **numbers):
        """The guest's own doing: it ends with @kind."""
        with self.lock:
            self.end(self.vms[vm])
            self.event(vm, kind, **numbers)

    def prints(self, vm, data):
        self.send(CONSOLE, tree({"vm": text(vm), "data": data}))

    def logs(self, lines, dropped=0):
        self.send(LOG, tree({"text": text(lines), "dropped": cell(dropped)}))
