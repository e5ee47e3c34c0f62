# SPDX-License-Identifier: Apache-2.0
"""
The driver of an igb's physical function, played from outside the machine: Bulkhead keeps that function and has no driver for
it, and an igb's virtual functions pass nothing until one allows it. Registers: Intel 82576EB datasheet 2.65, 8; its talk with a
virtual function's driver is the one of Linux' igb.
"""
import socket
import threading
import time

# 8.2.3, 8.10, 8.12, 8.14
CTRL_EXT, MDIC, RCTL, TCTL, GPIE, VT_CTL, MRQC = 0x18, 0x20, 0x100, 0x400, 0x1514, 0x581c, 0x5818
REQUESTS, RESETS, RECEIVE, TRANSMIT = 0xc80, 0xc88, 0xc8c, 0xc90  # a bit for each virtual function
RESET_DONE = 1 << 14
NEGOTIATE = 1 << 26 | 1 << 21 | 0x1200  # a write to the PHY's control register
ENABLE = 1 << 1
NO_DEFAULT_POOL = 1 << 29
QUEUES_BY_FUNCTION = 3
MSIX, AUTOMASK, PENDING_BITS = 1 << 4, 1 << 30, 1 << 31
ACCEPT_UNTAGGED, ACCEPT_BROADCAST = 1 << 24, 1 << 27
TOLD, TAKEN, MINE = 1, 2, 8  # of a mailbox
VALID = 1 << 31
RESET, SET_ADDRESS = 1, 2  # messages
ACCEPTED, CLEAR_TO_SEND = 1 << 31, 1 << 29
COMMAND, BAR = 4, 0x10
MEMORY, MASTER = 2, 4


def mailbox(vf):
    return 0xc00 + 4 * vf


def message(vf, word=0):
    return 0x800 + 0x40 * vf + 4 * word


def offload(vf):
    return 0x5ad0 + 4 * vf


def address(vf):
    """Its entry among the receive addresses; the first is the physical function's."""
    return 0x5400 + 8 * (1 + vf)


def sent(vf):
    return 0x10014 + 0x100 * vf


class Registers:
    """A running machine's registers, read and written past every processor by QEMU's protocol for its own tests."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="ascii")
        self.lock = threading.Lock()

    def _ask(self, line):
        with self.lock:
            self.socket.sendall(line.encode() + b"\n")
            word, *rest = self.lines.readline().split() or ["gone"]
        if word != "OK":
            raise ConnectionError(f"the emulator answers {line}: {word} {rest}")
        return int(rest[0], 16) if rest else None

    def read(self, at):
        return self._ask(f"readl {at:#x}")

    def write(self, at, value):
        self._ask(f"writel {at:#x} {value:#x}")


class PhysicalFunction:
    """Of an igb that is the first of @machine's devices. It answers its virtual functions' drivers until the machine ends."""

    def __init__(self, machine):
        self.registers = Registers(machine.registers)
        config = {"arm64": 0x4010000000, "x86_64": 0xb0000000}[machine.backend.arch] + (1 << 20)
        # QEMU receives nothing for virtual functions either where this one is no master. The IOMMU goes on to refuse it all DMA.
        self.registers.write(config + COMMAND, self.registers.read(config + COMMAND) & 0xffff | MEMORY | MASTER)
        self.base = self.registers.read(config + BAR)
        for register, value in ((MDIC, NEGOTIATE), (GPIE, 1 | MSIX | AUTOMASK | PENDING_BITS), (MRQC, QUEUES_BY_FUNCTION),
                                (VT_CTL, NO_DEFAULT_POOL), (RCTL, ENABLE), (TCTL, self.read(TCTL) | ENABLE), (CTRL_EXT, self.read(CTRL_EXT) | RESET_DONE)):
            self.write(register, value)
        threading.Thread(target=self._serve, daemon=True).start()

    def read(self, register):
        return self.registers.read(self.base + register)

    def write(self, register, value):
        self.registers.write(self.base + register, value)

    def frames_sent(self, vf):
        return self.read(sent(vf))

    def _serve(self):
        try:
            while True:
                self.write(RESETS, self.read(RESETS))
                requests = self.read(REQUESTS) & 0xff
                self.write(REQUESTS, requests)
                for vf in range(8):
                    if requests >> vf & 1:
                        self._answer(vf)
                time.sleep(0.005)
        except OSError:
            pass  # the machine has ended

    def _answer(self, vf):
        said = [self.read(message(vf, word)) for word in range(3)]
        self.write(mailbox(vf), TAKEN)
        answer = [said[0] | ACCEPTED | CLEAR_TO_SEND]
        if said[0] == RESET:
            answer = [RESET | ACCEPTED, 0x42480002, 0x0100 | vf]  # 02:00:48:42:vf:01
            self._enable(vf, *answer[1:])
        elif said[0] == SET_ADDRESS:
            self._enable(vf, *said[1:])
        self.write(mailbox(vf), MINE)
        for word, value in enumerate(answer):
            self.write(message(vf, word), value)
        self.write(mailbox(vf), TOLD)

    def _enable(self, vf, low, high):
        self.write(address(vf), low)
        self.write(address(vf) + 4, high & 0xffff | 1 << 18 + vf | VALID)
        self.write(offload(vf), ACCEPT_UNTAGGED | ACCEPT_BROADCAST)
        self.write(RECEIVE, self.read(RECEIVE) | 1 << vf)
        self.write(TRANSMIT, self.read(TRANSMIT) | 1 << vf)
