"""What is measured in a filled store. Each measurement returns its figures, by the heading of their column."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bench.scale import ending, outage, requests
from bench.scale.command import run
from bench.scale.stores import LIFETIME, NEXT_KEY, SESSION_KEY, SIGN_INS, Filled, copy_file
from bench.scale.writers import TimedSteps, Writers, bytes_written
from bff.base64url import encode_base64url
from bff.session.keyring import KeyRing
from bff.session.session import SessionKey, fingerprint
from bff.session.store import SessionStore
from bff.storage.open import open_store
from bff.storage.sqlite.expiry import RETENTION_AFTER_END
from bff.storage.sqlite.store import SqliteStore
from tests.harness.patience import PATIENT_STORES

Figures = dict[str, str]

LOOKUPS: Final = 3_000
ALONE: Final = 10.0  # seconds of writes without anything else, for comparison


def _open(filled: Filled, **options: Any) -> SessionStore:
    return open_store(filled.url, KeyRing.from_keys([SESSION_KEY]), timeouts=PATIENT_STORES, **options)


async def lookups(filled: Filled) -> Figures:
    """One after the other, in random order, so that hardly any record is in a cache."""
    store = _open(filled)
    numbers = random.sample(range(len(filled.keys)), min(LOOKUPS, len(filled.keys) // 2))
    keys = [SessionKey(filled.keys[number]) for number in numbers]

    async def cost(look_up: Callable[[int], Awaitable[object]]) -> str:
        times, cpu = list[float](), time.process_time()
        for number in range(len(keys)):
            begun = time.perf_counter()
            assert await look_up(number)
            times.append(time.perf_counter() - begun)
        cpu = (time.process_time() - cpu) / len(keys)
        return f"{cpu * 1e6:.0f} µs, {sorted(times)[len(times) * 99 // 100] * 1e3:.2f} ms"

    try:
        await store.get(keys[0])
        return {
            "a session, CPU and p99": await cost(lambda number: store.get(keys[number])),
            "by `sub`": await cost(lambda number: store.find("sub", f"00u{numbers[number]:017}")),
            "by fingerprint": await cost(lambda number: store.find("id", fingerprint(keys[number]))),
        }
    finally:
        await store.close()


async def listing(filled: Filled) -> Figures:
    """`bff sessions list` into a pipe, and `show --id` of one session."""
    everything = await run(["sessions", "list"], filled.environ())
    assert everything.lines == len(filled.keys) + 1, everything.last
    page = await run(["sessions", "list", "--limit", "20"], filled.environ())
    shown = await run(
        ["sessions", "show", "--id", fingerprint(SessionKey(random.choice(filled.keys)))], filled.environ()
    )
    return {
        "first line of `list`": f"{everything.first_line:.1f} s",
        "whole list": f"{everything.seconds:.0f} s ({everything.cpu:.0f} s of CPU)",
        "memory": f"{everything.memory >> 20} MiB",
        "`list --limit 20`": f"{page.seconds:.1f} s, {page.memory >> 20} MiB",
        "`show --id`": f"{shown.seconds:.1f} s",
    }


async def rewrap(filled: Filled) -> Figures:
    """`bff keys rewrap`, while another process writes 50 sessions a second."""
    old, new = encode_base64url(SESSION_KEY), encode_base64url(NEXT_KEY)
    store = _open(filled)
    writers = Writers(store, filled.keys)
    try:
        alone = await writers.alone(ALONE)
        async with writers.running():
            ran = await run(["keys", "rewrap"], filled.environ(BFF_SESSION_KEYS=f"{new} {old}"))
        meanwhile = writers.p99()
    finally:
        await store.close()
    count = len(filled.keys)
    return {
        "records a second": f"{count / ran.seconds:,.0f}",
        "a second of CPU": f"{count / ran.cpu:,.0f}",
        "memory": f"{ran.memory >> 20} MiB",
        "writes of others, p99 alone": alone,
        "meanwhile": meanwhile,
    }


async def purge(filled: Filled) -> Figures:
    """Half of the sessions ended a day ago; the others are written meanwhile by the same process."""
    now = filled.filled_at - SIGN_INS / 2 + LIFETIME + RETENTION_AFTER_END
    store = _open(filled, clock=lambda: now)
    assert isinstance(store, SqliteStore)
    steps = store._purge._writes = TimedSteps(store._writes)  # type: ignore[assignment]
    half = len(filled.keys) // 2
    writers, size = Writers(store, filled.keys[half + half // 10 :]), filled.path.stat().st_size
    try:
        before = bytes_written()
        alone = await writers.alone(ALONE)
        for_a_write = (bytes_written() - before) / max(1, ALONE / 0.02)
        before, begun, cpu = bytes_written(), time.perf_counter(), time.process_time()
        async with writers.running():
            purged = await store.purge_expired()
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        written = bytes_written() - before - for_a_write * len(writers.times)
    finally:
        await store.close()
    share = size * purged / len(filled.keys)
    return {
        "sessions purged": f"{purged:,}",
        "in": f"{seconds:.0f} s ({cpu:.0f} s of CPU)",
        "their share of the file": f"{share / 1e6:,.0f} MB",
        "written": f"{written / 1e6:,.0f} MB, {written / share:.1f} times as much",
        "a step, p50 and p99": str(steps),
        "writes of others, p99 alone": alone,
        "meanwhile": writers.p99(),
        "longest": f"{max(writers.times) * 1000:.0f} ms",
    }


async def end(filled: Filled) -> Figures:
    """One person signs in as often as there are sessions in the smallest store, and all these sessions end."""
    result = await ending.measure(filled.store, filled.url, ending.SESSIONS, wait=0.0)
    return {
        "ended": f"{result.ended:,} in {result.seconds:.1f} s ({result.cpu_seconds:.1f} s of CPU)",
        "longest stall": f"{result.longest_stall * 1000:.0f} ms ({result.longest_cpu_stall * 1000:.0f} ms of CPU)",
        "refresh of others, alone": f"{result.refresh_alone * 1000:.0f} ms",
        "meanwhile": f"{result.refresh_meanwhile * 1000:.0f} ms",
    }


# In this order; the ones that change the store last.
ALL: Final[dict[str, tuple[str, Callable[[Filled], Awaitable[Figures]]]]] = {
    "lookups": ("Looking up", lookups),
    "listing": ("`bff sessions list`", listing),
    "ending": ("Ending 10,000 sessions of one person", end),
    "rewrap": ("`bff keys rewrap`", rewrap),
    "purge": ("The purge of half of the sessions", purge),
}

# Those that fill a store of their own, with other numbers of sessions.
OWN_STORE: Final[dict[str, Any]] = {"outage": outage, "requests": requests}


def applies(measurement: str, store: str) -> bool:
    """Redis expires by itself."""
    return measurement != "purge" or store == "sqlite"


def measure(name: str, filled: Filled, seconds: float) -> Figures:
    """Raises TimeoutError after so many seconds."""

    async def within_limit() -> Figures:
        async with asyncio.timeout(seconds):
            return await ALL[name][1](filled)

    if name == "purge":  # the others do not change so much that it would matter
        copy_file(filled.path.with_name(f"filled-{len(filled.keys)}.db"), filled.path)
    return asyncio.run(within_limit())
