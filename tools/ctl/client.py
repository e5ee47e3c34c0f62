# SPDX-License-Identifier: Apache-2.0
"""How bhctl talks to bhcard, and the ways in which it ends."""
import contextlib
import http.client
import json
import socket
import urllib.parse

REFUSED, USAGE, NO_CONNECTION = 1, 2, 3  # what bhctl exits with


class Failure(Exception):
    """Ends bhctl with one sentence; the subclass says how."""
    status = REFUSED


class Refused(Failure):
    def __init__(self, sentence, code=0, name=""):
        super().__init__(sentence)
        self.code, self.name = code, name


class Usage(Failure):
    status = USAGE


class Lost(Failure):
    status = NO_CONNECTION


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


@contextlib.contextmanager
def network():
    """What goes wrong in here is the connection's fault."""
    try:
        yield
    except (OSError, http.client.HTTPException) as e:
        raise Lost(f"the connection to bhcard was lost: {getattr(e, 'strerror', None) or str(e) or type(e).__name__}") from None


def refusal(response):
    """The sentence that an answer carries that is not a success"""
    with network():
        data = response.read()
    try:
        error = json.loads(data)
        return Refused(error["message"], response.status, error["error"])
    except (ValueError, KeyError, TypeError):
        return Refused(f"bhcard answered {response.status} {response.reason}", response.status)


class Client:
    def __init__(self, path):
        self.path = path

    def connect(self):
        connection = UnixConnection(self.path)
        try:
            connection.connect()
        except OSError as e:
            raise Lost(f"no connection to {self.path}: {e.strerror or e}; is bhcard running?") from None
        return connection

    def open(self, method, path, body=None, headers=None):
        """Asks, and returns the answer with its body still to be read. Raises what the server refuses."""
        connection = self.connect()
        with network():
            try:
                connection.request(method, path, body, headers or {})
            except (BrokenPipeError, ConnectionResetError):
                pass  # the server answered before it had all of the body
            response = connection.getresponse()
        if response.status >= 300:
            raise refusal(response)
        return response

    def ask(self, method, path, value=None):
        """Asks with JSON and returns JSON, or None where there is no answer but success"""
        body = None if value is None else json.dumps(value).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        if method == "POST" and body is None:
            headers["Content-Length"] = "0"
        response = self.open(method, path, body, headers)
        with network():
            data = response.read()
        try:
            return json.loads(data) if data else None
        except ValueError:
            raise Lost("what answers at the socket does not speak JSON; is it bhcard?") from None

    def get(self, path):
        return self.ask("GET", path)


def path_of(machine, *words):
    """The path below a machine; each word is one step of it, whatever it holds."""
    return "/".join(["/v1/machines"] + [urllib.parse.quote(w, safe="") for w in (machine, *words)])
