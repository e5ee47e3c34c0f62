# SPDX-License-Identifier: Apache-2.0
"""The connection, the daemon or the machine goes at any step of a start; what was wanted comes to be all the same."""
import threading

import pytest

from conftest import Daemon, wait

STEPS = [(request, when) for request in ("create", "image", "start") for when in ("before", "after")]


def begin(card, path="vms/web/start"):
    """Asks from another thread; the answer may never come."""
    def run():
        try:
            card.post(path)
        except OSError:
            pass
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def is_up(card, hyp, name="web"):
    return card.vm(name)["state"] == "running" and hyp.vms[name].state == "running"


@pytest.mark.parametrize("step", STEPS)
def test_connection_lost(card, hyp, step):
    card.define(initrd=b"i" * 100000)
    hyp.keep, hyp.stop_at = True, step
    answer = card.post("vms/web/start")
    assert answer.status == 503 and card.vm("web")["wanted"] == "running"
    wait(lambda: is_up(card, hyp))
    assert len(hyp.vms) == 1 and hyp.vms["web"].starts == 1


@pytest.mark.parametrize("step", STEPS)
def test_daemon_killed(card, hyp, step):
    card.define(initrd=b"i" * 100000)
    hyp.stop_at, hyp.on_cut = step, card.kill
    thread = begin(card)
    assert hyp.cut.wait(10)
    thread.join()
    card.start()
    hyp.keep = True
    hyp.connect()
    wait(lambda: is_up(card, hyp))
    assert len(hyp.vms) == 1 and hyp.vms["web"].starts == 1


@pytest.mark.parametrize("step", [("stop", "before"), ("stop", "after")])
def test_daemon_killed_while_it_stops(card, hyp, step):
    card.define()
    card.post("vms/web/start")
    hyp.stop_at, hyp.on_cut = step, card.kill
    thread = begin(card, "vms/web/stop")
    assert hyp.cut.wait(10)
    thread.join()
    card.start()
    hyp.connect()
    wait(lambda: card.vm("web")["state"] == "stopped")
    assert hyp.vms["web"].state == "stopped" and card.vm("web")["wanted"] == "stopped"


@pytest.mark.parametrize("step", [("delete", "before"), ("delete", "after")])
def test_daemon_killed_while_it_deletes(card, hyp, step):
    card.define()
    card.post("vms/web/start")
    card.post("vms/web/stop")
    hyp.stop_at, hyp.on_cut = step, card.kill

    def run():
        try:
            card.ask("DELETE", "/v1/machines/m1/vms/web")
        except OSError:
            pass
    thread = threading.Thread(target=run)
    thread.start()
    assert hyp.cut.wait(10)
    thread.join()
    card.start()
    hyp.connect()
    wait(lambda: card.ask("GET", "/v1/machines/m1/vms").json == [])
    assert not hyp.vms


def test_daemon_killed_at_rest(card, hyp):
    card.define()
    card.post("vms/web/start")
    plan = hyp.vms["web"].plan
    card.kill()
    card.start()
    assert card.vm("web")["state"] == "unknown"
    hyp.connect()
    wait(lambda: card.vm("web")["state"] == "running")
    assert hyp.vms["web"].starts == 1 and hyp.vms["web"].plan == plan


def test_machine_started_anew(card, hyp, dial):
    card.define()
    card.define("idle")
    card.define("auto", autostart=True)
    card.post("vms/web/start")
    hyp.close()
    again = dial(card, boot_id=2)
    wait(lambda: is_up(card, again) and is_up(card, again, "auto"))
    assert card.vm("idle")["state"] == "defined"
    assert "restarting" in card.kinds("web")


def test_autostart_waits_for_its_machine(start, dial):
    card = start()
    assert card.post("vms", {"name": "auto", "core_count": 1, "memory": "64M", "autostart": True}).status == 201
    hyp = dial(card)
    wait(lambda: card.vm("auto")["last_error"])
    assert card.vm("auto")["last_error"]["error"] == "BH_NO_IMAGE" and not hyp.vms


def test_an_end_that_is_heard_of_late(card, hyp):
    """Off while the card was away; the event comes after the list."""
    card.define(restart={"policy": "on-failure"})
    card.post("vms/web/start")
    hyp.ends_unseen("web")
    wait(lambda: card.ask("GET", "/v1/machines/m1").json["connected"])
    hyp.event("web", "off")
    wait(lambda: card.vm("web")["wanted"] == "stopped")
    assert hyp.vms["web"].starts == 1


def test_an_end_that_nobody_saw(card, hyp):
    card.define()
    card.post("vms/web/start")
    hyp.ends_unseen("web")
    wait(lambda: hyp.vms["web"].starts == 2)


def test_foreign_vm_is_left_alone(card, hyp, folder):
    """The card lost its state: the VM runs on, can be stopped and deleted."""
    card.define()
    card.post("vms/web/start")
    card.kill()
    (folder / "state/m1/state.json").unlink()
    card.start()
    hyp.connect()
    wait(lambda: card.vm("web").get("state") == "running")
    assert card.vm("web")["wanted"] is None and card.vm("web")["spec"] is None
    assert card.post("vms/web/reset").status == 409
    assert card.post("vms/web/stop").status == 200
    assert card.post("vms/web/start").status == 409
    assert card.ask("DELETE", "/v1/machines/m1/vms/web").status == 204 and not hyp.vms


def test_broken_state_is_not_overwritten(start, folder):
    card = start()
    card.define()
    card.stop()
    state = folder / "state/m1/state.json"
    whole = state.read_text()
    state.write_text(whole[:-20])
    with pytest.raises(AssertionError, match="state.json"):
        card.start()
    assert state.read_text() == whole[:-20]
    state.write_text(whole)
    card.start()
    assert card.vm("web")["images"]["kernel"]["size"] == 200000


def test_second_daemon_is_refused(card, hyp, folder):
    """Two daemons with one state would each undo what the other wrote."""
    card.define()
    second = Daemon(folder)
    with pytest.raises(AssertionError, match="state/m1: another bhcard has it"):
        second.start()
    assert second.process.wait(10) == 1
    assert card.post("vms/web/start").status == 200  # and the first one's sockets are still its own
    card.kill()
    second.start()
    hyp.connect()
    wait(lambda: second.vm("web")["state"] == "running")
    second.stop()
