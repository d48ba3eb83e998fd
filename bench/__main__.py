"""`make bench`: every contender in turn, several rounds, medians with spread, a table of ratios.

BENCH_ROUNDS (5) and BENCH_SECONDS (5) make it longer; the table goes to docs/performance.md with --write.
"""

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import load, stored_sessions, transfers
from bench.contenders import CONTENDERS, OURS_COOKIE, Contender, ours, store_url
from bench.processes import ROOT, until
from bench.report import Measured, Stored, report
from bench.world import World, answers

ROUNDS, SECONDS = int(os.environ.get("BENCH_ROUNDS", "5")), int(os.environ.get("BENCH_SECONDS", "5"))


def measure(contender: Contender, world: World, found: Measured) -> None:
    child = contender.start(world)
    try:
        until(lambda: answers(f"{world.url}/"), contender.name)
        cookie = contender.cookie(world)
        url = world.url + contender.path
        found.idle = child.resident()
        load.run(url, cookie, seconds=1)  # warm
        found.rounds.append(load.run(url, cookie, seconds=SECONDS))
        found.single.append(load.run(url, cookie, connections=1, seconds=2))
        found.sixteen.append(load.run(url, cookie, connections=16, seconds=2))
        found.loaded = child.resident()
        found.down.append(transfers.down(world.url, cookie, child))
        found.up.append(transfers.up(world.url, cookie, child, world.directory / "html" / "api" / "large"))
    finally:
        child.stop()
        time.sleep(0.3)


def measure_stored(store: str, world: World) -> Stored:
    """Memory and speed with very many sessions in the store."""
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
    chosen = parser.parse_args()
    contenders = [each for each in CONTENDERS if not chosen.only or chosen.only in each.name]
    found = {contender.name: Measured(contender.name) for contender in contenders}
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        world = World(Path(name), stack)
        world.start()
        # Interleaved: whatever else the machine does hits everyone alike.
        for number in range(ROUNDS):
            for contender in contenders:
                measure(contender, world, found[contender.name])
                latest = found[contender.name].rounds[-1]
                print(
                    f"round {number + 1} {contender.name}: {latest.rate:.0f}/s p99 {latest.p99:.1f} ms"
                    f" load core {latest.load_core:.0%} proxy core {latest.proxy_core:.0%} errors {latest.errors}"
                    f"{' VOID' if latest.void else ''}",
                    flush=True,
                )
        stored = [measure_stored(store, world) for store in ("sqlite", "redis") if not chosen.only]
    text = report(list(found.values()), stored)
    print(text)
    if chosen.write:
        (ROOT / "docs" / "performance.md").write_text(text)


if __name__ == "__main__":
    main()
