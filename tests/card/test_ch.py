# SPDX-License-Identifier: Apache-2.0
"""A VM's own socket, asked as ch-remote asks: raw HTTP, one request per connection, Content-Length looked for as it is spelt."""
import json
import socket

import pytest

from conftest import arm64_image, wait


class ChError(Exception):
    pass


def ch(card, command, body=None, method="PUT", name="web"):
    """api_client's simple_api_full_command(): the request and how the answer is read are its own."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(str(card.folder / "run/m1" / f"{name}.sock"))
    s.sendall(f"{method} /api/v1/{command} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n".encode())
    if body is not None:
        s.sendall(f"Content-Length: {len(body)}\r\n".encode())
    s.sendall(b"\r\n")
    if body:
        s.sendall(body.encode())
    data, length, offset = "", None, None
    while True:
        more = s.recv(256)
        if not more:
            break
        data += more.decode()
        if offset is None and "\r\n\r\n" in data:
            offset = data.index("\r\n\r\n") + 4
            at = data.find("Content-Length: ")
            length = int(data[at + 16:data.index("\r\n", at)]) if at >= 0 else None
            if length is None:
                break
        if offset is not None and length is not None and len(data) >= offset + length:
            break
    s.close()
    status = int(data.split(" ")[1])
    rest = data[offset:] if length else ""
    if status not in (200, 204):
        raise ChError(status, json.loads(rest))
    return rest


@pytest.fixture
def web(card, hyp, folder):
    """A VM with a socket and nothing else, and the configuration it will get."""
    assert card.post("vms", {"name": "web"}).status == 201
    (folder / "Image").write_bytes(arm64_image(120000))
    (folder / "initrd").write_bytes(b"i" * 70000)
    return {"cpus": {"boot_vcpus": 2, "max_vcpus": 2}, "memory": {"size": 128 << 20},
            "payload": {"kernel": str(folder / "Image"), "cmdline": "console=ttyAMA0 x", "initramfs": str(folder / "initrd")}}


def refused(card, command, status, sentence="", body=None, method="PUT"):
    with pytest.raises(ChError) as e:
        ch(card, command, body, method)
    assert e.value.args[0] == status and isinstance(e.value.args[1], list) and sentence in e.value.args[1][0], e.value.args


def test_a_life(card, hyp, web):
    assert card.vm("web")["state"] == "unconfigured"
    ping = json.loads(ch(card, "vmm.ping", method="GET"))
    assert set(ping) == {"build_version", "version", "pid", "features"} and ping["pid"] == card.process.pid
    for command in ("vm.boot", "vm.shutdown", "vm.reboot", "vm.delete", "vm.power-button"):
        refused(card, command, 404, "not created")
    refused(card, "vm.info", 404, "not created", method="GET")
    ch(card, "vm.create", json.dumps(web))
    info = json.loads(ch(card, "vm.info", method="GET"))
    assert info["state"] == "Created" and info["config"] == web and info["memory_actual_size"] == 128 << 20
    refused(card, "vm.create", 500, "already created", json.dumps(web))
    for command in ("vm.shutdown", "vm.reboot", "vm.power-button"):
        refused(card, command, 405)
    assert ch(card, "vm.boot") == ""
    assert hyp.vms["web"].images[2] == b"i" * 70000 and b"console=ttyAMA0 x" in hyp.vms["web"].images[1]
    assert json.loads(ch(card, "vm.info", method="GET"))["state"] == "Running"
    assert json.loads(ch(card, "vm.counters", method="GET"))["vcpu1"] == {"call": 2, "ipi": 3}
    refused(card, "vm.boot", 405)
    ch(card, "vm.reboot")
    assert hyp.vms["web"].starts == 2
    ch(card, "vm.shutdown")
    assert json.loads(ch(card, "vm.info", method="GET"))["state"] == "Shutdown"
    ch(card, "vm.boot")
    ch(card, "vm.delete")
    assert not hyp.vms
    refused(card, "vm.info", 404, method="GET")
    ch(card, "vm.create", json.dumps(web))
    ch(card, "vm.boot")
    assert hyp.vms["web"].state == "running"


def test_power_button(card, hyp, web):
    ch(card, "vm.create", json.dumps(web))
    ch(card, "vm.boot")
    ch(card, "vm.power-button")
    assert hyp.vms["web"].state == "running"
    hyp.ends("web", "off")
    wait(lambda: json.loads(ch(card, "vm.info", method="GET"))["state"] == "Shutdown")


def test_devices(card, web):
    """As ch-remote names them: by a path in sysfs."""
    ch(card, "vm.create", json.dumps({**web, "devices": [{"path": "/sys/bus/pci/devices/0000:01:00.0", "id": "_0"}]}))
    assert card.vm("web")["spec"]["devices"] == ["0000:01:00.0"]


@pytest.mark.parametrize("command", ["vmm.shutdown", "vm.pause", "vm.resume", "vm.resize", "vm.add-disk", "vm.add-net",
                                     "vm.snapshot", "vm.restore", "vm.coredump", "vm.send-migration", "vm.nmi"])
def test_what_a_partition_cannot(card, web, command):
    refused(card, command, 405, command + ": ", "{}")


@pytest.mark.parametrize("change, status, sentence", [
    ({"cpus": {"boot_vcpus": 1, "max_vcpus": 4}}, 500, "max_vcpus"), ({"cpus": {"boot_vcpus": "2"}}, 400, "boot_vcpus"),
    ({"cpus": []}, 400, "cpus"), ({"memory": {"size": 3 << 20}}, 500, "/vms/web: memory"), ({"memory": {"size": -1}}, 400, "size"),
    ({"disks": [{"path": "/x"}]}, 500, "disks"), ({"net": [{}]}, 500, "net"), ({"payload": None}, 400, "payload"),
    ({"payload": {"kernel": None}}, 400, "kernel"), ({"payload": {"kernel": "/nowhere"}}, 500, "/nowhere"),
    ({"payload": {"kernel": "/dev/zero"}}, 500, "/dev/zero"), ({"payload": {"kernel": "/x", "firmware": "/y"}}, 500, "firmware"),
    ({"devices": [{"id": "_0"}]}, 400, "path"), ({"devices": [{"path": "0000:01:00.0", "iommu": True}]}, 500, "iommu"),
    ({"payload": {"kernel": 5}}, 400, "kernel"), ({"payload": {"kernel": "/x", "initramfs": 5}}, 400, "initramfs"),
])
def test_refused_configurations(card, web, change, status, sentence):
    refused(card, "vm.create", status, sentence, json.dumps({**web, **change}))
    refused(card, "vm.info", 404, method="GET")


@pytest.mark.parametrize("body", ["", "{", "[]", "7"])
def test_no_configuration(card, web, body):
    refused(card, "vm.create", 400, "", body)


def test_defaults_that_ch_remote_sends(card, hyp, web):
    web.update({"rng": {"src": "/dev/urandom", "iommu": False}, "serial": {"mode": "Tty"}, "console": {"mode": "Off"}, "disks": None,
                "net": [], "iommu": False, "watchdog": False})
    web["memory"].update({"mergeable": False, "shared": True, "hugepages": True, "hotplug_size": None})
    ch(card, "vm.create", json.dumps(web))
    ch(card, "vm.boot")


def test_a_failed_boot(card, hyp, web):
    web["cpus"] = {"boot_vcpus": 9, "max_vcpus": 9}
    ch(card, "vm.create", json.dumps(web))
    refused(card, "vm.boot", 500, "this machine has 3 left")
    hyp.close()
    wait(lambda: not card.ask("GET", "/v1/machines/m1").json["connected"])
    refused(card, "vm.boot", 500, "not connected")


def test_unknown_paths(card, web):
    refused(card, "vm.fly", 404, "no such path")
    refused(card, "vm.info", 400, "another method")


def test_the_socket_goes_with_the_vm(card, web):
    path = card.folder / "run/m1/web.sock"
    assert path.is_socket() and card.vm("web")["api_socket"] == str(path)
    card.ask("DELETE", "/v1/machines/m1/vms/web")
    assert not path.exists()
