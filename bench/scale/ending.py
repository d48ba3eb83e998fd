"""Ends many sessions of one person at once, and measures what that does to others.

One process with a real store, and a provider within it that takes a fifth of a second for each answer.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from bench.scale.stores import ENVIRON
from bff.app import Application, build_app
from bff.components.ports import Ports
from bff.components.timeouts import Timeouts
from bff.config.settings import load_settings
from bff.oidc.jwks import KeySet
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.token import Granted, RevocationResult, Revoked, TokenResponse, TokenResult
from bff.session.keyring import new_session_id
from bff.session.session import EndReason, Session, Tokens, User
from tests.harness.patience import PATIENT_STORES

ISSUER: Final = "https://bench.okta.example/oauth2/default"
ANSWER_TIME: Final = 0.2  # seconds
OTHERS: Final = 200  # sessions of other people, refreshed one after the other meanwhile
SESSIONS: Final = 10_000  # of one person
TOKEN: Final = "x" * 900  # bytes: the typical size of Okta's access and ID tokens


class Provider:
    """Implements the port. Every refresh and every revocation succeeds."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    async def metadata(self) -> ProviderMetadata:
        return ProviderMetadata(
            issuer=ISSUER,
            authorization_endpoint=f"{ISSUER}/v1/authorize",
            token_endpoint=f"{ISSUER}/v1/token",
            jwks_uri=f"{ISSUER}/v1/keys",
            revocation_endpoint=f"{ISSUER}/v1/revoke",
        )

    async def keys(self, kid: str | None = None) -> KeySet:
        return KeySet(())

    async def refresh(self, refresh_token: str, *, may_send: Callable[[], bool], **_: Any) -> TokenResult:
        await asyncio.sleep(ANSWER_TIME)
        return Granted(TokenResponse(TOKEN, 3600, f"{refresh_token}+", None, "openid"))

    async def revoke(self, token: str, *_: Any, **__: Any) -> RevocationResult:
        await asyncio.sleep(ANSWER_TIME)
        self.revoked.add(token)
        return Revoked()

    async def close(self) -> None: ...

    def replace_client_auth(self, client_auth: Any) -> None: ...


@dataclass
class LoopWatch:
    """How long the event loop ran nothing else, in seconds: by the clock, and by the processor time of its thread.

    The second says what the BFF does, however busy the machine is.
    """

    gaps: list[float] = field(default_factory=list)
    cpu_gaps: list[float] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            before, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            self.gaps.append(time.perf_counter() - before - 0.001)
            self.cpu_gaps.append(time.thread_time() - cpu)


@dataclass(frozen=True)
class Result:
    store: str
    sessions: int
    ended: int
    seconds: float
    cpu_seconds: float
    longest_stall: float
    longest_cpu_stall: float
    refresh_alone: float
    refresh_meanwhile: float
    revoked_after: float
    revoked: int

    def __str__(self) -> str:
        stall, cpu_stall = self.longest_stall * 1000, self.longest_cpu_stall * 1000
        alone, meanwhile = self.refresh_alone * 1000, self.refresh_meanwhile * 1000
        return (
            f"{self.store}: {self.ended} of {self.sessions} sessions ended in {self.seconds:.1f} s"
            f" ({self.cpu_seconds:.1f} s of CPU), longest stall {stall:.0f} ms ({cpu_stall:.0f} ms of CPU),"
            f" refresh of others {alone:.0f} ms alone, {meanwhile:.0f} ms meanwhile,"
            f" {self.revoked} tokens revoked after {self.revoked_after:.0f} s"
        )


def a_session(now: float, sub: str, number: int, *, due: bool = False, issuer: str = ISSUER) -> Session:
    usable_until = now - 1 if due else now + 3600
    return Session(
        key=new_session_id().key,
        version=1,
        rotation=0,
        issuer=issuer,
        client_id="bench",
        user=User(sub, f"{sub}@example.com", {"name": "Somebody"}),
        tokens=Tokens(TOKEN, usable_until, usable_until - 60, now, f"refresh-{sub}-{number}", TOKEN, "openid"),
        signed_in_at=now,
        ends_at=now + 43_200,
        sid=f"sid-{sub}-{number}",
        browser=f"browser-{sub}-{number}",
    )


async def refresh_times(app: Application, sessions: list[Session], stop: asyncio.Event) -> list[float]:
    """Seconds of each refresh, one after the other, until `stop` or all are done."""
    times = []
    for session in sessions:
        if stop.is_set():
            break
        begun = time.perf_counter()
        with suppress(Exception):
            await app.flows.sessions.refresh.session_with_fresh_token(session.key)
        times.append(time.perf_counter() - begun)
    return times


async def measure(store: str, url: str, sessions: int, *, wait: float) -> Result:
    """Waits up to `wait` seconds for the revocations."""
    provider = Provider()
    environ = ENVIRON | {"BFF_STORE": url}
    app = build_app(load_settings(environ), ports=Ports(provider, (provider,)), timeouts=Timeouts(PATIENT_STORES))
    async with AsyncExitStack() as running:
        await app.lifespan.start(running)
        records, now = app.stores.sessions, time.time()
        for start in range(0, sessions, 100):
            batch = (a_session(now, "many", start + n) for n in range(min(100, sessions - start)))
            await asyncio.gather(*(records.create(session) for session in batch))
        others = [a_session(now, f"other{n}", n, due=True) for n in range(OTHERS)]
        await asyncio.gather(*(records.create(session) for session in others))

        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)  # as `bff serve` does
        alone = median(await refresh_times(app, others[:10], asyncio.Event()))
        watch, stop = LoopWatch(), asyncio.Event()
        watching = asyncio.create_task(watch.run())
        refreshing = asyncio.create_task(refresh_times(app, others[10:], stop))
        await asyncio.sleep(0.05)
        begun, cpu = time.perf_counter(), time.process_time()
        ended = 0
        with suppress(Exception):
            ended = len(await app.flows.sessions.end_sessions.of_user("sub", "many", EndReason.UNIVERSAL_LOGOUT))
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        watching.cancel()
        stop.set()
        meanwhile = median(await refreshing)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while len(provider.revoked) < sessions:
                    await asyncio.sleep(0.5)
        return Result(
            store,
            sessions,
            ended,
            seconds,
            cpu,
            max(watch.gaps),
            max(watch.cpu_gaps),
            alone,
            meanwhile,
            time.perf_counter() - begun,
            len(provider.revoked),
        )
