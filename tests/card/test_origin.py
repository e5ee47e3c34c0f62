# SPDX-License-Identifier: Apache-2.0
"""The TCP port against web pages of others that are open in a browser on the same machine."""
import http.client
import json

import pytest

from conftest import arm64_image, wait
from real_rest import free_port


@pytest.fixture
def port(start, dial):
    """A daemon with a port and one machine, which has a VM."""
    number = free_port()
    daemon = start(("m1",), "--http", f"127.0.0.1:{number}")
    dial(daemon)
    daemon.define()
    return number


VM = "/v1/machines/m1/vms/web"


def ask(port, method, path, body=None, **headers):
    """(status, JSON or bytes); a header that is None is not sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(body or b"")), **headers}.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer, json.loads(data) if data[:1] in (b"{", b"[") else data


def state(port):
    return ask(port, "GET", VM)[1]["state"]


OUR_HOSTS = ("127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "127.0.0.1", "127.9.9.9:1", "[::1]:{port}", "[::1]")
BAD_HOSTS = (None, "", "evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost.evil.example", "[::1", "[::1]x",
             "[evil.example]:{port}", "127.0.0.1@evil.example", "x" * 70, "localhost evil.example")


@pytest.mark.parametrize("host", OUR_HOSTS)
def test_names_that_are_always_this_machine(port, host):
    assert ask(port, "GET", "/v1/machines", Host=host.format(port=port))[0].status == 200


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_name_that_may_resolve_to_us(port, host):
    """DNS rebinding: the browser thinks that we are the page's own server."""
    host = host and host.format(port=port)
    for method, path in (("GET", "/v1/machines"), ("GET", "/"), ("POST", VM + "/start"), ("DELETE", VM),
                         ("PUT", VM + "/images/kernel")):
        answer, body = ask(port, method, path, b"x" * 100 if method == "PUT" else None, Host=host)
        assert (answer.status, body["error"]) == (403, "BH_FORBIDDEN"), (method, path, body)
        assert body["message"] == f"Host is '{host or ''}'; an address or localhost is allowed"
    assert state(port) == "defined"


FOREIGN = ("http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://localhost:{port}", "http://127.0.0.1:{port}0",
           "http://127.0.0.1", "file://", "http://127.0.0.1:{port}.evil.example")


@pytest.mark.parametrize("origin", FOREIGN)
def test_page_of_another_origin(port, origin):
    """What a page elsewhere may send without asking first, and what the browser asks for it; also to our event streams."""
    origin = origin.format(port=port)
    for method, path, body in (("POST", VM + "/start", b"{}"), ("DELETE", VM, None), ("PUT", VM + "/images/kernel", arm64_image()),
                               ("OPTIONS", VM + "/start", None), ("POST", VM + "/console", b"x"), ("GET", "/v1/machines/m1/events", None)):
        answer, said = ask(port, method, path, body, Origin=origin)
        assert (answer.status, said["error"]) == (403, "BH_FORBIDDEN"), (method, path, said)
        assert said["message"] == f"the request is a page's from '{origin}'; it may not"
        assert answer.getheader("Access-Control-Allow-Origin") is None
    assert state(port) == "defined"


def test_our_own_page_may(port):
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert ask(port, "GET", "/", Host=host)[0].status == 200
        assert ask(port, "PUT", VM + "/images/kernel", arm64_image(), Host=host, Origin=f"http://{host}")[0].status == 200
    answer, said = ask(port, "POST", VM + "/start", b"", Origin=f"http://127.0.0.1:{port}")
    assert answer.status in (200, 202), said
    wait(lambda: state(port) == "running")


def test_page_cannot_be_shown_in_anothers(port):
    answer, _ = ask(port, "GET", "/")
    assert answer.getheader("X-Frame-Options") == "DENY"
    assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
    assert answer.getheader("X-Content-Type-Options") == "nosniff"


def test_unix_socket_asks_for_nothing(start, dial):
    """Clients there name hosts as they like: curl's example in bhcard(8), ch-remote."""
    daemon = start()
    dial(daemon)
    for host in ("card", "", "evil.example"):
        assert daemon.ask("GET", "/v1/machines", headers={"Host": host, "Origin": "null"}).status == 200
