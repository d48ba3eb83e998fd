"""What a request costs by the number of busy sessions: `python -m bench.busy` prints microseconds of processor time.

wrk sends requests for `/api` with the cookies of 1,000, 10,000 and 100,000 sessions, of which a tenth get nine of ten
requests, or each in turn. The processor time of `bff serve` is measured, so the figure holds on a busy machine.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import load, stored_sessions
from bench.contenders import OURS_COOKIE, ours, store_url
from bench.processes import until
from bench.world import World, answers


def measure(store: str, sessions: int, *, uniform: bool, seconds: int) -> str:
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        world = World(Path(name), stack)
        world.start()
        url = store_url(world, store)
        script = stored_sessions.fill(world, url, OURS_COOKIE, sessions=sessions, busy=sessions, uniform=uniform)
        child = ours(store)(world)
        try:
            until(lambda: answers(f"{world.url}/"), store, timeout=60)
            idle, target = child.resident(), f"{world.url}/api/kib"
            load.run(target, None, seconds=seconds, script=script)  # fills the cache
            before = child.processor_time()
            done = load.run(target, None, seconds=seconds, script=script)
            cost = (child.processor_time() - before) / (done.rate * seconds)
            return (
                f"{store}, {sessions} busy sessions, {'in turn' if uniform else 'some more than others'}:"
                f" {cost * 1e6:.0f} µs of CPU per request, {done.rate:.0f}/s, {done.errors} errors,"
                f" memory {idle >> 20} to {child.resident() >> 20} MiB"
            )
        finally:
            child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--store", choices=("sqlite", "redis"), nargs="+", default=["sqlite", "redis"])
    parser.add_argument("--seconds", type=int, default=10, help="seconds of load, once to warm up and once to measure")
    options = parser.parse_args()
    for store in options.store:
        for sessions in options.sessions:
            for uniform in (False, True):
                print(measure(store, sessions, uniform=uniform, seconds=options.seconds), flush=True)


if __name__ == "__main__":
    main()
