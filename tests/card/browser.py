# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium, driven over a pipe by the DevTools protocol; only as much of it as the tests of the web page need."""
import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless=new", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars", "--disable-dev-shm-usage",
         "--force-device-scale-factor=1", "--remote-debugging-pipe"]
# Keys that are no characters: their code and their Windows code.
KEYS = {"Enter": 13, "Backspace": 8, "Tab": 9, "Escape": 27, "ArrowUp": 38}
CONTROL = 2


class Browser:
    """One Chromium with one page"""

    def __init__(self, width=1280, height=800):
        self.profile = tempfile.mkdtemp(prefix="chromium.")
        self.ids, self.buffer, self.errors, self.session = itertools.count(1), b"", [], None
        (to_read, self.to), (self.from_, from_write) = os.pipe(), os.pipe()
        self.process = self.launch(to_read, from_write)
        os.close(to_read)
        os.close(from_write)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def launch(self, to_read, from_write):
        """Chromium reads requests from its descriptor 3 and writes answers to its descriptor 4."""
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (to_read, from_write)]
        script = f'exec 3<&{high[0]} 4>&{high[1]} {high[0]}<&- {high[1]}>&-; exec "$@"'
        process = subprocess.Popen(["bash", "-c", script, "chromium", CHROMIUM, *FLAGS, *root, f"--user-data-dir={self.profile}"],
                                   pass_fds=high, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        for fd in high:
            os.close(fd)
        return process

    def close(self):
        os.close(self.to)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.from_)
        shutil.rmtree(self.profile, ignore_errors=True)

    def receive(self, end):
        """The next message"""
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.from_], [], [], max(0, end - time.monotonic()))
            data = os.read(self.from_, 1 << 20) if ready else b""
            assert data, "Chromium does not answer"
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        """One request of the protocol, and its result"""
        number, end = next(self.ids), time.monotonic() + 30
        request = {"id": number, "method": method, "params": params, **({"sessionId": self.session} if self.session else {})}
        os.write(self.to, json.dumps(request).encode() + b"\0")
        while True:
            message = self.receive(end)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.note(message)

    def note(self, message):
        """Keeps what the page did wrong: exceptions, and errors it wrote to its console"""
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(message["params"]["exceptionDetails"])
        if message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] in ("error", "assert"):
            self.errors.append(message["params"]["args"])

    # --- what a person does ---

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def value(self, expression):
        """What @expression is in the page"""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression, seconds=15):
        """Waits until @expression is true"""
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never true: {expression}\n{self.value('document.body.innerText')}"
            time.sleep(0.05)

    def click(self, selector):
        """A real click in the middle of the element"""
        self.wait(f"document.querySelector({json.dumps(selector)})")
        x, y = self.value(f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
                          f"return [r.x + r.width / 2, r.y + r.height / 2]; }})(document.querySelector({json.dumps(selector)}))")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key, modifiers=0):
        """One key, by its name or its character"""
        code = KEYS.get(key) or ord(key.upper())
        text = {} if key in KEYS or modifiers else {"text": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, modifiers=modifiers, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code, modifiers=modifiers)

    def type(self, text):
        for c in text:
            self.press("Enter" if c == "\n" else c)

    def dark(self, on):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def screenshot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
