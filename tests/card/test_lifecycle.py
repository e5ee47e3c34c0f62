# SPDX-License-Identifier: Apache-2.0
"""A VM's way from create to delete, and what is seen of it."""
import subprocess
import time

import pytest

from conftest import BUILD, Stream, arm64_image, wait
from fake import Vm


def test_happy_path(card, hyp, machine, folder):
    initrd = bytes(range(256)) * 700
    kernel = arm64_image(150001)
    card.define(kernel=kernel, initrd=initrd, core_count=2)
    assert card.vm("web")["state"] == "defined"
    answer = card.post("vms/web/start")
    assert answer.status == 200, answer.body
    assert answer.json["state"] == "running" and answer.json["cores"] == [1, 2] and answer.json["memory"] == 64 << 20
    vm = hyp.vms["web"]
    assert vm.starts == 1 and vm.images[0] == kernel and vm.images[2] == initrd
    assert vm.images[1][:4] == b"\xd0\x0d\xfe\xed" and b"console=ttyAMA0" in vm.images[1]
    (folder / "plan").write_bytes(vm.plan)
    subprocess.run([BUILD / "card-machine", "check", machine[0], folder / "plan"], check=True)
    stats = card.ask("GET", "/v1/machines/m1/vms/web/stats").json
    assert stats["reasons"] == ["call", "ipi"] and stats["vcpus"][1] == {"core": 2, "exits": {"call": 2, "ipi": 3}}
    assert card.post("vms/web/stop").json["state"] == "stopped"
    wait(lambda: "stopped" in card.kinds("web"))
    assert card.ask("DELETE", "/v1/machines/m1/vms/web").status == 204
    assert not hyp.vms and card.ask("GET", "/v1/machines/m1/vms").json == []
    assert not list((folder / "state/m1/images").iterdir())
    assert card.kinds("web") == ["created", "started", "stopped", "deleted"]


def test_start_again_keeps_the_plan(card, hyp):
    card.define()
    card.post("vms/web/start")
    plan = hyp.vms["web"].plan
    card.post("vms/web/stop")
    assert card.post("vms/web/start").status == 200
    assert hyp.requests.count("create") == 1 and hyp.vms["web"].plan == plan


def test_another_image_is_planned_anew(card, hyp):
    card.define()
    card.post("vms/web/start")
    card.post("vms/web/stop")
    assert card.ask("PUT", "/v1/machines/m1/vms/web/images/kernel", arm64_image(90000)).status == 200
    assert card.post("vms/web/start").status == 200
    assert hyp.requests.count("create") == 2 and len(hyp.vms["web"].images[0]) == 90000


def test_two_vms_share_nothing(card, hyp, machine, folder):
    card.define("a", core_count=1)
    card.define("b", core_count=2, memory="128M")
    assert card.post("vms/a/start").status == card.post("vms/b/start").status == 200
    plans = []
    for vm in hyp.vms.values():
        plans.append(folder / f"plan-{vm.name}")
        plans[-1].write_bytes(vm.plan)
    subprocess.run([BUILD / "card-machine", "check", machine[0], *plans], check=True)
    capacity = card.ask("GET", "/v1/machines/m1/capacity").json
    assert capacity["cores_free"] == [] and capacity["memory_free"] == sum(e["size"] for e in capacity["extents"])
    card.define("c")
    refused = card.post("vms/c/start")
    assert refused.status == 409 and refused.json["error"] == "BH_NO_CORE"
    assert card.vm("c")["last_error"]["error"] == "BH_NO_CORE" and card.vm("c")["wanted"] == "stopped"


def test_capacity_of_an_empty_machine(card, hyp):
    capacity = card.ask("GET", "/v1/machines/m1/capacity").json
    assert capacity["cores_free"] == [1, 2, 3] and capacity["vms_free"] == 16
    assert capacity["memory_free"] >= (2 << 30) - (64 << 20)


def test_reset_and_abort(card, hyp):
    card.define()
    card.post("vms/web/start")
    assert card.post("vms/web/reset").json["state"] == "running" and hyp.vms["web"].starts == 2
    assert card.post("vms/web/abort").json["state"] == "stopped"
    assert "abort" in hyp.requests


def again(card, hyp):
    """Kills the daemon; the next one has the connection anew."""
    card.kill()
    hyp.closed.wait(10)
    card.start()
    hyp.connect()


def test_stop_with_grace(card, hyp):
    card.define()
    card.post("vms/web/start")
    answer = card.post("vms/web/stop", {"grace_ms": 3000})
    assert answer.status == 200 and answer.json["wanted"] == "stopped"
    assert card.vm("web")["state"] == "running"
    hyp.ends("web", "off")
    wait(lambda: card.vm("web")["state"] == "stopped")
    assert "stop" not in hyp.requests and "stopping" not in card.kinds("web")
    time.sleep(3)
    assert "stop" not in hyp.requests


def test_grace_period_that_passes(card, hyp):
    card.define()
    card.post("vms/web/start")
    began = time.monotonic()
    assert card.post("vms/web/stop", {"grace_ms": 1500}).json["state"] == "running"
    wait(lambda: card.vm("web")["state"] == "stopped")
    assert 1.5 <= time.monotonic() - began < 10 and hyp.requests.count("stop") == 1
    wait(lambda: "stopped" in card.kinds("web"))
    assert card.kinds("web") == ["created", "started", "stopping", "stopped"]


@pytest.mark.parametrize("verb", ["stop", "abort"])
def test_grace_period_is_cut_short(card, hyp, verb):
    card.define()
    card.post("vms/web/start")
    card.post("vms/web/stop", {"grace_ms": 600000})
    assert card.post(f"vms/web/{verb}").json["state"] == "stopped" and hyp.requests.count(verb) == 1


def test_console(card, hyp):
    card.define()
    card.post("vms/web/start")
    hyp.prints("web", b"Linux version\n")
    wait(lambda: card.ask("GET", "/v1/machines/m1/vms/web/console?follow=0").body == b"Linux version\n")
    stream = Stream(card.api, "/v1/machines/m1/vms/web/console?tail=8")
    assert stream.until(b"\n") == b"version\n"
    hyp.prints("web", bytes(range(256)))
    stream.until(bytes(range(256)))
    assert card.post("vms/web/console", "nproc\n").status == 204
    wait(lambda: hyp.typed == b"nproc\n")
    stream.close()


def test_console_is_bounded(card, hyp, folder):
    card.define()
    card.post("vms/web/start")
    for i in range(20):
        hyp.prints("web", b"%05d" % i + b"x" * 60000)
    wait(lambda: b"00019" in card.ask("GET", "/v1/machines/m1/vms/web/console?follow=0").body)
    assert sum(f.stat().st_size for f in (folder / "state/m1/console").iterdir()) <= 256 << 10


def test_log(card, hyp):
    stream = Stream(card.api, "/v1/machines/m1/logs?follow")
    hyp.logs("[1] core0: one\n[2] core0: two\n", dropped=3)
    stream.until(b"two\n")
    assert card.ask("GET", "/v1/machines/m1/logs").body.endswith(b"core0: two\n")
    assert b'bhcard_log_lines_dropped_total{machine="m1"} 3\n' in card.ask("GET", "/metrics").body
    stream.close()


def test_many_streams_end_with_the_daemon(card, hyp):
    card.define()
    streams = [Stream(card.api, f"/v1/machines/m1/{p}") for p in ("events", "logs?follow", "vms/web/console")]
    streams[0].close()
    card.post("vms/web/start")
    card.stop()
    for s in streams[1:]:
        s.close()


def boot_manifests_vm(card, dial, **spec):
    """A machine whose VM `kept` runs."""
    first = dial(card, connect=False)
    card.define("tmp", memory="64M", **spec)
    first.connect()
    wait(lambda: card.ask("GET", "/v1/machines/m1").json["connected"])
    card.post("vms/tmp/start")
    plan = first.vms["tmp"].plan
    first.close()
    wait(lambda: not card.ask("GET", "/v1/machines/m1").json["connected"])
    second = dial(card, connect=False, boot_id=2)
    second.vms["kept"] = Vm("kept", 0, b"kept\0".ljust(32, b"\0") + plan[32:], kept=True)
    second.vms["kept"].state = "running"
    second.connect()
    wait(lambda: card.vm("kept").get("state") == "running")
    return second


def test_boot_manifests_vm(card, dial):
    boot_manifests_vm(card, dial)
    assert card.vm("kept")["kept"] and card.vm("kept")["wanted"] is None
    assert card.post("vms/kept/stop").json["state"] == "stopped"
    assert card.post("vms/kept/start").json["state"] == "running"
    assert card.ask("DELETE", "/v1/machines/m1/vms/kept").status == 409


def test_boot_manifests_vm_has_grace(card, dial):
    hyp = boot_manifests_vm(card, dial)
    began = time.monotonic()
    assert card.post("vms/kept/stop", {"grace_ms": 1000}).json["state"] == "running"
    wait(lambda: card.vm("kept")["state"] == "stopped")
    assert 1 <= time.monotonic() - began < 10
    for end in (lambda: card.post("vms/kept/reset"), lambda: hyp.event("kept", "reset")):  # it runs on after these
        card.post("vms/kept/start")
        assert card.post("vms/kept/stop", {"grace_ms": 1000}).status == 200
        end()
        time.sleep(2)
        assert card.vm("kept")["state"] == "running"


def test_daemon_ends_during_a_grace_period(card, hyp):
    card.define()
    card.post("vms/web/start")
    card.post("vms/web/stop", {"grace_ms": 600000})
    again(card, hyp)
    wait(lambda: card.vm("web")["state"] == "stopped")


def test_daemon_ends_during_the_grace_period_of_a_boot_manifests_vm(card, dial):
    hyp = boot_manifests_vm(card, dial)
    card.post("vms/kept/stop", {"grace_ms": 600000})
    again(card, hyp)
    wait(lambda: card.vm("kept").get("state") == "stopped")
    card.post("vms/kept/start")
    again(card, hyp)
    wait(lambda: card.vm("kept").get("state") == "running")
    time.sleep(1)
    assert card.vm("kept")["state"] == "running"


def test_machine_restarts_during_the_grace_period_of_a_boot_manifests_vm(card, dial):
    hyp = boot_manifests_vm(card, dial)
    card.post("vms/kept/stop", {"grace_ms": 1000})
    hyp.disconnect()
    hyp.closed.wait(10)
    hyp.boot_id += 1
    time.sleep(1)
    hyp.connect()
    wait(lambda: card.vm("kept").get("state") == "running")
    time.sleep(1)
    assert card.vm("kept")["state"] == "running"


def test_two_machines(start, dial):
    card = start(("m1", "m2"))
    one, two = dial(card, "m1"), dial(card, "m2", boot_id=9)
    card.define("web", "m1")
    card.define("web", "m2", bootargs="two")
    assert card.post("vms/web/start", machine="m2").status == 200
    assert not one.vms and b"two" in two.vms["web"].images[1]
    assert card.post("vms/web/start", machine="m1").status == 200
    one.close()
    wait(lambda: not card.ask("GET", "/v1/machines/m1").json["connected"])
    assert card.vm("web", "m1")["state"] == "unknown" and card.vm("web", "m2")["state"] == "running"
    assert [m["name"] for m in card.ask("GET", "/v1/machines").json] == ["m1", "m2"]
