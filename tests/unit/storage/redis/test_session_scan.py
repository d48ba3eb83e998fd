"""Keys are read in the order of SCAN, and a page may end within one of its replies."""

from typing import Any

import pytest

from bff.session.keyring import new_session_id
from bff.session.store import InvalidPosition
from bff.storage.redis.client import RedisLink
from bff.storage.redis.session_scan import ScanPosition, SessionScan
from bff.storage.redis.topology import OneServer
from bff.storage.timeouts import RedisTimeouts
from tests.unit.storage.redis.network import Server, pool_of

KEYS = sorted(new_session_id().key for _ in range(6))


def scan_of(replies: dict[int, Any]) -> SessionScan:
    server = Server(lambda command: replies[int(command[1])])
    return SessionScan(RedisLink(OneServer(pool_of({1: server}, 1)), RedisTimeouts()), "p:")


def names(*keys: str) -> list[bytes]:
    return [f"p:{{{key}}}".encode() for key in keys]


async def test_a_page_ends_within_a_reply_and_the_next_one_begins_there() -> None:
    strangers = [b"p:{short}", b"p:{%s}:end" % KEYS[0].encode(), b"p:\xff"]
    replies = {
        0: [b"7", [*names(*KEYS[:4]), *names(KEYS[0]), *strangers]],
        7: [b"9", strangers],
        9: [b"0", names(*KEYS[4:])],
    }
    scan = scan_of(replies)
    first, position = await scan.keys("", 3)
    assert (first, position) == (KEYS[:3], f"0.0.{KEYS[2]}")
    second, position = await scan.keys(str(position), 3)
    assert (second, position) == (KEYS[3:4], "0.7.")
    assert await scan.keys(str(position), 3) == (KEYS[4:], None), "a reply without a session is no page"


@pytest.mark.parametrize("text", ["0", "0.0", "a.0.", "0.-1.", f"0.{1 << 64}.", "0.0.short", "0.0.\n"])
def test_a_position_has_one_form(text: str) -> None:
    with pytest.raises(InvalidPosition):
        ScanPosition.parse(text)
