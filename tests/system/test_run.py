# SPDX-License-Identifier: Apache-2.0
"""
What `make run` starts: the server and its card, on a terminal and without one, and nothing of them is left afterwards. The
card's web page shows that server. With SCREENSHOT=docs/pictures/web.png in the environment that test writes the picture of
the documentation.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pexpect
import pytest

from machine import ERASE, ROOT, SECONDS

sys.path.insert(0, os.path.join(ROOT, "tests/card"))

from browser import CHROMIUM, Browser  # noqa: E402  pylint: disable=wrong-import-position

pytestmark = pytest.mark.platforms("el2-max", "svm-max")
RUN = os.path.join(ROOT, "tools/run")
FIRMWARE = ("--cpu", "max")  # the same processor on each host


def below(pid):
    """The processes that @pid has started, and those that these have."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found += [int(entry), *below(int(entry))]
    return found


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)
    return value


def mind_interrupts():
    """As on a terminal: a shell has what it starts in the background ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo:
    """tools/run without a terminal; what it says is in a file."""

    def __init__(self, platform, out, *options):
        self.out = out
        with open(out, "wb") as f:
            self.process = subprocess.Popen([RUN, "--arch", platform.backend.arch, "--build", platform.backend.build, *FIRMWARE,
                                             *options], cwd=ROOT, stdin=subprocess.PIPE, stdout=f, stderr=f,
                                            preexec_fn=mind_interrupts)

    def text(self):
        return self.out.read_bytes().decode("utf-8", "replace").replace(ERASE, "\n").replace("\r", "")

    def wait(self, pattern):
        return until(lambda: re.search(pattern, self.text(), re.M), lambda: f"not said: {pattern}\n{self.text()}")

    def end(self, number):
        """Its exit status after signal @number; nothing it started is left."""
        started = below(self.process.pid)
        assert started
        self.process.send_signal(number)
        status = self.process.wait(SECONDS)
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in started), lambda: f"left: {started}")
        return status


@pytest.fixture
def demo(platform, tmp_path):
    demos = []

    def start(*options):
        demos.append(Demo(platform, tmp_path / "out", *options))
        return demos[-1]

    yield start
    for d in demos:
        if d.process.poll() is None:
            d.process.terminate()
            d.process.wait(SECONDS)
        d.process.stdin.close()


# What differs each time, in a pattern that re.escape() made, and what there may be instead.
CHANGING = {r"^Bulkhead\\ \S+": r"Bulkhead\ \S+", r"card\\-\w+": r"card-\w+", "0x[0-9a-f]+": "0x[0-9a-f]+",
            r"^\\\[(?:\\ )+": r"\[ +", r"\d+": r"\d+"}


def shown_in_readme():
    """The lines of what README shows, as patterns."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        block = re.search(r"^```\n(Bulkhead .*?)^```", f.read(), re.M | re.S)[1]
    any_of = "|".join(f"({changing})" for changing in CHANGING)
    for line in block.splitlines():
        if line not in ("", "..."):
            yield re.sub(any_of, lambda found: list(CHANGING.values())[found.lastindex - 1], re.escape(line))


def test_card_launches_the_guests(demo, platform):
    run = demo()
    for guest, what in (("web", "2 CPUs, 10.0.0.1/24"), ("db", "1 CPUs, 10.0.0.2/24")):
        run.wait(rf"card: {guest} is created, has its images \(\d+ MiB\) and runs, after \d+\.\d s$")
        run.wait(rf"{guest}\| Welcome to {guest}: Debian GNU/Linux \d+ \(\w+\) on /dev/vda, {what}$")  # of its console
    run.process.stdin.write(b"console web\nping -c 1 10.0.0.2\n")  # over the card's network, by devices of their own
    run.process.stdin.flush()
    run.wait(r"^1 packets transmitted, 1 received, 0% packet loss")
    run.process.stdin.write(b"\x1d")
    run.process.stdin.flush()
    said = run.text()
    assert re.search(r"^card: the server is connected", said, re.M)
    socket = re.search(r"^  export BHCTL_SOCKET=(\S+)$", said, re.M)[1]
    for line in re.findall(r"^  (tools/bhctl (?:list|stop|start|--help).*)$", said, re.M):
        done = subprocess.run(line.split(), cwd=ROOT, env={**os.environ, "BHCTL_SOCKET": socket}, capture_output=True, text=True,
                              timeout=SECONDS, check=False)
        assert done.returncode == 0, (line, done.stderr)
        if line.endswith("list"):
            assert re.search(r"^web +running +1,2 +512 MiB +0\ndb +running +3 +256 MiB +0$", done.stdout, re.M), done.stdout
    run.wait(r"db: stop 5/5: cores idle$")
    run.process.stdin.write(b"list\n")  # the prompt is there all the same
    run.process.stdin.flush()
    run.wait(r"^web +running +512 MiB +cores 1 2$")
    if platform.backend.arch == "arm64":
        missing = [line for line in shown_in_readme() if not re.search(f"^{line}$", run.text(), re.M)]
        assert not missing, f"{missing} in\n{run.text()}"
    assert run.end(signal.SIGINT) == 128 + signal.SIGINT
    assert "Traceback" not in run.text()
    assert not os.path.exists(os.path.dirname(os.path.dirname(socket)))


VM = "document.querySelector('[data-vm={}]')"
STATE = VM + ".querySelector('.state').textContent"
SCREEN = "document.querySelector('[data-console={}] pre').textContent"
OWNERS = "[...document.querySelectorAll('#cores li')].map(li => li.dataset.owner)"


@pytest.mark.skipif(not CHROMIUM, reason="there is no chromium")
def test_page_shows_the_server(demo, platform, tmp_path):
    """A person looks at the two guests, uses a console and stops one; the real image, bhcard and a browser are at work."""
    run = demo()
    url = run.wait(r"Its web page: (http://127\.0\.0\.1:\d+/)$")[1]
    run.wait(r"db\| Welcome to db")
    browser = Browser()
    try:
        browser.open(url)
        for vm in ("web", "db"):
            browser.wait(f"{VM.format(vm)} && {STATE.format(vm)} === 'running'", SECONDS)
        assert browser.value(OWNERS) == ["bulkhead", "web", "web", "db"]
        browser.click("[data-vm=web] button[aria-label='Console web']")
        browser.wait(f"{SCREEN.format('web')}.includes('web:/#')", SECONDS)
        browser.type("nproc\n")
        browser.wait(rf"/nproc\s+2\s/.test({SCREEN.format('web')})", SECONDS)
        browser.wait(f"/^exits \\d+$/.test({VM.format('db')}.querySelector('.exits b').textContent)", SECONDS)  # none per second
        browser.value("scrollTo(0, 0)")
        picture = tmp_path / "web.png"
        browser.screenshot(picture)
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and picture.stat().st_size > 20_000
        if "SCREENSHOT" in os.environ and platform.backend.arch == "arm64":
            shutil.copy(picture, os.environ["SCREENSHOT"])
        browser.click("[data-vm=db] button[aria-label='Stop db']")
        browser.click("#yes")
        browser.wait(f"{STATE.format('db')} === 'stopped'", SECONDS)
        assert browser.errors == []
    finally:
        browser.close()
    run.wait(r"db: stop 5/5: cores idle$")


def test_guests_of_the_boot_manifest(demo):
    run = demo("--no-card")
    run.wait(r"web\| Welcome to web: 2 CPUs, 51[12] MiB$")
    assert "card:" not in run.text()
    assert run.end(signal.SIGTERM) == 128 + signal.SIGTERM


def test_ctrl_c_on_a_terminal(platform):
    child = pexpect.spawn(RUN, ["--arch", platform.backend.arch, "--build", platform.backend.build, *FIRMWARE], cwd=ROOT,
                          timeout=SECONDS, encoding="utf-8", codec_errors="replace")
    child.expect("card: connected")
    started = below(child.pid)
    child.send("\x03")
    child.expect(pexpect.EOF)
    child.wait()
    child.close()
    assert child.exitstatus == 0 and "Traceback" not in child.before
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in started), lambda: f"left: {started}")


@pytest.mark.platforms("el2-max")
def test_make_run_chooses(platform):
    """A card where there is a vsock device, unless it is not wanted."""
    for words, card in (((), True), (("ARCH=x86_64",), True), (("CARD=0",), False), (("ARCH=x86_64", "MACHINE=bochs"), False)):
        said = subprocess.run(["make", "-n", "run", *words], cwd=ROOT, capture_output=True, text=True,
                              check=True).stdout
        command = re.search(r"^tools/run .*$", said, re.M)[0]
        assert ("--no-card" not in command) == card == ("build/host/bhcard build/host/bhvsock" in said), said
