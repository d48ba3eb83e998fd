"""`make bench` measures every contender in interleaved rounds and reports medians, their spread and ratios.

BENCH_ROUNDS (default 3) and BENCH_SECONDS (default 5) set the number and length of the rounds. --write saves the report
to docs/performance.md.
"""

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import connections, load, stored_sessions, streams, transfers
from bench.contenders import CONTENDERS, OURS_COOKIE, Contender, ours, store_url
from bench.document import write_report
from bench.processes import ROOT, until
from bench.report import Measured, Stored, report
from bench.world import World, answers

ROUNDS, SECONDS = int(os.environ.get("BENCH_ROUNDS", "3")), int(os.environ.get("BENCH_SECONDS", "5"))


def measure(contender: Contender, world: World, measured: Measured) -> None:
    child = contender.start(world)
    try:
        until(lambda: answers(f"{world.url}/"), contender.name)
        cookie = contender.cookie(world)
        url = world.url + contender.path
        measured.idle = child.resident()
        load.run(url, cookie, seconds=1)  # warm up
        before = child.processor_time()
        measured.rounds.append(load.run(url, cookie, seconds=SECONDS))
        measured.costs.append((child.processor_time() - before) / measured.rounds[-1].requests)
        measured.single.append(load.run(url, cookie, connections=1, seconds=2))
        measured.sixteen.append(load.run(url, cookie, connections=16, seconds=2))
        measured.loaded = child.resident()
        measured.down.append(transfers.down(world.url, cookie, child))
        measured.up.append(transfers.up(world.url, cookie, child, world.directory / "html" / "api" / "large"))
    finally:
        child.stop()
        time.sleep(0.3)


def measure_stored(store: str, world: World) -> Stored:
    """Measures memory and speed with very many sessions in the store."""
    script = stored_sessions.fill(world, store_url(world, store), OURS_COOKIE)
    child = ours(store)(world)
    try:
        until(lambda: answers(f"{world.url}/"), store)
        idle, url = child.resident(), f"{world.url}/api/kib"
        load.run(url, None, seconds=1, script=script)
        busy = load.run(url, None, seconds=SECONDS, script=script)
        return Stored(store, busy, idle, child.resident())
    finally:
        child.stop()
        time.sleep(0.3)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--only", help="contenders whose name contains this")
    options = parser.parse_args()
    contenders = [contender for contender in CONTENDERS if not options.only or options.only in contender.name]
    results = {contender.name: Measured(contender.name) for contender in contenders}
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        world = World(Path(name), stack)
        world.start()
        # Rounds are interleaved, so that other load on the machine affects all contenders alike.
        for number in range(ROUNDS):
            for contender in contenders:
                measure(contender, world, results[contender.name])
                latest = results[contender.name].rounds[-1]
                print(
                    f"round {number + 1} {contender.name}: {latest.rate:.0f}/s p99 {latest.p99:.1f} ms"
                    f" {1e6 * results[contender.name].costs[-1]:.0f} µs of CPU a request"
                    f" load core {latest.load_core:.0%} proxy core {latest.proxy_core:.0%} errors {latest.errors}"
                    f"{' VOID' if latest.void else ''}",
                    flush=True,
                )
        stored = [measure_stored(store, world) for store in ("sqlite", "redis") if not options.only]
        idle = [streams.measure(kind, count) for kind, count in streams.COUNTS.items() if not options.only]
        kept = [connections.measure(kind) for kind in connections.KINDS if not options.only]
    text = report(list(results.values()), stored, idle, kept)
    print(text)
    if options.write:
        write_report(ROOT / "docs" / "performance.md", text)


if __name__ == "__main__":
    main()
