"""How soon sessions have new tokens after an outage of the provider.

One process with a real store, and a provider over TLS on the loopback that is a process of its own. It ends, so that
connections are refused, and comes back after some seconds. All access tokens have expired by then. A tenth of the
sessions is in use: requests wait for their tokens, and come again after a second if they fail. The others are refreshed
because they are due, from the moment when the provider is known to answer.
"""

import asyncio
import gc
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Final

import uvloop

from bench.refresh import endpoint, provider_at, settings
from bench.scale.ending import a_session
from bench.scale.stores import store_url
from bff.app import Application, build_app
from bff.components.timeouts import Timeouts
from bff.errors import ProviderUnavailable
from bff.session.session import SessionKey
from bff.session.store import Found
from tests.harness.patience import PATIENT_STORES

SIZES: Final = (50_000,)  # sessions
IN_USE: Final = 10  # one of so many
ANSWER_TIME: Final = 0.2  # seconds
OUTAGE: Final = 5.0  # seconds during which the sessions in use ask for tokens
RETRY: Final = 1.0  # seconds after which a request comes again
TITLE: Final = "After an outage of the provider"

Figures = dict[str, str]


async def _in_use(app: Application, keys: list[SessionKey], answers: asyncio.Event) -> None:
    """Returns when each of them has a token. Sets `answers` when the first one has."""

    async def one(key: SessionKey) -> None:
        while True:
            try:
                await app.flows.sessions.refresh.session_with_fresh_token(key)
            except ProviderUnavailable:
                await asyncio.sleep(RETRY)
            else:
                answers.set()
                return

    await asyncio.gather(*map(one, keys))


async def _rest(app: Application, keys: list[SessionKey], answers: asyncio.Event) -> None:
    """Returns when each of them has a token, those whose refresh failed by a request."""
    flow = app.flows.sessions.refresh
    await answers.wait()
    for key in keys:
        flow._start_early_refresh(key)  # what `EarlyRefresh` calls when one is due
    for key in keys:
        while (task := flow._flight.running(key)) is not None:
            await asyncio.wait([task])
    await _in_use(app, keys, answers)


async def _refreshed(app: Application, keys: list[SessionKey]) -> tuple[int, int]:
    """How many sessions have new tokens, and the number of token responses."""
    refreshed, responses = 0, 0
    for key in keys:
        stored = await app.stores.sessions.get(key)
        if isinstance(stored, Found) and stored.session.rotation == 1:
            refreshed += 1
            responses = max(responses, int(str(stored.session.tokens.refresh_token)[:20]))
    return refreshed, responses


async def _measure(directory: Path, url: str, sessions: int) -> Figures:
    with ExitStack() as stack:
        issuer, ca_file, port = endpoint(directory)
        app = build_app(settings(issuer, ca_file, url), timeouts=Timeouts(PATIENT_STORES))
        async with AsyncExitStack() as running:
            with provider_at(directory, port, ANSWER_TIME):
                await app.lifespan.start(running)
                await app.providers.main.metadata()
                keys = list[SessionKey]()
                for start in range(0, sessions, 500):
                    numbers = range(start, min(sessions, start + 500))
                    due = [a_session(time.time(), f"user{n}", n, due=True, issuer=issuer) for n in numbers]
                    await asyncio.gather(*(app.stores.sessions.create(session) for session in due))
                    keys += [session.key for session in due]
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)  # as `bff serve` does
            in_use, rest = keys[::IN_USE], [key for number, key in enumerate(keys) if number % IN_USE]
            answers = asyncio.Event()
            waiting = asyncio.create_task(_in_use(app, in_use, answers))
            await asyncio.sleep(OUTAGE)
            stack.enter_context(provider_at(directory, port, ANSWER_TIME))
            begun, cpu = time.perf_counter(), time.process_time()
            others = asyncio.create_task(_rest(app, rest, answers))
            await waiting
            first = time.perf_counter() - begun
            await others
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
            refreshed, responses = await _refreshed(app, keys)
    return {
        "sessions in use": f"{len(in_use):,} after {first:.1f} s",
        "all": f"{refreshed:,} of {sessions:,} after {seconds:.1f} s",
        "processor time of one": f"{cpu / sessions * 1e3:.1f} ms",
        "more token requests than sessions": f"{responses - sessions:,}",
    }


def measure(store: str, sessions: int, limit: float) -> Figures:
    """Raises TimeoutError after `limit` seconds."""

    async def within_limit(directory: Path, url: str) -> Figures:
        async with asyncio.timeout(limit):
            return await _measure(directory, url, sessions)

    with (
        tempfile.TemporaryDirectory() as name,
        store_url(store, Path(name)) as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(within_limit(Path(name), url))
