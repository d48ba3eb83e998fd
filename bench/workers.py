"""What several workers cost and bring: `python -m bench.workers` prints processor time per request and the rate.

The processor time is that of all processes of `bff serve`, so it holds on a busy machine. One process and two workers
are measured in turn, on the proxy core alone and on both cores, which the load generator and the upstream share.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench import load
from bench.contenders import OURS, ours
from bench.processes import LOAD_CORE, PROXY_CORE, until
from bench.world import World

BOTH = f"{LOAD_CORE},{PROXY_CORE}"


def measure(world: World, store: str, workers: int, core: int | str, seconds: int) -> tuple[float, float, int]:
    """Seconds of processor time per request, requests per second, and errors."""
    child = ours(store, core, BFF_WORKERS=str(workers))(world)
    try:
        until(lambda: "ready: open" in child.log.read_text(), "all workers", timeout=60)
        child.raise_priority()
        cookie, url = OURS(world), f"{world.url}/api/kib"
        load.run(url, cookie, seconds=2)
        before = child.processor_time()
        done = load.run(url, cookie, seconds=seconds)
        return (child.processor_time() - before) / (done.rate * seconds), done.rate, done.errors
    finally:
        child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--store", choices=("sqlite", "redis"), nargs="+", default=["sqlite", "redis"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        world = World(Path(name), stack)
        world.start()
        for store in options.store:
            for core in (PROXY_CORE, BOTH):
                rounds = {workers: list[tuple[float, float, int]]() for workers in (1, 2)}
                for _ in range(options.rounds):
                    for workers, results in rounds.items():
                        results.append(measure(world, store, workers, core, options.seconds))
                for workers, results in rounds.items():
                    costs = [cost * 1e6 for cost, _, _ in results]
                    print(
                        f"{store}, {workers} on core {core}: {median(costs):.0f} µs of CPU per request"
                        f" ({min(costs):.0f}-{max(costs):.0f}), {median(rate for _, rate, _ in results):.0f}/s,"
                        f" {sum(errors for _, _, errors in results)} errors",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
