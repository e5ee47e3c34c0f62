# SPDX-License-Identifier: Apache-2.0
"""What the resident code answers to a card, message by message."""
import pytest

from conftest import BUILD
from fake import PING, number, tree
from resident import Resident

DATA_MAX = 60 << 10  # FRAME_DATA_MAX
# Of include/bulkhead/error.h.
TOO_BIG = 7


@pytest.fixture
def server(folder):
    resident = Resident(BUILD, folder)
    yield resident
    resident.close()


def test_ping_gives_its_data_back_up_to_a_limit(server):
    server.hello()
    for size in (1, DATA_MAX):
        data = bytes(i % 251 for i in range(size))
        answer = server.ask(PING, tree({"data": data}))
        assert answer["data"] == data and number(answer["error"]) == 0 and number(answer["time-us"]) != 0
    for size in (DATA_MAX + 1, (64 << 10) - 100):  # the most that a frame has room for
        answer = server.ask(PING, tree({"data": bytes(size)}))
        assert number(answer["error"]) == TOO_BIG
        assert answer["detail"] == f"data: {size} bytes; at most {DATA_MAX} are allowed\0".encode()
        assert "data" not in answer
    assert number(server.ask(PING)["error"]) == 0
