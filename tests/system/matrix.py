#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
tests/system/matrix.py

Writes what becomes of a guest's deeds on each backend, as the tests' tables say and the tests' runs assert, in
docs/behaviour.md.
"""
import os

from attacks import TABLES
from machine import EL2, ROOT, SVM, VMX
from stops import AGAIN, ENDS, HOLDERS, STAYS
from test_linux import LOADS

FILE = os.path.join(ROOT, "docs/behaviour.md")
BACKENDS = (EL2, SVM, VMX)
NAMES = ("AArch64, EL2", "x86-64, SVM", "x86-64, VMX")
NOT_THERE = ""

HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by `make matrix` from the tables in tests/system; a test fails when this file says something else. -->
# What becomes of what a guest does

Each line is a test that boots the real image on that backend (EL2 and SVM in QEMU, VMX in Bochs), beside another guest that
must not notice. An empty cell: the architecture has no such thing. *n*: how many variants of it are tried.
"""


def table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def outcome(cases, backend):
    """In words; where variants end differently, each way."""
    words = list(dict.fromkeys(case.on(backend).words for case in cases))
    return "; ".join(words)


def attacks():
    causes = dict.fromkeys(case.cause for arch in ("x86_64", "arm64") for case in TABLES[arch] if case.cause != "nothing")
    rows = []
    for cause in sorted(causes, key=lambda c: (not any(case.outcome.fatal for cases in TABLES.values() for case in cases
                                                        if case.cause == c), c.lower())):
        cases = {arch: [case for case in TABLES[arch] if case.cause == cause] for arch in TABLES}
        rows.append([cause, *(f"{outcome(cases[b.arch], b)} ({len(cases[b.arch])})" if cases[b.arch] else NOT_THERE
                              for b in BACKENDS)])
    return table(["what the guest does", *(f"{name} (*n*)" for name in NAMES)], rows)


def stops():
    columns = {"AArch64, auto": ("arm64", "auto"), "AArch64, sgi": ("arm64", "sgi"), "SVM": ("x86_64", "nmi"),
               "VMX": ("x86_64", "nmi")}
    causes = dict.fromkeys(holder.cause for holders in HOLDERS.values() for holder in holders)

    def cell(arch, method, cause):
        lines = {holder.line for holder in HOLDERS[arch] if holder.cause == cause}
        if not lines:
            return NOT_THERE
        return "stays: core and memory quarantined" if lines <= STAYS[method] else "stopped"

    return table(["what the guest is doing", *columns],
                 [[cause, *(cell(*column, cause) for column in columns.values())] for cause in causes])


def ends():
    causes = {end.cause: end.line for ends_of in ENDS.values() for end in ends_of}

    def cell(arch, line):
        what = [end.what for end in ENDS[arch] if end.line == line]
        return NOT_THERE if not what else "restarted, up to its limit" if what[0] == AGAIN else "stopped"

    return table(["what the guest does", *NAMES], [[cause, *(cell(b.arch, line) for b in BACKENDS)]
                                                   for cause, line in causes.items()])


def exits():
    none = ["none"] * 2
    rows = [[f"Linux: {load}", *none, "none but CPUID"] for load in LOADS]
    rows += [["interrupts, IPIs and NMIs received; timer; page faults", *none, "none but CPUID"],
             ["an IPI sent", "one", "one", "one"],
             ["a byte to or from the console", "console only", "console only", "console only"]]
    return table(["what the guest does once it is up", *NAMES], rows)


def text():
    return "\n".join([HEAD, "## Against the rules, or on their edge\n", attacks(),
                      "## Stopped by the operator\n", stops(), "## Ended by itself\n", ends(),
                      "## Exits\n", exits()]).rstrip("\n") + "\n"


def main():
    with open(FILE, "w", encoding="utf-8") as f:
        f.write(text())


if __name__ == "__main__":
    main()
