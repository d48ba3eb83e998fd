"""Requests of every shape under servers that are not ours: the request guard makes up for what they leave open.

What does not hold is in the table of docs/fastapi.md, and shows here.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.framing_shapes import LAST, SELECTED, Shape
from tests.harness.places import ROOT
from tests.harness.raw_http import Reader, Request, Writer
from tests.harness.raw_upstream import raw_upstream
from tests.harness.waiting import PATIENCE
from tests.proof.proxies.test_framing_through_proxies import Address, World, echo
from tests.proof.servers.processes import SERVERS, Running, running

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]

LARGE = b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"a" * 100_000 + b"\r\n\r\n"


async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
    """Breaks off the response at /api/broken, which says how it would have ended only by its last chunk."""
    if request.target != "/api/broken":
        return await echo(request, reader, writer)
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
    await writer.drain()
    return False


@dataclass
class Served:
    name: str
    world: World
    server: Running


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("server")
    async with raw_upstream(respond) as upstream:
        environ = {"UPSTREAM_PORT": str(upstream.port), "OUTPUT": str(folder / "output")}
        async with running(SERVERS[request.param], "tests.proof.servers.plane:app", folder, environ) as server:
            yield Served(request.param, World(Address(server.port), upstream, fronted=False), server)


def is_left_open(served: Served, shape: Shape) -> bool:
    """uvicorn hands what asks for a WebSocket to its library, and does not respond to what that library refuses."""
    head = shape.head.lower()
    asks = b"\r\nupgrade: websocket\r\n" in head and b"upgrade" in head.partition(b"\r\nconnection: ")[2]
    return served.name.startswith("uvicorn") and asks


async def test_each_client_gets_the_response_to_its_own_request(served: Served) -> None:
    world = served.world
    for shape in SELECTED:
        for segments in ((shape.raw + LAST,), (shape.head, shape.rest + LAST)):
            where = f"{shape.name} in {len(segments)} under {served.name}"
            if is_left_open(served, shape):
                reader, writer = await world.open()
                writer.write(b"".join(segments))
                await world.victim(where)
                assert not reader.at_eof(), "the table says that it stays open"
                writer.transport.abort()
            else:
                await world.attack(shape, *segments)
                await world.victim(where)
            world.check(shape, where)


async def test_a_response_that_breaks_off_is_not_taken_for_a_whole_one(served: Served) -> None:
    reader, writer = await served.world.open()
    fields = "Host: localhost\r\nsec-fetch-site: same-origin\r\nx-csrf: 1\r\nCookie: user=alice\r\n"
    writer.write(f"GET /api/broken HTTP/1.1\r\n{fields}\r\n".encode())
    try:
        received = await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionError:
        received = b""
    assert not received.endswith(b"0\r\n\r\n"), received
    writer.transport.abort()
    served.world.upstream.requests.clear()


async def test_a_large_head_reaches_no_upstream(served: Served) -> None:
    reader, writer = await served.world.open()
    writer.write(LARGE)
    async with asyncio.timeout(PATIENCE):
        assert int((await reader.readuntil(b"\r\n")).split()[1]) in (400, 431)
    writer.transport.abort()
    assert served.world.upstream.requests == []


async def test_the_table_has_every_server() -> None:
    table = (ROOT / "docs" / "fastapi.md").read_text("utf-8").partition("## Other servers")[2].partition("\n## ")[0]
    for name in SERVERS:
        assert f"| {name} " in table, name
