"""Revokes tokens that nobody holds any more: in the background, again when it fails, and by another process if need be.

What is to be revoked is kept in the store first. Whoever has a hand free takes what is due, for as long as one attempt
may last; what fails is due again later, until it is too late to matter.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import NotRevoked, Revoked, TokenResponse, TokenTypeHint
from bff.session.revocation import ATTEMPTS_LIMIT, KEPT_FOR, Revocation, backoff
from bff.session.session import Session
from bff.session.store import SessionStore
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

REVOKE_TIMEOUT: Final = 8.0  # seconds of one attempt; nobody waits for it
LEASE: Final = 2 * REVOKE_TIMEOUT  # seconds for which one process has a revocation to itself
AT_A_TIME: Final = 8  # attempts of one process: as many as there are connections for them
UNKEPT_LIMIT: Final = 100  # attempts without a place in the queue: more would be a queue in memory
POLL_INTERVAL: Final = 15.0  # seconds between two looks for what others left, or what is due again
MAX_HOLD: Final = 60.0  # seconds for which a provider that throttles us is not asked


@dataclass(frozen=True, slots=True)
class _Token:
    """`until` is in seconds since the epoch: afterwards there is no use in trying any more."""

    value: str = field(repr=False)
    hint: TokenTypeHint
    until: float


class Revocations:
    def __init__(self, store: SessionStore, provider: OpenIDProvider, tasks: BackgroundTasks, issuer: str) -> None:
        self._store, self._provider, self._tasks, self._issuer = store, provider, tasks, issuer
        self._worker: asyncio.Task[None] | None = None
        self._added = asyncio.Event()
        self._held_until = 0.0  # of the loop's clock
        self._unkept = 0

    async def session_ended(self, session: Session) -> None:
        """Keeps the tokens of a session that has ended, to be revoked. Never raises.

        The access tokens die with their refresh token (`okta.md` 3.4); without one the access token is revoked itself.
        """
        # By the times of the record, not of a clock: after its deletion the process must not wait for anything first.
        until = max(session.ends_at, session.tokens.received_at + KEPT_FOR)
        concurrent_successor = session.concurrent_successor.refresh_token if session.concurrent_successor else None
        tokens = [
            _Token(value, "refresh_token", until)
            for value in (session.tokens.refresh_token, concurrent_successor)
            if value
        ]
        if not tokens:
            tokens = [_Token(session.tokens.access_token, "access_token", session.tokens.usable_until)]
        await self._keep(tokens, session.fingerprint)

    def discarded(self, response: TokenResponse, session: str = "") -> None:
        """The same for tokens that never came into a session. `session` is a fingerprint."""
        until = time.time() + KEPT_FOR  # when to give up: the host's clock will do, and nothing is waited for
        if response.refresh_token:
            token = _Token(response.refresh_token, "refresh_token", until)
        elif response.access_token:
            token = _Token(response.access_token, "access_token", until)
        else:
            return
        self._tasks.start(self._keep([token], session), "keep a revocation")

    async def run(self) -> None:
        """Takes up what waits, until it is cancelled: a task of the application's lifespan."""
        while True:
            self.work_soon()
            await asyncio.sleep(POLL_INTERVAL)

    async def _keep(self, tokens: Sequence[_Token], session: str) -> None:
        for token in tokens:
            revocation = Revocation(
                secrets.token_urlsafe(16), token.value, token.hint, self._issuer, session, token.until
            )
            try:
                kept = await self._store.revocations.add(revocation)
            except StoreUnavailable:
                kept = False
            if kept:
                self.work_soon()
            elif self._unkept < UNKEPT_LIMIT:
                logger.warning("a revocation could not be kept, and is tried once", extra={"session": session})
                self._tasks.start(self._attempt_unkept(revocation), "revoke")
            else:
                _log_abandoned(revocation, "unkept", "too many wait")

    def work_soon(self) -> None:
        """Begins to revoke what is due, if that is not under way already."""
        self._added.set()
        if self._worker is None or self._worker.done():
            self._worker = self._tasks.start(self._work(), "revocations")

    async def _work(self) -> None:
        """Claims and revokes until nothing is due."""
        running: set[asyncio.Task[None]] = set()
        while True:
            self._added.clear()
            for revocation in await self._claim(AT_A_TIME - len(running)):
                running.add(self._tasks.start(self._attempt(revocation), "revoke"))
            if running:
                running = await self._until_one_is_over(running)
            elif not self._added.is_set():
                break
        try:
            metrics.REVOCATIONS_WAITING.set(await self._store.revocations.waiting())
        except StoreUnavailable:
            return

    async def _claim(self, count: int) -> Sequence[Revocation]:
        if count <= 0 or asyncio.get_running_loop().time() < self._held_until:
            return ()
        try:
            return await self._store.revocations.claim(count, LEASE)
        except StoreUnavailable:
            return ()  # the next look finds what is due then

    async def _until_one_is_over(self, running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Also when something was added meanwhile. Returns those that are still under way."""
        added = asyncio.ensure_future(self._added.wait())
        waiting: set[asyncio.Future[Any]] = {*running, added}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            added.cancel()
        return {task for task in running if not task.done()}

    async def _attempt(self, revocation: Revocation) -> None:
        queue = self._store.revocations
        try:
            if revocation.issuer != self._issuer:  # a token is shown to nobody but to who gave it
                _log_abandoned(revocation, "given_up", "it is of another issuer")
                await queue.finish(revocation.id)
                return
            match await self._provider.revoke(revocation.token, revocation.hint, within=REVOKE_TIMEOUT):
                case Revoked():
                    metrics.REVOCATIONS.labels(outcome="revoked").inc()
                    await queue.finish(revocation.id)
                case NotRevoked(why, final=True):
                    _log_abandoned(revocation, "refused", why)
                    await queue.finish(revocation.id)
                case NotRevoked(why) if revocation.attempts >= ATTEMPTS_LIMIT:
                    _log_abandoned(revocation, "given_up", why)
                    await queue.finish(revocation.id)
                case NotRevoked(why, retry_after=retry_after):
                    self._hold(retry_after)
                    metrics.REVOCATIONS.labels(outcome="postponed").inc()
                    fields = {"session": revocation.session, "why": why, "attempts": revocation.attempts}
                    logger.info("a revocation failed and is tried again later", extra=fields)
                    await queue.postpone(revocation.id, backoff(revocation.attempts, retry_after))
        except StoreUnavailable:
            return  # it is due again when the lease is over; to be revoked twice does a token no harm

    async def _attempt_unkept(self, revocation: Revocation) -> None:
        """Once, and into the queue after all if that fails: the store may be back by then."""
        self._unkept += 1
        try:
            answer = await self._provider.revoke(revocation.token, revocation.hint, within=REVOKE_TIMEOUT)
        finally:
            self._unkept -= 1
        match answer:
            case Revoked():
                metrics.REVOCATIONS.labels(outcome="revoked").inc()
            case NotRevoked(why, final=final):
                if final or not await self._kept_after_all(revocation):
                    _log_abandoned(revocation, "refused" if final else "unkept", why)

    async def _kept_after_all(self, revocation: Revocation) -> bool:
        try:
            until = max(revocation.until, await self._store.now() + KEPT_FOR)
            return await self._store.revocations.add(replace(revocation, until=until))
        except StoreUnavailable:
            return False

    def _hold(self, retry_after: float | None) -> None:
        if retry_after is not None:
            until = asyncio.get_running_loop().time() + min(retry_after, MAX_HOLD)
            self._held_until = max(self._held_until, until)


def _log_abandoned(revocation: Revocation, outcome: str, why: str) -> None:
    metrics.REVOCATIONS.labels(outcome=outcome).inc()
    fields = {"session": revocation.session, "why": why, "kind": revocation.hint, "attempts": revocation.attempts}
    logger.warning("a refresh token could not be revoked; it stays valid until the provider expires it", extra=fields)
