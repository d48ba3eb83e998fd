"""`make bench-scale`: measures both stores with 10 thousand, 100 thousand and 1 million sessions.

At most ten minutes for each store and size. Each result is kept in var/bench-scale/results.json, so a run that was
interrupted continues where it was; --again measures anew. `--parts fill` only fills the SQLite files, which can be used
for five hours. --write puts the tables into docs/performance.md.
"""

import argparse
import json
import logging
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bench.document import write_region
from bench.processes import ROOT
from bench.scale.measurements import ALL, OWN_STORE, applies, measure
from bench.scale.report import tables
from bench.scale.results import Result, Results
from bench.scale.stores import filled_store
from bench.scale.writers import load_average

SIZES: Final = (10_000, 100_000, 1_000_000)
LIMIT: Final = 600.0  # seconds for the measurements of one store and size
DIRECTORY: Final = ROOT / "var" / "bench-scale"


def record(results: Results, store: str, sessions: int, name: str, measured: Callable[[], dict[str, str]]) -> None:
    """Keeps the figures. A measurement that fails is printed, and made again by the next run."""
    try:
        figures = measured()
    except TimeoutError:
        figures = {"": f"not within {LIMIT / 60:.0f} minutes"}
    except Exception:
        traceback.print_exc()
        print(f"{store}, {sessions:,}, {name}: failed", flush=True)
        return
    results.add(Result(store, sessions, name, figures, time.strftime("%Y-%m-%d %H:%M"), load_average()))
    print(f"{store}, {sessions:,}, {name}: {json.dumps(figures, ensure_ascii=False)}", flush=True)


def measure_store(store: str, sessions: int, wanted: list[str], results: Results, directory: Path) -> None:
    print(f"{store}, {sessions:,} sessions: filling", flush=True)
    begun = time.monotonic()
    with filled_store(store, sessions, directory) as filled:
        print(f"{store}, {sessions:,} sessions: filled within {time.monotonic() - begun:.0f} s", flush=True)
        ends_at = time.monotonic() + LIMIT
        for name in wanted:
            limit = max(1.0, ends_at - time.monotonic())
            record(results, store, sessions, name, partial(measure, name, filled, limit))


def measure_alone(name: str, store: str, sessions: int, results: Results) -> None:
    """One that fills a store of its own."""
    print(f"{store}, {sessions:,} sessions, {name}", flush=True)
    record(results, store, sessions, name, partial(OWN_STORE[name].measure, store, sessions, LIMIT))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", help="in the store, or busy, or in the outage")
    parser.add_argument("--store", choices=("sqlite", "redis"), nargs="+", default=("sqlite", "redis"))
    parser.add_argument("--parts", choices=("fill", *ALL, *OWN_STORE), nargs="+", default=(*ALL, *OWN_STORE))
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="of the files and results")
    parser.add_argument("--again", action="store_true", help="measure what has been measured")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/performance.md")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    logging.disable(logging.WARNING)
    options.directory.mkdir(parents=True, exist_ok=True)
    results = Results(options.directory / "results.json")

    def missing(store: str, sessions: int, name: str) -> bool:
        return name in options.parts and (options.again or not results.has(store, sessions, name))

    for sessions in options.sessions or SIZES:
        for store in options.store:
            wanted = [name for name in ALL if applies(name, store) and missing(store, sessions, name)]
            if wanted or ("fill" in options.parts and store == "sqlite"):
                measure_store(store, sessions, wanted, results, options.directory)
        if all(results.has("sqlite", sessions, name) for name in ALL):
            (options.directory / f"filled-{sessions}.db").unlink(missing_ok=True)
    for name, measurement in OWN_STORE.items():
        for sessions in options.sessions or measurement.SIZES:
            for store in options.store:
                if missing(store, sessions, name):
                    measure_alone(name, store, sessions, results)
    text = tables(results)
    print(text)
    if options.write:
        write_region(ROOT / "docs" / "performance.md", "scale", text)


if __name__ == "__main__":
    main()
