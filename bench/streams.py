"""What an idle stream costs: `python -m bench.streams` prints the memory of a WebSocket and of an event stream.

Thousands of each are opened through `bff serve`, and held while its resident memory is read.
"""

import argparse
import asyncio
import base64
import os
import resource
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench import stored_sessions
from bench.contenders import OURS_COOKIE, ours, store_url
from bench.processes import LOAD_CORE, Child, until
from bench.world import World, answers

AT_ONCE: Final = 50  # streams that are opened concurrently
OPENED: Final = {"WebSocket": b"HTTP/1.1 101", "event stream": b"data: opened"}
ROUTES: Final = '[{{"prefix": "/api", "upstream": "http://127.0.0.1:{world.upstream}", "websocket": true}}]'


class Stream(asyncio.Protocol):
    """A client that opens one stream, answers pings, and ignores everything else."""

    def __init__(self, request: bytes, opened: bytes) -> None:
        self._request, self._expected, self._received = request, opened, b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            if data[0] == 0x89:  # a ping; the mask is zero
                self.transport.write(bytes([0x8A, 0x80 | data[1]]) + bytes(4) + data[2 : 2 + data[1]])
            return
        self._received += data
        if self._expected in self._received:
            self._request = self._received = b""
            self.opened.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(self._received[:200].decode("latin-1")))


def request(kind: str, world: World, cookie: str) -> bytes:
    """As browsers send it, some 800 bytes."""
    fields = {
        "Host": world.url.split("/")[2],
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140 Safari/537.36",
        "Accept-Language": "en-US,en;q=0.9,de;q=0.8",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Cache-Control": "no-cache",
        "Cookie": cookie,
        "Sec-Fetch-Site": "same-origin",
    }
    if kind == "WebSocket":
        key = base64.b64encode(os.urandom(16)).decode()
        fields |= {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        fields |= {"Sec-WebSocket-Key": key, "Origin": world.url, "Sec-Fetch-Mode": "websocket"}
    else:
        fields |= {"Accept": "text/event-stream", "Sec-Fetch-Mode": "cors", "X-CSRF": "1"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET /api/stream HTTP/1.1\r\n{lines}\r\n".encode()


async def open_streams(kind: str, count: int, world: World, cookie: str) -> list[Stream]:
    loop, streams = asyncio.get_running_loop(), []
    for first in range(0, count, AT_ONCE):
        connecting = [
            loop.create_connection(
                lambda: Stream(request(kind, world, cookie), OPENED[kind]), "127.0.0.1", world.public
            )
            for _ in range(min(AT_ONCE, count - first))
        ]
        batch = [stream for _, stream in await asyncio.gather(*connecting)]
        await asyncio.gather(*(stream.opened for stream in batch))
        streams += batch
    return streams


async def cost(kind: str, count: int, world: World, cookie: str, child: Child | Any) -> float:
    """Bytes of resident memory for one stream."""
    for stream in await open_streams(kind, 100, world, cookie):  # what the first ones load stays
        stream.transport.close()
    await asyncio.sleep(3)
    before = child.resident()
    streams = await open_streams(kind, count, world, cookie)
    await asyncio.sleep(3)
    taken = child.resident() - before
    for stream in streams:
        stream.transport.abort()
    return taken / count


def measure(kind: str, count: int) -> str:
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        world = World(Path(name), stack)
        stored_sessions.fill(world, store_url(world, "sqlite"), OURS_COOKIE, sessions=1, busy=1)
        cookie = (world.directory / "cookies.txt").read_text().split()[0]
        world.child("upstream", [sys.executable, "-m", "bench.stream_upstream", str(world.upstream)], LOAD_CORE)
        child = ours("sqlite", BFF_ROUTES=ROUTES)(world)
        try:
            until(lambda: answers(f"{world.url}/"), "bff serve", timeout=60)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                taken = runner.run(cost(kind, count, world, cookie, child))
            return f"{kind}: {taken / 1024:.1f} KiB each, with {count} open"
        finally:
            child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3_000)
    parser.add_argument("--kind", choices=tuple(OPENED), nargs="+", default=list(OPENED))
    options = parser.parse_args()
    # `bff serve` inherits the limit; it has two descriptors for each stream.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for kind in options.kind:
        print(measure(kind, options.count), flush=True)


if __name__ == "__main__":
    main()
