"""What a request costs by the number of busy sessions: `python -m bench.busy` prints microseconds of processor time.

wrk sends requests for `/api` with the cookies of 1,000, 10,000 and 100,000 sessions, of which a tenth get nine of ten
requests, or each in turn. The processor time of `bff serve` is measured, so the figure holds on a busy machine. A cache
of the default size has room for some 12,000 sessions (BFF_SESSION_CACHE).
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import load, stored_sessions
from bench.contenders import OURS_COOKIE, ours, store_url
from bench.processes import until
from bench.world import World, answers

FILL_RATE: Final = 3_000  # requests a second that fill a cache at least


@dataclass(frozen=True)
class Way:
    """In which order sessions send requests, and the server's cache: MiB, or None for the default."""

    uniform: bool
    cache: int | None = None

    def __str__(self) -> str:
        order = "in turn" if self.uniform else "a tenth of them sends nine of ten"
        return order if self.cache is None else f"{order}, cache of {self.cache:,} MiB"


WAYS: Final = (Way(uniform=False), Way(uniform=True))
LARGE_CACHE: Final = 1_024  # MiB, for 100,000 sessions


def ways(sessions: int, caches: Sequence[int | None] = ()) -> list[Way]:
    """Also with a cache that has room for all of them, where the default has not."""
    chosen = caches or ((None, LARGE_CACHE) if sessions > 50_000 else (None,))
    return [Way(way.uniform, cache) for cache in chosen for way in WAYS]


def measure(store: str, sessions: int, chosen: Sequence[Way], *, seconds: int) -> Iterator[tuple[Way, str]]:
    """The sessions are stored once, and each way has a new server."""
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        world = World(Path(name), stack)
        world.start()
        stored_sessions.fill(world, store_url(world, store), OURS_COOKIE, sessions=sessions, busy=sessions)
        for way in chosen:
            yield way, _measure(world, store, sessions, way, seconds)


def _measure(world: World, store: str, sessions: int, way: Way, seconds: int) -> str:
    script = stored_sessions.script(world, uniform=way.uniform)
    more = {} if way.cache is None else {"BFF_SESSION_CACHE": str(way.cache)}
    child = ours(store, **more)(world)
    try:
        until(lambda: answers(f"{world.url}/"), store, timeout=60)
        idle, target = child.resident(), f"{world.url}/api/kib"
        fill = seconds if way.cache is None else max(seconds, sessions // FILL_RATE)
        load.run(target, None, seconds=fill, script=script)
        before = child.processor_time()
        done = load.run(target, None, seconds=seconds, script=script)
        cost = (child.processor_time() - before) / (done.rate * seconds)
        return (
            f"{cost * 1e6:.0f} µs of CPU, {done.rate:,.0f}/s,"
            f" memory {idle >> 20} to {child.resident() >> 20} MiB{f', {done.errors} errors' if done.errors else ''}"
        )
    finally:
        child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--store", choices=("sqlite", "redis"), nargs="+", default=["sqlite", "redis"])
    parser.add_argument("--seconds", type=int, default=10, help="seconds of load, once to warm up and once to measure")
    parser.add_argument("--cache", type=int, nargs="+", help="MiB; by default that of the BFF, and a larger one")
    options = parser.parse_args()
    for store in options.store:
        for sessions in options.sessions:
            chosen = ways(sessions, options.cache or ())
            for way, cost in measure(store, sessions, chosen, seconds=options.seconds):
                print(f"{store}, {sessions:,} busy sessions, {way}: {cost}", flush=True)


if __name__ == "__main__":
    main()
