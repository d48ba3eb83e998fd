"""Thousands of small worlds, each with its own provider, faults and order of events; every invariant in every step."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.proof.simulation.scenario import ROTATING
from tests.proof.simulation.world import World

SEEDS = 300  # of `make test`
LONG_SEEDS = int(os.environ.get("SIMULATION_SEEDS", "100000"))  # about an hour on one core

# What each run must have seen at least once, or its silence proves nothing.
SEEN = (
    "access tokens handed out",
    "renewals",
    "replays in grace",
    "late sends",
    "reuse alarms of late sends",
    "takeovers",
    "answers lost",
    "alternates kept",
    "alternates promoted",
    "crashes",
    "drains",
    "is stopped",
    "is partitioned",
    "store fails over",
    "writes lost by failover",
    "writes reasserted",
    "keys are rolled",
    "hang-ups",
    "sign-outs",
    "revocations",
    "ended: idle timeout",
    "ended: absolute timeout",
    "ended: the refresh token's own limit",
    "ended: revoked by the administrator",
    "refuses everybody",
    "unclear refusals that ended a session",
    "callers offered a sign-in",
    "callers told provider_unavailable",
    "callers told store_unavailable",
    "log records",
)


def run(seeds: range, folder: Path | None = None, audiences: tuple[str, ...] = ()) -> Counter[str]:
    """With `folder` the replicas are workers of one machine, on a SQLite file for each seed."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        workers: dict[str, Any] = {"sqlite": folder / f"{seed}.db", "replicas": 2 + seed % 3} if folder else {}
        world = World(seed, audiences=audiences, **workers)
        try:
            world.run()
        except Exception as error:
            pytest.fail(world.story(error), pytrace=False)
        counts += world.invariants.counts
        counts[world.scenario.behaviour] += 1
        for kind, times in world.invariants.excused.items():
            counts[f"excused: {kind}"] += times
    return counts


def check(counts: Counter[str]) -> None:
    print("\n".join(f"{times:9} {what}" for what, times in sorted(counts.items())))
    assert not [what for what in (*SEEN, *ROTATING) if not counts[what]]


# What its worlds go through, by the numbers of the attack catalogue.
CASES = "RF-018 RF-019 RF-023 RF-028 RF-043 RF-057 RF-068"


@pytest.mark.case(*CASES.split())
@pytest.mark.parametrize(
    "seeds", [range(SEEDS), pytest.param(range(SEEDS, SEEDS + LONG_SEEDS), marks=pytest.mark.long)]
)
def test_every_invariant_holds_in_every_world(seeds: range) -> None:
    check(run(seeds))


@pytest.mark.parametrize("seeds", [60, pytest.param(3000, marks=pytest.mark.long)])
def test_every_invariant_holds_for_workers_on_one_sqlite_file(tmp_path: Path, seeds: int) -> None:
    counts = run(range(seeds), tmp_path)
    assert not [what for what in ("renewals", "takeovers", "crashes", "sign-outs") if not counts[what]]
    assert not counts["writes lost by failover"]


@pytest.mark.parametrize("seeds", [20, pytest.param(3000, marks=pytest.mark.long)])
def test_every_invariant_holds_with_tokens_for_several_audiences(seeds: int) -> None:
    """Their entries and leases are in the records that the refreshes reserve and write, and disturb none of it."""
    counts = run(range(seeds), audiences=("orders", "billing", "audit"))
    happened = ("renewals", "takeovers", "crashes", "sign-outs", "exchanged tokens handed out")
    assert not [what for what in happened if not counts[what]]
    assert counts["no token for an API: api_token_refused"]


def test_a_seed_gives_the_same_trace_every_time() -> None:
    first, second = World(39), World(39)
    first.run()
    second.run()
    assert first.trace.events == second.trace.events
    assert len(first.trace.events) > 500
