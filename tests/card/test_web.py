# SPDX-License-Identifier: Apache-2.0
"""
bhcard's web page in a headless Chromium: that it draws what the API says, and does what a click says. (With the real image at
the other end, and for the picture of the documentation: tests/system/test_run.py.)
"""
import json
import re

import pytest

from browser import CHROMIUM, CONTROL, Browser
from fake_rest import MIB, PAGE, FakeRest, Machine
from rest_fixtures import Ctl, ctl, rest  # pylint: disable=unused-import

pytestmark = [pytest.mark.skipif(not CHROMIUM, reason="there is no chromium"), pytest.mark.timeout(90)]
STATE = "document.querySelector('[data-vm={}] .state').textContent"
SCREEN = "document.querySelector('[data-console={}] pre').textContent"


@pytest.fixture(scope="module")
def chromium():
    with_page = Browser()
    yield with_page
    with_page.close()


@pytest.fixture
def browser(chromium):
    """The browser with no page; what is wrong in the page's script fails the test."""
    chromium.open("about:blank")
    chromium.dark(False)
    chromium.errors.clear()
    yield chromium
    chromium.open("about:blank")
    assert chromium.errors == []


@pytest.fixture
def page(browser, rest):
    """The browser, which shows the server's page"""
    show(browser, rest)
    return browser


def show(browser, rest, machine=""):
    browser.open(f"http://127.0.0.1:{rest.port}/{machine}")
    browser.wait("document.querySelector('#link.up')")


def button(page, vm, name):
    page.click(f"[data-vm={vm}] button[aria-label='{name} {vm}']")


def confirm(page, answer="yes"):
    page.wait("document.querySelector('#confirm').open")
    page.click(f"#{answer}")


def wait_state(page, vm, state):
    page.wait(f"document.querySelector('[data-vm={vm}]') && {STATE.format(vm)} === '{state}'")


def enabled(page, vm):
    return page.value(f"[...document.querySelectorAll('[data-vm={vm}] button:enabled')].map(b => b.textContent)")


# --- the map ---


def test_map_agrees_with_the_api(page, ctl):
    ctl.make("web", "--start", cores="1,2")
    ctl.make("db", "--start", cores="3")
    wait_state(page, "db", "running")
    page.wait("document.querySelectorAll('#cores [data-owner=db]').length === 1")
    plan = ctl.json("plan")
    owners = {c: vm["name"] for vm in plan["vms"] for c in vm["cores"]}
    expected = ["bulkhead"] + [owners.get(c, "free") for c in range(1, plan["machine"]["cores"])]
    assert page.value("[...document.querySelectorAll('#cores li')].map(li => li.dataset.owner)") == expected
    spans = [[vm["name"], r["base"], r["size"]] for vm in plan["vms"] for r in vm["regions"]]
    spans += [["free", e["base"], e["size"]] for e in plan["capacity"]["extents"]]
    drawn = page.value("[...document.querySelectorAll('.bar div')].map(d => [d.dataset.owner, +d.dataset.base, +d.dataset.size])")
    assert drawn == sorted(spans, key=lambda s: s[1])
    legend = page.value("[...document.querySelectorAll('#legend tr')].map(r => [...r.cells].map(c => c.textContent))")
    assert legend[0] == ["web", "0x0040000000-0x0044000000", "64 MiB"]


def test_map_is_to_scale(page, ctl):
    ctl.done("create", "web", "--cores", "1", "--memory", "1G", "--kernel", ctl.kernel, "--start")
    page.wait("document.querySelector('.bar [data-owner=web]')")
    share = page.value("(w => w.offsetWidth / w.parentElement.offsetWidth)(document.querySelector('.bar [data-owner=web]'))")
    assert share == pytest.approx(1024 / 2046, abs=0.01)


def test_each_vm_has_one_colour(page, ctl):
    ctl.make("web", "--start", cores="1,2")
    ctl.make("db", "--start", cores="3")
    page.wait("document.querySelector('#cores [data-owner=db]') && document.querySelector('[data-vm=db]')")
    colours = page.value("['web', 'db'].map(vm => [...new Set([...document.querySelectorAll(`[data-owner=${vm}], "
                         "[data-vm=${vm}] .swatch`)].map(e => getComputedStyle(e).backgroundColor))])")
    assert [len(c) for c in colours] == [1, 1] and colours[0] != colours[1]


def test_devices_in_ports(page, ctl):
    ctl.make("web", "--hotplug-ports", "1", "--start")
    ctl.done("device", "add", "web", "0000:01:00.0")
    page.wait("document.querySelector('#device-list').textContent === '0000:01:00.0: web, port 0'")
    ctl.done("device", "remove", "web", "0000:01:00.0")
    page.wait("document.querySelector('#devices').hidden")


def test_memory_far_apart_has_bars_of_its_own(browser, tmp_path):
    server = FakeRest(str(tmp_path / "far.sock"), [Machine("rack1", memory=((0, 512 * MIB), (1 << 36, 1024 * MIB)))])
    try:
        show(browser, server)
        browser.wait("document.querySelectorAll('.bar').length === 2")
        assert browser.value("document.querySelectorAll('.ends')[1].firstChild.textContent") == "0x1000000000"
        assert browser.value("document.querySelector('#devices').hidden")
        assert "There is none" in browser.value("document.querySelector('#no-vms').textContent")
    finally:
        server.close()


def test_several_machines(browser, tmp_path):
    server = FakeRest(str(tmp_path / "many.sock"), [Machine("rack1"), Machine("rack2", cores=8), Machine("rack3", connected=False)])
    try:
        Ctl(server.path, tmp_path).make("web", "--machine", "rack2", "--start")
        show(browser, server)
        browser.wait("document.querySelectorAll('#cores li').length === 4")
        browser.click("nav [data-name=rack2]")
        browser.wait("document.querySelectorAll('#cores li').length === 8 && document.querySelector('[data-vm=web]')")
        assert browser.value("location.hash") == "#rack2"
        browser.click("nav [data-name=rack3]")
        browser.wait("document.querySelector('#facts').textContent === 'not connected'")
        assert browser.value("document.querySelector('#map').hidden")
        assert not browser.value("document.querySelector('[data-vm]')")
        show(browser, server, "#rack2")
        browser.wait("document.querySelector('[data-vm=web]')")
    finally:
        server.close()


# --- buttons ---


def test_click_on_start(page, ctl):
    ctl.make("web")
    wait_state(page, "web", "defined")
    assert enabled(page, "web") == ["Start", "Delete", "Console"]
    button(page, "web", "Start")
    wait_state(page, "web", "running")
    assert ctl.state("web") == "running"
    page.wait("document.querySelector('#cores [data-owner=web]')")
    assert enabled(page, "web") == ["Stop", "Reset", "Abort", "Console"]


@pytest.mark.parametrize("name, event", [("Stop", "stopped"), ("Abort", "aborted")])
def test_stop_and_abort_ask_first(page, ctl, name, event):
    ctl.make("web", "--start")
    wait_state(page, "web", "running")
    button(page, "web", name)
    assert page.value("document.activeElement.id") == "no"
    confirm(page, "no")
    button(page, "web", name)
    page.press("Escape")
    page.wait("!document.querySelector('#confirm').open")
    assert ctl.state("web") == "running"
    button(page, "web", name)
    confirm(page)
    wait_state(page, "web", "stopped")
    page.wait(f"document.querySelector('#events li').textContent.includes('web: {event}')")


def test_reset(page, ctl):
    ctl.make("web", "--start")
    wait_state(page, "web", "running")
    button(page, "web", "Reset")
    confirm(page)
    page.wait("[...document.querySelectorAll('#events li')].filter(li => li.dataset.event === 'started').length === 2")
    assert ctl.state("web") == "running"


def test_delete(page, ctl):
    ctl.make("web")
    wait_state(page, "web", "defined")
    button(page, "web", "Console")
    button(page, "web", "Delete")
    confirm(page)
    page.wait("!document.querySelector('[data-vm]') && !document.querySelector('[data-console]')")
    assert ctl.json("list") == []


def test_what_is_refused_is_shown(page, ctl):
    ctl.done("create", "web", "--core-count", "9", "--memory", "64M", "--kernel", ctl.kernel)
    wait_state(page, "web", "defined")
    button(page, "web", "Start")
    page.wait("document.querySelector('[data-vm=web] .error').textContent.includes('this machine has 3 left for it')")
    page.wait("!document.querySelector('[data-vm=web] button').disabled")


def test_exit_counters(page, ctl):
    ctl.make("web", "--start", cores="1,2")
    for part, words in (("b", "exits"), (".reasons", "ipi")):
        page.wait(f"/{words} \\d+ \\(\\d+\\.\\d\\/s\\)/.test(document.querySelector('[data-vm=web] .exits {part}')?.textContent)")
    counters = page.value("[...document.querySelectorAll('[data-vm=web] .reasons li')]"
                          ".map(li => [li.dataset.reason, +li.dataset.total])")
    assert dict(counters)["call"] == 24
    rate = "parseFloat(document.querySelector('[data-vm=web] .exits b').textContent.split('(')[1])"
    page.wait(f"{rate} > 10 && {rate} < 60")  # 30, as the guests of the fakes go


# --- consoles ---


def test_console_input_is_echoed(page, ctl):
    ctl.make("web", "--start")
    button(page, "web", "Console")
    page.wait(f"{SCREEN.format('web')}.includes('web:/#')")
    page.type("echo hallo\n")
    page.wait(f"{SCREEN.format('web')}.includes('\\nhallo\\n')")
    page.type("nonsensx")
    page.press("Backspace")
    page.type("e\n")
    page.wait(f"{SCREEN.format('web')}.includes('sh: nonsense: not found\\n')")  # it came in red
    assert "\x1b" not in page.value(SCREEN.format("web")) and "[31m" not in page.value(SCREEN.format("web"))
    assert "nonsensx" not in page.value(SCREEN.format("web"))


def test_console_is_left_by_the_keyboard(page, ctl):
    ctl.make("web", "--start")
    button(page, "web", "Console")
    page.wait("document.activeElement.matches('[data-console=web] pre')")
    page.press("]", CONTROL)
    assert page.value("document.activeElement.textContent") == "Close"
    page.press("Enter")
    page.call("Input.dispatchKeyEvent", type="char", text="\r")
    page.wait("!document.querySelector('[data-console]')")
    assert page.value("document.activeElement.textContent") == "Console"


def test_two_consoles_at_most(page, ctl):
    for i, vm in enumerate(("a", "b", "c")):
        ctl.make(vm, "--start", cores=str(i + 1))
        wait_state(page, vm, "running")
        button(page, vm, "Console")
        page.wait(f"document.querySelector('[data-console={vm}]')")
    assert page.value("[...document.querySelectorAll('[data-console]')].map(e => e.dataset.console)") == ["b", "c"]
    page.wait(f"{SCREEN.format('b')}.includes('b:/#') && {SCREEN.format('c')}.includes('c:/#')")
    page.type("echo only c\n")
    page.wait(f"{SCREEN.format('c')}.includes('\\nonly c\\n')")
    assert "only" not in page.value(SCREEN.format("b"))


def test_console_of_a_stopped_vm_says_so(page, ctl):
    ctl.make("web")
    wait_state(page, "web", "defined")
    button(page, "web", "Console")
    page.type("x")
    page.wait("document.querySelector('[data-console=web] .error').textContent.includes('web is defined')")


@pytest.mark.parametrize("written, shown", [
    ("ab\bc", "ac"), ("abc\rx", "xbc"), ("a\r\nb", "a\nb"), ("\x1b[1;31mred\x1b[0m", "red"), ("50%\r100%\x1b[K", "100%"),
    ("long\r\x1b[Ks", "s"), ("a\tb", "a       b"), ("\x1b]0;title\x07x", "x"), ("\x1b[2J\x1b[Hx", "x"), ("a\x1b[3Cb", "a   b"),
    ("abc\x1b[2Dx", "axc"), ("\x07\x1b(Bx", "x"), ("x\x1b[6n", "x"), ("\u00e4\u00f6", "\u00e4\u00f6"), ("a\nb", "a\n b")])
def test_screen(page, written, shown):
    """What is written, whole and one character after the other"""
    for parts in ([written], list(written)):
        page.value("window.test = new Screen(document.createElement('pre')); "
                   f"for (const part of {json.dumps(parts)}) test.write(part)")
        page.wait("!test.waiting")
        assert page.value("test.pre.textContent").rstrip(" ") == shown


def test_console_does_not_grow_for_ever(page):
    page.value("window.test = new Screen(document.createElement('pre'));"
               "for (let i = 0; i < 5000; i++) test.write(`line ${i}\\r\\n`)")
    page.wait("!test.waiting")
    assert page.value("test.lines.length") == 1000
    assert page.value("test.pre.textContent").rstrip().endswith("line 4999")


# --- events, log, connection ---


def test_events_and_log(page, ctl):
    ctl.make("web", "--start")
    ctl.done("abort", "web")
    page.wait("document.querySelectorAll('#events li').length === 4")
    lines = page.value("[...document.querySelectorAll('#events li')].map(li => li.textContent.slice(8))")
    assert [line.split(":")[:2] for line in lines] == [["web", " aborted"], ["web", " started"], ["web", " created"],
                                                       ["rack1", " connected"]]
    page.wait("document.querySelector('#log').textContent.includes('core0: web: ')")


def test_reconnects(browser, tmp_path):
    path = str(tmp_path / "api.sock")
    server = FakeRest(path, [Machine("rack1")])
    port = server.port
    try:
        Ctl(path, tmp_path).make("old")
        show(browser, server)
        browser.wait("document.querySelector('[data-vm=old]')")
        server.close()
        browser.wait("document.querySelector('#link.down')")
        server = FakeRest(path, [Machine("rack1")], port)
        new = Ctl(path, tmp_path)
        new.make("new", "--start")
        browser.wait("document.querySelector('#link.up') && document.querySelector('[data-vm=new]')", 30)
        assert not browser.value("document.querySelector('[data-vm=old]')")
        browser.wait("[...document.querySelectorAll('#events li')].some(li => li.textContent.includes('new: started'))", 30)
        browser.wait("document.querySelector('#log').textContent.includes('new: running')", 30)
    finally:
        server.close()


# --- what it looks like ---


def test_fits_the_window(page, ctl):
    ctl.make("web", "--start")
    wait_state(page, "web", "running")
    assert page.value("document.documentElement.scrollWidth") == 1280


CONTRAST = """
(() => {
	const numbers = c => c.match(/[\\d.]+/g).map(Number);
	const linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
	const light = c => { const [r, g, b] = numbers(c).map(linear); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const ground = e => {
		const c = getComputedStyle(e).backgroundColor;
		return (numbers(c)[3] ?? 1) > 0 ? c : ground(e.parentElement);
	};
	const weak = [];
	for (const e of document.querySelectorAll("body *")) {
		const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.offsetParent && !e.disabled;
		if (!own || e.matches("script, .own, .own *"))
			continue;
		const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5)
			weak.push([e.outerHTML.slice(0, 80), ratio]);
	}
	return weak;
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(page, ctl, dark):
    page.dark(dark)
    for i, vm in enumerate(("a", "b", "c")):
        ctl.make(vm, "--start", cores=str(i + 1))
    ctl.done("abort", "c")
    wait_state(page, "c", "stopped")
    button(page, "a", "Console")
    assert page.value(CONTRAST) == []


def test_everything_has_a_name(page, ctl):
    ctl.make("web", "--start")
    wait_state(page, "web", "running")
    button(page, "web", "Console")
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "textbox", "log", "list", "region", "dialog", "navigation")
    nameless = [n["role"]["value"] for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in roles
                and not n.get("name", {}).get("value")]
    assert nameless == []


def test_nothing_from_elsewhere():
    text = PAGE.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|src=|@import|//[a-z]+\.[a-z]", text)
