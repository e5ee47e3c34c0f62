# SPDX-License-Identifier: Apache-2.0
"""Numbers, VMs and tables as text."""
import json
import sys

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def size_text(size):
    for unit, name, places in ((GIB, "GiB", 2), (MIB, "MiB", 1), (KIB, "KiB", 1)):
        if size >= unit and (unit != GIB or size % (GIB // 4) == 0 or size >= 64 * GIB):
            return f"{size / unit:.{0 if size % unit == 0 else places}f} {name}"
    return f"{size} B"


def cores_text(cores):
    return ",".join(map(str, cores))


def count_text(count, word):
    return f"{count} {word}" + ("" if count == 1 else "s")


def time_text(seconds):
    seconds = int(seconds)
    days, seconds = divmod(seconds, 86400)
    return (f"{days} d " if days else "") + f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def printable(text):
    """Text from elsewhere, without what a terminal would obey"""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def table(rows, right=()):
    """Rows of words as lines of columns; those numbered in @right are right-aligned."""
    widths = [max(len(printable(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [printable(c).rjust(w) if i in right else printable(c).ljust(w) for i, (c, w) in enumerate(zip(row, widths))]
        yield "  ".join(cells).rstrip()


def show_json(value):
    print(json.dumps(value, indent=2))


def note(sentence):
    print(f"bhctl: {sentence}", file=sys.stderr)


def cores_of(vm):
    """What it owns; what it wants in parentheses"""
    if vm.get("cores"):
        return cores_text(vm["cores"])
    spec = vm.get("spec") or {}
    if spec.get("cores"):
        return f"({cores_text(spec['cores'])})"
    return f"(any {spec['core_count']})" if spec.get("core_count") else "-"


def memory_of(vm):
    if vm.get("memory"):
        return size_text(vm["memory"])
    wanted = (vm.get("spec") or {}).get("memory")
    if wanted is None:
        return "-"
    return f"({size_text(wanted) if isinstance(wanted, int) else wanted})"
