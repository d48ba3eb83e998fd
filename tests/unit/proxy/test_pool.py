"""Connections to upstreams between requests: reused where safe, so that one user's exchange never answers another's."""

import asyncio
import time
from collections.abc import Callable

import pytest

from bff.asgi.write_batching import WriteBatch
from bff.errors import UpstreamTimeout
from bff.proxy.pool import UpstreamPool, UpstreamPools
from tests.harness.proxy_server import User, Users, running_proxy
from tests.harness.raw_http import Reader, Request, Response, Writer, fetch
from tests.harness.raw_upstream import ok, raw_upstream, route
from tests.harness.routes import a_route
from tests.harness.waiting import PATIENCE, until

POISON = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"
SMUGGLED = b"GET /api/smuggled HTTP/1.1\r\nhost: api.example\r\nx-user-sub: admin\r\n\r\n"
PREFIX = b"GET /api/smuggled HTTP/1.1\r\nx-ignored: "  # what comes next on the connection is the rest of it
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ROUNDS = 3


def users() -> Users:
    return Users(alice=User("token-of-alice"), bob=User("token-of-bob"))


def own_target(request: Request) -> bytes:
    """An honest response: it names what was requested."""
    body = request.target.encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    return head if request.method == "HEAD" else head + body


async def attack_and_ask(port: int, method: str, body: bytes | None = None) -> list[Response]:
    """Alice's responses; Bob, who asks after each of them, gets his own."""
    attacks = []
    for number in range(ROUNDS):
        attacks.append(await fetch(port, f"/api/attack/{number}", method=method, user="alice", body=body))
        assert (await fetch(port, f"/api/mine/{number}", user="bob")).body == f"/api/mine/{number}".encode()
    return attacks


@pytest.mark.parametrize(
    ("method", "head", "status"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 45\r\n\r\n", 200),
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
        ("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n", 404),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", b"HTTP/1.1 204 No Content\r\ncontent-length: 45\r\n\r\n", 204),
        ("DELETE", b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204),
        ("GET", b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", 304),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 45\r\n\r\n", 304),
        ("GET", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n", 304),
    ],
)
async def test_a_body_after_a_response_that_has_none_reaches_no_other_user(
    method: str, head: bytes, status: int
) -> None:
    owing: set[Writer] = set()

    async def withholding(request: Request, reader: Reader, writer: Writer) -> bool:
        """Sends what follows `head` only when the connection carries another request: the worst moment there is."""
        if writer in owing:
            owing.discard(writer)
            writer.write(POISON)
        elif request.target.startswith("/api/attack"):
            owing.add(writer)
            writer.write(head)
        else:
            writer.write(own_target(request))
        return True

    async with (
        raw_upstream(withholding) as upstream,
        running_proxy(route(upstream, methods=METHODS), users=users()) as port,
    ):
        attacks = await attack_and_ask(port, method)
    assert [response.status for response in attacks] == [status] * ROUNDS
    assert upstream.connections <= ROUNDS + 1  # those of honest responses are used again


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("GET", None),
        ("HEAD", None),
        ("DELETE", None),
        ("OPTIONS", None),
        ("POST", b"404 Not Found"),
        ("PUT", b"308 Permanent Redirect"),
        ("PATCH", b"500 Oops"),
    ],
)
async def test_a_request_body_that_an_upstream_does_not_read_answers_no_other_user(
    method: str, status: bytes | None
) -> None:
    """The upstream takes it for the next request."""

    async def ignores_bodies(request: Request, reader: Reader, writer: Writer) -> bool:
        attacked = request.target.startswith("/api/attack")
        if attacked and status is not None:
            writer.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status)
        else:
            writer.write(own_target(request))
        return request.all("connection") != ["close"]

    async with (
        raw_upstream(ignores_bodies, reads_body=False) as upstream,
        running_proxy(route(upstream, methods=METHODS), users=users()) as port,
    ):
        await attack_and_ask(port, method, SMUGGLED if status is None else PREFIX)
    if status is None:  # an upstream that closes the connection as requested doesn't even see it
        assert "/api/smuggled" not in [request.target for request in upstream.requests]


async def test_a_connection_on_which_bytes_already_wait_is_not_reused() -> None:
    """The loop may not have looked at the socket since they arrived."""
    released = asyncio.Event()
    poisoned = asyncio.Event()

    async def late(request: Request, reader: Reader, writer: Writer) -> bool:
        writer.write(own_target(request))
        await released.wait()
        writer.write(POISON)
        poisoned.set()
        return True

    async with raw_upstream(late) as upstream:
        pool = UpstreamPool(route(upstream), WriteBatch(), idle_life=PATIENCE)
        connection = await pool.acquire()
        connection.send_head(b"GET", b"/api/attack", [(b"host", b"api.example")], length=-1)
        assert await connection.read() == b"/api/attack"
        pool.release(connection)
        assert connection.quiet
        released.set()
        await poisoned.wait()
        deadline = time.monotonic() + PATIENCE
        while connection.quiet and time.monotonic() < deadline:
            pass  # without a turn of the loop
        assert not connection.quiet
        assert not connection.closed
        again = await pool.acquire()
        assert again is not connection
        pool.close()
        assert again.closed


async def test_connections_with_plain_responses_are_reused_for_as_long_as_they_may_idle(
    frozen_clock: Callable[[float], None],
) -> None:
    async with raw_upstream(ok()) as upstream:
        pool = UpstreamPool(route(upstream), WriteBatch(), idle_life=4.0)

        async def exchange(*, fresh: bool = False) -> None:
            connection = await pool.acquire(fresh=fresh)
            connection.send_head(b"GET", b"/", [], length=-1)
            assert await connection.read() == b"ok"
            pool.release(connection)

        for idle, fresh, connections in [(0, False, 1), (0, False, 1), (4.1, False, 2), (0, True, 3), (0, False, 3)]:
            frozen_clock(idle)
            await exchange(fresh=fresh)
            assert upstream.connections == connections
        unfinished = await pool.acquire()
        unfinished.send_head(b"GET", b"/", [], length=-1)
        pool.release(unfinished)
        assert unfinished.closed
        pool.close()


async def test_connecting_has_a_timeout(advance_clock: Callable[[float], None]) -> None:
    accepted: list[Writer] = []

    async def silent(reader: Reader, writer: Writer) -> None:
        accepted.append(writer)
        await reader.readexactly(1)  # its TLS handshake began, and stays unanswered
        advance_clock(5)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(UpstreamTimeout):
        await UpstreamPool(a_route(upstream=url, connect_timeout=5), WriteBatch()).acquire()
    server.close()
    await until(lambda: accepted[0].is_closing())


def test_routes_share_a_pool_only_with_the_same_upstream_and_timeout() -> None:
    pools = UpstreamPools()
    one = pools.of(a_route("/a", "http://one.internal"))
    assert pools.of(a_route("/c", "http://one.internal")) is one
    assert pools.of(a_route("/d", "http://two.internal")) is not one
    assert pools.of(a_route("/e", "http://one.internal", connect_timeout=1)) is not one
