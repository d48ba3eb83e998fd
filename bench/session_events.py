"""What idle streams of session events cost: `python -m bench.session_events` prints their memory and processor time.

Thousands are opened through `bff serve`, each of a session of its own: every session is looked up about once a second.
"""

import argparse
import asyncio
import resource
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from bench import stored_sessions
from bench.contenders import OURS_COOKIE, ours, store_url
from bench.processes import LOAD_CORE, Child, until
from bench.streams import AT_ONCE, Stream
from bench.world import World, answers

OPENED: Final = b"retry: "
SETTLED: Final = 5.0  # seconds


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


async def open_streams(world: World, cookies: list[str]) -> list[Stream]:
    loop, streams = asyncio.get_running_loop(), list[Stream]()
    for first in range(0, len(cookies), AT_ONCE):
        connecting = [
            loop.create_connection(
                lambda cookie=cookie: Stream(request(world, cookie), OPENED), "127.0.0.1", world.public
            )
            for cookie in cookies[first : first + AT_ONCE]
        ]
        batch = [stream for _, stream in await asyncio.gather(*connecting)]
        await asyncio.gather(*(stream.opened for stream in batch))
        streams += batch
    return streams


async def cost(world: World, cookies: list[str], child: Child, seconds: float) -> str:
    for stream in await open_streams(world, cookies[:100]):  # what the first ones load stays
        stream.transport.close()
    await asyncio.sleep(SETTLED)
    before = child.resident()
    streams = await open_streams(world, cookies)
    await asyncio.sleep(SETTLED)
    taken, used = child.resident() - before, child.processor_time()
    await asyncio.sleep(seconds)
    busy = (child.processor_time() - used) / seconds
    for stream in streams:
        stream.transport.abort()
    return f"{taken / len(cookies) / 1024:.1f} KiB each, {busy:.0%} of a core, with {len(cookies)} open"


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
                return f"session events, {store}: {runner.run(cost(world, cookies, child, seconds))}"
        finally:
            child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="for which the processor time is measured")
    parser.add_argument("--store", choices=("sqlite", "redis"), nargs="+", default=["sqlite"])
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for store in options.store:
        print(measure(store, options.count, options.seconds), flush=True)


if __name__ == "__main__":
    main()
