"""What an idle keep-alive connection costs: `python -m bench.connections` prints the memory of each.

Thousands of connections to `bff serve` send their requests and are held open. Those of one browser all send the same
headers; those of browsers of their own each send different ones, twice, so that their parsed headers are kept as well.
"""

import argparse
import asyncio
import resource
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import uvloop

from bench import stored_sessions
from bench.contenders import OURS_COOKIE, ours, store_url
from bench.processes import Child, until
from bench.streams import AT_ONCE, request
from bench.world import World, answers

COUNT: Final = 5_000
KINDS: Final = {"connection, headers of one browser": False, "connection, headers of its own": True}
HEAD: Final = ("| Idle, after a request | open | KiB each |", "|---|---|---|")


@dataclass(frozen=True)
class IdleConnection:
    """`memory` of each of `count` connections, in bytes."""

    kind: str
    count: int
    memory: float

    def __str__(self) -> str:
        return f"| {self.kind} | {self.count:,} | {self.memory / 1024:.1f} |"


class Connection(asyncio.Protocol):
    """A client that sends one request at a time, each of which is answered with a body of 1 KiB."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.lost = cast("asyncio.Transport", transport), False

    async def fetch(self, head: bytes) -> None:
        """Raises ConnectionError unless the response is a 200."""
        self._received, self._answered = b"", asyncio.get_running_loop().create_future()
        self.transport.write(head)
        await self._answered

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            self._answered.set_exception(ConnectionError(head.decode("latin-1")))
        elif len(body) >= 1024:
            self._received = b""
            self._answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


async def opened(world: World, heads: list[bytes], requests: int) -> list[Connection]:
    loop, connections = asyncio.get_running_loop(), list[Connection]()
    for first in range(0, len(heads), AT_ONCE):
        batch = heads[first : first + AT_ONCE]
        connecting = [loop.create_connection(Connection, "127.0.0.1", world.public) for _ in batch]
        created = [connection for _, connection in await asyncio.gather(*connecting)]
        for _ in range(requests):
            pairs = zip(created, batch, strict=True)
            await asyncio.gather(*(connection.fetch(head) for connection, head in pairs))
        connections += created
    return connections


async def cost(kind: str, count: int, world: World, cookie: str, child: Child) -> IdleConnection:
    def head(number: int) -> bytes:
        whole = request("event stream", world, cookie).replace(b"GET /api/stream ", b"GET /api/kib ")
        return whole.replace(b"en-US,en;", b"en-US,x-%d,en;" % number) if KINDS[kind] else whole

    for connection in await opened(world, [head(count)] * 100, 2):  # what the first ones load stays
        connection.transport.abort()
    await asyncio.sleep(3)
    memory = child.resident()
    connections = await opened(world, [head(number) for number in range(count)], 2)
    taken = child.resident() - memory
    if any(connection.lost for connection in connections):
        raise RuntimeError("connections reached their keep-alive timeout: give fewer of them")
    return IdleConnection(kind, count, taken / count)


def measure(kind: str, count: int = COUNT) -> IdleConnection:
    # `bff serve` inherits the limit.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        world = World(Path(name), stack)
        world.start()
        stored_sessions.fill(world, store_url(world, "sqlite"), OURS_COOKIE, sessions=1, busy=1)
        cookie = (world.directory / "cookies.txt").read_text().split()[0]
        child = ours("sqlite")(world)
        try:
            until(lambda: answers(f"{world.url}/"), "bff serve", timeout=60)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(cost(kind, count, world, cookie, child))
        finally:
            child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    options = parser.parse_args()
    print("\n".join(HEAD))
    for kind in KINDS:
        print(measure(kind, options.count), flush=True)


if __name__ == "__main__":
    main()
