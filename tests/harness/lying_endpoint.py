"""An HTTP server that answers each request with exactly the bytes it was told, and remembers who asked."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from demo.simulator.server import RunningSimulator


@dataclass
class LyingEndpoint:
    url: str = ""
    answer: Iterable[bytes] = ()
    heard: list[str] = field(default_factory=list)
    sent: int = 0  # bytes that were taken off our hands before the caller hung up

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head.lower())
            body = await reader.readexactly(int(length[1])) if length else b""
            self.heard.append((head + body).decode())
            for piece in self.answer:
                writer.write(piece)
                await writer.drain()
                self.sent += len(piece)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def instead_of(self, member: str) -> Callable[[RunningSimulator], None]:
        """Makes the discovery document, when it is next fetched, name us as this endpoint."""

        def prepare(okta: RunningSimulator) -> None:
            okta.control.fault("edit_answer", endpoint="openid-configuration", set={member: self.url})

        return prepare


@asynccontextmanager
async def lying_endpoint() -> AsyncIterator[LyingEndpoint]:
    endpoint = LyingEndpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    try:
        yield endpoint
    finally:
        server.close()


def http(body: bytes, *fields: str, status: str = "200 OK") -> tuple[bytes, bytes]:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields]
    return "\r\n".join([*head, "", ""]).encode(), body


def flood(megabytes: int) -> Iterable[bytes]:
    """A JSON answer that never gets to its end."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + b'{"access_token":"'
    for _ in range(megabytes * 16):
        yield b"a" * 65536


def gzip_bomb() -> tuple[bytes, bytes]:
    """A hundred megabytes in a hundred kilobytes."""
    body = gzip.compress(b'{"access_token":"' + b"a" * 100_000_000 + b'"}', compresslevel=6)
    return http(body, "Content-Type: application/json", "Content-Encoding: gzip")
