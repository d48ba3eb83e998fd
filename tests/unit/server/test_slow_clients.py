"""Clients that take their time: a head that never comes whole ends with its connection, whatever came before it.

What has no limit is in tests/unit/server/test_timeouts.py, where the clock stands still.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request

from bff.errors import InvalidRequest
from bff.server.uvicorn_0_54.timeouts import Timeouts
from bff.web.request_body import read_body
from tests.harness.upstream_wire import OURS, PATIENCE, bff_beside, ok, raw_upstream, read_answer, route
from tests.harness.world import small_world

REQUEST = f"GET /api/x HTTP/1.1\r\nHost: a\r\n{OURS}Cookie: user=alice\r\n\r\n".encode()


# The same server with less patience, so that a test need not wait for 20 seconds.
IMPATIENT = Timeouts(head=0.3)


@asynccontextmanager
async def connection(
    timeouts: Any = IMPATIENT,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]]:
    async with raw_upstream(ok()) as upstream, bff_beside(route(upstream), timeouts=timeouts) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer, upstream
        finally:
            writer.close()


async def trickle(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, text: bytes) -> bytes:
    """Sends a byte now and then until the other side hangs up; what it said meanwhile."""
    said = asyncio.create_task(reader.read())
    async with asyncio.timeout(PATIENCE):
        try:
            for byte in text * 100:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.wait([said], timeout=0.05)
                if said.done():
                    break
            return await said
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    "text", [b"", b"\r\n", b"GET /api/x HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"GET /" + b"a" * 50], ids=repr
)
@pytest.mark.case("PX-072")
async def test_a_head_that_never_comes_whole_ends_with_its_connection(text: bytes) -> None:
    async with connection() as (reader, writer, upstream):
        if text:
            assert await trickle(writer, reader, text) == b""
        else:
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    assert upstream.heard == []


@pytest.mark.parametrize("text", [b"\r\n", b"GET /api/y HTTP/1.1\r\nX-Slow: "], ids=repr)
@pytest.mark.case("PX-072")
async def test_nor_does_one_after_a_good_request(text: bytes) -> None:
    timeouts = SimpleNamespace(head=PATIENCE, linger=5.0)  # the good one comes when it can
    async with connection(timeouts) as (reader, writer, upstream):
        writer.write(REQUEST)
        assert (await read_answer(reader)).status == 200
        timeouts.head = 0.3
        assert await trickle(writer, reader, text) == b""
    assert len(upstream.heard) == 1


async def test_a_body_for_ourselves_that_does_not_arrive_is_not_waited_for() -> None:
    parts = [{"type": "http.request", "body": b"a=b", "more_body": True}]

    async def receive() -> dict[str, object]:
        return parts.pop() if parts else await asyncio.Future()

    request = Request({"type": "http", "headers": [(b"content-length", b"100")]}, receive)
    with pytest.raises(InvalidRequest, match="did not arrive"):
        await read_body(request, 1000, timeout=0.01)


async def test_a_client_that_hangs_up_in_its_body_is_no_defect_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with small_world(tmp_path) as world:
        parts = urlsplit(world.public_url)
        head = f"POST /auth/backchannel-logout HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 100\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", parts.port or 80)
        writer.write((head + "Content-Type: application/x-www-form-urlencoded\r\n\r\na=b").encode())
        await writer.drain()
        writer.close()
        async with asyncio.timeout(PATIENCE):
            while not any(getattr(record, "why", None) == "The client disconnected." for record in caplog.records):
                await asyncio.sleep(0.01)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
