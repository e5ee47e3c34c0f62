# SPDX-License-Identifier: Apache-2.0
"""top: exits per second by VM and reason."""
import contextlib
import json
import os
import select
import sys
import time
import tty

from ctl.client import Refused, path_of
from ctl.terminal import ending_signals, terminal_mode
from ctl.words import cores_text, table


def totals(session, machine, vm):
    """Exits of all vCPUs by reason; None for a VM that has none to count"""
    try:
        stats = session.client.get(path_of(machine, "vms", vm["name"], "stats"))
    except Refused:
        return None
    return {r: sum(v["exits"].get(r, 0) for v in stats["vcpus"]) for r in stats["reasons"]}


class Top:
    """Exits per second, from the counters of two looks"""

    def __init__(self, session, machine):
        self.session, self.machine, self.before, self.at = session, machine, {}, None

    def look(self):
        vms, now = self.session.vms(self.machine), time.monotonic()
        seconds = now - self.at if self.at else None
        counts = {vm["name"]: totals(self.session, self.machine, vm) for vm in vms}
        rows = [{"name": vm["name"], "state": vm["state"], "cores": vm.get("cores") or [],
                 "per_second": self.rates(vm["name"], counts[vm["name"]], seconds)} for vm in vms]
        self.before, self.at = counts, now
        return rows

    def rates(self, name, now, seconds):
        before = self.before.get(name)
        if not (now and before and seconds):
            return None
        if any(now[r] < before.get(r, 0) for r in now):  # it was started anew
            before = {}
        return {r: round((now[r] - before.get(r, 0)) / seconds, 1) for r in now}


def top_lines(machine, rows, interval):
    yield f"bhctl top: exits per second on {machine}, {time.strftime('%H:%M:%S')}, every {interval:g} s; q leaves"
    yield ""
    busy = [r for r in dict.fromkeys(r for row in rows for r in row["per_second"] or {})
            if any((row["per_second"] or {}).get(r) for row in rows)]
    lines = [["VM", "STATE", "CORES", "TOTAL", *(r.upper() for r in busy)]]
    for row in rows:
        rate = row["per_second"]
        numbers = ["-"] * (len(busy) + 1) if rate is None else [f"{n:.1f}" for n in [sum(rate.values()), *map(rate.get, busy)]]
        lines.append([row["name"], row["state"], cores_text(row["cores"]) or "-", *numbers])
    yield from table(lines, right=set(range(3, len(busy) + 4)))


@contextlib.contextmanager
def screen(on):
    """The terminal's second screen, without a cursor"""
    if not on:
        yield
        return
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.write("\x1b[?25h\x1b[?1049l")
            sys.stdout.flush()


def draw_screen(lines):
    size = os.get_terminal_size(1)
    rows = [line[:size.columns] + "\x1b[K\n" for line in list(lines)[:size.lines - 1]]
    sys.stdout.write("\x1b[H" + "".join(rows) + "\x1b[J")
    sys.stdout.flush()


def pause(seconds, keys):
    """Waits; returns whether q or the end of the input came"""
    end = time.monotonic() + seconds
    while keys:
        left = end - time.monotonic()
        if left <= 0 or not select.select([0], [], [], left)[0]:
            return False
        try:
            if os.read(0, 64) in (b"", b"q", b"Q", b"\x04"):
                return True
        except OSError:  # the window is closed
            return True
    time.sleep(seconds)
    return False


def top_show(session, machine, rows, on_screen):
    if session.json:
        print(json.dumps(rows), flush=True)
    elif on_screen:
        draw_screen(top_lines(machine, rows, session.args.interval))
    else:
        print("\n".join(top_lines(machine, rows, session.args.interval)) + "\n", flush=True)


def cmd_top(session):
    args, machine = session.args, session.machine()
    top, left = Top(session, machine), args.count
    on_screen = sys.stdout.isatty() and not session.json
    keys = on_screen and os.isatty(0)
    rows = top.look()
    with terminal_mode(0, tty.setcbreak) if keys else ending_signals(), screen(on_screen):
        if on_screen:
            top_show(session, machine, rows, True)
        while left is None or left > 0:
            if pause(args.interval, keys):
                return
            top_show(session, machine, top.look(), on_screen)
            left = None if left is None else left - 1
