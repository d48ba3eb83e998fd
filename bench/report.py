"""Formats the rounds as tables: medians with their spread, and ratios to the other contenders."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import connections, streams
from bench.load import Round
from bench.stored_sessions import BUSY, SESSIONS
from bench.transfers import Transfer

HEAD = """# Performance

Written by `make bench`. The proxy under test has one core to itself; the load generator, the upstream, the simulated
Okta and Redis share the other. Every proxy gets the same work: `GET` of 1 KiB over 64 keep-alive connections with a
valid session, in interleaved rounds. A round in which the load core was more than 90 % busy is void (for nginx, the
baseline, every round is: it is faster than one core can generate load). Only the ratios can be compared with other
machines, and the cores of a virtual machine are neither equal nor constant. Processor time is that of all threads of
the proxy, with the kernel's work for it; of the forward-auth pair, nginx included.

What each of them checks for a request: okta-bff that its framing and headers are unambiguous, that it comes from a page
of ours (`X-CSRF`, `Origin`, `Sec-Fetch-Site`), that the cookie is genuine, and that the store has the session at this
moment, so that a sign-out on any replica ends it at once. mod_auth_openidc looks the session of the cookie up in its
cache. oauth2-proxy checks the cookie's signature and age, and with Redis looks the session up; with sessions in the
cookie it has no record to ask, so that a copied cookie works until it expires, whatever happens to the session. These
two check no CSRF signal, and no framing beyond their server's. The naive proxy checks nothing. nginx has no session.
"""


@dataclass
class Measured:
    """The results of a contender. Memory is in bytes."""

    name: str
    rounds: list[Round] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)  # seconds of processor time for each request, one for each round
    single: list[Round] = field(default_factory=list)
    sixteen: list[Round] = field(default_factory=list)
    down: list[Transfer] = field(default_factory=list)
    up: list[Transfer] = field(default_factory=list)
    idle: int = 0
    loaded: int = 0

    @property
    def counted(self) -> list[Round]:
        return [run for run in self.rounds if not run.void] or self.rounds

    def rate(self) -> float:
        return statistics.median(run.rate for run in self.counted)


@dataclass(frozen=True)
class Stored:
    """The results of a store with `SESSIONS` sessions. Memory is in bytes."""

    store: str
    busy: Round
    idle: int
    loaded: int


def report(
    results: list[Measured], stored: list[Stored], idle: list[streams.Idle], kept: list[connections.IdleConnection]
) -> str:
    parts = [HEAD, *_speed(results), "", *_transfers(results), "", *_stored(stored), ""]
    parts += [*streams.HEAD, *map(str, idle), "", *connections.HEAD, *map(str, kept), "", *_ratios(results)]
    return "\n".join(parts) + "\n"


def _speed(results: list[Measured]) -> list[str]:
    lines = [
        "| 1 KiB, a valid session | requests/s, median (least to most) | CPU per request, µs"
        " | p50 at 64, ms | p99 at 64, ms | p50 at 1, ms"
        " | p99 at 1, ms | p50 at 16, ms | p99 at 16, ms | idle, MiB | after load, MiB | rounds counted | errors |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results:
        rates = sorted(run.rate for run in row.counted)
        valid = sum(not run.void for run in row.rounds)
        lines.append(
            f"| {row.name} | {row.rate():,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})"
            f" | {1e6 * statistics.median(row.costs):.0f} ({1e6 * min(row.costs):.0f} to {1e6 * max(row.costs):.0f})"
            f" | {_median(row.counted, lambda run: run.p50):.1f} | {_median(row.counted, lambda run: run.p99):.1f}"
            f" | {_median(row.single, lambda run: run.p50):.2f} | {_median(row.single, lambda run: run.p99):.2f}"
            f" | {_median(row.sixteen, lambda run: run.p50):.2f} | {_median(row.sixteen, lambda run: run.p99):.2f}"
            f" | {row.idle / 2**20:.0f} | {row.loaded / 2**20:.0f} | {valid} of {len(row.rounds)}"
            f" | {sum(run.errors for run in row.rounds)} |"
        )
    return lines


def _transfers(results: list[Measured]) -> list[str]:
    lines = [
        "| 100 MB, one connection | down, MB/s | most that memory grew, MiB | up, MB/s | most that memory grew, MiB"
        " | whole |",
        "|---|---|---|---|---|---|",
    ]
    for row in results:
        whole = sum(run.whole for run in (*row.down, *row.up))
        lines.append(
            f"| {row.name} | {statistics.median(run.rate for run in row.down) / 1e6:,.0f}"
            f" | {max(run.growth for run in row.down) / 2**20:.1f}"
            f" | {statistics.median(run.rate for run in row.up) / 1e6:,.0f}"
            f" | {max(run.growth for run in row.up) / 2**20:.1f} | {whole} of {len(row.down) + len(row.up)} |"
        )
    return lines


def _stored(stored: list[Stored]) -> list[str]:
    lines = [
        f"| {SESSIONS:,} sessions in the store, {BUSY:,} of them busy | requests/s | p99 at 64, ms | idle, MiB"
        " | after load, MiB | errors |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| okta-bff, {row.store} | {row.busy.rate:,.0f} | {row.busy.p99:.1f} | {row.idle / 2**20:.0f}"
        f" | {row.loaded / 2**20:.0f} | {row.busy.errors} |"
        for row in stored
    ]


def _ratios(results: list[Measured]) -> list[str]:
    lines = ["| ratio of medians | requests/s | CPU per request | p99 at 64 |", "|---|---|---|---|"]
    for ours in (contender for contender in results if contender.name.startswith("okta-bff")):
        for peer in (contender for contender in results if not contender.name.startswith("okta-bff")):
            slower = _median(ours.counted, lambda run: run.p99) / _median(peer.counted, lambda run: run.p99)
            dearer = statistics.median(ours.costs) / statistics.median(peer.costs)
            rates = f"{ours.rate() / peer.rate():.2f} | {dearer:.2f}"
            lines.append(f"| {ours.name} : {peer.name} | {rates} | {slower:.2f} |")
    return lines


def _median(rounds: list[Round], of: Callable[[Round], float]) -> float:
    return statistics.median(of(run) for run in rounds)
