# SPDX-License-Identifier: Apache-2.0
"""What is done to a terminal, and undone again."""
import contextlib
import os
import signal
import sys
import termios
import time

from ctl.words import size_text


class Ended(Exception):
    """A signal asks to end; what holds the terminal puts it right first."""

    def __init__(self, number):
        super().__init__()
        self.status = 128 + number


@contextlib.contextmanager
def ending_signals():
    """SIGTERM and SIGHUP become an exception, once, so that everything on the way is put right."""
    numbers = (signal.SIGTERM, signal.SIGHUP)

    def end(number, _):
        for n in numbers:
            signal.signal(n, signal.SIG_IGN)
        raise Ended(number)
    before = [signal.signal(n, end) for n in numbers]
    try:
        yield
    finally:
        for n, handler in zip(numbers, before):
            signal.signal(n, handler)


@contextlib.contextmanager
def terminal_mode(fd, change):
    """The terminal at @fd, if it is one, in another mode; it is always put back."""
    if not os.isatty(fd):
        yield False
        return
    before = termios.tcgetattr(fd)
    with ending_signals():
        try:
            change(fd, termios.TCSANOW)
            yield True
        finally:
            with contextlib.suppress(termios.error):  # the window is closed
                termios.tcsetattr(fd, termios.TCSANOW, before)


class Progress:
    """A bar on standard error, where that is a terminal"""

    def __init__(self, label, total, text=None):
        """@text(done): what stands after the bar; otherwise @done is bytes."""
        self.label, self.total, self.began, self.drawn = label, total, time.monotonic(), 0.0
        self.text = text or self.bytes_text
        self.on = sys.stderr.isatty()

    def bytes_text(self, done):
        rate = done / max(time.monotonic() - self.began, 0.001)
        return f"{size_text(done)}, {size_text(int(rate))}/s"

    def show(self, done):
        now = time.monotonic()
        if not self.on or (now - self.drawn < 0.1 and done < self.total):
            return
        self.drawn = now
        part = done / self.total if self.total else 1
        bar = "#" * int(part * 30)
        sys.stderr.write(f"\r{self.label:<24.24} [{bar:.<30}] {part:4.0%}  {self.text(done)}\x1b[K")
        sys.stderr.flush()

    def clear(self):
        if self.on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
