# SPDX-License-Identifier: Apache-2.0
"""bhctl, each command of it, as a person and as a script use it."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import xml.etree.ElementTree

import pexpect
import pytest

from fake_rest import MIB, FakeRest, Machine
from rest_fixtures import BHCARD, BHCTL, KERNEL_BYTES, ROOT, Ctl, arm64_image, until
from rest_fixtures import ctl, fake, rest  # pylint: disable=unused-import

COMMANDS = {"list": [], "info": ["web"], "create": ["web", "--cores", "1", "--memory", "64M", "--kernel", BHCTL], "start": ["web"],
            "stop": ["web"], "abort": ["web"], "reset": ["web"], "delete": ["web"], "console": ["web"], "logs": [],
            "stats": ["web"], "events": [], "top": [], "plan": [], "device": ["list"]}

MANIFEST = """/dts-v1/;
/ {
	compatible = "bulkhead,manifest-v1";
	host { management-core = <0>; };
	vms {
		web { cores = <1 2>; memory = "128M"; kernel = "Image"; initrd = "Image"; bootargs = "quiet"; };
		db { core-count = <1>; memory = <0x0 0x8000000>; kernel = "Image"; console = "none"; autostart = <0>;
			restart-limit = <0 0>; hotplug-ports = <1>; };
	};
};
"""


def manifest(folder, text=MANIFEST):
    path = folder / "vms.dts"
    path.write_text(text)
    return str(path)


# --- looking ---


def test_list(ctl):
    assert ctl.done("list") == ""
    assert ctl.json("list") == []
    ctl.make("web", "--start", cores="1,2")
    ctl.make("db", cores="3")
    lines = [line.split() for line in ctl.done("list").splitlines()]
    assert lines[0] == ["NAME", "STATE", "CORES", "MEMORY", "RESTARTS"]
    assert lines[1] == ["web", "running", "1,2", "64", "MiB", "0"]
    assert lines[2] == ["db", "defined", "(3)", "(64M)", "0"]
    assert ctl.done("list", "-q") == "web\ndb\n"
    assert [(vm["machine"], vm["name"]) for vm in ctl.json("list")] == [("rack1", "web"), ("rack1", "db")]


def test_info(ctl):
    ctl.make("web", "--cmdline", "quiet init=/bin/sh", "--start")
    text = ctl.done("info", "web")
    for piece in ("state:        running", "cores:        1\n", "memory:       64 MiB", "0x0040000000-0x0044000000 (64 MiB)",
                  "command line: quiet init=/bin/sh", "restart:      on-failure, at most 3 times in 60 s"):
        assert piece in text
    assert ctl.json("info", "web")["images"]["kernel"]["size"] == KERNEL_BYTES
    assert ctl.fails(1, "info", "db") == "bhctl: there is no VM 'db'"


def test_info_machine(ctl):
    text = ctl.done("info")
    capacity = ctl.json("info")[0]["capacity"]
    for piece in ("machine:      rack1", "4, of which 0 is the hypervisor's", "free cores:   1,2,3",
                  f"free memory:  {capacity['memory_free'] // MIB} MiB"):
        assert piece in text
    assert capacity["vms_free"] == 16


def test_several_machines(tmp_path):
    server = FakeRest(str(tmp_path / "many.sock"), [Machine("rack1"), Machine("rack2", cores=8), Machine("rack3", connected=False)])
    try:
        many = Ctl(server.path, tmp_path)
        assert "several machines; name one with --machine: rack1, rack2, rack3" in many.fails(2, "plan")
        many.make("web", "--machine", "rack2", cores="7")
        out = many("list")
        assert out.stdout.splitlines()[1].split()[:3] == ["rack2", "web", "defined"]
        assert (out.returncode, out.stderr) == (0, "bhctl: rack3 is not connected\n")
        assert many.done("--machine", "rack1", "list") == ""
        assert many.fails(1, "--machine", "rack9", "list") == "bhctl: there is no machine 'rack9'"
        assert many.fails(1, "--machine", "rack3", "plan") == "bhctl: rack3 is not connected"
        assert "connected:    no" in many.done("--machine", "rack3", "info")
    finally:
        server.close()


def test_stats(ctl):
    ctl.make("web", "--start", cores="1,2")
    rows = [line.split() for line in ctl.done("stats", "web").splitlines()]
    assert " ".join(rows[0]) == "EXITS VCPU0 (CORE 1) VCPU1 (CORE 2) TOTAL"
    assert ["call", "12", "12", "24"] in rows
    assert rows[-1][0] == "total" and int(rows[-1][3]) == int(rows[-1][1]) + int(rows[-1][2])
    assert len(ctl.json("stats", "web")["vcpus"]) == 2


def test_stats_of_a_vm_that_never_ran(ctl):
    ctl.make("web")
    assert "web is defined" in ctl.fails(1, "stats", "web")


def test_top_prints(ctl):
    ctl.make("web", "--start")
    ctl.make("db", cores="2")
    out = ctl.done("top", "--interval", "0.3", "--count", "2")
    tables = [t.splitlines() for t in out.strip().split("bhctl top")[1:]]
    assert len(tables) == 2
    for lines in tables:
        assert re.match(r"VM +STATE +CORES +TOTAL +IPI", lines[2])
        assert re.match(r"web +running +1 +\d+\.\d", lines[3])
        assert re.match(r"db +defined +- +- +-", lines[4])


def test_top_json(ctl):
    ctl.make("web", "--start")
    lines = ctl.done("top", "--json", "--interval", "0.3", "--count", "2").splitlines()
    rates = json.loads(lines[1])[0]["per_second"]
    assert len(lines) == 2 and 3 < rates["ipi"] < 20 and rates["call"] == 0


def test_top_after_a_reset_never_goes_below_zero(ctl):
    ctl.make("web", "--start")
    top = ctl.start("top", "--json", "--interval", "0.4", "--count", "3")
    top.stdout.readline()
    ctl.done("reset", "web")
    rates = [n for line in top.communicate(timeout=10)[0].splitlines() for vm in json.loads(line)
             for n in (vm["per_second"] or {}).values()]
    assert rates and min(rates) >= 0


def terminal(ctl, command, **options):
    """@command of a shell on a terminal, after and before the terminal's settings; see same_settings()"""
    return pexpect.spawn("/bin/bash", ["-c", f"stty -g; {command}; echo status $?; stty -g"], env=ctl.environment, timeout=10,
                         dimensions=(24, 100), **options)


SETTINGS = r"((?:[0-9a-f]+:){20,}[0-9a-f]+)\r\n"


def same_settings(child, before, status=0):
    child.expect(rf"status {status}\r\n")
    child.expect(SETTINGS)
    assert child.match[1] == before
    child.expect(pexpect.EOF)


def begin(child):
    child.expect(SETTINGS)
    return child.match[1]


def test_top_on_a_terminal(ctl):
    ctl.make("web", "--start")
    child = terminal(ctl, f"{BHCTL} top --interval 0.2")
    before = begin(child)
    child.expect_exact("\x1b[?1049h")
    for _ in range(3):
        child.expect(r"web +running +1 +\d")
    child.send("q")
    child.expect_exact("\x1b[?25h\x1b[?1049l")
    same_settings(child, before)


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_top_ended_by_a_signal(ctl, number, status):
    child = pexpect.spawn(BHCTL, ["top"], env=ctl.environment, timeout=10)
    child.expect_exact("every 1 s")
    child.kill(number)
    child.expect_exact("\x1b[?25h\x1b[?1049l")
    child.expect(pexpect.EOF)
    child.wait()
    child.close()
    assert child.exitstatus == status


def test_plan(ctl):
    ctl.make("web", "--start", cores="1,2")
    text = ctl.done("plan")
    cores = re.search(r"Cores\n +0 +1 +2 +3\n +(.*)", text)[1].split()
    assert cores == ["Bulkhead", "web", "web", "Free"]
    assert re.search(r"0x0040000000-0x0044000000 +64 MiB +#\.+ +web\n", text)
    for e in ctl.json("plan")["capacity"]["extents"]:
        assert re.search(rf"0x{e['base']:010x}-0x{e['base'] + e['size']:010x} +{e['size'] // MIB} MiB +\.*-+\.* +Free\n", text)
    assert re.search(r"\d MiB more: the hypervisor's", text)
    assert "web  running, 2 cores, 64 MiB in 1 extent" in text
    assert set(ctl.json("plan")) == {"machine", "capacity", "vms"}


def test_plan_without_vms(ctl):
    assert ctl.done("plan").endswith("VMs\n  none\n")


def test_plan_svg(ctl, tmp_path):
    ctl.make("web", "--start", cores="1,2")
    assert ctl.done("plan", "--svg", tmp_path / "map.svg") == ""
    root = xml.etree.ElementTree.parse(tmp_path / "map.svg").getroot()
    words = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("web") == 4  # two cores, its memory, the owners
    titles = [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["web 0x40000000-0x44000000"]
    assert "No such file" in ctl.fails(2, "plan", "--svg", tmp_path / "nowhere/map.svg")


# --- changing ---


def test_create_says_nothing_and_uploads(ctl, tmp_path):
    initrd = tmp_path / "initrd.gz"
    initrd.write_bytes(b"x" * 5000)
    assert ctl.done("create", "web", "--core-count", "2", "--memory", "1G", "--kernel", ctl.kernel, "--initrd", initrd,
                    "--cmdline", "a=b c", "--no-console", "--restart", "always", "--restart-limit", "5,600", "--autostart",
                    "--boot-protocol", "linux", "--device", "0000:01:00.0", "--device", "0000:02:00.0/vf3", "--dma-trusted", "--virtual-interrupts",
                    "--hotplug-ports", "2") == ""
    vm = ctl.json("info", "web")
    assert vm["state"] == "defined"
    assert vm["spec"] == {"name": "web", "core_count": 2, "memory": "1G", "bootargs": "a=b c", "console": "none", "autostart": True,
                          "boot_protocol": "linux", "restart": {"policy": "always", "limit": 5, "window": 600},
                          "devices": ["0000:01:00.0", "0000:02:00.0/vf3"], "dma_trusted": True, "hotplug_ports": 2, "virtual_interrupts": True}
    assert re.search(r"^device: +0000:01:00.0$", ctl.done("info", "web"), re.M)
    assert "hot plug:     2 ports\n" in ctl.done("info", "web")
    assert "interrupts:   by list registers, each an exit\n" in ctl.done("info", "web")
    assert [vm["images"][i]["size"] for i in ("kernel", "initrd")] == [KERNEL_BYTES, 5000]


def test_create_and_start(ctl):
    ctl.make("web", "--start", cores="1-2")
    assert ctl.json("info", "web")["cores"] == [1, 2]
    ctl.done("create", "db", "--cores", "3", "--memory", str(64 * MIB), "--kernel", ctl.kernel)
    assert ctl.json("start", "db")[0]["memory"] == 64 * MIB


def test_create_is_refused(ctl):
    ctl.make("web")
    assert "two VMs have this name" in ctl.fails(1, "create", "web", "--cores", "2", "--memory", "64M", "--kernel", ctl.kernel)
    assert "a multiple of 2M is allowed" in ctl.fails(1, "create", "db", "--cores", "2", "--memory", "3M", "--kernel", ctl.kernel)
    assert ctl.done("list", "-q") == "web\n"


def test_create_whose_start_is_refused(ctl):
    sentence = ctl.fails(1, "create", "web", "--core-count", "9", "--memory", "64M", "--kernel", ctl.kernel, "--start")
    assert sentence == ("bhctl: web is created but not started: "
                        "/vms/web: core-count: 9 cores; this machine has 3 left for it")
    assert "last error:   /vms/web: core-count" in ctl.done("info", "web")


def test_manifest(ctl, tmp_path):
    path = manifest(tmp_path)
    assert ctl.done("create", "--manifest", path, "--start") == ""
    web, db = ctl.json("list")
    assert (web["spec"], web["cores"], web["state"]) == ({"name": "web", "cores": [1, 2], "memory": "128M", "bootargs": "quiet",
                                                          "autostart": True}, [1, 2], "running")
    assert db["spec"] == {"name": "db", "core_count": 1, "memory": 128 * MIB, "console": "none", "autostart": False,
                          "restart": {"policy": "never"}, "hotplug_ports": 1}
    assert web["images"]["initrd"]["size"] == KERNEL_BYTES


def test_manifest_as_a_blob(ctl, tmp_path):
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", tmp_path / "vms.dtb", manifest(tmp_path)], check=True)
    ctl.done("create", "--manifest", tmp_path / "vms.dtb")
    assert ctl.done("list", "-q") == "web\ndb\n"


def test_the_demo_is_a_manifest(ctl, tmp_path):
    for name in ("Image", "initrd.gz"):
        (tmp_path / name).write_bytes(arm64_image(100))
    text = (ROOT / "tools/demo/demo.dts").read_text(encoding="utf-8")
    ctl.done("create", "--manifest", manifest(tmp_path, text), "--start")
    assert [vm["cores"] for vm in ctl.json("list")] == [[1, 2], [3]]


@pytest.mark.parametrize("old, new, sentence", [
    ('bootargs = "quiet";', 'colour = "red";', "/vms/web: colour: this property is not known"),
    ('bootargs = "quiet";', "devices = <1>;", "/vms/web: devices: a string is allowed"),
    ('bootargs = "quiet";', "bootargs = <1>;", "/vms/web: bootargs: a string is allowed"),
    ("cores = <1 2>;", "cores = [01];", "/vms/web: cores: cells are allowed"),
    ("core-count = <1>;", "core-count = <1 2>;", "/vms/db: core-count: one cell is allowed"),
    ("<0x0 0x8000000>", "<1>", "/vms/db: memory: a string or two cells are allowed"),
    ("<0 0>", "<1>", "/vms/db: restart-limit: two cells are allowed"),
    ("hotplug-ports = <1>", 'hotplug-ports = "one-port"', "/vms/db: hotplug-ports: one cell is allowed"),
    ('initrd = "Image";', 'initrd = "nothing";', "nothing: No such file or directory"),
    ('kernel = "Image"; console', "console", "/vms/db: kernel: this property is required"),
    ("web {", "Web {", "/vms/Web: a name is 1 to 31 of"),
    ("vms {", "guests {", "/vms: there is no VM in it"),
    ("/dts-v1/;", "/dts-v1/; nonsense", "dtc: "),
])
def test_bad_manifest_changes_nothing(ctl, tmp_path, old, new, sentence):
    assert old in MANIFEST
    assert sentence in ctl.fails(2, "create", "--manifest", manifest(tmp_path, MANIFEST.replace(old, new, 1)))
    assert ctl.json("list") == []


def test_manifest_that_is_cut(ctl, tmp_path):
    path = tmp_path / "cut.dtb"
    path.write_bytes(b"\xd0\x0d\xfe\xed" + bytes(20))
    assert "this is not a device tree" in ctl.fails(2, "create", "--manifest", path)
    assert "No such file" in ctl.fails(2, "create", "--manifest", tmp_path / "none.dts")


def test_manifest_of_which_the_second_is_refused(ctl, tmp_path):
    ctl.make("db")
    sentence = ctl.fails(1, "create", "--manifest", manifest(tmp_path))
    assert "/vms/db: two VMs have this name" in sentence and "(created before: web)" in sentence


def test_life_of_a_vm(ctl):
    ctl.make("web")
    for verb, state in (("start", "running"), ("reset", "running"), ("stop", "stopped"), ("start", "running"),
                        ("abort", "stopped")):
        assert ctl.done(verb, "web") == ""
        assert ctl.state("web") == state
    assert ctl.done("delete", "web") == ""
    assert ctl.json("list") == []


def test_actions_as_json(ctl):
    ctl.make("web")
    assert ctl.json("start", "web")[0]["state"] == "running"
    assert ctl.json("stop", "web")[0]["state"] == "stopped"
    assert ctl.json("delete", "web") == []


def stopping(ctl, *options):
    """bhctl, which waits for a running VM's guest to end by itself"""
    ctl.make("web", "--start")
    child = ctl.start("stop", "--grace", "100", *options, "web")
    until(lambda: ctl.json("info", "web")["wanted"] == "stopped")
    return child


def test_stop_waits_for_the_guest_to_end_by_itself(ctl):
    child = stopping(ctl, "--json")
    assert ctl.state("web") == "running" and child.poll() is None
    ctl("console", "web", input="poweroff\n", text=True)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (0, "") and json.loads(out)[0]["state"] == "stopped"


def test_stop_waits_for_the_grace_period_to_end(ctl):
    for name, core in (("web", "1"), ("db", "2")):
        ctl.make(name, "--start", cores=core)
    began = time.monotonic()
    assert "there is no VM" in ctl.fails(1, "stop", "--grace", "1", "web", "none", "db")  # which does not hold up the others
    assert 1 <= time.monotonic() - began
    assert [ctl.state(name) for name in ("web", "db")] == ["stopped", "stopped"]


def test_stop_shows_how_the_grace_period_goes(ctl):
    ctl.make("web", "--start")
    child = pexpect.spawn(BHCTL, ["stop", "--grace", "2", "web"], env=ctl.environment, timeout=20)
    child.expect(r"web may end by itself +\[#+\.+\] +[1-9]\d?%  [01] of 2 s")
    child.expect(pexpect.EOF)
    assert child.before.endswith(b"\r\x1b[K")
    child.wait()
    child.close()
    assert child.exitstatus == 0 and ctl.state("web") == "stopped"


def test_stop_that_is_not_waited_for(ctl):
    ctl.make("web", "--start")
    vm = ctl.json("stop", "--grace", "100", "--no-wait", "web")[0]
    assert (vm["state"], vm["wanted"]) == ("running", "stopped")
    ctl.done("abort", "web")


def test_wait_for_a_stop_ends_with_ctrl_c(ctl):
    """What was asked for goes on."""
    child = stopping(ctl)
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 130
    assert ctl.json("info", "web")["wanted"] == "stopped"


def test_stop_that_another_takes_back(fake, ctl):
    child = stopping(ctl)
    vm = fake.machines["rack1"].vms["web"]
    with fake.machines["rack1"].lock:
        vm.wanted = "running"
    assert child.wait(10) == 1
    assert child.stderr.read() == "bhctl: web was started again meanwhile\n"


def test_several_at_once(ctl):
    ctl.make("a")
    ctl.make("b", cores="2")
    out = ctl("start", "a", "nobody", "b")
    assert (out.returncode, out.stdout, out.stderr) == (1, "", "bhctl: there is no VM 'nobody'\n")
    assert (ctl.state("a"), ctl.state("b")) == ("running", "running")


@pytest.mark.parametrize("verb", ["stop", "abort", "reset"])
def test_wrong_state(ctl, verb):
    ctl.make("web")
    assert re.match(r"bhctl: web is defined; it cannot be \w+ now$", ctl.fails(1, verb, "web"))


@pytest.mark.parametrize("verb", ["start", "delete"])
def test_wrong_state_while_running(ctl, verb):
    ctl.make("web", "--start")
    assert "web is running" in ctl.fails(1, verb, "web")


@pytest.mark.parametrize("words", [["start"], ["stop"], ["abort"], ["reset"], ["delete"], ["info"], ["stats"], ["console"]])
def test_no_such_vm(ctl, words):
    assert ctl.fails(1, *words, "nobody") == "bhctl: there is no VM 'nobody'"


# --- the command line ---


BAD = [[], ["nonsense"], ["list", "extra"], ["start"], ["start", "Web"], ["start", "../x"], ["start", "x" * 32], ["info", "a", "b"],
       ["create"], ["create", "web"], ["create", "web", "--cores", "1", "--memory", "64M"],
       ["stop", "web", "--grace", "x"], ["stop", "web", "--grace", "-1"], ["stop", "web", "--grace", "601"],
       ["console"], ["console", "web", "--tail", "x"], ["console", "web", "--json"], ["events", "--since", "-1"],
       ["events", "--count", "0"], ["top", "--interval", "0"], ["top", "--count", "x"], ["plan", "--svg"], ["--socket"],
       ["list", "--no-such-option"], ["create", "web", "--manifest", "x.dts"], ["stats"], ["device"], ["device", "fly"],
       ["device", "add", "web"], ["device", "remove"], ["device", "list", "a", "b"], ["device", "add", "web", "0000:01:00.0", "--force"],
       ["device", "remove", "web", "0000:01:00.0", "--timeout", "-1"]]
BAD_CREATE = [["--cores", "1;2"], ["--cores", ""], ["--cores", "3-1"], ["--cores", "1", "--core-count", "1"], ["--core-count", "0"],
              ["--memory", "64X"], ["--memory", "0M"], ["--memory", "-1"], ["--kernel", "/no/such/file"], ["--kernel", "/"],
              ["--initrd", "/no/such/file"], ["--restart", "sometimes"], ["--restart-limit", "3"],
              ["--restart-limit", "0,60"], ["--boot-protocol", "bios"], ["--hotplug-ports", "5"],
              ["--hotplug-ports", "x"]]


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_arguments(ctl, words):
    ctl.fails(2, *words)


@pytest.mark.parametrize("words", BAD_CREATE, ids=" ".join)
def test_bad_arguments_of_create(ctl, words):
    good = {"--cores": "1", "--memory": "64M", "--kernel": ctl.kernel}
    if words[0] == "--core-count":
        del good["--cores"]
    rest_of_it = [w for option, value in good.items() if option != words[0] for w in (option, value)]
    ctl.fails(2, "create", "web", *words, *rest_of_it)
    assert ctl.json("list") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help(ctl, command):
    assert ctl.done(command, "--help").startswith("usage: bhctl ")


def test_options_before_and_after_the_command(ctl):
    assert ctl.done("--json", "list") == ctl.done("list", "--json") == "[]\n"
    assert ctl("--socket", "/nowhere", "list").returncode == ctl("list", "--socket", "/nowhere").returncode == 3


def options_of(command):
    help_text = subprocess.run([BHCTL, *command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z][a-z-]+", help_text))


@pytest.mark.parametrize("command", COMMANDS)
def test_man_page_and_completion_know_everything(command):
    page = (ROOT / "tools/bhctl.1").read_text(encoding="utf-8").replace("\\", "")
    assert re.search(rf"^\.It Cm {command}\b", page, re.M)
    script = f'. {ROOT}/tools/bhctl.bash; COMP_WORDS=(bhctl {command} --); COMP_CWORD=2; _bhctl; echo "${{COMPREPLY[@]}}"'
    offered = set(subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split())
    assert offered == options_of([command])
    for option in offered:
        assert f" -{option[2:]}" in page, option


def complete(ctl, *words):
    script = f'. {ROOT}/tools/bhctl.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bhctl; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", script, "bash", BHCTL, *words], capture_output=True, text=True, check=True,
                          env=ctl.environment).stdout.split()


def test_completion_in_zsh(ctl):
    """As a person types it; it asks the same script."""
    ctl.make("web", "--start")
    shell = pexpect.spawn("zsh", ["-f"], env={**ctl.environment, "PS1": "> ", "TERM": "dumb"}, timeout=30, encoding="utf-8",
                          dimensions=(24, 300))
    shell.expect("> ")
    shell.sendline(f"autoload -Uz compinit && compinit -D -u && . {ROOT}/tools/bhctl.zsh && path=({ROOT}/tools $path) && echo rea''dy")
    shell.expect("ready\r\n")
    for typed, whole in (("del", "delete"), ("stop w", "stop web"), ("create x --restart on", "create x --restart on-failure"),
                         ("stop --no", "stop --no-wait"), (f"create x --kernel {ctl.kernel[:-2]}", f"create x --kernel {ctl.kernel}")):
        shell.send(f"bhctl {typed}\t")
        shell.expect_exact(f"bhctl {typed}")
        shell.expect_exact(whole[len(typed):])
        shell.send("\x15")  # takes the line away
    shell.close(force=True)


def test_completion(ctl):
    ctl.make("web")
    ctl.make("db", cores="2")
    assert complete(ctl, "st") == ["start", "stop", "stats"]
    assert complete(ctl, "start", "") == ["web", "db"]
    assert complete(ctl, "--json", "start", "w") == ["web"]
    assert complete(ctl, "--socket", "/nowhere", "start", "") == []
    assert complete(ctl, "list", "--machine", "") == ["rack1"]
    assert complete(ctl, "create", "x", "--restart", "o") == ["on-failure"]
    assert complete(ctl, "create", "x", "--cores", "") == []
    assert complete(ctl, "device", "") == ["add", "remove", "list"]
    assert complete(ctl, "device", "remove", "w") == ["web"]
    assert {"--force", "--timeout"} <= set(complete(ctl, "device", "remove", "--"))
    ctl.make("app", "--hotplug-ports", "1", "--start", cores="3")
    ctl.done("device", "add", "app", FUNCTION)
    assert complete(ctl, "device", "remove", "app", "") == [FUNCTION]
    assert complete(ctl, "device", "add", "app", "") == []
    assert complete(ctl, "create", "x", "--kernel", ctl.kernel[:-2]) == [ctl.kernel]


# --- hot plug ---

FUNCTION, OTHER = "0000:01:00.0", "0000:02:00.0"


@pytest.fixture
def plugged(ctl):
    """A VM that runs, with something in one of its two ports"""
    ctl.make("web", "--hotplug-ports", "2", "--start")
    assert ctl.done("device", "add", "web", FUNCTION) == ""
    return ctl


def test_device_list(plugged):
    lines = [line.split() for line in plugged.done("device", "list", "web").splitlines()]
    assert lines == [["VM", "PORT", "FUNCTION", "GUEST"], ["web", "0", FUNCTION, "0000:01:00.0"], ["web", "1", "-", "-"]]
    plugged.make("db", cores="2")
    assert plugged.done("device", "list") == plugged.done("device", "list", "web") and plugged.done("device", "list", "db") == ""
    assert plugged.json("device", "list")[1] == {"vm": "web", "function": None, "vf": None, "guest": None, "port": 1}
    assert re.search(rf"^port 0: +{FUNCTION}, in the guest at 0000:01:00.0\nport 1: +empty$", plugged.done("info", "web"), re.M)


def test_free_devices(plugged):
    free = re.findall(r"^free device: +(.*)$", plugged.done("info"), re.M)
    assert OTHER in free and FUNCTION not in free


def test_device_as_json(plugged):
    assert [d["port"] for d in plugged.json("device", "add", "web", OTHER)["devices"]] == [0, 1]
    assert [d["port"] for d in plugged.json("device", "remove", "web", FUNCTION)["devices"]] == [1]


def test_device_remove_waits_for_the_guest(plugged):
    assert plugged.done("device", "remove", "web", FUNCTION) == ""
    assert plugged.json("info", "web")["devices"] == []
    plugged.done("device", "add", "web", FUNCTION)
    plugged.done("stop", "web")
    assert plugged.json("info", "web")["devices"][0]["function"] == FUNCTION
    assert plugged.done("device", "remove", "web", FUNCTION) == ""


def keeper(rest):
    """Whose guests give nothing back"""
    (rest.hypervisor if BHCARD else rest.machines["rack1"]).gives_back = None


def test_device_remove_of_a_guest_that_keeps_it(rest, plugged):
    keeper(rest)
    assert plugged.fails(1, "device", "remove", "--timeout", "0.3", "web", FUNCTION) == (
        f"bhctl: web has not given {FUNCTION} back within 0.3 s; --force takes it without asking")
    assert plugged.json("info", "web")["devices"][0]["function"] == FUNCTION
    assert plugged.done("device", "remove", "--force", "web", FUNCTION) == ""
    assert plugged.json("info", "web")["devices"] == []


def test_device_remove_while_the_vm_stops(rest, plugged):
    keeper(rest)
    child = plugged.start("device", "remove", "web", FUNCTION)
    time.sleep(0.5)
    plugged.done("stop", "web")
    assert child.communicate(timeout=20)[1] == f"bhctl: web is stopped and has not given {FUNCTION} back; remove it again\n"
    assert child.returncode == 1


def test_device_remove_shows_how_long_it_waits(rest, plugged):
    keeper(rest)
    child = pexpect.spawn(BHCTL, ["device", "remove", "--timeout", "2", "web", FUNCTION], env=plugged.environment, timeout=20)
    child.expect(r"web may give it back +\[\.*\] +\d+%  0 of 2 s")
    child.expect_exact("\r\x1b[K")
    child.expect_exact("--force takes it")
    child.expect(pexpect.EOF)


def test_device_is_refused(plugged):
    plugged.make("db", cores="2")
    assert "db is defined" in plugged.fails(1, "device", "add", "db", OTHER)
    plugged.done("start", "db")
    assert "the VM has 0 (hotplug-ports)" in plugged.fails(1, "device", "add", "db", OTHER)
    assert "is a device of /vms/web" in plugged.fails(1, "device", "add", "web", FUNCTION)
    assert "is not there" in plugged.fails(1, "device", "add", "web", "0000:0e:00.0")
    assert plugged.fails(1, "device", "remove", "db", FUNCTION) == f"bhctl: db has no '{FUNCTION}' in a port"
    assert plugged.fails(1, "device", "remove", "none", FUNCTION) == "bhctl: there is no VM 'none'"
    assert plugged.fails(1, "device", "list", "none") == "bhctl: there is no VM 'none'"


# --- no connection ---


@pytest.mark.parametrize("command", COMMANDS)
def test_no_daemon(command, tmp_path):
    nobody = Ctl(str(tmp_path / "none.sock"), tmp_path)
    assert nobody.fails(3, command, *COMMANDS[command]) == (
        f"bhctl: no connection to {tmp_path}/none.sock: No such file or directory; is bhcard running?")


def test_daemon_that_died(tmp_path):
    path = str(tmp_path / "stale.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    assert "Connection refused; is bhcard running?" in Ctl(path, tmp_path).fails(3, "list")


@contextlib.contextmanager
def answering(tmp_path, answer):
    """A socket whose first client gets @answer, whatever it says."""
    path = str(tmp_path / "odd.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen()

        def serve():
            connection, _ = s.accept()
            connection.recv(4096)
            connection.sendall(answer)
            connection.close()
        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
                                    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>"])
def test_what_answers_is_no_daemon(tmp_path, answer):
    with answering(tmp_path, answer) as path:
        sentence = Ctl(path, tmp_path).fails(3, "list")
    assert sentence.startswith("bhctl: ") and "\n" not in sentence


def test_refusal_without_a_sentence(tmp_path):
    with answering(tmp_path, b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\nno") as path:
        assert Ctl(path, tmp_path).fails(1, "list") == "bhctl: bhcard answered 502 Bad Gateway"


def test_reader_that_leaves(ctl):
    ctl.make("web")
    out = subprocess.run(["bash", "-c", f"{BHCTL} info | true; echo ${{PIPESTATUS[0]}}"], env=ctl.environment, capture_output=True,
                         text=True, timeout=20, check=True)
    assert (out.stdout, out.stderr) == ("0\n", "")


# --- uploads ---


def big_kernel(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(bytes(8 * MIB))
    return path


def test_upload_that_the_daemon_breaks_off(fake, ctl, tmp_path):
    fake.set(break_upload_at=1 * MIB)
    sentence = ctl.fails(3, "create", "web", "--cores", "1", "--memory", "64M", "--kernel", big_kernel(tmp_path))
    assert sentence.startswith("bhctl: the connection to bhcard was lost")
    assert ctl.json("list") == []


def test_upload_that_is_too_large(fake, ctl, tmp_path):
    fake.set(image_limit=4 * MIB)
    sentence = ctl.fails(1, "create", "web", "--cores", "1", "--memory", "64M", "--kernel", big_kernel(tmp_path))
    assert sentence == "bhctl: kernel: 8388608 bytes; at most 4194304 are allowed"
    assert ctl.json("list") == []


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_upload_that_is_interrupted(fake, ctl, tmp_path, number, status):
    fake.set(upload_pause=0.1)
    child = ctl.start("create", "web", "--cores", "1", "--memory", "64M", "--kernel", str(big_kernel(tmp_path)))
    until(lambda: ctl.json("list"))
    child.send_signal(number)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, out, err) == (status, "", "")
    assert ctl.json("list") == []


def test_progress_on_a_terminal(fake, ctl, tmp_path):
    fake.set(upload_pause=0.01)
    child = pexpect.spawn(BHCTL, ["create", "web", "--cores", "1", "--memory", "64M", "--kernel", str(big_kernel(tmp_path))],
                          env=ctl.environment, timeout=20)
    child.expect(r"kernel big +\[#+\.+\] +[1-9]\d?%  [\d.]+ MiB, [\d.]+ MiB/s")
    child.expect(r"100%  8 MiB")
    child.expect(pexpect.EOF)
    assert child.before.endswith(b"\r\x1b[K")
    child.wait()
    child.close()
    assert child.exitstatus == 0


# --- streams ---


def test_logs(ctl):
    ctl.make("web", "--start")
    lines = ctl.done("logs").splitlines()
    assert lines[0].startswith("Bulkhead ") and lines[-1].endswith("core0: web: running")
    assert json.loads(ctl.done("logs", "--json").splitlines()[-1]) == lines[-1]


def test_logs_follow(ctl):
    ctl.make("web")
    child = ctl.start("logs", "-f")
    child.stdout.readline()
    ctl.done("start", "web")
    until(lambda: child.stdout.readline().endswith("web: running\n"))
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 130 and child.stderr.read() == ""


def test_events(ctl):
    ctl.make("web", "--start")
    ctl.done("abort", "web")
    lines = ctl.done("events", "--since", "0", "--count", "4").splitlines()
    assert [re.sub(r"^\S+ \S+  ", "", line).split(":")[:2] for line in lines] == [
        ["rack1", " connected"], ["web", " created"], ["web", " started"], ["web", " aborted"]]
    events = [json.loads(line) for line in ctl.done("events", "--since", "2", "--count", "2", "--json").splitlines()]
    assert [(e["id"], e["event"]) for e in events] == [(3, "started"), (4, "aborted")]


def test_events_as_they_come(rest, ctl):
    ctl.make("web")
    child = ctl.start("events", "--count", "1")
    rest.wait_for("/events")
    ctl.done("start", "web")
    assert child.communicate(timeout=10)[0].endswith("web: started: asked\n")
    assert child.returncode == 0


def test_streams_end_with_the_daemon(rest, ctl):
    ctl.make("web", "--start")
    children = [ctl.start("events"), ctl.start("logs", "-f"), ctl.start("console", "web", "--no-input")]
    for piece in ("/events", "/logs", "/console"):
        rest.wait_for(piece)
    rest.close()
    for child in children:
        _, err = child.communicate(timeout=10)
        assert child.returncode == 3 and err.startswith("bhctl: "), err


def test_console_on_a_terminal(ctl):
    ctl.make("web", "--start")
    child = terminal(ctl, f"{BHCTL} console web")
    before = begin(child)
    child.expect_exact("console of web; Ctrl-] leaves it")
    child.expect_exact("web:/#")
    child.send("echo hallo\r")
    child.expect_exact("echo hallo\r\nhallo\r\n")
    child.expect_exact("web:/#")
    child.send("ab\x7f\x7f\x03c")  # Ctrl-C is the guest's
    child.expect_exact("ab\b \b\b \bc")
    child.send("\x1d")
    same_settings(child, before)


def test_console_keeps_the_order_of_what_is_typed_ahead(ctl):
    ctl.make("web", "--start")
    child = terminal(ctl, f"{BHCTL} console web")
    child.expect_exact("web:/#")
    text = "".join(f"{i:04}" for i in range(500))
    for i in range(0, len(text), 100):
        child.send(text[i:i + 100])
    child.expect_exact(text)
    child.send("\x1d")
    child.expect(r"status 0")


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_console_ended_by_a_signal(ctl, number, status):
    ctl.make("web", "--start")
    child = terminal(ctl, f"bash -c 'echo pid $$; exec {BHCTL} console web'")
    before = begin(child)
    child.expect(r"pid (\d+)")
    pid = int(child.match[1])
    child.expect_exact("web:/#")
    os.kill(pid, number)
    same_settings(child, before, status)


def test_console_when_the_window_closes(ctl):
    ctl.make("web", "--start")
    child = pexpect.spawn(BHCTL, ["console", "web"], env=ctl.environment, timeout=10, ignore_sighup=True)
    child.expect_exact("web:/#")
    pid = child.pid
    os.close(child.child_fd)  # the terminal is gone; the child ignores SIGHUP, so it must see the end of its input
    until(lambda: os.waitpid(pid, os.WNOHANG) != (0, 0))
    child.closed, child.terminated = True, True


def test_console_of_a_vm_that_takes_no_input(ctl):
    ctl.make("web")
    child = terminal(ctl, f"{BHCTL} console web")
    before = begin(child)
    child.expect_exact("leaves it")
    child.send("x")
    child.expect_exact("\a")
    child.send("\x1d")
    same_settings(child, before)


def test_console_of_a_vm_that_is_deleted(ctl):
    ctl.make("web")
    child = terminal(ctl, f"{BHCTL} console web")
    before = begin(child)
    child.expect_exact("leaves it")
    ctl.done("delete", "web")
    child.expect_exact("there is no VM 'web'")
    same_settings(child, before, 1)


def test_console_without_a_terminal(ctl):
    ctl.make("web", "--start")
    out = ctl.done("console", "web", "--tail", "0", input="echo hallo\r\nnonsense\r\n")
    assert "hallo\n" in out and "nonsense: not found" in out
    assert ctl.done("console", "web", "--no-follow", "--tail", "12") == ctl.done("console", "web", "--no-follow")[-12:]


def test_console_passes_bytes_as_they_are(ctl):
    ctl.make("web", "--start")
    out = ctl("console", "web", "--tail", "0", input=b"\xff\x1d\xc3", text=False)
    assert (out.returncode, out.stdout) == (0, b"\xff\xc3")


def test_man_page_is_well_formed():
    page = pathlib.Path(ROOT / "tools/bhctl.1").read_text(encoding="utf-8")
    assert page.count(".Bl ") == page.count(".El")
