"""From rounds to tables: medians with spread, and ratios to the peers."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.load import Round
from bench.stored_sessions import BUSY, SESSIONS
from bench.transfers import Transfer

HEAD = """# Performance

Written by `make bench`. The proxy under test has one core to itself; the load generator, the upstream, the simulated
Okta and Redis share the other. Every proxy gets the same work: `GET` of 1 KiB over 64 keep-alive connections with a
valid session, in interleaved rounds. A round in which the load core was more than 90 % busy is void (for nginx, the
baseline, every round is: it is faster than one core can generate load). Only the ratios can be compared with other
machines, and the cores of a virtual machine are neither equal nor constant.
"""


@dataclass
class Measured:
    """Memory is in bytes."""

    name: str
    rounds: list[Round] = field(default_factory=list)
    single: list[Round] = field(default_factory=list)
    sixteen: list[Round] = field(default_factory=list)
    down: list[Transfer] = field(default_factory=list)
    up: list[Transfer] = field(default_factory=list)
    idle: int = 0
    loaded: int = 0

    @property
    def counted(self) -> list[Round]:
        return [each for each in self.rounds if not each.void] or self.rounds

    def rate(self) -> float:
        return statistics.median(each.rate for each in self.counted)


@dataclass(frozen=True)
class Stored:
    """One store with `SESSIONS` sessions in it. Memory is in bytes."""

    store: str
    busy: Round
    idle: int
    loaded: int


def report(found: list[Measured], stored: list[Stored]) -> str:
    return "\n".join([HEAD, *_speed(found), "", *_transfers(found), "", *_stored(stored), "", *_ratios(found)]) + "\n"


def _speed(found: list[Measured]) -> list[str]:
    lines = [
        "| 1 KiB, a valid session | requests/s, median (least to most) | p50 at 64, ms | p99 at 64, ms | p50 at 1, ms"
        " | p99 at 1, ms | p50 at 16, ms | p99 at 16, ms | idle, MiB | after load, MiB | rounds counted | errors |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        rates = sorted(each.rate for each in one.counted)
        valid = sum(not each.void for each in one.rounds)
        lines.append(
            f"| {one.name} | {one.rate():,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})"
            f" | {_median(one.counted, lambda each: each.p50):.1f} | {_median(one.counted, lambda each: each.p99):.1f}"
            f" | {_median(one.single, lambda each: each.p50):.2f} | {_median(one.single, lambda each: each.p99):.2f}"
            f" | {_median(one.sixteen, lambda each: each.p50):.2f} | {_median(one.sixteen, lambda each: each.p99):.2f}"
            f" | {one.idle / 2**20:.0f} | {one.loaded / 2**20:.0f} | {valid} of {len(one.rounds)}"
            f" | {sum(each.errors for each in one.rounds)} |"
        )
    return lines


def _transfers(found: list[Measured]) -> list[str]:
    lines = [
        "| 100 MB, one connection | down, MB/s | most that memory grew, MiB | up, MB/s | most that memory grew, MiB"
        " | whole |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        whole = sum(each.whole for each in (*one.down, *one.up))
        lines.append(
            f"| {one.name} | {statistics.median(each.rate for each in one.down) / 1e6:,.0f}"
            f" | {max(each.growth for each in one.down) / 2**20:.1f}"
            f" | {statistics.median(each.rate for each in one.up) / 1e6:,.0f}"
            f" | {max(each.growth for each in one.up) / 2**20:.1f} | {whole} of {len(one.down) + len(one.up)} |"
        )
    return lines


def _stored(stored: list[Stored]) -> list[str]:
    lines = [
        f"| {SESSIONS:,} sessions in the store, {BUSY:,} of them busy | requests/s | p99 at 64, ms | idle, MiB"
        " | after load, MiB | errors |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| okta-bff, {one.store} | {one.busy.rate:,.0f} | {one.busy.p99:.1f} | {one.idle / 2**20:.0f}"
        f" | {one.loaded / 2**20:.0f} | {one.busy.errors} |"
        for one in stored
    ]


def _ratios(found: list[Measured]) -> list[str]:
    lines = ["| ratio of medians | requests/s | p99 at 64 |", "|---|---|---|"]
    for ours in (one for one in found if one.name.startswith("okta-bff")):
        for peer in (one for one in found if not one.name.startswith("okta-bff")):
            slower = _median(ours.counted, lambda each: each.p99) / _median(peer.counted, lambda each: each.p99)
            lines.append(f"| {ours.name} : {peer.name} | {ours.rate() / peer.rate():.2f} | {slower:.2f} |")
    return lines


def _median(rounds: list[Round], of: Callable[[Round], float]) -> float:
    return statistics.median(of(each) for each in rounds)
