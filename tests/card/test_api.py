# SPDX-License-Identifier: Apache-2.0
"""The API of all machines: what it refuses and how, and what the page, the metrics and the description look like."""
import json
import re
import socket

import pytest
import yaml

from conftest import ROOT, Stream, UnixConnection, arm64_image, wait

VMS = "/v1/machines/m1/vms"
GOOD = {"name": "web", "core_count": 1, "memory": "64M"}


@pytest.mark.parametrize("body, sentence", [
    ("", "no JSON"), ("{", "no JSON"), ("[]", "object is wanted"), ("null", "no JSON"), ("{\"name\": \"a\", \"name\": \"b\"}", "no JSON"),
    (b"\xff\xfe", "no JSON"), ("\"\\u0000\"", "no JSON"),
    ({}, "VM: name"), ({"name": 1}, "name: a string"), ({"name": "A"}, "a-z"), ({"name": "../x"}, "a-z"),
    ({"name": "a" * 32}, "1 to 31"), ({**GOOD, "colour": 1}, "colour: this member is not known"),
    ({**GOOD, "cores": 2}, "cores: an array"), ({**GOOD, "core_count": "2"}, "core_count: an integer"),
    ({**GOOD, "core_count": 2.5}, "core_count: an integer"), ({**GOOD, "memory": 64.5}, "memory: an integer or a string"),
    ({**GOOD, "autostart": 1}, "autostart: true or false"), ({**GOOD, "restart": "always"}, "restart: an object"),
    ({**GOOD, "restart": {"policy": "maybe"}}, "never, on-failure or always"),
    ({**GOOD, "restart": {"limit": 0}}, "1 to 1000"), ({**GOOD, "restart": {"window": 86401}}, "1 to 86400"),
    ({**GOOD, "restart": {"x": 1}}, "restart: x: this member"),
])
def test_bad_requests(card, body, sentence):
    answer = card.ask("POST", VMS, body)
    assert answer.status == 400 and answer.json["error"] == "BH_BAD_REQUEST" and sentence in answer.json["message"]
    assert card.ask("GET", VMS).json == []


@pytest.mark.parametrize("change, error, sentence", [
    ({"memory": "65M"}, "BH_BAD_VALUE", "/vms/web: memory: "), ({"memory": -1}, "BH_BAD_VALUE", "/vms/web: memory: "),
    ({"memory": 1 << 62}, "BH_TOO_BIG", "/vms/web: memory: "), ({"core_count": 0}, "BH_BAD_VALUE", "/vms/web: core-count: "),
    ({"core_count": 1 << 40}, "BH_BAD_VALUE", "/vms/web: core-count: "), ({"cores": [1]}, "BH_BAD_VALUE", "/vms/web: "),
    ({"core_count": None, "cores": [1, 1]}, "BH_CORE_TAKEN", "/vms/web: cores: "),
    ({"core_count": None}, "BH_MISSING", "/vms/web: "), ({"memory": None}, "BH_MISSING", "/vms/web: memory"),
    ({"core_count": None, "cores": [64]}, "BH_NO_SUCH_CORE", "/vms/web: cores: "),
    ({"bootargs": "a\nb"}, "BH_BAD_VALUE", "/vms/web: bootargs: byte 0x0a"), ({"bootargs": "x" * 1024}, "BH_TOO_BIG", "/vms/web: bootargs"),
    ({"boot_protocol": "multiboot"}, "BH_BAD_VALUE", "/vms/web: boot-protocol"), ({"console": "vga"}, "BH_BAD_VALUE", "/vms/web: console"),
    ({"devices": [1]}, "BH_BAD_REQUEST", "VM: devices: strings are wanted"), ({"devices": ["eth0"]}, "BH_BAD_VALUE", "/vms/web: devices"),
    ({"devices": ["0000:01:00.0"] * 2}, "BH_BAD_VALUE", "/vms/web: devices"),
])
def test_the_manifests_own_refusals(card, change, error, sentence):
    answer = card.ask("POST", VMS, {k: v for k, v in {**GOOD, **change}.items() if v is not None})
    assert answer.status in (400, 409) and answer.json["error"] == error and answer.json["message"].startswith(sentence)


def test_functions_are_the_manifests(card):
    """The card plans when a VM is started: until then it only reads what is wanted."""
    wanted = {**GOOD, "devices": ["0000:01:00.0", "0000:02:00.0/vf3"], "dma_trusted": True, "virtual_interrupts": True}
    assert card.ask("POST", VMS, wanted).status == 201
    assert card.ask("GET", VMS + "/" + GOOD["name"]).json["spec"] == wanted


def test_paths_and_methods(card):
    card.define()
    for method, path, status, error in [
            ("GET", "/nothing", 404, "BH_NO_SUCH_PATH"), ("GET", "/v1", 404, "BH_NO_SUCH_PATH"),
            ("GET", "/v1/machines/m2", 404, "BH_NO_SUCH_PATH"), ("GET", "/v1/machines/m2/vms/web", 404, "BH_NO_SUCH_PATH"),
            ("GET", VMS + "/none", 404, "BH_NO_SUCH_VM"), ("POST", VMS + "/none/start", 404, "BH_NO_SUCH_VM"),
            ("DELETE", VMS + "/none", 404, "BH_NO_SUCH_VM"), ("PUT", VMS + "/none/images/kernel", 404, "BH_NO_SUCH_VM"),
            ("POST", "/metrics", 405, "BH_METHOD"), ("PUT", VMS, 405, "BH_METHOD"), ("GET", VMS + "/web/start", 405, "BH_METHOD"),
            ("GET", VMS + "/web/images/kernel", 405, "BH_METHOD"), ("PUT", VMS + "/web/images/bios", 404, "BH_NO_SUCH_PATH"),
            ("GET", "/" + "x/" * 30, 404, "BH_NO_SUCH_PATH"), ("GET", "/%00", 404, "BH_NO_SUCH_PATH"),
            ("POST", VMS + "/web/start", 503, "BH_NOT_CONNECTED"), ("GET", VMS + "/web/stats", 503, "BH_NOT_CONNECTED"),
            ("GET", "/v1/machines/m1/capacity", 503, "BH_NOT_CONNECTED"), ("POST", VMS + "/web/console", 503, "BH_NOT_CONNECTED")]:
        answer = card.ask(method, path, b"x" if method == "PUT" else None)
        assert (answer.status, answer.json["error"]) == (status, error), (method, path, answer.body)
        assert answer.headers["Connection"] == "close"
    assert card.ask("POST", VMS, GOOD).status == 409


def test_wrong_states(card, hyp):
    card.define()
    for action in ("stop", "abort", "reset"):
        assert (card.post(f"vms/web/{action}").status, card.post(f"vms/web/{action}").json["error"]) == (409, "BH_WRONG_STATE")
    assert card.post("vms/web/console", "x").status == 409 and card.ask("GET", VMS + "/web/stats").status == 409
    assert card.post("vms/web/start").status == 200
    assert card.post("vms/web/start").json["error"] == "BH_WRONG_STATE"
    assert card.ask("DELETE", VMS + "/web").status == 409
    assert card.ask("PUT", VMS + "/web/images/kernel", arm64_image()).status == 409
    assert card.post("vms/web/console", "x" * 61441).status == 413
    for body in ({"grace_ms": -1}, {"grace_ms": 600001}, {"grace_ms": "1"}, {"grace": 1}, []):
        assert card.post("vms/web/stop", body or "[]").status == 400
    assert card.vm("web")["state"] == "running"


def test_busy(card, hyp):
    import threading
    card.define()
    gate, plain = threading.Event(), hyp.handle
    hyp.handle = lambda *a: (gate.wait(5), plain(*a))
    thread = threading.Thread(target=lambda: card.post("vms/web/start"))
    thread.start()
    wait(lambda: card.vm("web")["busy"] == "start")
    assert card.post("vms/web/stop").json["error"] == "BH_BUSY"
    assert card.ask("DELETE", VMS + "/web").json["error"] == "BH_BUSY"
    gate.set()
    thread.join()


def test_not_a_kernel(card, hyp):
    card.define(kernel=b"not a kernel" * 100)
    answer = card.post("vms/web/start")
    assert answer.status == 400 and answer.json["error"] == "BH_BAD_IMAGE" and "no ARM\\x64 magic" in answer.json["message"]
    card.define("none", kernel=b"x")
    assert card.post("vms/none/start").json["error"] == "BH_BAD_IMAGE"


# ---- Uploads ----

def put(card, head, *pieces):
    """Raw bytes; the answer's head and body."""
    connection = UnixConnection(card.api)
    connection.connect()
    data = b""
    try:
        connection.sock.sendall(head)
        for piece in pieces:
            connection.sock.sendall(piece)
    except BrokenPipeError:
        pass
    while True:
        more = connection.sock.recv(65536)
        if not more:
            return data
        data += more


def head(length, path=VMS + "/web/images/kernel", more=b""):
    return f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n".encode() + more + b"\r\n"


def test_huge_upload(start, folder):
    card = start(("m1",), "--image-limit", "1000000")
    card.define()
    assert card.ask("PUT", VMS + "/web/images/kernel", b"x" * 1000000).status == 200
    answer = put(card, head(1 << 40), b"x" * 100000)
    assert answer.startswith(b"HTTP/1.1 413 ") and b'"BH_TOO_BIG"' in answer and b"1000000 are allowed" in answer
    assert card.vm("web")["images"]["kernel"]["size"] == 1000000
    assert len(list((folder / "state/m1/images").iterdir())) == 1


def test_large_upload_is_not_kept_in_memory(card, folder):
    card.define()
    big = 200 << 20
    connection = UnixConnection(card.api)
    connection.connect()
    connection.sock.sendall(head(big))
    block = b"z" * (1 << 20)
    for _ in range(big >> 20):
        connection.sock.sendall(block)
    assert connection.sock.recv(64).startswith(b"HTTP/1.1 200 ")
    peak = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{card.process.pid}/status").read())[1])
    assert peak < 150 << 10, peak
    assert card.vm("web")["images"]["kernel"]["size"] == big


def test_uploads_that_are_cut(card, folder):
    card.define()
    connection = UnixConnection(card.api)
    connection.connect()
    connection.sock.sendall(head(100000) + b"x" * 50000)
    wait(lambda: any(f.name.startswith(".new") for f in (folder / "state/m1/images").iterdir()))
    connection.close()
    wait(lambda: len(list((folder / "state/m1/images").iterdir())) == 1)
    assert card.vm("web")["images"]["kernel"]["size"] == 200000


@pytest.mark.parametrize("request_head, status", [
    (f"PUT {VMS}/web/images/kernel HTTP/1.1\r\nHost: x\r\n\r\n".encode(), b"411"),
    (head("x"), b"411"), (head("0"), b"400"), (head("-5"), b"411"), (head("12abc"), b"400"), (head("99999999999999999999999"), b"400"),
    (head(5, VMS + "/none/images/kernel"), b"404"), (head(5, "/v1/machines/none/vms/web/images/kernel"), b"404"),
])
def test_upload_heads(card, request_head, status):
    card.define()
    assert put(card, request_head).split(b" ")[1] == status


def test_upload_in_drops(card):
    """Byte by byte, and with Expect: as curl sends it."""
    card.define()
    image = arm64_image(1000)
    request = head(1000, more=b"Expect: 100-continue\r\n") + image
    answer = put(card, request[:1], *[request[i:i + 1] for i in range(1, len(request))])
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert card.vm("web")["images"]["kernel"]["size"] == 1000


def test_other_requests_in_drops(card):
    for request in (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"PUT /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"):
        answer = put(card, request[:1], *[request[i:i + 1] for i in range(1, len(request))])
        assert answer.startswith(b"HTTP/1.1 ")


def test_garbage_and_silence(card):
    silent = [UnixConnection(card.api) for _ in range(20)]
    for connection in silent:
        connection.connect()
    put(card, b"\0" * 3000 + b"\r\n\r\n")
    assert put(card, b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n").startswith((b"HTTP/1.1 4", b""))
    for connection in silent:
        connection.close()
    assert card.ask("GET", "/v1/machines").status == 200


def test_a_body_too_large(card):
    answer = card.ask("POST", VMS, json.dumps({**GOOD, "bootargs": "x" * 150000}))
    assert answer.status == 413


# ---- What is shown ----

def test_metrics(card, hyp):
    card.define()
    card.post("vms/web/start")
    answer = card.ask("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    typed = set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert kind in ("gauge", "counter") and name not in typed and (kind != "counter" or name.endswith("_total"))
            typed.add(name)
        elif not line.startswith("# HELP "):
            sample = re.fullmatch(r'([a-z_]+)\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\} (\d+)', line)
            assert sample and sample[1] in typed, line
    assert b'bhcard_vm_running{machine="m1",vm="web"} 1\n' in answer.body
    assert b'bhcard_machine_cores_free{machine="m1"} 2\n' in answer.body


def test_page_and_description(card):
    assert card.ask("GET", "/").body == (ROOT / "tools/bhcard/web/index.html").read_bytes()
    described = card.ask("GET", "/openapi.json").json
    assert described == yaml.safe_load((ROOT / "tools/bhcard/openapi.yaml").read_text())


def test_answers_are_as_described(card, hyp):
    schemas = card.ask("GET", "/openapi.json").json["components"]["schemas"]
    card.define()
    card.post("vms/web/start")
    for schema, answers in (("Machine", card.ask("GET", "/v1/machines").json), ("Vm", card.ask("GET", VMS).json),
                            ("Capacity", [card.ask("GET", "/v1/machines/m1/capacity").json]), ("Event", card.events())):
        for answer in answers:
            known = schemas[schema]["properties"]
            assert set(answer) <= set(known), set(answer) - set(known)
            assert set(schemas[schema].get("required", [])) <= set(answer)
            for name, value in answer.items():
                if "enum" in known[name] and value is not None:
                    assert value in known[name]["enum"], (name, value)


def test_http_on_tcp(start):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    start(("m1",), "--http", f"127.0.0.1:{port}")
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET /v1/machines HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in s.recv(4096)


def test_events_resume(card, hyp):
    card.define()
    stream = Stream(card.api, "/v1/machines/m1/events", {"Last-Event-ID": "1"})
    stream.until(b"event: created")
    assert b"event: connected" not in stream.data
    card.post("vms/web/start")
    stream.until(b"event: started\ndata: {")
    stream.close()
