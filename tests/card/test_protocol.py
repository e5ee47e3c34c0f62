# SPDX-License-Identifier: Apache-2.0
"""A hypervisor that breaks the protocol loses its connection, and nothing else happens."""
import struct
import threading

import pytest

import fake
from conftest import wait
from fake import ANSWER, CONSOLE, EVENT, HELLO, LIST, LOG, cell, text, tree


def connected(card, name="m1"):
    return card.ask("GET", f"/v1/machines/{name}").json["connected"]


GOOD_LOG = tree({"text": text("x\n"), "dropped": cell(0)})
BREACHES = {
    "wrong magic": lambda h: h.send(LOG, GOOD_LOG, magic=0),
    "oversized": lambda h: h.send(LOG, b"", length=65537),
    "sequence repeated": lambda h: h.send(LOG, GOOD_LOG, sequence=h.sequence - 1),
    "sequence ahead": lambda h: h.send(LOG, GOOD_LOG, sequence=h.sequence + 1),
    "unknown flags": lambda h: h.send(LOG, GOOD_LOG, flags=2),
    "a tag": lambda h: h.send(LOG, GOOD_LOG, tag=b"t"),
    "unknown type": lambda h: h.send(99, GOOD_LOG),
    "type 0": lambda h: h.send(0, GOOD_LOG),
    "a request of the card's": lambda h: h.send(LIST, b"", request=7),
    "a second hello": lambda h: h.send(HELLO, tree(h.hello()), request=2),
    "an answer to nothing": lambda h: h.send(LIST, tree({}), ANSWER, 1),
    "a log that wants an answer": lambda h: h.send(LOG, GOOD_LOG, request=5),
    "no tree": lambda h: h.send(LOG, b"\xff" * 64),
    "a truncated tree": lambda h: h.send(LOG, GOOD_LOG[:-8]),
    "a longer tree": lambda h: h.send(LOG, GOOD_LOG + b"\0" * 8),
    "a tree whose parts are not aligned": lambda h: h.send(LOG, GOOD_LOG[:16] + cell(41) + GOOD_LOG[20:]),
    "no payload": lambda h: h.send(LOG),
    "log without text": lambda h: h.send(LOG, tree({"dropped": cell(0)})),
    "log whose text is no string": lambda h: h.send(LOG, tree({"text": b"abc", "dropped": cell(0)})),
    "console without data": lambda h: h.send(CONSOLE, tree({"vm": text("web")})),
    "unknown event": lambda h: h.send(EVENT, tree({"vm": text("web"), "event": text("party"), "time-us": cell(0) * 2})),
    "event with a short time": lambda h: h.send(EVENT, tree({"vm": text("web"), "event": text("off"), "time-us": cell(0)})),
    "event of no UTF-8": lambda h: h.send(EVENT, tree({"vm": b"\xff\0", "event": text("off"), "time-us": cell(0) * 2})),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_breach(card, hyp, breach):
    BREACHES[breach](hyp)
    assert hyp.closed.wait(10)
    wait(lambda: not connected(card))
    hyp.connect()
    wait(lambda: connected(card))


def test_truncated_frame_then_gone(card, hyp):
    hyp.raw(b"BHP1\0\0")
    hyp.disconnect()
    wait(lambda: not connected(card))


def test_requests_of_a_broken_connection_fail(card, hyp):
    card.define()
    hyp.stop_at = ("create", "before")
    hyp.on_cut = lambda: hyp.send(LOG, GOOD_LOG, sequence=77)
    answer = card.post("vms/web/start")
    assert answer.status == 503 and answer.json["error"] == "BH_NOT_CONNECTED"


@pytest.mark.parametrize("changes, sentence", [
    ({"version": cell(2)}, "protocol version 2"),
    ({"machine": b"short"}, "build both from one tree"),
    ({"plan-size": cell(12)}, "build 000000000000b01d has"),
    ({"machine": None}, "machine"),
    ({"boot-id": cell(1)}, "boot-id"),
    ({"images": b"123"}, "images"),
    ({"management-core": cell(64)}, "contradicts itself"),
])
def test_hello_refused(card, dial, changes, sentence):
    hyp = dial(card, connect=False)
    hyp.connect(hyp.hello(**changes))
    assert hyp.closed.wait(10)
    machine = wait(lambda: card.ask("GET", "/v1/machines/m1").json)
    assert not machine["connected"] and sentence in machine["refused"]
    assert "refused" in card.kinds()
    hyp.connect()
    wait(lambda: connected(card))


def test_first_frame_is_no_hello(card, dial):
    hyp = dial(card, connect=False)
    sent, hyp.hello = hyp.hello, lambda: {"text": text("x\n"), "dropped": cell(0)}
    hyp.connect()
    assert hyp.closed.wait(10)
    hyp.hello = sent


@pytest.mark.parametrize("answer", [
    lambda h: ({"slot": cell(99)}, {}),
    lambda h: ({}, {}),
    lambda h: ({"state": text("asleep"), "slot": cell(0), "kept": cell(0)}, {}),
])
def test_malformed_answers(card, hyp, answer):
    card.define()
    card.post("vms/web/start")
    hyp.do_info = lambda vm, props: (0, *answer(hyp))
    hyp.event("web", "reset")
    assert hyp.closed.wait(10)


def test_answer_out_of_order(card, hyp):
    card.define()
    hyp.refuse["create"] = (0, {"slot": cell(0)}, {})
    whole = hyp.send
    hyp.send = lambda kind, payload=b"", flags=0, request=0, **more: whole(kind, payload, flags, request + 1 if flags else 0, **more)
    assert card.post("vms/web/start").status == 503
    assert hyp.closed.wait(10)


def test_a_new_connection_replaces_the_old(card, hyp, dial):
    other = dial(card, boot_id=5)
    assert hyp.closed.wait(10) and connected(card)
    assert card.ask("GET", "/v1/machines/m1").json["boot_id"] == f"{5:016x}"
    other.close()


def test_refusals_of_the_hypervisor(card, hyp):
    card.define()
    hyp.refuse["create"] = (fake.BAD_PLAN, {"detail": "plan: VM web: core 0 is the management core"}, {})
    answer = card.post("vms/web/start")
    assert answer.status == 500
    assert answer.json == {"error": "BH_BAD_PLAN", "message": "plan: VM web: core 0 is the management core"}
    assert card.vm("web")["wanted"] == "stopped" and "failed" in card.kinds("web")
    assert card.post("vms/web/start").status == 200


def test_wrong_digest(card, hyp):
    card.define()
    hyp.refuse["image"] = (fake.BAD_DIGEST, {"detail": "the image is not what its digest says"}, {})
    answer = card.post("vms/web/start")
    assert answer.json["error"] == "BH_BAD_DIGEST"
    wait(lambda: card.vm("web")["state"] == "stopped")
    assert hyp.vms["web"].state == "stopped"  # what had come was wiped
    assert card.post("vms/web/start").status == 200


def test_create_refused_shifts_slots(card, hyp):
    """Two creates on their way, the first refused: the second VM is in another slot than planned."""
    card.define("a")
    card.define("b")
    gate = threading.Event()
    plain = hyp.handle
    hyp.handle = lambda kind, request, props: (gate.wait(5) if kind == fake.CREATE else None, plain(kind, request, props))
    hyp.refuse["create"] = (fake.BAD_PLAN, {"detail": "no"}, {})
    answers = {}
    threads = []
    for name in "ab":
        threads.append(threading.Thread(target=lambda n=name: answers.update({n: card.post(f"vms/{n}/start").status})))
        threads[-1].start()
        wait(lambda n=name: card.vm(n)["busy"] == "start")
    gate.set()
    for t in threads:
        t.join()
    assert answers == {"a": 500, "b": 200} and hyp.vms["b"].slot == 0
    assert card.post("vms/a/start").status == 200 and hyp.vms["a"].slot == 1


def test_deleted_while_it_is_asked_for(card, hyp):
    """After a refusal the card asks how the VM is; the VM may be gone before the answer comes, and the connection stays."""
    card.define()
    gate, plain = threading.Event(), hyp.handle
    hyp.handle = lambda kind, request, props: (gate.wait(5) if kind == fake.INFO else None, plain(kind, request, props))
    hyp.refuse["create"] = (fake.BAD_PLAN, {"detail": "no"}, {})
    assert card.post("vms/web/start").status == 500
    assert card.ask("DELETE", "/v1/machines/m1/vms/web").status == 204
    gate.set()
    card.define()
    assert card.post("vms/web/start").status == 200
    assert "disconnected" not in card.kinds()


def test_what_is_said_before_the_list(card, dial):
    """A guest that runs already does not wait for the card to know it; nor is there room for guests without end."""
    hyp = dial(card, connect=False)
    plan = text("boot").ljust(32, b"\0") + struct.pack("<II", 1, 1)
    hyp.vms["boot"] = fake.Vm("boot", 0, plan.ljust(hyp.facts["plan_vm_size"], b"\0"), kept=True)
    gate, plain = threading.Event(), hyp.handle
    hyp.handle = lambda kind, request, props: (gate.wait(5) if kind == LIST else None, plain(kind, request, props))
    hyp.connect()
    hyp.prints("boot", b"hello\n")
    for i in range(100):
        hyp.prints(f"nobody-{i}", b"boo\n")
    wait(lambda: card.ask("GET", "/v1/machines/m1").json["vms"] == hyp.facts["max_vms"])
    gate.set()
    wait(lambda: connected(card))
    assert [vm["name"] for vm in card.ask("GET", "/v1/machines/m1/vms").json] == ["boot"]
    assert card.ask("GET", "/v1/machines/m1/vms/boot/console?follow=0").body == b"hello\n"
