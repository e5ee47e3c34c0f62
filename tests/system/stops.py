# SPDX-License-Identifier: Apache-2.0
"""How guests end and are ended: the tables behind test_stop.py, test_lifecycle.py and docs/behaviour.md."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Holder:
    line: str  # what the hostile guest is told
    cause: str  # for people
    sleeps: bool = False
    once: bool = False  # in one run of QEMU


BOTH = [
    Holder("spin", "a loop with interrupts masked"),
    Holder("sleep", "asleep with interrupts masked", True),
    Holder("sleep-at-reset", "asleep with the interrupt controller as at reset", True),
]
HOLDERS = {
    "arm64": BOTH + [
        Holder("sleep-priority", "asleep with its priority mask at the highest", True),
        Holder("sleep-group", "asleep with its interrupt group off", True),
        Holder("sleep-both", "asleep with both", True),
        Holder("sleep-disabled", "asleep with its interrupt group and all its SGIs off", True),
        Holder("sleep-pending", "asleep with its interrupt group off and an interrupt pending", True),
        Holder("sleep-active", "asleep with an interrupt of the highest priority never ended", True),
        Holder("exception-loop", "exceptions without end"),
        Holder("suspend", "asleep in a PSCI call"),
        Holder("all-off", "all its vCPUs off"),
        Holder("sgi-storm", "IPIs to itself without end"),
        Holder("call-storm", "exits without end"),
    ],
    "x86_64": BOTH + [
        Holder("sleep-apic-off", "asleep with its APIC switched off", True),
        Holder("sleep-nmi", "asleep in an NMI handler that does not return", True),
        Holder("sleep-mwait", "asleep in MWAIT"),
        Holder("busy", "a loop with interrupts on"),
        Holder("idle", "asleep with interrupts on", True),
        Holder("spin-protected", "a loop in 32-bit mode"),
        Holder("exception-loop", "exceptions without end"),
        # QEMU 10.0 dies of the second one on a core, once in some hundred times (docs/rigs.md).
        Holder("debug-storm", "#DB whose delivery takes #DB", once=True),
        Holder("alignment-storm", "#AC whose delivery takes #AC"),
        Holder("all-off", "all its vCPUs off", True),
        Holder("init-self", "INIT to itself"),
        Holder("ipi-storm", "IPIs to itself without end"),
        Holder("nmi-storm", "NMIs to itself without end"),
        Holder("call-storm", "exits without end"),
    ],
}

# Method -> those that it does not stop: their core is quarantined.
GROUP_OFF = {"sleep-at-reset", "sleep-group", "sleep-both", "sleep-disabled", "sleep-pending"}
STAYS = {"auto": {"sleep-active"}, "sgi": {"sleep-active"} | GROUP_OFF, "nmi": set()}
METHODS = {"auto": "by SGI and by Group 0 SGI taken as FIQ", "sgi": "by SGI", "nmi": "by NMI"}

# How a guest ends itself, and how the log names it.
OFF, AGAIN = "the guest switched itself off", "the guest asked for a reset"


@dataclasses.dataclass(frozen=True)
class End:
    line: str  # what the friendly guest is told
    cause: str  # for people
    what: str


ENDS = {
    "arm64": [End("off", "switches itself off (PSCI, ACPI)", OFF), End("reset", "resets itself (PSCI, reset register 0xcf9)", AGAIN)],
    "x86_64": [End("off", "switches itself off (PSCI, ACPI)", OFF), End("reset", "resets itself (PSCI, reset register 0xcf9)", AGAIN),
               End("reset-keyboard", "resets itself by the keyboard controller", AGAIN),
               End("reset-triple", "triple fault", AGAIN)],
}
