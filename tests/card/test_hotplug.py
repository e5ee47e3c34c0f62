# SPDX-License-Identifier: Apache-2.0
"""Functions that come and go through a VM's ports, by both APIs. The machine's: tests/card/card_machine.c."""
import json
import subprocess
import threading

import pytest

from conftest import BUILD, wait
from fake import BAD_PLAN, PLUG, WRONG_STATE
from test_ch import ch, refused
from test_lifecycle import boot_manifests_vm

VMS = "/v1/machines/m1/vms"
FIRST, SECOND, UNCHECKED, PF = (f"0000:0{i}:00.0" for i in range(1, 5))
VFS = [f"0000:04:10.{i}" for i in range(2)]


def plug(card, function, name="web"):
    return card.post(f"vms/{name}/devices", {"function": function})


def unplug(card, function, query="", name="web"):
    return card.ask("DELETE", f"{VMS}/{name}/devices/{function.replace('/', '%2F')}{query}")


def has(card, name="web"):
    """What is in its ports, by port"""
    return {d["port"]: d["function"] for d in card.vm(name)["devices"] if d["port"] is not None}


@pytest.fixture
def web(card, hyp):
    """A VM that runs, with two ports."""
    card.define(hotplug_ports=2)
    assert card.post("vms/web/start").status == 200
    return card.vm("web")


def test_plug_and_unplug(card, hyp, web, machine, folder):
    assert web["hotplug_ports"] == 2 and web["devices"] == []
    answer = plug(card, FIRST)
    assert answer.status == 200, answer.body
    assert answer.json["devices"] == [{"function": FIRST, "vf": None, "guest": "0000:01:00.0", "port": 0}] and hyp.plugged("web") == [0]
    assert plug(card, SECOND).json["devices"][1] == {"function": SECOND, "vf": None, "guest": "0000:02:00.0", "port": 1}
    (folder / "plan").write_bytes(hyp.vms["web"].plan)
    subprocess.run([BUILD / "card-machine", "check", machine[0], folder / "plan"], check=True)
    answer = unplug(card, FIRST)
    assert answer.status == 202 and answer.json["name"] == "web"
    wait(lambda: has(card) == {1: SECOND})
    assert hyp.plugged("web") == [1]
    assert unplug(card, SECOND, "?force=1").status == 204 and has(card) == {} and hyp.plugged("web") == []
    assert [e.get("why") for e in card.events() if e["event"] == "plugged"] == [FIRST, SECOND]
    assert card.kinds("web").count("unplugged") == 2
    assert plug(card, FIRST).status == 200  # nobody's again


def test_a_guest_that_is_not_done_with_its_port(card, hyp, web):
    hyp.port_busy = 3
    assert plug(card, FIRST).status == 200 and has(card) == {0: FIRST}
    assert hyp.requests.count("plug") == 4
    hyp.port_busy = 10 ** 6
    answers = []
    asks = threading.Thread(target=lambda: answers.append(plug(card, SECOND)))
    asks.start()
    wait(lambda: hyp.requests.count("plug") > 5)
    assert unplug(card, FIRST).status == 409 and plug(card, UNCHECKED).status == 409  # one after the other
    asks.join()
    assert answers[0].status == 409 and answers[0].json["error"] == "BH_PORT_BUSY"
    assert has(card) == {0: FIRST}
    hyp.port_busy = 0
    assert plug(card, SECOND).status == 200


def test_what_is_free(card, hyp, web):
    def free():
        return card.ask("GET", "/v1/machines/m1/capacity").json["devices_free"]
    hyp.gives_back = None
    assert free() == [FIRST, SECOND, UNCHECKED, *VFS]
    plug(card, SECOND)
    plug(card, VFS[0])
    assert free() == [FIRST, UNCHECKED, VFS[1]]
    assert unplug(card, SECOND).status == 202 and SECOND not in free()
    hyp.gives(hyp.vms["web"], 1)
    wait(lambda: free() == [FIRST, SECOND, UNCHECKED, VFS[1]])


def test_a_guest_that_keeps_it(card, hyp, web):
    hyp.gives_back = None
    plug(card, FIRST)
    assert unplug(card, FIRST, "?force=0").status == 202 and unplug(card, FIRST).status == 202
    assert has(card) == {0: FIRST}
    assert unplug(card, FIRST, "?force=1").status == 204 and has(card) == {}


def test_virtual_functions(card, hyp, web):
    assert plug(card, PF + "/vf1").status == 200
    assert card.vm("web")["devices"] == [{"function": VFS[1], "vf": PF + "/vf1", "guest": "0000:01:00.0", "port": 0}]
    assert plug(card, VFS[0]).status == 200
    assert hyp.plugged("web") == [5, 4]
    assert unplug(card, PF + "/vf2").status == 404
    assert unplug(card, PF + "/vf0", "?force=1").status == 204
    assert has(card) == {0: VFS[1]}
    assert unplug(card, VFS[1], "?force=1").status == 204


def test_it_stays_in_a_stopped_vm(card, hyp, web):
    plug(card, FIRST)
    card.post("vms/web/stop")
    assert has(card) == {0: FIRST}
    assert plug(card, SECOND).status == 200
    assert unplug(card, SECOND).status == 204
    assert card.post("vms/web/start").status == 200
    assert has(card) == {0: FIRST} and hyp.plugged("web") == [0] and hyp.requests.count("create") == 1
    card.post("vms/web/stop")
    assert card.ask("DELETE", VMS + "/web").status == 204
    card.define("db", hotplug_ports=1)
    card.post("vms/db/start")
    assert plug(card, FIRST, "db").status == 200


def test_a_vm_that_is_created_anew_comes_without_it(card, hyp, web, dial):
    plug(card, FIRST)
    hyp.close()
    wait(lambda: not card.ask("GET", "/v1/machines/m1").json["connected"])
    again = dial(card, boot_id=2)
    wait(lambda: card.vm("web")["state"] == "running")
    assert has(card) == {} and again.plugged("web") == []


def test_the_daemon_is_told_what_is_there(card, hyp, web):
    plug(card, FIRST)
    card.kill()
    card.start()
    hyp.closed.wait(10)
    hyp.connect()
    wait(lambda: card.vm("web")["state"] == "running")
    assert has(card) == {0: FIRST}
    card.post("vms/web/reset")
    assert has(card) == {0: FIRST} and hyp.requests.count("create") == 1
    assert unplug(card, FIRST).status == 202
    wait(lambda: has(card) == {})


def test_devices_of_the_spec_are_not_in_ports(card, hyp):
    card.define(hotplug_ports=1, devices=[FIRST])
    card.post("vms/web/start")
    assert card.vm("web")["devices"] == [{"function": FIRST, "vf": None, "guest": "0000:00:02.0", "port": None}]
    assert unplug(card, FIRST).status == 404 and unplug(card, FIRST, "?force=1").json["error"] == "BH_NO_DEVICE"
    answer = plug(card, FIRST)
    assert answer.status == 400 and f"'{FIRST}' is a device of /vms/web" in answer.json["message"]


@pytest.mark.parametrize("body, sentence", [
    ("", "no JSON"), ("{", "no JSON"), ("[]", "device: an object is wanted"), ({}, "device: function: it is missing"),
    ({"function": 1}, "device: function: a string is wanted"), ({"function": None}, "device: function: a string is wanted"),
    ({"function": FIRST, "port": 1}, "device: port: this member is not known"),
])
def test_bad_requests(card, hyp, web, body, sentence):
    answer = card.post("vms/web/devices", body)
    assert answer.status == 400 and answer.json["error"] == "BH_BAD_REQUEST" and sentence in answer.json["message"]
    assert "plug" not in hyp.requests


@pytest.mark.parametrize("function, sentence", [
    ("0000:09:00.0", "is not there; this machine has 6 PCI functions"), (FIRST + "/vf0", "is not there"), (UNCHECKED, "no IOMMU"),
    (PF, "has virtual functions that are on"),
])
def test_functions_that_cannot_be_given(card, hyp, web, function, sentence):
    answer = plug(card, function)
    assert (answer.status, answer.json["error"]) == (400, "BH_NO_DEVICE") and sentence in answer.json["message"]
    assert "plug" not in hyp.requests and card.vm("web")["last_error"] is None


@pytest.mark.parametrize("function", ["eth0", "", "x" * 500, FIRST + "/vf256", FIRST + "x", "0000:01:00.8", "é" * 30])
def test_what_is_no_function(card, hyp, web, function):
    answer = plug(card, function)
    assert (answer.status, answer.json["error"]) == (400, "BH_BAD_VALUE") and "is not a PCI function" in answer.json["message"]


def test_no_port(card, hyp, web):
    card.define("db")
    card.post("vms/db/start")
    answer = plug(card, FIRST, "db")
    assert (answer.status, answer.json["error"]) == (409, "BH_TOO_MANY") and "the VM has 0 (hotplug-ports)" in answer.json["message"]
    plug(card, FIRST)
    plug(card, SECOND)
    answer = plug(card, VFS[0])
    assert answer.status == 409 and "finds no free port; the VM has 2" in answer.json["message"]


def test_another_vms(card, hyp, web):
    card.define("db", hotplug_ports=1)
    card.post("vms/db/start")
    plug(card, FIRST, "db")
    answer = plug(card, FIRST)
    assert answer.status == 400 and f"'{FIRST}' is a device of /vms/db" in answer.json["message"]
    assert unplug(card, FIRST).status == 404 and unplug(card, FIRST, name="none").json["error"] == "BH_NO_SUCH_VM"
    assert plug(card, FIRST, "none").status == 404
    assert has(card, "db") == {0: FIRST}


@pytest.mark.parametrize("function", ["0000:09:00.0", "x", "%00", "x" * 500, FIRST + "/vf256", FIRST])
def test_nothing_of_the_kind_to_unplug(card, hyp, web, function):
    answer = unplug(card, function)
    assert answer.status == 404
    assert "unplug" not in hyp.requests


def test_wrong_states(card, hyp, web):
    card.define("db", hotplug_ports=1)
    answer = plug(card, FIRST, "db")
    assert (answer.status, answer.json["error"]) == (409, "BH_WRONG_STATE") and "db is defined" in answer.json["message"]
    assert unplug(card, FIRST, name="db").status == 409
    hyp.refuse["plug"] = (WRONG_STATE, {"detail": "web is scrubbing"}, {})
    answer = plug(card, FIRST)
    assert answer.status == 409 and answer.json["message"] == "web is scrubbing" and has(card) == {}
    hyp.refuse["plug"] = (BAD_PLAN, {"detail": "plan: no"}, {})
    assert plug(card, FIRST).status == 500
    plug(card, FIRST)
    hyp.refuse["unplug"] = (WRONG_STATE, {}, {})
    assert unplug(card, FIRST, "?force=1").status == 409 and has(card) == {0: FIRST}
    assert card.ask("GET", VMS + "/web/devices").status == 405
    hyp.close()
    wait(lambda: not card.ask("GET", "/v1/machines/m1").json["connected"])
    assert plug(card, SECOND).status == 503 and unplug(card, FIRST).status == 503


@pytest.mark.parametrize("when", ["before", "after"])
def test_connection_lost(card, hyp, web, when):
    hyp.keep, hyp.stop_at = True, ("plug", when)
    assert plug(card, FIRST).status == 503
    wait(lambda: card.vm("web")["state"] == "running")
    assert has(card) == ({0: FIRST} if when == "after" else {})
    if when == "before":
        assert plug(card, FIRST).status == 200
    hyp.stop_at = ("unplug", when)
    assert unplug(card, FIRST, "?force=1").status == 503
    wait(lambda: card.vm("web")["state"] == "running")
    assert has(card) == ({} if when == "after" else {0: FIRST})


def test_one_change_at_a_time(card, hyp, web):
    asked, gate, plain, answers = threading.Event(), threading.Event(), hyp.handle, []
    hyp.handle = lambda kind, *a: (kind == PLUG and (asked.set(), gate.wait(10)), plain(kind, *a))
    thread = threading.Thread(target=lambda: answers.append(plug(card, FIRST)))
    thread.start()
    assert asked.wait(10)
    assert plug(card, SECOND).json["error"] == unplug(card, FIRST).json["error"] == "BH_BUSY"
    gate.set()
    thread.join()
    assert answers[0].status == 200 and has(card) == {0: FIRST}


def test_boot_manifests_vm(card, dial):
    boot_manifests_vm(card, dial, hotplug_ports=2)
    assert plug(card, FIRST, "kept").status == 200
    assert unplug(card, FIRST, name="kept").status == 202
    wait(lambda: has(card, "kept") == {})


@pytest.mark.parametrize("offset, value", [("nfunctions_offset", 9), ("nports_offset", 5), ("functions_offset", 6)])
def test_a_plan_that_contradicts_itself(card, hyp, web, offset, value):
    """What is followed blindly later is looked at when it comes."""
    vm, at = hyp.vms["web"], hyp.facts[offset]
    vm.plan = vm.plan[:at] + value.to_bytes(4, "little") + vm.plan[at + 4:]
    hyp.event("web", "unplugged")
    wait(hyp.closed.is_set)
    assert card.ask("GET", VMS).status == 200


@pytest.mark.parametrize("ports, error", [(-1, "0 to 4"), (5, "0 to 4"), ("2", "an integer"), (True, "an integer"), (1 << 40, "0 to 4")])
def test_bad_numbers_of_ports(card, ports, error):
    for spec in ({"name": "web"}, {"name": "web", "core_count": 1, "memory": "64M"}):
        answer = card.ask("POST", VMS, {**spec, "hotplug_ports": ports})
        assert answer.status == 400 and "VM: hotplug_ports: " + error in answer.json["message"]


def test_too_many_ports_beside_devices(card, hyp):
    card.define(hotplug_ports=4, devices=[f"0000:0{i}:00.0" for i in range(1, 6)])
    answer = card.post("vms/web/start")
    assert answer.status == 409 and "5 devices and 4 hotplug-ports; at most 8" in answer.json["message"]


# ---- As Cloud Hypervisor has it ----


@pytest.fixture
def chweb(card, hyp, folder):
    """A VM of its API, with one port."""
    from conftest import arm64_image
    assert card.post("vms", {"name": "web", "hotplug_ports": 1}).status == 201
    assert card.vm("web")["state"] == "unconfigured"
    (folder / "Image").write_bytes(arm64_image(120000))
    ch(card, "vm.create", json.dumps({"cpus": {"boot_vcpus": 1, "max_vcpus": 1}, "memory": {"size": 64 << 20},
                                      "payload": {"kernel": str(folder / "Image")}}))


def add(card, function, **more):
    return json.loads(ch(card, "vm.add-device", json.dumps({"path": f"/sys/bus/pci/devices/{function}/", **more})))


def config(card):
    return json.loads(ch(card, "vm.info", method="GET"))["config"].get("devices", [])


def test_ch(card, hyp, chweb):
    refused(card, "vm.add-device", 405, "web is defined", json.dumps({"path": FIRST}))
    ch(card, "vm.boot")
    assert add(card, FIRST) == {"id": FIRST, "bdf": "0000:01:00.0"}
    assert config(card) == [{"path": f"/sys/bus/pci/devices/{FIRST}", "id": FIRST}]
    refused(card, "vm.add-device", 500, "finds no free port; the VM has 1", json.dumps({"path": SECOND}))
    assert ch(card, "vm.remove-device", json.dumps({"id": FIRST})) == ""
    wait(lambda: hyp.plugged("web") == [])
    wait(lambda: config(card) == [])
    refused(card, "vm.remove-device", 404, f"has no '{FIRST}' in a port", json.dumps({"id": FIRST}))
    ch(card, "vm.delete")
    assert card.vm("web")["state"] == "unconfigured" and card.vm("web")["spec"]["hotplug_ports"] == 1


def test_ch_ids(card, hyp, chweb):
    ch(card, "vm.boot")
    assert add(card, FIRST, id="net0")["id"] == "net0"
    refused(card, "vm.add-device", 500, "a device is called 'net0' already", json.dumps({"path": SECOND, "id": "net0"}))
    card.kill()
    card.start()
    hyp.closed.wait(10)
    hyp.connect()
    wait(lambda: card.vm("web")["state"] == "running")
    assert config(card) == [{"path": f"/sys/bus/pci/devices/{FIRST}", "id": "net0"}]
    ch(card, "vm.remove-device", json.dumps({"id": "net0"}))
    wait(lambda: config(card) == [])
    assert add(card, SECOND, id="net0") == {"id": "net0", "bdf": "0000:01:00.0"}
    assert unplug(card, SECOND, "?force=1").status == 204
    assert add(card, SECOND)["id"] == SECOND


@pytest.mark.parametrize("command, body, status, sentence", [
    ("add", "", 400, "JSON"), ("add", "[]", 400, "path"), ("add", {"path": 5}, 400, "path: a string"), ("add", {}, 400, "path"),
    ("add", {"path": FIRST, "id": 5}, 400, "id: a string"), ("add", {"path": FIRST, "iommu": True}, 500, "iommu"),
    ("add", {"path": "/"}, 500, "'' is not a PCI function"), ("add", {"path": "/sys/bus/pci/devices/0000:09:00.0"}, 500, "is not there"),
    ("remove", "", 400, "JSON"), ("remove", {}, 400, "id: it is missing"), ("remove", {"id": 5}, 400, "id: a string"),
    ("remove", {"id": "net7"}, 404, "no 'net7'"), ("remove", {"id": "net7", "x": 1}, 400, "x: this member"),
])
def test_ch_bad_requests(card, hyp, chweb, command, body, status, sentence):
    ch(card, "vm.boot")
    refused(card, f"vm.{command}-device", status, sentence, body if isinstance(body, str) else json.dumps(body))
    assert "plug" not in hyp.requests and "unplug" not in hyp.requests


def test_ch_before_vm_create(card, hyp):
    card.post("vms", {"name": "web", "hotplug_ports": 1})
    refused(card, "vm.add-device", 404, "not created", json.dumps({"path": FIRST}))
    refused(card, "vm.remove-device", 404, "not created", json.dumps({"id": FIRST}))
