"""HTTP/1.1 as bytes: a server that hands each request to a function, and a client that sends what a test writes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import parse_qsl

from tests.harness.waiting import PATIENCE

SAME_ORIGIN = "sec-fetch-site: same-origin\r\nx-csrf: 1\r\n"  # what our own page's fetch sends
ALICE = f"host: app.example\r\n{SAME_ORIGIN}cookie: user=alice\r\n"

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


@dataclass
class Message:
    fields: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.fields if found == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2
        return values[0] if values else None

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.fields)


@dataclass
class Request(Message):
    """One request as a server got it."""

    method: str
    target: str
    body: bytes = b""

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


@dataclass
class Response(Message):
    """`complete` is False if the connection ended before the framing said so."""

    status: int
    body: bytes
    complete: bool


async def read_head(reader: Reader) -> tuple[str, list[tuple[str, str]]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    return first, [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]


async def read_chunks(reader: Reader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")


async def read_body(reader: Reader, fields: Iterable[tuple[str, str]]) -> bytes:
    given = dict(fields)
    if given.get("transfer-encoding") == "chunked":
        return b"".join([chunk async for chunk in read_chunks(reader)])
    return await reader.readexactly(int(given.get("content-length", "0")))


async def read_response(reader: Reader, *, to_head: bool = False) -> Response:
    async with asyncio.timeout(PATIENCE):
        first, fields = await read_head(reader)
        response = Response(fields, int(first.split(" ")[1]), b"", complete=False)
        try:
            if to_head or response.status in (204, 304):
                pass
            elif response.one("transfer-encoding") == "chunked":
                async for chunk in read_chunks(reader):
                    response.body += chunk
            else:
                length = int(response.headers["content-length"])
                while len(response.body) < length:
                    piece = await reader.read(length - len(response.body))
                    if not piece:
                        return response
                    response.body += piece
        except (asyncio.IncompleteReadError, ConnectionError):
            return response
        response.complete = True
        return response


@asynccontextmanager
async def connected(port: int, raw: bytes | str = b"", **options: int) -> AsyncIterator[tuple[Reader, Writer]]:
    """A connection on which these bytes were sent first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        writer.write(raw.encode("latin-1") if isinstance(raw, str) else raw)
        yield reader, writer
    finally:
        writer.close()


async def send(port: int, raw: bytes | str, *, to_head: bool = False) -> Response:
    """Sends these bytes on a connection of their own and reads one response."""
    async with connected(port, raw) as (reader, _):
        return await read_response(reader, to_head=to_head)


async def fetch(
    port: int, target: str, *fields: str, method: str = "GET", user: str | None = "alice", body: bytes | None = None
) -> Response:
    """What our own page's fetch sends, as the user whose cookie it is."""
    lines = [f"{method} {target} HTTP/1.1", "host: app.example", "sec-fetch-site: same-origin", "x-csrf: 1", *fields]
    if user is not None:
        lines.append(f"cookie: user={user}; theme=dark")
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    raw = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")
    return await send(port, raw, to_head=method == "HEAD")


# Responds to one request; False closes the connection after it.
Respond: TypeAlias = Callable[[Request, Reader, Writer], Awaitable[bool]]


@dataclass
class HttpServer:
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    # Set when a connection ended while a response was still being written or waited for.
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def listening(
    server: HttpServer, respond: Respond, *, reads_body: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serves on a free port of 127.0.0.1 until the end of the block."""
    tasks: set[asyncio.Task[None]] = set()

    async def connection(reader: Reader, writer: Writer) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while not writer.is_closing():
                first, fields = await read_head(reader)
                method, target, _ = first.split(" ")
                request = Request(fields, method, target)
                server.requests.append(request)
                server.arrived.set()
                if reads_body:
                    request.body = await read_body(reader, fields)
                if not await respond(request, reader, writer):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            server.hung_up.set()
        except asyncio.CancelledError:
            return  # the test is over
        finally:
            tasks.discard(task)
            writer.close()

    accepting = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=tls)
    server.port = accepting.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        accepting.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
