"""What an idle stream costs: `python -m bench.streams` prints the memory and processor time of event streams and
WebSockets.

Thousands of each are opened through `bff serve`, with one session, and held for a while. Then the session signs out.
"""

import argparse
import asyncio
import base64
import os
import resource
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import uvloop

from bench import stored_sessions
from bench.contenders import OURS_COOKIE, ours, store_url
from bench.processes import LOAD_CORE, Child, until
from bench.world import World, answers

AT_ONCE: Final = 50  # streams that are opened concurrently
OPENED: Final = {"WebSocket": b"HTTP/1.1 101", "event stream": b"data: opened"}
COUNTS: Final = {"event stream": 5_000, "WebSocket": 2_000}
IDLE: Final = 10  # seconds
ROUTES: Final = '[{{"prefix": "/api", "upstream": "http://127.0.0.1:{world.upstream}", "websocket": true}}]'


@dataclass(frozen=True)
class Idle:
    """What each of `count` streams costs. Memory is in bytes, processor time in seconds, if idle for each second."""

    kind: str
    count: int
    memory: float
    open_cpu: float
    idle_cpu: float
    close_cpu: float
    closed_in: float  # seconds from the sign-out until the last stream is closed

    def __str__(self) -> str:
        return (
            f"| {self.kind} | {self.count:,} | {self.memory / 1024:.1f} | {1e6 * self.open_cpu:.0f}"
            f" | {1e6 * self.idle_cpu:.1f} | {self.closed_in:.2f} | {1e6 * self.close_cpu:.0f} |"
        )


HEAD: Final = (
    "| Idle, of one session | open | KiB each | CPU to open one, µs | CPU of one in a second, µs"
    " | all closed after a sign-out, s | CPU to close one, µs |",
    "|---|---|---|---|---|---|---|",
)


class Stream(asyncio.Protocol):
    """A client that opens one stream, answers pings and a close frame, and ignores everything else."""

    def __init__(self, request: bytes, opened: bytes) -> None:
        self._request, self._expected, self._received = request, opened, b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            if data[0] == 0x89:  # a ping; the mask is zero
                self.transport.write(bytes([0x8A, 0x80 | data[1]]) + bytes(4) + data[2 : 2 + data[1]])
            elif data[0] == 0x88:  # a close frame; the rest of it is its reason
                self.transport.write(bytes([0x88, 0x82]) + bytes(4) + data[2:4])
            return
        self._received += data
        if self._expected in self._received:
            self._request = self._received = b""
            self.opened.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(self._received[:200].decode("latin-1")))
        self.closed.set_result(None)


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


def sign_out(world: World, cookie: str) -> None:
    headers = {"Cookie": cookie, "X-CSRF": "1", "Origin": world.url, "Sec-Fetch-Site": "same-origin"}
    headers["Content-Type"] = "application/json"  # or urllib says that it is a form
    request = urllib.request.Request(f"{world.url}/auth/logout", b"", headers, method="POST")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()


async def cost(kind: str, count: int, world: World, cookie: str, child: Child) -> Idle:
    for stream in await open_streams(kind, 100, world, cookie):  # what the first ones load stays
        stream.transport.abort()
    await asyncio.sleep(3)
    memory, started = child.resident(), child.processor_time()
    streams = await open_streams(kind, count, world, cookie)
    opened = child.processor_time()
    await asyncio.sleep(IDLE)
    taken, idled = child.resident() - memory, child.processor_time()
    signed_out = time.monotonic()
    await asyncio.gather(asyncio.to_thread(sign_out, world, cookie), *(stream.closed for stream in streams))
    closed_in, closed = time.monotonic() - signed_out, child.processor_time()
    return Idle(
        kind,
        count,
        memory=taken / count,
        open_cpu=(opened - started) / count,
        idle_cpu=(idled - opened) / count / IDLE,
        close_cpu=(closed - idled) / count,
        closed_in=closed_in,
    )


def measure(kind: str, count: int) -> Idle:
    # `bff serve` inherits the limit; it has two descriptors for each stream.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        world = World(Path(name), stack)
        stored_sessions.fill(world, store_url(world, "sqlite"), OURS_COOKIE, sessions=1, busy=1)
        cookie = (world.directory / "cookies.txt").read_text().split()[0]
        world.child("upstream", [sys.executable, "-m", "bench.stream_upstream", str(world.upstream)], LOAD_CORE)
        child = ours("sqlite", BFF_ROUTES=ROUTES)(world)
        try:
            until(lambda: answers(f"{world.url}/"), "bff serve", timeout=60)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(cost(kind, count, world, cookie, child))
        finally:
            child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="instead of 5,000 event streams and 2,000 WebSockets")
    parser.add_argument("--kind", choices=tuple(COUNTS), nargs="+", default=list(COUNTS))
    options = parser.parse_args()
    print("\n".join(HEAD))
    for kind in options.kind:
        print(measure(kind, options.count or COUNTS[kind]), flush=True)


if __name__ == "__main__":
    main()
