"""What idle streams of session events cost: `python -m bench.session_events` prints their memory and processor time,
and how soon one of them hears that another replica has ended its session.

Thousands are opened through `bff serve`, each of a session of its own: every session is looked up about once a second.
"""

import argparse
import asyncio
import os
import random
import resource
import socket
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from bench import stored_sessions
from bench.contenders import OURS_COOKIE, ours, store_url
from bench.document import write_region
from bench.processes import LOAD_CORE, Child, until
from bench.streams import AT_ONCE, Stream
from bench.world import World, answers
from bff.base64url import decode_base64url
from bff.session.keyring import KeyRing, Opened
from bff.session.session import EndReason, SessionId
from bff.storage.open import open_store
from bff.web.session_cookies import PURPOSE
from tests.harness.patience import PATIENT_STORES

OPENED: Final = b"retry: "
SETTLED: Final = 5.0  # seconds
ENDS: Final = 20  # sessions that another replica ends
HEADER: Final = (
    "## Idle streams of session events",
    "",
    "Written by `make bench-cost`: one process, each stream of a session of its own, which is looked up about once a",
    "second. Ends are written to the store as another replica does. The last column has the load of the machine.",
    "",
    "| store | open | memory of each | a core is busy | an end is heard after, median | at most | load |",
    "|---|---|---|---|---|---|---|",
)


def request(world: World, cookie: str) -> bytes:
    """As browsers send it."""
    fields = {
        "Host": world.url.split("/")[2],
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140 Safari/537.36",
        "Accept": "text/event-stream",
        "Accept-Language": "en-US,en;q=0.9,de;q=0.8",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Cache-Control": "no-cache",
        "Cookie": cookie,
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "same-origin",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET /auth/session/events HTTP/1.1\r\n{lines}\r\n".encode()


class Listener(Stream):
    """`ended` is when the end of the session was heard, on the loop's clock."""

    def __init__(self, request: bytes) -> None:
        super().__init__(request, OPENED)
        self.ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if self.opened.done() and b"event: ended" in data and not self.ended.done():
            self.ended.set_result(asyncio.get_running_loop().time())
        super().data_received(data)


async def open_streams(world: World, cookies: list[str]) -> list[Listener]:
    loop, streams = asyncio.get_running_loop(), list[Listener]()
    for first in range(0, len(cookies), AT_ONCE):
        connecting = [
            loop.create_connection(partial(Listener, request(world, cookie)), "127.0.0.1", world.public)
            for cookie in cookies[first : first + AT_ONCE]
        ]
        batch = [stream for _, stream in await asyncio.gather(*connecting)]
        await asyncio.gather(*(stream.opened for stream in batch))
        streams += batch
    return streams


async def delays(world: World, url: str, ends: list[tuple[str, Listener]]) -> list[float]:
    """Seconds from the end in the store, as another replica writes it, until the stream hears of it."""
    key = decode_base64url(world.session_key)
    if key is None:
        raise ValueError("the session key is not base64url")
    ring, loop, measured = KeyRing.from_keys([key]), asyncio.get_running_loop(), list[float]()
    store = open_store(url, ring, timeouts=PATIENT_STORES)
    try:
        for cookie, stream in ends:
            opened = ring.open_text(PURPOSE, cookie.partition("=")[2])
            if not isinstance(opened, Opened):
                raise TypeError("not a session cookie")
            began = loop.time()
            await store.delete(SessionId(opened.plaintext).key, EndReason.OPERATOR)
            measured.append(await stream.ended - began)
            await asyncio.sleep(random.random())  # another moment between two looks
    finally:
        await store.close()
    return sorted(measured)


async def cost(world: World, store: str, cookies: list[str], child: Child, seconds: float) -> str:
    for stream in await open_streams(world, cookies[:100]):  # what the first ones load stays
        stream.transport.close()
    await asyncio.sleep(SETTLED)
    before = child.resident()
    streams = await open_streams(world, cookies)
    await asyncio.sleep(SETTLED)
    taken, used = child.resident() - before, child.processor_time()
    await asyncio.sleep(seconds)
    busy = (child.processor_time() - used) / seconds
    late = await delays(world, store_url(world, store), list(zip(cookies, streams, strict=True))[-ENDS:])
    for stream in streams:
        stream.transport.abort()
    return (
        f"| {store} | {len(cookies):,} | {taken / len(cookies) / 1024:.1f} KiB | {busy:.0%} "
        f"| {late[len(late) // 2]:.2f} s | {late[-1]:.2f} s | {os.getloadavg()[0]:.0f} |"
    )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def measure(store: str, count: int, seconds: float) -> str:
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        world = World(Path(name), stack)
        if store == "redis":
            world.child("redis", ["redis-server", "--port", str(world.redis), "--save", ""], LOAD_CORE)
            until(lambda: listens(world.redis), "Redis")
        stored_sessions.fill(world, store_url(world, store), OURS_COOKIE, sessions=count, busy=count)
        cookies = (world.directory / "cookies.txt").read_text().split()
        child = ours(store)(world)
        try:
            until(lambda: answers(f"{world.url}/"), "bff serve", timeout=60)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(cost(world, store, cookies, child, seconds))
        finally:
            child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="for which the processor time is measured")
    parser.add_argument("--store", choices=("sqlite", "redis"), nargs="+", default=["sqlite"])
    parser.add_argument("--write", action="store_true", help="write that part of docs/performance.md")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines = [measure(store, options.count, options.seconds) for store in options.store]
    text = "\n".join([*HEADER, *lines]) + "\n"
    print(text)
    if options.write:
        write_region(Path("docs/performance.md"), "session-events", text)


if __name__ == "__main__":
    main()
