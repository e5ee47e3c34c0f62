# SPDX-License-Identifier: Apache-2.0
"""
What the hostile guest does, and what becomes of it: the tables behind test_attacks.py and docs/behaviour.md. A rule is
written once for all backends of an architecture; where their hardware answers differently the case says so.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Outcome:
    """@pattern is what comes of it in the log: the reason of an abort, or what the guest says when it lives on."""
    words: str
    pattern: str
    fatal: bool = False


@dataclasses.dataclass(frozen=True)
class Case:
    cause: str  # for people
    line: str  # what the guest is told
    outcome: Outcome
    address: int = None  # of an abort; None: it may be any
    symbol: str = ""  # the instruction that an abort must name
    differs: dict = dataclasses.field(default_factory=dict)  # backend -> another outcome

    def on(self, backend):
        return self.differs.get(backend.name, self.outcome)


def ends(reason):
    return Outcome(f"ends the guest: {reason}", reason, fatal=True)


def says(words, pattern):
    return Outcome(words, pattern)


def exception(name, vector):
    return Outcome(f"{name} in the guest", rf"exception: vector {vector} error 0x\w+, pc 0x\w+, address 0x\w+")


LOAD = ends("load from unowned memory")
STORE = ends("store to unowned memory")
FETCH = ends("fetch from unowned memory")
WALK = ends("page-table walk of unowned memory")
NOTHING = says("no effect", r"survived: 0x\w+")


def hexadecimal(**arguments):
    return "".join(f" {name.rstrip('_')}={v:#x}" for name, v in arguments.items())


class Table:
    """Cases of one architecture."""

    def __init__(self, symbols, wanders):
        self.cases = []
        self.symbols = symbols  # word -> symbol, where the word does not name it
        self.wanders = wanders  # words of those whose program counter is no instruction of theirs

    def add(self, cause, outcome, *lines, differs=None):
        """Each line is text, or a pair of text and the address of the abort."""
        for line in lines:
            line, address = line if isinstance(line, tuple) else (line, None)
            word = line.split()[0]
            symbol = self.symbols.get(word, word).replace("-", "_")
            self.cases.append(Case(cause, line, outcome, address, "" if word in self.wanders else f"op_{symbol}",
                                   differs or {}))

    def memory(self, cause, outcome, word, *addresses, differs=None):
        self.add(cause, outcome, *((f"{word} at={at:#x}", at) for at in addresses), differs=differs)


# ---- AArch64 ----------------------------------------------------------------------------------------------------

ARM = Table({"walk": "load", "route": "store", "load-misaligned": "load-half"}, {"group0", "vectors"})
ARM_END = 0x40400000
DIST, REDIST, UART = 0x08000000, 0x10000000, 0x09000000


def sgi(intid, core, scale=0):
    return scale << 44 | intid << 24 | 1 << core


def writes(word, *values):
    return [f"{word} with={v:#x}" for v in values]


ARM.memory("load from memory that is not its own", LOAD, "load",
           0, ARM_END, 0x3ffffff8, 0xfffffff8, 0x1000000000, (1 << 40) - 8, 1 << 40)
ARM.memory("load from a device of the machine", LOAD, "load",
           0x09010000, 0x09040000, 0x09050000, 0x08080000, 0x080a0000, 0x0a000000,  # clock, UART, SMMU, ITS, GICR, virtio
           0x4010000000)  # PCI configuration space
ARM.memory("load beside a device of its own", LOAD, "load", UART + 0x1000, DIST + 0x10000, REDIST + 0x40000, REDIST - 8)
ARM.memory("load from memory that is not its own", LOAD, "load-byte", ARM_END)
ARM.memory("store to memory that is not its own", STORE, "store", 0, 0x04000000, ARM_END, 0x7ffffff8)
ARM.memory("store to a device of the machine", STORE, "store", 0x4010000000)
ARM.memory("store to a device of the machine", STORE, "store-byte", 0x09040000)
ARM.memory("fetch from memory that is not its own", FETCH, "fetch", 0, ARM_END, (1 << 40) - 4)
ARM.memory("fetch from a device of its own", FETCH, "fetch", UART, REDIST + 0x10000)
ARM.memory("page-table walk of memory that is not its own", WALK, "walk", 0, ARM_END, UART, 0xff00000000)
ARM.add("exception vectors in memory that is not its own", FETCH, ("vectors at=0x0", 0x200))
ODD = "access to a device by an instruction that no device takes"
ARM.memory(ODD, ends(LOAD.pattern + ", of a kind no device takes"), "load-pair", UART)
ARM.memory(ODD, ends(STORE.pattern + ", of a kind no device takes"), "store-pair", DIST, ARM_END)
ARM.memory(ODD, ends(LOAD.pattern + ", of a kind no device takes"), "load-writeback", UART)
ARM.memory(ODD, ends(LOAD.pattern + ", of a kind no device takes"), "load-exclusive", UART)
ARM.memory(ODD, ends(LOAD.pattern + ", of a kind no device takes"), "load-simd", DIST)
ARM.memory(ODD, ends(STORE.pattern + ", of a kind no device takes"), "zero-line", UART)
ARM.memory("misaligned access to a device", ends("misaligned access to a device"), "load-misaligned", UART + 1)
ARM.add("its interrupt routed to a foreign core", ends("interrupt routed to a foreign core"),
        *writes("route", 1, 1 << 31))
IPI = "IPI to a core that is not its own"
ARM.add(IPI, ends("SGI to a foreign core"),
        *((line, 0) for line in writes("sgi1r", sgi(1, 1), sgi(7, 0), sgi(1, 1) | sgi(1, 2), 0xffff, sgi(1, 1, scale=1),
                                       1 << 16 | sgi(1, 2), 1 << 48 | sgi(1, 2))))
DENIED = ends("access to a denied system register")
ARM.add("secure and Group 0 SGIs", DENIED, *((line, 0) for line in writes("sgi0r", sgi(7, 1)) + writes("asgi1r", sgi(7, 1))))
ARM.add("deactivation of an interrupt that is not its own", ends("deactivation of a foreign interrupt"),
        *((line, 0) for line in writes("dir", 33, 1019, 8192)))
ARM.add("implementation-defined and auxiliary registers", DENIED,
        ("imp-def", 0), ("imp-def-sys", 0), ("actlr-read", 0), ("actlr-write", 0))
ARM.add("its interrupt put into Group 0", ends("interrupt put into Group 0"), ("group0", 0))

OWN_IPI = "IPI to cores of its own, by name or to all"
ARM.add("its interrupt routed to a core of its own", says("done", r"survived: 0x\w+"), "route with=0x2")
ARM.add(OWN_IPI, says("done", "survived: 0x0"), *writes("sgi1r", sgi(1, 2) | sgi(1, 3)))
ARM.add(OWN_IPI, says("done", "survived: 1000"), "sgi-others")
ARM.add("deactivation of an interrupt of its own", says("done", "survived: 0x0"), "dir with=0x1b")
ARM.add("all registers of the interrupt controller written", says("only its own bits change", "survived: [0-9] bits seen"),
        "sweep-dist")
ARM.add("all registers of the interrupt controller written",
        says("only its own bits change", "survived: CTLR 0x0 PROPBASER 0x0 PENDBASER 0x0, 0 words not zero"), "sweep-redist")
ARM.add("all registers of the console written", says("no effect beyond it", "survived: IMSC 0x7ff"), "sweep-uart")
ARM.add("firmware and hypervisor calls that are not a guest's", says("not supported", r"survived: 0 of \d+ answered"),
        "smc", "hvc")
# -4: already on; -2: invalid parameters
ARM.add("start of a vCPU that is not its own, or outside its memory",
        says("refused", "survived: own 0x4 foreign 0x2 beyond 0x2 device 0x2"), "cpu-on at=0x1")
ARM.add("instructions and registers of a hypervisor", says("undefined in the guest", r"exception: class 0x0, pc 0x\w+, address 0x\w+"),
        "hcr", "vttbr", "ich", "scr")
ARM.add("trace registers", says("undefined in the guest", r"exception: class 0x0, pc 0x\w+, address 0x\w+"), "trace")
ARM.add("nothing", says("nothing", "survived: 0x0"), "nothing")


# ---- x86-64 -----------------------------------------------------------------------------------------------------

X86 = Table({"walk": "load", "cr4-set": "cr4", "cr4-vmxe": "cr4", "cr4-smxe": "cr4"},
            {"root", "vectors", "descriptors", "cr0-set"})
X86_END = 0x400000
ECAM, CONSOLE = 0xe0000000, 0xe0008000
GP, UD, DB, PF = exception("#GP", 13), exception("#UD", 6), exception("#DB", 1), exception("#PF", 14)

X86.memory("load from memory that is not its own", LOAD, "load",
           X86_END, 0x7ffffff8, 0xbffffff8, 0xc0000000, 0x100000000, 1 << 39, (1 << 40) - 8)
X86.memory("load from a device of the machine", LOAD, "load",
           0xfec00000, 0xfed00000, 0xfee00020, 0xfffffff8,  # IOAPIC, HPET, local APIC, flash
           0xb0000000)  # PCI configuration space
X86.memory("load beside a device of its own", LOAD, "load", ECAM - 8, ECAM + 0x100000)
for size in ("byte", "half", "word", "simd"):
    X86.memory("load from memory that is not its own", LOAD, f"load-{size}", X86_END)
    X86.memory("store to memory that is not its own", STORE, f"store-{size}", X86_END)
X86.memory("store to memory that is not its own", STORE, "store", X86_END, 0xbffffff8, 0x100000000, (1 << 40) - 8)
X86.memory("store to memory that is not its own", STORE, "exchange", X86_END)
X86.memory("store to memory that is not its own", STORE, "add-locked", X86_END)
X86.add("store to memory that is not its own", STORE, ("store-string at=0x3ffff8 with=0x10", X86_END))
X86.memory("store to a device of the machine", STORE, "store", 0xfee00300, 0xfec00000, 0xfed00010, 0xfffffff8)
X86.memory("store to a device of the machine", STORE, "store-byte", 0xfee000b0)
X86.memory("fetch from memory that is not its own", FETCH, "fetch", X86_END, 0xc0000000, 0xfffffff0, (1 << 39) - 16)
X86.memory("fetch from a device of its own", FETCH, "fetch", ECAM, CONSOLE)
X86.add("page-table walk of memory that is not its own", WALK,
        *((f"walk at={at:#x}", at) for at in (X86_END, 0xbffff000, 0xfee00000, 0xff00000000)))
X86.add("page-table walk of memory that is not its own", WALK, (f"root at={X86_END:#x}", X86_END))
X86.add("exception vectors in memory that is not its own", LOAD, (f"vectors at={X86_END:#x}", X86_END + 0x60))
X86.add("descriptor table in memory that is not its own", LOAD, (f"descriptors at={X86_END:#x}", X86_END + 0x10))


def icr(destination, low):
    return f"icr with={destination << 32 | low:#x}"


FIXED, LOWEST, SMI, RESERVED, NMI, INIT, SIPI, EXTERNAL = (0x4000 | mode << 8 for mode in range(8))
LOGICAL = 1 << 11
SELF, TO_ALL, OTHERS = (n << 18 for n in (1, 2, 3))
FOREIGN = ends("IPI to a foreign core")
X86.add(IPI, FOREIGN, *((icr(*c), 0) for c in [
    (1, FIXED | 0x41), (0, FIXED | 0x41), (7, FIXED | 0x41), (99, FIXED | 0x41), (0xfffffffe, FIXED | 0x41),
    (1, LOWEST | 0x41), (1, NMI), (0, NMI), (1, INIT), (1, SIPI | 8), (0, INIT), (0, SIPI | 8)]))
X86.add(IPI, FOREIGN, *((icr(*c), 0) for c in [
    (1 << 1, LOGICAL | FIXED | 0x41), (0xe, LOGICAL | FIXED | 0x41), (0xffff, LOGICAL | FIXED | 0x41),
    (1 << 16 | 1, LOGICAL | FIXED | 0x41), (1 << 1, LOGICAL | NMI), (1 << 1, LOGICAL | INIT)]))
X86.add("IPI of a kind that no guest may send: SMI, external, reserved", ends("IPI of a kind that no guest may send"),
        *((icr(2, kind | 0x41), 0) for kind in (SMI, RESERVED, EXTERNAL)), (icr(1, SMI), 0), (icr(0, TO_ALL | SMI), 0))
STRING = ends("string instruction on an I/O port")
X86.add("string instruction on an I/O port", STRING,
        ("in-string at=0x3f8 with=0x1", 0), ("out-string at=0x3f8 with=0x1", 0), ("rep-in at=0x3f8 with=0x1000", 0),
        ("rep-out at=0x3f0 with=0x1000", 0), ("rep-in at=0xcf9 with=0x10", 0), ("rep-out at=0xffff with=0x10", 0))
# QEMU has no intercept for it: there it goes on, within the guest.
X86.add("task switch", ends("task switch"), ("task-switch", 0),
        differs={"svm": says("goes on (QEMU does not intercept it)", "survived: the task was switched")})

X86.add("load or store beyond what the processor can address", PF, f"load at={1 << 51:#x}", f"store at={1 << 51:#x}")
X86.add("IPI to cores of its own, by name or to all", says("done", r"survived: 0x\w+"),
        icr(2, FIXED | 0x41), icr(3, FIXED | 0x41), icr(0xffffffff, FIXED | 0x41), icr(0xc, LOGICAL | FIXED | 0x41),
        icr(0, SELF | FIXED | 0x41), icr(0, TO_ALL | FIXED | 0x41), icr(3, NMI), icr(3, INIT), icr(0, OTHERS | INIT))
X86.add("IPI to cores of its own, by name or to all", says("done", "survived: 1000"), "ipi-others")
X86.add("NMI to itself", says("done", "survived: 100 NMIs"), "nmi-self")
X86.add("IPI with a vector below 16", NOTHING, icr(2, FIXED | 3))
X86.add("SIPI to a core that is on", NOTHING, icr(2, SIPI | 8))
X86.add("APIC switched off, to xAPIC mode, or moved (APIC_BASE)", GP, "apic-off", "apic-xapic", "apic-move")
X86.add("APIC_BASE as it is", NOTHING, "apic-same")
X86.add("local vector table with SMI or INIT", GP, "wrmsr at=0x835 with=0x200", "wrmsr at=0x836 with=0x500")
X86.add("EFER: SVME set, LME cleared, reserved bits", GP, "efer-svme", "efer-lme", "wrmsr at=0xc0000080 with=0x10d01")
X86.add("MSRs that act beyond the core", GP, *(f"wrmsr at={msr:#x} with=0x1" for msr in (
    0x3a, 0x79, 0x9b, 0x200, 0x250, 0x2ff00, 0x480, 0x560, 0x570, 0xc0010020, 0xc0010112)))
X86.add("MSRs that act beyond the core and that kernels write", says("write dropped", NOTHING.pattern), *(f"wrmsr at={msr:#x} with=0x0" for msr in (
    0x10, 0x8b, 0x179, 0x1a0, 0x1d9, 0x2ff, 0xc0010010, 0xc0010015, 0xc0010114, 0xc0010117,
    0xc001001a)))
X86.add("all MSRs read", says("those of the table answer", r"survived: \d+ of 24579 answered"), "rdmsr-sweep")
X86.add("all MSRs that act beyond the core written", says("none changes", r"survived: \d+ writes to \d+ taken, 0 changed"),
        "wrmsr-sweep")
# QEMU ends a guest's run where the processor gives it #GP, and does not look at all at what long mode forbids.
REFUSED = dataclasses.replace(ends("state that the processor does not run"),
                              words="ends the guest (QEMU; on a processor #GP in the guest)")
UNSEEN = Outcome("not looked at by QEMU", None)
X86.add("CR4: VMXE, SMXE, reserved bits", GP, "cr4-vmxe", "cr4-smxe", "cr4-set with=0x80000000", differs={"svm": REFUSED})
X86.add("CR4: LA57 set", GP, "cr4-set with=0x1000")
X86.add("long mode left by CR4.PAE, CR0.PG or CR0.PE", GP, "cr4-clear with=0x20", "cr0-clear with=0x80000000",
        "cr0-clear with=0x80000001", differs={"svm": UNSEEN})
X86.add("CR4: MCE set and cleared", NOTHING, "cr4-set with=0x40", "cr4-clear with=0x40")
X86.add("CR0: NW without CD", GP, "cr0-set with=0x20000000", differs={"svm": REFUSED})
X86.add("CR0: caches off (CD)", NOTHING, "cr0-set with=0x40000000", "cr0-set with=0x60000000")
X86.add("XCR0: no x87, AVX without SSE, unknown components, another register", GP, "xsetbv with=0x0", "xsetbv with=0x5",
        "xsetbv with=0x8000000000000001", "xsetbv at=0x1 with=0x1")
X86.add("XCR0: x87 and SSE", NOTHING, "xsetbv with=0x3")
X86.add("debug registers", NOTHING, "dr7 with=0x400", "dr7 with=0x2400", "dr-read")
X86.add("debug registers: reserved bits", GP, "dr7 with=0x100000400")
X86.add("ICEBP", DB, "icebp")
X86.add("WBINVD, INVD", NOTHING, "wbinvd", "invd", "wbnoinvd")
X86.add("MONITOR, MWAIT", NOTHING, "monitor at=0x300000", "mwait")
X86.add("CPUID", NOTHING, "cpuid", "cpuid at=0x40000000", "cpuid with=0x80000000")
X86.add("instructions and registers of a hypervisor", UD,
        "vmrun at=0x300000", "vmload at=0x300000", "vmsave at=0x300000", "vmmcall", "stgi", "clgi", "skinit at=0x300000",
        "invlpga at=0x300000",
        "vmxoff", "vmcall", "vmlaunch", "vmresume", "vmread", "vmwrite", "invept at=0x300000", "invvpid at=0x300000",
        "vmfunc")
X86.add("instructions and registers of a hypervisor", UD, "vmxon at=0x300000", "vmptrld at=0x300000",
        "vmptrst at=0x300000", "vmclear at=0x300000", differs={"svm": says("no effect (not known to QEMU)", "survived: 0x0")})
X86.add("SMX, SGX, TDX, SEV, PCONFIG, RSM", UD, "getsec", "encls", "enclu", "enclv", "seamcall", "tdcall", "pconfig", "rsm",
        "invlpgb at=0x300000", "tlbsync", "rmpadjust at=0x300000", "psmash at=0x300000", "rmpupdate at=0x300000",
        "pvalidate at=0x300000")
X86.add("call by a task gate", GP, "task-gate")
PORT = says("reads as ones, writes are dropped", r"survived: 0x\w+")
X86.add("a port of the machine's: PIC, PIT, PCI, SMI, ACPI, debug", PORT,
        "out-byte at=0xb2 with=0x1", "out-byte at=0xb3 with=0x1", "out-half at=0x604 with=0x2000",
        "out-word at=0x604 with=0x2000", "out-byte at=0x20 with=0x20", "out-byte at=0x43 with=0x36",
        "out-word at=0xcf8 with=0x80000000", "out-word at=0xcfc with=0x0", "out-byte at=0x92 with=0x1",
        "out-byte at=0x8900 with=0x53", "out-half at=0x8a00 with=0x8a00", "out-byte at=0x501 with=0x1",
        "out-half at=0x510 with=0x0", "out-byte at=0x60 with=0xfe")
X86.add("a port of the machine's: PIC, PIT, PCI, SMI, ACPI, debug", says(PORT.words, "survived: 0xff+"),
        "in-byte at=0x20", "in-half at=0x604", "in-word at=0xcfc", "in-byte at=0x511", "in-word at=0x1f0")
X86.add("access across the edge of a port of its own", says(PORT.words, "survived: 0xff+"), "in-half at=0x3f8",
        "in-word at=0x3f8", "in-half at=0x3f7", "in-word at=0x3ff", "in-word at=0xffff", "in-half at=0x3fe")
X86.add("access across the edge of a port of its own", PORT, "out-half at=0x3f8 with=0x4141", "out-word at=0x3f6 with=0x0",
        "out-word at=0xffff with=0x0", "out-word at=0x3fd with=0x0")
X86.add("all ports read and written", says("only its own answer", r"survived: \d+ bytes \d+ halves \d+ words answered"),
        "in-sweep")
X86.add("all ports read and written", says("only its own answer", r"survived: \d+ ports"), "out-sweep")
X86.add("all of its PCI configuration space written", says("no effect beyond it", "survived: 1 functions"), "config-sweep")
MESSAGE = "its console's message to a core that is not its own, or of another kind"
X86.add(MESSAGE, says("not sent", "survived: 0 interrupts"),
        "msi at=0xfee01000 with=0x41", "msi at=0xfee00000 with=0x41", "msi at=0xfee02000 with=0x441",
        "msi at=0xfee02000 with=0x241", "msi at=0xfee02000 with=0x3", "msi at=0xfee02004 with=0x41",
        "msi at=0xfeeff000 with=0x41", "msi at=0xfec00000 with=0x41", "msi at=0x300000 with=0x41")
X86.add("its console's message to a core of its own", says("sent", "survived: 10 interrupts"),
        "msi at=0xfee02000 with=0x41", "msi at=0xfee02000 with=0x141")
X86.add("nothing", NOTHING, "nothing")

TABLES = {"arm64": ARM.cases, "x86_64": X86.cases}


def fatal(backend):
    return [case for case in TABLES[backend.arch] if case.on(backend).pattern and case.on(backend).fatal]


def harmless(backend):
    return [case for case in TABLES[backend.arch] if case.on(backend).pattern and not case.on(backend).fatal]
