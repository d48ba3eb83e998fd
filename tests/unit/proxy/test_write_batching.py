"""What one turn of the event loop writes leaves together: in order, and to nobody who has gone."""

import asyncio
from typing import Any

from bff.asgi.write_batching import WriteBatch
from bff.proxy.http1_connection import UpstreamConnection


class Line(asyncio.Transport):
    """A transport that remembers when it was written to, among others."""

    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__()
        self._name, self._told, self._closing = name, told, False

    def write(self, data: Any) -> None:
        self._told.append(f"{self._name} {bytes(data).decode()}")

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self.close()


async def test_the_first_leaves_at_once_and_the_rest_at_the_end_of_the_turn_in_order() -> None:
    told: list[str] = []
    mine, one, two = WriteBatch(), Line("one", told), Line("two", told)
    mine.write(one, b"first")
    asyncio.get_running_loop().call_soon(told.append, "the next turn")
    mine.write(two, b"second")
    mine.write(one, b"third")
    assert told == ["one first"]
    await asyncio.sleep(0)
    assert told == ["one first", "two second", "one third", "the next turn"]
    mine.write(one, b"fourth")
    assert told[4:] == ["one fourth"], "and begins again in the next one"


async def test_a_transport_that_closed_meanwhile_gets_nothing_and_holds_up_nobody() -> None:
    told: list[str] = []
    mine, gone, there = WriteBatch(), Line("gone", told), Line("there", told)
    for line in (there, gone, there):
        mine.write(line, b"x")
    gone.close()
    await asyncio.sleep(0)
    assert told == ["there x", "there x"]


async def test_who_cannot_wait_flushes_and_nothing_is_written_twice() -> None:
    told: list[str] = []
    mine, line = WriteBatch(), Line("line", told)
    mine.write(line, b"first")
    mine.write(line, b"second")
    mine.flush()
    line.write(b"third")
    mine.write(line, b"fourth")
    assert told == ["line first", "line second", "line third"]
    await asyncio.sleep(0)
    assert told[3:] == ["line fourth"]


async def test_an_upload_does_not_overtake_a_head_that_waits_for_the_same_upstream() -> None:
    """An upstream that answers what it was not asked yet makes its connection free before the request has left."""
    told: list[str] = []
    write_batch = WriteBatch()
    connection = UpstreamConnection(asyncio.get_running_loop(), write_batch)
    connection.connection_made(Line("upstream", told))
    write_batch.write(Line("somebody else", []), b"first in this turn")
    connection.send_head(b"GET", b"/a", [], length=-1)
    assert told == []
    connection.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await connection.head()).status == 204
    connection.rest()
    connection.send_head(b"POST", b"/b", [], length=1)
    connection.send_body(b"x")
    await asyncio.sleep(0)
    assert [line.split()[1] for line in told] == ["GET", "POST", "x"]


async def test_a_head_that_waits_for_a_connection_that_broke_is_dropped() -> None:
    told: list[str] = []
    write_batch = WriteBatch()
    connection = UpstreamConnection(asyncio.get_running_loop(), write_batch)
    line = Line("upstream", told)
    connection.connection_made(line)
    write_batch.write(Line("somebody else", []), b"first in this turn")
    connection.send_head(b"GET", b"/a", [], length=-1)
    connection.abort()
    await asyncio.sleep(0)
    assert told == []
