# SPDX-License-Identifier: Apache-2.0
"""Emulated servers that run the real bulkhead.efi, one for each backend, and the manifests they are given."""
import dataclasses
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pexpect

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))

import machines  # noqa: E402

BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
COMPILER = os.environ.get("COMPILER", "gcc")
DEPS = os.path.join(ROOT, "build/deps")

PROMPT = "bulkhead> "
ERASE = "\r\x1b[K"  # takes the prompt off the screen, before lines of the log
ESCAPE = "\x1d"
SECONDS = int(os.environ.get("BULKHEAD_SECONDS", "60"))  # longer than anything takes, even on a machine with other work to do
WARNING = re.compile(r"qemu-system-\S+: warning: .*\n")  # of the emulator itself, in the middle of any line
LOG_LINE = re.compile(r"\[ *\d+\.\d{6}\] core\d+: .*\n")


class Failure(AssertionError):
    """Says what was waited for, and what came instead."""


# ---- backends ---------------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Backend:
    """One of the processors' extensions by which guests run, on the emulator that has it."""
    name: str
    arch: str  # as make has it
    emulator: str
    nm: str
    console: str  # what Linux calls the console
    ram: int  # where a guest's memory begins
    files: dict  # what a manifest may name -> where it is
    start: object = None  # (options, disk or None, blob or None, loader, folder) -> a command line
    monitor: bool = True  # the machine can be looked at from outside
    patience: int = 1  # how many times longer than the others it may take

    @property
    def build(self):
        return os.path.join(BUILD, f"{self.arch}-{COMPILER}")

    @property
    def loader(self):
        return os.path.join(self.build, "bulkhead.efi")


def files_of(arch, deps, suffix, **kernels):
    built = os.path.join(BUILD, f"{arch}-{COMPILER}")
    guests = ("friendly", "hostile", "device", *(["pvh"] if arch == "x86_64" else []))
    return {"initrd.gz": os.path.join(built, "demo/initrd.gz"),
            **{name: os.path.join(built, "guests", name + suffix) for name in guests},
            **{name: os.path.join(DEPS, deps, kernel) for name, kernel in kernels.items()}}


def megabytes(options):
    return {**options, "memory": f"{options['memory']}M"}


def start_el2(options, disk, blob, loader, _):
    source = machines.from_disk(disk) if disk else machines.from_files(loader, blob)
    return [*machines.arm64(**megabytes(options)), *source]


def start_svm(options, disk, *_):
    # A log of "in_asm", when a test asks for it, shows no more than each entry and exit.
    return [*machines.x86_64(**megabytes(options)), *machines.from_disk(disk), "-dfilter", "0xfffffffffffff000+1"]


def start_vmx(options, disk, _, __, folder):
    return machines.bochs(folder, disk, **options)


ARM64 = {"arch": "arm64", "nm": "aarch64-linux-gnu-nm", "console": "ttyAMA0", "ram": 0x40000000,
         "files": files_of("arm64", "guest", ".img", linux="Image")}
X86 = {"arch": "x86_64", "nm": "x86_64-linux-gnu-nm", "console": "ttyS0", "ram": 0,
       "files": files_of("x86_64", "guest-x86", ".elf", linux="vmlinux", bzImage="bzImage")}
EL2 = Backend("el2", emulator=machines.QEMU["arm64"], start=start_el2, **ARM64)
SVM = Backend("svm", emulator=machines.QEMU["x86_64"], start=start_svm, **X86)
VMX = Backend("vmx", emulator=machines.BOCHS, start=start_vmx, monitor=False, patience=5, **X86)


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
    return guest("friendly", cores, args, **options)


def hostile(cores, args, **options):
    return guest("hostile", cores, args, **options)


CONSOLE = "console=CONSOLE"  # a scenario puts the name that it has on its backend there


def linux(name, cores, memory="192M", args="", kernel="linux", **options):
    return {"cores": cores, "memory": memory, "kernel": kernel, "initrd": "initrd.gz",
            "bootargs": f"{CONSOLE} bulkhead.name={name} {args}".strip(),
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


class Scenario:
    """A folder with a manifest and what it names, packed in the ways that the loader can be given them."""

    def __init__(self, backend, name, source, files=None):
        self.backend = backend
        self.name = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
        self.folder = os.path.join(BUILD, "system", self.name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        if isinstance(source, str):
            source = source.replace(CONSOLE, f"console={backend.console}")
        self.source = source
        self.files = {name: path for name, path in backend.files.items()
                      if isinstance(source, str) and f'"{name}"' in source}
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
        if self.source is None:  # mkesp wants one
            with open(self.manifest, "wb"):
                pass
        subprocess.run([os.path.join(ROOT, "tools/mkesp"), self.path("esp"), self.backend.loader, self.manifest,
                        *self.images()], check=True)
        if self.source is None:
            subprocess.run(["mdel", "-i", self.path("esp.img"), "::/bulkhead/manifest.dtb"], check=True)
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

    def registers(self, core):
        """A core's registers by name: numbers as the monitor shows them."""
        text = self.run("human-monitor-command", **{"command-line": "info registers", "cpu-index": core})
        return {name: int(v, 16) for name, v in re.findall(r"\b([A-Z][A-Z0-9]*) *=([0-9a-f]+)\b", text)}

    def close(self):
        self.lines.close()
        self.socket.close()


class Machine:
    """
    A running emulator. What came from its serial port is in @text as a terminal would show it: without carriage
    returns, and without a prompt that made way for the log.
    """

    def __init__(self, scenario, blob=None, disk=False, cores=4, memory=512, registers=False, **options):
        """@registers: those of the machine can be reached at a socket of that name; see igb.py."""
        self.text = ""
        self._raw = ""
        self._monitor = None
        self.scenario = scenario
        self.backend = backend = scenario.backend
        self.patience = SECONDS * backend.patience
        self.sockets = tempfile.mkdtemp(prefix="bulkhead-")
        disk = scenario.disk() if disk or backend.arch == "x86_64" else None
        if not disk and blob is None and scenario.source is not None:
            blob = scenario.blob()
        argv = backend.start({"cores": cores, "memory": memory, **options}, disk, blob, backend.loader, scenario.folder)
        if backend.monitor:
            argv += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console", "-monitor", "none",
                     "-qmp", f"unix:{self.sockets}/monitor,server=on,wait=off"]
        if registers:
            self.registers = f"{self.sockets}/registers"
            argv += ["-qtest", f"unix:{self.registers},server=on,wait=off", "-qtest-log", os.devnull]
        with open(scenario.path("command"), "w", encoding="utf-8") as f:
            f.write(f"{' '.join(argv)}\n")
        EmulatorLock.take()
        self.log = open(scenario.path("log"), "w", encoding="utf-8")
        self.child = pexpect.spawn(argv[0], argv[1:], encoding="utf-8", codec_errors="replace", echo=False,
                                   timeout=SECONDS)
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
        # Not by pexpect's close(), which gives a large emulator a tenth of a second to die.
        self.child.kill(signal.SIGKILL)
        while self.child.isalive():
            time.sleep(0.005)
        self.child.ptyproc.delayafterclose = 0
        self.child.close()
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
        self.text += WARNING.sub("", kept.replace("\r", ""))
        for part in rest:
            self.text = self.text[:self.text.rfind("\n") + 1] + part.replace("\r", "")

    def here(self):
        """A place in @text for `since`: the prompt's line may yet change."""
        start = self.text.rfind("\n") + 1
        line = self.text[start:start + len(PROMPT)]
        return start if PROMPT.startswith(line) else len(self.text)

    def wait(self, pattern, since=0, timeout=None):
        """The first match of @pattern in what came after @since."""
        expression = re.compile(pattern, re.MULTILINE)
        timeout = timeout or self.patience
        deadline = time.monotonic() + timeout
        while True:
            match = expression.search(self.text, since)
            if match:
                return match
            if time.monotonic() > deadline:
                self.fail(f"no /{pattern}/ within {timeout} s")
            if not self._read(deadline):
                self.fail(f"the emulator ended{self._how()}; /{pattern}/ did not come")

    def _how(self):
        """Of an emulator that has ended, whether it died."""
        self.child.wait()
        return f" by signal {self.child.signalstatus}" if self.child.signalstatus else ""

    def until(self, condition, why):
        """Looks until @condition() is true."""
        deadline = time.monotonic() + self.patience
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f"{why} within {self.patience} s")

    def wait_end(self):
        """The emulator ends by itself."""
        deadline = time.monotonic() + self.patience
        while self._read(deadline):
            if time.monotonic() > deadline:
                self.fail(f"the machine did not switch off within {self.patience} s")

    # -- the operator's prompt

    def send(self, text):
        self.child.send(text)

    def booted(self):
        self.wait(r"operator prompt; .*\n(.*\n)*?" + PROMPT)
        return self

    def command(self, line):
        """
        Types @line at the prompt; the lines of the answer, without those of the log, and of what QEMU says of a device that
        finds its queues gone in the middle of its work.
        """
        since = self.here()
        self.send(line + "\r")
        answer = self.wait(rf"(?s)^{PROMPT}{re.escape(line)}\n(.*?)^{PROMPT}", since).group(1)
        return [line for line in LOG_LINE.sub("", answer).splitlines() if not line.startswith("qemu-system-")]

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
        """
        The exits of a silent VM: the last byte that it wrote may be on our screen before it is counted. CPUID, which VMX
        makes exit, and interrupts by list registers do not disturb the silence.
        """
        def noise():
            counts = self.exits()[vm]
            return counts, counts["total"] - counts.get("cpuid", 0) - counts.get("interrupt", 0)

        same, (counts, last) = 0, noise()
        while same < 5:
            time.sleep(0.02)
            counts, now = noise()
            same, last = (same + 1 if now == last else 0), now
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
