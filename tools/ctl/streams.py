# SPDX-License-Identifier: Apache-2.0
"""The commands that show what comes: console, logs, events."""
import contextlib
import http.client
import json
import os
import select
import sys
import threading
import time
import tty

from ctl.client import Lost, Refused, Usage, network, path_of
from ctl.terminal import terminal_mode
from ctl.words import printable

CTRL_RIGHT_BRACKET = b"\x1d"
CONSOLE_CHUNK = 4096  # what is typed goes in requests of this size at most


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


class ConsoleOutput(threading.Thread):
    """Copies a console to standard output; @ended becomes readable when there will be no more."""

    def __init__(self, response):
        super().__init__(daemon=True)
        self.response, self.leaving, self.count = response, False, 0
        self.ended, self.end = os.pipe()

    def run(self):
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            while not self.leaving:
                data = self.response.read1(65536)
                if not data:
                    break
                if not self.leaving:
                    write_all(1, data)
                    self.count += len(data)
        os.close(self.end)


def send_typed(session, path, data):
    """False if the VM takes no input now: the terminal rings then, as at any dead end."""
    try:
        session.client.open("POST", path, data, {"Content-Type": "application/octet-stream"}).read()
    except Refused as e:
        if e.code not in (409, 503):
            raise
        return False
    return True


def wait_for_quiet(output):
    """After the last of a script's lines: until there was no answer for half a second"""
    seen = -1
    while output.count > seen:
        seen = output.count
        if select.select([output.ended], [], [], 0.5)[0]:
            return True
    return False


def console_loop(session, path, output):
    """Until Ctrl-], the end of the input or the end of the output; returns whether the latter came"""
    watched = [output.ended] + ([] if session.args.no_input else [0])
    while True:
        ready, _, _ = select.select(watched, [], [])
        if output.ended in ready:
            return True
        try:
            data = os.read(0, CONSOLE_CHUNK)
        except OSError:  # the window is closed
            data = b""
        typed, escape, _ = data.partition(CTRL_RIGHT_BRACKET) if os.isatty(0) else (data, b"", b"")
        if typed and not send_typed(session, path, typed) and sys.stdout.isatty():
            write_all(1, b"\a")
        if escape or not data:
            return False if os.isatty(0) else wait_for_quiet(output)


def cmd_console(session):
    args = session.args
    if session.json:
        raise Usage("a console has no JSON form")
    machine = session.machine()
    path = path_of(machine, "vms", args.vm, "console")
    query = f"?tail={args.tail}" + ("&follow=0" if args.no_follow else "")
    output = ConsoleOutput(session.client.open("GET", path + query))
    if args.no_follow:
        output.run()
        return
    with terminal_mode(0, tty.setraw) as raw:
        if raw:
            write_all(2, f"console of {args.vm}; Ctrl-] leaves it\r\n".encode())
        output.start()
        try:
            ended = console_loop(session, path, output)
        finally:
            output.leaving = True
            if raw:
                with contextlib.suppress(OSError):
                    write_all(2, b"\r\n")
    if ended:
        session.client.get(path_of(machine, "vms", args.vm))  # says so if the VM is gone
        raise Lost("bhcard ended the console")


def cmd_logs(session):
    follow = session.args.follow
    response = session.client.open("GET", path_of(session.machine(), "logs") + ("?follow=1" if follow else ""))
    while True:
        with network():
            line = response.readline()
        if not line:
            break
        text = line.decode("utf-8", "replace")
        text = json.dumps(text.rstrip("\n")) + "\n" if session.json else printable(text.rstrip("\n")) + "\n"
        sys.stdout.write(text)
        if follow:
            sys.stdout.flush()
    if follow:
        raise Lost("bhcard ended the log")


def sse(response):
    """The `data` of each server-sent event"""
    data = []
    while True:
        with network():
            line = response.readline()
        if not line:
            return
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
        elif not line and data:
            yield json.loads(b"\n".join(data))
            data = []


def event_text(event):
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
    details = ", ".join(f"{k} {event[k]}" for k in ("address", "pc", "syndrome") if event.get(k) is not None)
    why = "; ".join(w for w in (event.get("why"), details) if w)
    return printable(f"{clock}  {event.get('vm') or event['machine']}: {event['event']}" + (f": {why}" if why else ""))


def cmd_events(session):
    args = session.args
    query = "" if args.since is None else f"?since={args.since}"
    left = args.count
    for event in sse(session.client.open("GET", path_of(session.machine(), "events") + query)):
        print(json.dumps(event) if session.json else event_text(event), flush=True)
        if left is not None:
            left -= 1
            if left <= 0:
                return
    raise Lost("bhcard ended the events")
