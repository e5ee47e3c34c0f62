# SPDX-License-Identifier: Apache-2.0
"""An emulated server that runs the real bulkhead.efi, and the manifests it is given."""
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pexpect

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build/arm64-gcc"))
QEMU = "qemu-system-aarch64"
FIRMWARE = os.path.join(ROOT, "build/deps/firmware/AAVMF_CODE.fd")
LINUX = os.path.join(ROOT, "build/deps/guest/Image")
INITRD = os.path.join(BUILD, "demo/initrd.gz")
GUESTS = {name: os.path.join(BUILD, "guests", name) for name in ("friendly.img", "hostile.img")}
FILES = {"Image": LINUX, "initrd.gz": INITRD, **GUESTS}

PROMPT = "bulkhead> "
ERASE = "\r\x1b[K"  # takes the prompt off the screen, before lines of the log
ESCAPE = "\x1d"
SECONDS = 60  # longer than anything takes, even on a machine with other work to do
LOG_LINE = re.compile(r"\[ *\d+\.\d{6}\] core\d+: .*\n")


class Failure(AssertionError):
    """Says what was waited for, and what came instead."""


# ---- manifests --------------------------------------------------------------------------------------------------

def value(v):
    """A property's value as device tree source: 1 -> <1>, [1, 2] -> <1 2>, "a" -> "a", ["a", "b"] -> "a", "b"."""
    if isinstance(v, str):
        return f'"{v}"'
    if isinstance(v, int):
        return f"<{v}>"
    if v and all(isinstance(item, str) for item in v):
        return ", ".join(value(item) for item in v)
    return f"<{' '.join(str(item) for item in v)}>"


def node(name, properties, depth):
    tabs = "\t" * depth
    lines = [f"{tabs}{name} {{"]
    for key, v in properties.items():
        lines.append(node(key, v, depth + 1) if isinstance(v, dict) else f"{tabs}\t{key} = {value(v)};")
    return "\n".join(lines + [f"{tabs}}};"])


def manifest(vms, **host):
    """Device tree source of a manifest; underscores in names of host options stand for hyphens."""
    tree = {"compatible": "bulkhead,manifest-v1"}
    if host:
        tree["host"] = {name.replace("_", "-"): v for name, v in host.items()}
    tree["vms"] = vms
    return "/* SPDX-License-Identifier: Apache-2.0 */\n/dts-v1/;\n" + node("/", tree, 0) + "\n"


def guest(image, cores, args, memory="4M", **options):
    """A VM that runs one of the tiny guests."""
    return {"cores": cores, "memory": memory, "kernel": image, "bootargs": args,
            **{name.replace("_", "-"): v for name, v in options.items()}}


def friendly(cores, args, **options):
    return guest("friendly.img", cores, args, **options)


def hostile(cores, args, **options):
    return guest("hostile.img", cores, args, **options)


def linux(name, cores, memory="192M", args="", **options):
    return {"cores": cores, "memory": memory, "kernel": "Image", "initrd": "initrd.gz",
            "bootargs": f"console=ttyAMA0 bulkhead.name={name} {args}".strip(),
            **{key.replace("_", "-"): v for key, v in options.items()}}


def compile_manifest(source, path):
    """@source is text of a device tree, or the bytes of a blob as they are."""
    if isinstance(source, bytes):
        with open(path, "wb") as f:
            f.write(source)
        return
    with open(path.replace(".dtb", ".dts"), "w", encoding="ascii") as f:
        f.write(source)
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", path, path.replace(".dtb", ".dts")], check=True)


def named_files(source):
    return sorted(name for name in FILES if isinstance(source, str) and f'"{name}"' in source)


class Scenario:
    """A folder with a manifest and what it names, packed in the ways that the loader can be given them."""

    def __init__(self, name, source, files=None):
        self.name = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
        self.folder = os.path.join(BUILD, "system", self.name)
        self.loader = os.path.join(BUILD, "bulkhead.efi")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.source = source
        self.files = {name: FILES[name] for name in named_files(source)}
        self.files.update(files or {})
        self.manifest = os.path.join(self.folder, "manifest.dtb")
        if source is not None:
            compile_manifest(source, self.manifest)

    def path(self, name):
        return os.path.join(self.folder, name)

    def images(self):
        return [f"{name}={path}" for name, path in self.files.items() if path is not None]

    def blob(self):
        subprocess.run([os.path.join(ROOT, "tools/mkblob"), self.path("blob.cpio"), self.manifest, *self.images()],
                       check=True)
        return self.path("blob.cpio")

    def disk(self):
        subprocess.run([os.path.join(ROOT, "tools/mkesp"), self.path("esp"), self.loader, self.manifest,
                        *self.images()], check=True)
        return self.path("esp.img")


# ---- the emulator -----------------------------------------------------------------------------------------------

class EmulatorLock:
    """One emulator at a time on a machine that is shared: only when BULKHEAD_EMULATOR_LOCK names a file."""
    users = 0
    file = None

    @classmethod
    def take(cls):
        path = os.environ.get("BULKHEAD_EMULATOR_LOCK")
        cls.users += 1
        if path and cls.users == 1:
            cls.file = open(path, "a", encoding="ascii")
            fcntl.flock(cls.file, fcntl.LOCK_EX)

    @classmethod
    def give(cls):
        cls.users -= 1
        if cls.users == 0 and cls.file:
            cls.file.close()
            cls.file = None


class Monitor:
    """QEMU's machine protocol (QMP): what the emulated machine looks like from outside."""

    def __init__(self, path):
        deadline = time.monotonic() + SECONDS
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.lines.readline()  # the greeting
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        for line in self.lines:
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Failure(f"the emulator refuses {command} {arguments}: {answer['error']['desc']}")
        raise Failure("the emulator's monitor went away")

    def human(self, line):
        """A command of the monitor for people, for what only that can do."""
        answer = self.run("human-monitor-command", **{"command-line": line})
        if answer:
            raise Failure(f"the emulator answers {line}: {answer}")

    def pc(self, core):
        """Where a core is."""
        text = self.run("human-monitor-command", **{"command-line": "info registers", "cpu-index": core})
        return int(re.search(r"PC=(\w+)", text).group(1), 16)

    def close(self):
        self.lines.close()
        self.socket.close()


def hardware(cpu="max", acpi=True, smp=4, memory="512M", disk=False, gic=3, el2=True, random=True):
    """QEMU's arguments for a server; with @disk it boots from a disk."""
    options = {"virtualization": el2, "acpi": acpi}
    board = ["virt", f"gic-version={gic}", "iommu=smmuv3", *(f"{o}={'on' if v else 'off'}" for o, v in options.items())]
    argv = ["-M", ",".join(board), "-cpu", cpu, "-smp", str(smp), "-m", memory, "-bios", FIRMWARE, "-nic", "none",
            "-display", "none", "-no-reboot", "-boot", "menu=on,splash-time=0"]  # the firmware does not wait for a key
    if random:
        argv += ["-device", "virtio-rng-pci"]
    if disk:
        argv += ["-device", "virtio-blk-pci,drive=esp"]
    return argv


def boot_source(scenario, disk, blob):
    """QEMU's arguments for what it boots: a disk, or the loader with @blob or with what @scenario packs."""
    if disk:
        return ["-drive", f"file={scenario.disk()},format=raw,if=none,id=esp,readonly=on"]
    if blob is None and scenario.source is not None:
        blob = scenario.blob()
    return ["-kernel", scenario.loader, *(["-initrd", blob] if blob else [])]


class Machine:
    """
    A running emulator. What came from its serial port is in @text as a terminal would show it: without carriage
    returns, and without a prompt that made way for the log.
    """

    def __init__(self, scenario, blob=None, **options):
        self.text = ""
        self._raw = ""
        self._monitor = None
        self.scenario = scenario
        self.sockets = tempfile.mkdtemp(prefix="bulkhead-")
        argv = [*hardware(**options), *boot_source(scenario, options.get("disk", False), blob),
                "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console", "-monitor", "none",
                "-qmp", f"unix:{self.sockets}/monitor,server=on,wait=off"]
        with open(scenario.path("qemu"), "w", encoding="utf-8") as f:
            f.write(f"{QEMU} {' '.join(argv)}\n")
        EmulatorLock.take()
        self.log = open(scenario.path("log"), "w", encoding="utf-8")
        self.child = pexpect.spawn(QEMU, argv, encoding="utf-8", codec_errors="replace", echo=False, timeout=SECONDS)
        self.child.delaybeforesend = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.child is None:
            return
        if self._monitor:
            self._monitor.close()
        self.child.close(force=True)
        self.child = None
        self.log.close()
        shutil.rmtree(self.sockets)
        EmulatorLock.give()

    # -- what it says

    def tail(self, lines=40):
        return "\n".join(self.text.splitlines()[-lines:])

    def fail(self, why):
        raise Failure(f"{self.scenario.name}: {why}\n---- the end of {self.scenario.path('log')}:\n{self.tail()}")

    def _read(self, deadline):
        """Takes what has come; False when the emulator has ended."""
        try:
            chunk = self.child.read_nonblocking(65536, max(0.0, deadline - time.monotonic()))
        except pexpect.EOF:
            return False
        except pexpect.TIMEOUT:
            return True
        self.log.write(chunk)
        self.log.flush()
        self._raw += chunk
        if not ERASE.startswith(self._raw[self._raw.rfind("\r"):]):  # else it may be half of one
            self._show()
        if "PANIC" in self.text[-len(chunk) - 5:]:
            self._read(time.monotonic() + 1)
            self.fail("the hypervisor panicked")
        return True

    def _show(self):
        kept, *rest = self._raw.split(ERASE)
        self._raw = ""
        self.text += kept.replace("\r", "")
        for part in rest:
            self.text = self.text[:self.text.rfind("\n") + 1] + part.replace("\r", "")

    def here(self):
        """A place in @text for `since`: the prompt's line may yet change."""
        start = self.text.rfind("\n") + 1
        line = self.text[start:start + len(PROMPT)]
        return start if PROMPT.startswith(line) else len(self.text)

    def wait(self, pattern, since=0, timeout=SECONDS):
        """The first match of @pattern in what came after @since."""
        expression = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout
        while True:
            match = expression.search(self.text, since)
            if match:
                return match
            if time.monotonic() > deadline:
                self.fail(f"no /{pattern}/ within {timeout} s")
            if not self._read(deadline):
                self.fail(f"the emulator ended; /{pattern}/ did not come")

    def until(self, condition, why, timeout=SECONDS):
        """Looks until @condition() is true."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f"{why} within {timeout} s")

    def wait_end(self, timeout=SECONDS):
        """The emulator ends by itself."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            if time.monotonic() > deadline:
                self.fail(f"the machine did not switch off within {timeout} s")

    # -- the operator's prompt

    def send(self, text):
        self.child.send(text)

    def booted(self):
        self.wait(r"operator prompt; .*\n(.*\n)*?" + PROMPT)
        return self

    def command(self, line, timeout=SECONDS):
        """Types @line at the prompt; the lines of the answer, without those of the log."""
        since = self.here()
        self.send(line + "\r")
        answer = self.wait(rf"(?s)^{PROMPT}{re.escape(line)}\n(.*?)^{PROMPT}", since, timeout).group(1)
        return LOG_LINE.sub("", answer).splitlines()

    def start(self, vm):
        since = self.here()
        answer = self.command(f"start {vm}")
        if answer:
            self.fail(f"start {vm} was answered: {answer}")
        return since

    def stop(self, vm):
        since = self.here()
        answer = self.command(f"stop {vm}")
        if answer:
            self.fail(f"stop {vm} was answered: {answer}")
        return self.text[since:]

    def states(self):
        """What `list` says: name -> state."""
        return {line.split()[0]: line.split()[1] for line in self.command("list")}

    def exits(self):
        """What `stats` says: VM -> reason -> number, over all its cores; "total" is the sum."""
        result = {}
        for line in self.command("stats"):
            name, total, rest = re.fullmatch(r"(\S+) core \d+: (\d+) exits:(.*)", line).groups()
            reasons = result.setdefault(name, {"total": 0})
            reasons["total"] += int(total)
            words = rest.split()
            for reason, count in zip(words[::2], words[1::2]):
                reasons[reason] = reasons.get(reason, 0) + int(count)
        return result

    def settled(self, vm):
        """The exits of a silent VM: the last byte that it wrote may be on our screen before it is counted."""
        same, counts = 0, self.exits()[vm]
        while same < 5:
            time.sleep(0.02)
            before, counts = counts, self.exits()[vm]
            same = same + 1 if counts == before else 0
        return counts

    def memory(self, vm):
        """Where `memory` says that @vm's memory is: a list of (physical address, bytes, state)."""
        found = []
        for line in self.command("memory"):
            match = re.fullmatch(rf"(0x\w+) +(\d+) KiB  VM {vm}, (.*)", line)
            if match:
                found.append((int(match.group(1), 16), int(match.group(2)) * 1024, match.group(3)))
        return found

    def attach(self, vm):
        since = self.here()
        self.send(f"console {vm}\r")
        self.wait(rf"console of {vm}; .*\n", since)
        return since

    def detach(self):
        since = self.here()
        self.send(ESCAPE)
        self.wait(r"left the console\n(.*\n)*?" + PROMPT, since)

    # -- from outside

    @property
    def monitor(self):
        if self._monitor is None:
            self._monitor = Monitor(f"{self.sockets}/monitor")
        return self._monitor

    def physical(self, address, size):
        """The machine's memory, past every processor."""
        path = self.scenario.path("memory")
        self.monitor.run("pmemsave", val=address, size=size, filename=path)
        with open(path, "rb") as f:
            data = f.read()
        os.unlink(path)
        if len(data) != size:
            self.fail(f"the emulator gave {len(data)} bytes of {size}")
        return data

    def vm_bytes(self, vm):
        return b"".join(self.physical(base, size) for base, size, _ in self.memory(vm))
