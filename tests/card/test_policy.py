# SPDX-License-Identifier: Apache-2.0
"""When a VM that ended is started again."""
import pytest

from conftest import wait


@pytest.mark.parametrize("policy, kind, again", [
    ("never", "reset", False), ("never", "off", False), ("never", "aborted", False),
    ("on-failure", "reset", True), ("on-failure", "off", False), ("on-failure", "aborted", True),
    ("always", "reset", True), ("always", "off", True), ("always", "aborted", True), ("always", "stopped", False),
])
def test_policy(card, hyp, policy, kind, again):
    card.define(restart={"policy": policy})
    card.post("vms/web/start")
    hyp.ends("web", kind)
    if again:
        wait(lambda: hyp.vms["web"].starts == 2 and card.vm("web")["state"] == "running")
        assert card.vm("web")["restarts"] == 1
    else:
        wait(lambda: card.vm("web")["wanted"] == "stopped")
        assert hyp.vms["web"].starts == 1


def test_crash_loop(card, hyp):
    card.define(restart={"policy": "on-failure", "limit": 2, "window": 600})
    card.post("vms/web/start")
    for n in (2, 3):
        hyp.ends("web", "reset")
        wait(lambda n=n: hyp.vms["web"].starts == n and card.vm("web")["busy"] is None)
    hyp.ends("web", "aborted", address=0x1000, pc=0xffff0000, syndrome=0x96000007)
    wait(lambda: card.vm("web")["wanted"] == "stopped")
    assert hyp.vms["web"].starts == 3
    assert card.vm("web")["last_error"]["error"] == "BH_CRASH_LOOP"
    kinds = card.kinds("web")
    assert kinds[-2:] == ["aborted", "crash-loop"] and kinds.count("restarting") == 2
    aborted = [e for e in card.events() if e["event"] == "aborted"][0]
    assert aborted["address"] == "0x1000" and aborted["pc"] == "0xffff0000" and aborted["why"] == "because"
    assert card.post("vms/web/start").status == 200  # somebody's wish begins a new count


def test_window_passes(card, hyp):
    card.define(restart={"policy": "always", "limit": 1, "window": 1})
    card.post("vms/web/start")
    import time
    for n in (2, 3):
        hyp.ends("web", "off")
        wait(lambda n=n: hyp.vms["web"].starts == n and card.vm("web")["busy"] is None)
        time.sleep(1.2)


def test_events_in_order(card, hyp):
    card.define()
    card.post("vms/web/start")
    hyp.ends("web", "reset")
    wait(lambda: card.kinds("web").count("started") == 2)
    assert card.kinds("web") == ["created", "started", "reset", "restarting", "started"]
    events = card.events()
    assert [e["id"] for e in events] == list(range(1, len(events) + 1))
    assert card.events(since=events[-2]["id"]) == events[-1:]


def test_stop_while_it_waits_for_an_event(card, hyp):
    card.define()
    card.post("vms/web/start")
    hyp.ends_unseen("web")
    wait(lambda: card.vm("web")["state"] == "stopped")
    assert card.post("vms/web/stop").status == 200
    assert card.vm("web")["wanted"] == "stopped"
