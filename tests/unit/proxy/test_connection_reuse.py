"""A hostile upstream, one user's request, then another user's: what the first one caused never answers the second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bff.asgi.write_batching import WriteBatch
from bff.proxy.pool import UpstreamPool
from tests.harness.upstream_wire import (
    OURS,
    PATIENCE,
    Answer,
    Heard,
    RawUpstream,
    TokenOfUser,
    Users,
    bff,
    fetch,
    raw_upstream,
    read_answer,
    route,
)

POISON = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"
SMUGGLED = b"GET /api/smuggled HTTP/1.1\r\nhost: api.example\r\nx-user-sub: admin\r\n\r\n"
PREFIX = b"GET /api/smuggled HTTP/1.1\r\nx-ignored: "  # what comes next on the connection is the rest of it
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
VICTIMS = 20


def users() -> Users:
    return Users(alice=TokenOfUser("token-of-alice"), bob=TokenOfUser("token-of-bob"))


def own_target(heard: Heard) -> bytes:
    """An honest answer: it names what was asked for."""
    body = heard.target.encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    return head if heard.method == "HEAD" else head + body


class Withholding:
    """Answers a request below /api/attack with `head`, and sends what follows it only when the connection carries
    another request: the worst moment there is."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.owing: set[asyncio.StreamWriter] = set()

    async def __call__(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if writer in self.owing:
            self.owing.discard(writer)
            writer.write(POISON)
        elif heard.target.startswith("/api/attack"):
            self.owing.add(writer)
            writer.write(self.head)
        else:
            writer.write(own_target(heard))
        return True


async def victims_after_attacks(port: int, method: str, status: int) -> list[Answer]:
    answers = []
    for number in range(VICTIMS):
        attack = await fetch(port, f"/api/attack/{number}", method=method, user="alice")
        assert attack.status == status
        answers.append(await fetch(port, f"/api/mine/{number}", user="bob"))
    return answers


@pytest.mark.parametrize(
    ("method", "head", "status"),
    [
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 45\r\n\r\n", 200, id="head-with-length"),
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, id="head-of-nothing"),
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200, id="head-chunked"),
        pytest.param("HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n", 404, id="head-without-length"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, id="204"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\ncontent-length: 45\r\n\r\n", 204, id="204-with-length"),
        pytest.param("DELETE", b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204, id="204-of-nothing"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", 304, id="304"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 45\r\n\r\n", 304, id="304-with-length"),
        pytest.param(
            "GET", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n", 304, id="304-after-103"
        ),
    ],
)
async def test_a_body_that_follows_an_answer_without_one_reaches_no_other_user(
    method: str, head: bytes, status: int
) -> None:
    async with raw_upstream(Withholding(head)) as upstream:
        with bff(route(upstream, methods=METHODS), users=users()) as port:
            answers = await victims_after_attacks(port, method, status)
    assert [answer.body.decode() for answer in answers] == [f"/api/mine/{number}" for number in range(VICTIMS)]
    # Each attack used its connection up; the users' own go on being used again.
    assert upstream.connections <= VICTIMS + 1


@pytest.mark.parametrize(
    ("method", "head", "closes"),
    [
        pytest.param("GET", None, True, id="GET"),
        pytest.param("HEAD", None, True, id="HEAD"),
        pytest.param("DELETE", None, True, id="DELETE"),
        pytest.param("OPTIONS", None, True, id="OPTIONS"),
        pytest.param("POST", b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", False, id="POST-refused"),
        pytest.param(
            "PUT", b"HTTP/1.1 308 Permanent Redirect\r\ncontent-length: 0\r\n\r\n", False, id="PUT-redirected"
        ),
        pytest.param("PATCH", b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", False, id="PATCH-failed"),
    ],
)
async def test_a_request_body_that_an_upstream_does_not_read_answers_no_other_user(
    method: str, head: bytes | None, closes: bool
) -> None:
    """It is taken for the next request, and the answer to that must not be taken for the victim's."""

    async def ignores_bodies(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        attacked = heard.target.startswith("/api/attack")
        writer.write(head if attacked and head is not None else own_target(heard))
        return heard.all("connection") != ["close"]

    async with raw_upstream(ignores_bodies, reads_body=False) as upstream:
        with bff(route(upstream, methods=METHODS), users=users()) as port:
            answers = []
            for number in range(VICTIMS):
                await fetch(
                    port, f"/api/attack/{number}", method=method, user="alice", body=SMUGGLED if closes else PREFIX
                )
                answers.append(await fetch(port, f"/api/mine/{number}", user="bob"))
    assert [answer.body.decode() for answer in answers] == [f"/api/mine/{number}" for number in range(VICTIMS)]
    if closes:  # an upstream that does as it is told doesn't even see it
        assert not [heard for heard in upstream.heard if heard.target == "/api/smuggled"]


@asynccontextmanager
async def sent_in_two(
    port: int, method: str, framing: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request of Alice's whose body is still to be sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{method} /api/attack HTTP/1.1\r\nhost: app.example\r\ncookie: user=alice\r\n{OURS}{framing}\r\n\r\n"
        writer.write(head.encode())
        yield reader, writer
    finally:
        writer.close()


async def heard_by(upstream: RawUpstream) -> None:
    async with asyncio.timeout(PATIENCE):
        while not upstream.heard:
            await asyncio.sleep(0.01)


async def test_an_upstream_that_does_not_know_chunks_answers_them_to_no_other_user() -> None:
    async def ignores_bodies(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if heard.target == "/api/attack":
            await reader.readuntil(b"x\r\n0\r\n\r\n")  # it would be the next request; here only its arrival counts
        writer.write(own_target(heard))
        return True

    async with raw_upstream(ignores_bodies, reads_body=False) as upstream:
        with bff(route(upstream, methods=METHODS), users=users()) as port:
            async with sent_in_two(port, "POST", "transfer-encoding: chunked") as (reader, writer):
                writer.write(b"1\r\nx\r\n")
                await heard_by(upstream)
                writer.write(b"0\r\n\r\n")
                assert (await asyncio.wait_for(read_answer(reader), PATIENCE)).status == 200
            assert (await fetch(port, "/api/mine", user="bob")).body == b"/api/mine"
    assert upstream.heard[0].all("transfer-encoding") == ["chunked"]
    assert upstream.heard[0].all("connection") == ["close"]
    assert upstream.connections == 2


async def test_a_connection_whose_answer_began_before_the_request_was_sent_is_not_used_again() -> None:
    async def early(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if heard.target == "/api/attack":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na")
            await reader.readexactly(20)
            writer.write(b"b")
        else:
            writer.write(own_target(heard))
        return True

    async with raw_upstream(early, reads_body=False) as upstream:
        with bff(route(upstream, methods=METHODS), users=users()) as port:
            async with sent_in_two(port, "POST", "content-length: 20") as (reader, writer):
                writer.write(b"x" * 10)
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"x" * 10)
                assert await asyncio.wait_for(reader.readexactly(2), PATIENCE) == b"ab"
            assert (await fetch(port, "/api/mine", user="bob")).body == b"/api/mine"
    assert upstream.connections == 2


async def test_a_connection_on_which_bytes_already_wait_is_not_used_again() -> None:
    """The loop may not have looked at the socket since they came."""
    poisoned = asyncio.Event()

    async def late(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(own_target(heard))
        if heard.target == "/api/attack":
            await writer.drain()
            await answered.wait()
            writer.write(POISON)
            poisoned.set()
        return True

    answered = asyncio.Event()
    async with raw_upstream(late) as upstream:
        loop = asyncio.get_running_loop()
        connection_pool = UpstreamPool(route(upstream), WriteBatch(), idle_life=PATIENCE)
        connection = await connection_pool.acquire()
        connection.send_head(b"GET", b"/api/attack", [(b"host", b"api.example")], length=-1)
        await connection.head()
        assert await connection.read() == b"/api/attack"
        connection_pool.release(connection)
        assert connection.quiet
        answered.set()
        await poisoned.wait()
        deadline = loop.time() + PATIENCE
        while connection.quiet and loop.time() < deadline:
            pass  # without a turn of the loop
        assert not connection.quiet
        assert not connection.closed
        again = await connection_pool.acquire()
        assert again is not connection
        connection_pool.close()
        again.abort()


async def test_connections_with_plain_answers_are_used_again() -> None:
    async def plain(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(own_target(heard))
        return True

    async with raw_upstream(plain) as upstream:
        with bff(route(upstream, methods=METHODS), users=users()) as port:
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                body = b"x" * 10 if method in ("POST", "PUT", "PATCH") else None
                assert (await fetch(port, "/api/x", method=method, body=body)).status == 200
    assert upstream.connections == 1
    assert [heard.all("connection") for heard in upstream.heard] == [[]] * 6
