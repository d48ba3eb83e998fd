"""Records that were read before are asked for their version alone, and read whole when that says that they changed."""

from typing import Any

import pytest

from bff.session.keyring import KeyRing, new_key
from bff.session.session import Session
from bff.session.store import Found, Missing
from bff.storage import codec
from bff.storage.redis.client import RedisLink
from bff.storage.redis.store import RedisStore
from bff.storage.redis.topology import OneServer
from bff.storage.timeouts import RedisTimeouts
from tests.harness.example_session import a_session
from tests.unit.storage.redis.network import Server, error, pool_of


class Data:
    """One record in Redis; `versions` is what HMGET replies, if not its own."""

    versions: Any = None

    def __init__(self, ring: KeyRing) -> None:
        session = a_session(1000.0)
        self.session: Session | None = session
        self.key, self._ring = session.key, ring
        self.server = Server(self._reply)
        self.store = RedisStore(RedisLink(OneServer(pool_of({1: self.server}, 1)), RedisTimeouts()), ring, "p:")

    def _reply(self, command: Any) -> Any:
        version = None if self.session is None else str(self.session.version).encode()
        match command[0]:
            case "TIME":
                return [b"2000", b"0"]
            case "HMGET":
                return self.versions or [version, b"1500"]
            case "EVAL" | "EVALSHA":
                record = None if self.session is None else codec.encode(self._ring, self.session).record
                return [b"2000", b"0", version, record, b"1500"]
            case _:
                return [b"master", 0, []]

    async def asked(self) -> tuple[Any, list[str]]:
        """The record, and the commands that it took."""
        before = len(self.server.received)
        [stored] = await self.store.get_many([self.key])
        names = ["EVAL" if command[0] == "EVALSHA" else str(command[0]) for command in self.server.received[before:]]
        return stored, [name for name in names if name != "ROLE"]


@pytest.fixture
def data(ring: KeyRing) -> Data:
    return Data(ring)


async def test_a_record_that_did_not_change_is_not_read_again(data: Data) -> None:
    first, commands = await data.asked()
    assert (isinstance(first, Found), commands) == (True, ["EVAL"])
    again, commands = await data.asked()
    assert (again.view, commands) == (first.view, ["TIME", "HMGET"])
    assert (again.now, again.last_seen_at) == (2000.0, 1500.0)
    assert (first.now, first.last_seen_at) == (2000.0, 1500.0)


async def test_a_changed_or_deleted_record_is_read_as_a_whole(data: Data) -> None:
    await data.asked()
    data.session = a_session(1000.0, key=data.key, version=2)
    stored, commands = await data.asked()
    assert (stored.view.version, commands) == (2, ["TIME", "HMGET", "EVAL"])
    data.session = None
    assert await data.asked() == (Missing(2000.0), ["TIME", "HMGET", "EVAL"])
    assert (await data.asked())[1] == ["EVAL"], "it is forgotten"


@pytest.mark.parametrize("reply", [7, [None, None], error("NOPERM for this"), [b"x", b"1500"]])
async def test_any_other_reply_leads_to_the_record_itself(data: Data, reply: Any) -> None:
    await data.asked()
    data.versions = reply
    stored, commands = await data.asked()
    assert (isinstance(stored, Found), commands[-1]) == (True, "EVAL")


async def test_under_other_keys_the_record_itself_is_read(data: Data, ring: KeyRing) -> None:
    await data.asked()
    ring.replace_keys([new_key()])
    assert (await data.asked())[1] == ["EVAL"]
