"""Revokes the tokens of ended sessions in the background, with retries, and across restarts and replicas.

A token is first put into a queue in the store. Any process claims due entries, under a lease that covers one attempt; a
failed attempt is postponed with a back-off, until the token has expired or the attempts are exhausted.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import NotRevoked, Revoked, TokenResponse, TokenTypeHint
from bff.session.audience_tokens import revocable_tokens
from bff.session.revocation import ATTEMPTS_LIMIT, KEPT_FOR, Revocation, backoff
from bff.session.session import Session
from bff.session.store import SessionStore
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

REVOKE_TIMEOUT: Final = 8.0  # seconds of one attempt; no request waits for it
LEASE: Final = 2 * REVOKE_TIMEOUT  # seconds for which a claimed entry belongs to one process
CONCURRENT_ATTEMPTS: Final = 8  # concurrent attempts of one process: as many as it has connections for revocations
MAX_UNQUEUED_ATTEMPTS: Final = 100  # concurrent attempts that the queue did not accept; bounds the memory
POLL_INTERVAL: Final = 15.0  # seconds between two searches for due entries of any process
MAX_HOLD: Final = 60.0  # seconds; the longest pause after the provider has asked for one


@dataclass(frozen=True, slots=True)
class _Token:
    """`until` is in seconds since the epoch; after that a revocation has no effect any more."""

    value: str = field(repr=False)
    hint: TokenTypeHint
    until: float


@dataclass(slots=True)
class RevocationCounts:
    """Tokens, since this process began. `revoked` and `abandoned` include those that other processes had queued."""

    queued: int = 0
    revoked: int = 0
    abandoned: int = 0  # refused by the provider, given up, or not queued: they stay valid there


class Revocations:
    def __init__(self, store: SessionStore, provider: OpenIDProvider, tasks: BackgroundTasks, issuer: str) -> None:
        self._store, self._provider, self._tasks, self._issuer = store, provider, tasks, issuer
        self._worker: asyncio.Task[None] | None = None
        self._added = asyncio.Event()
        self._held_until = 0.0  # of the loop's clock
        self._unqueued_attempts = 0
        self.counts = RevocationCounts()

    async def sessions_ended(self, sessions: Sequence[Session], turns: Counter[str]) -> None:
        """Queues the tokens of ended sessions for revocation, in one operation. Never raises.

        Revoking a refresh token revokes its access tokens (RFC 7009 section 2.1); a session without a refresh token has
        its access token revoked. `turns` counts each user's tokens so far: later ones wait for those of other users.
        """
        revocations = []
        for session in sessions:
            for token in _tokens_of(session):
                turn = turns[session.user.sub]
                turns[session.user.sub] += 1
                revocations.append(self._revocation(token, session.fingerprint, turn))
        await self._enqueue(revocations)

    def discarded(
        self, response: TokenResponse, session: str = "", *, unless: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        """Queues tokens that never became part of a session, in the background, unless `unless` returns true then.

        `session` is a fingerprint.
        """
        until = time.time() + KEPT_FOR  # only limits the retries, so the host's clock is precise enough
        if response.refresh_token:
            token = _Token(response.refresh_token, "refresh_token", until)
        elif response.access_token:
            token = _Token(response.access_token, "access_token", until)
        else:
            return
        self._tasks.start(self._discard(self._revocation(token, session), unless), "queue a revocation")

    async def _discard(self, revocation: Revocation, unless: Callable[[], Awaitable[bool]] | None) -> None:
        if unless is None or not await unless():
            await self._enqueue([revocation])

    async def run(self) -> None:
        """Looks for due entries periodically, until cancelled: a task of the application's lifespan."""
        while True:
            self.work_soon()
            await asyncio.sleep(POLL_INTERVAL)

    def _revocation(self, token: _Token, session: str, turn: int = 0) -> Revocation:
        name = secrets.token_urlsafe(16)
        return Revocation(name, token.value, token.hint, self._issuer, session, token.until, turn=turn)

    async def _enqueue(self, revocations: Sequence[Revocation]) -> None:
        try:
            queued = await self._store.revocations.add(*revocations)
        except StoreUnavailable:
            queued = 0
        self.counts.queued += queued
        if queued:
            self.work_soon()
        for revocation in revocations[queued:]:
            if self._unqueued_attempts < MAX_UNQUEUED_ATTEMPTS:
                logger.warning(
                    "a revocation could not be queued, and is attempted once", extra={"session": revocation.session}
                )
                self._unqueued_attempts += 1
                self._tasks.start(self._attempt_without_queue(revocation), "revoke")
            else:
                self._abandon(revocation, "not_queued", "too many are waiting")

    def work_soon(self) -> None:
        """Starts the worker, or wakes it up if it is running."""
        self._added.set()
        if self._worker is None or self._worker.done():
            self._worker = self._tasks.start(self._work(), "revocations")

    async def _work(self) -> None:
        """Claims and revokes until nothing is due."""
        running: set[asyncio.Task[None]] = set()
        while True:
            self._added.clear()
            for revocation in await self._claim(CONCURRENT_ATTEMPTS - len(running)):
                running.add(self._tasks.start(self._attempt(revocation), "revoke"))
            if running:
                running = await self._until_one_is_over(running)
            elif not self._added.is_set():
                await self._record_waiting()
                # No await from here to the end of the task: an entry that is added now finds no worker, and starts one.
                if not self._added.is_set():
                    return

    async def _record_waiting(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            metrics.REVOCATIONS_WAITING.set(await self._store.revocations.waiting())

    async def _claim(self, count: int) -> Sequence[Revocation]:
        if count <= 0 or asyncio.get_running_loop().time() < self._held_until:
            return ()
        try:
            return await self._store.revocations.claim(count, LEASE)
        except StoreUnavailable:
            return ()  # the next search finds them

    async def _until_one_is_over(self, running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Returns the tasks still running, as soon as one has completed or an entry was added."""
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
            if revocation.issuer != self._issuer:  # a token is sent only to its own issuer
                self._abandon(revocation, "given_up", "it is from another issuer")
                await queue.finish(revocation.id)
                return
            match await self._provider.revoke(revocation.token, revocation.hint, within=REVOKE_TIMEOUT):
                case Revoked():
                    self._revoked()
                    await queue.finish(revocation.id)
                case NotRevoked(why, final=True):
                    self._abandon(revocation, "refused", why)
                    await queue.finish(revocation.id)
                case NotRevoked(why) if revocation.attempts >= ATTEMPTS_LIMIT:
                    self._abandon(revocation, "given_up", why)
                    await queue.finish(revocation.id)
                case NotRevoked(why, retry_after=retry_after):
                    self._hold(retry_after)
                    metrics.REVOCATIONS.labels(outcome="postponed").inc()
                    fields = {"session": revocation.session, "why": why, "attempts": revocation.attempts}
                    logger.info("a revocation failed, and will be repeated", extra=fields)
                    await queue.postpone(revocation.id, backoff(revocation.attempts, retry_after))
        except StoreUnavailable:
            return  # due again when the lease expires; revoking a token twice is harmless

    async def _attempt_without_queue(self, revocation: Revocation) -> None:
        """Attempts a revocation once; if that fails, tries to queue it again, since the store may be back."""
        try:
            answer = await self._provider.revoke(revocation.token, revocation.hint, within=REVOKE_TIMEOUT)
        finally:
            self._unqueued_attempts -= 1
        match answer:
            case Revoked():
                self._revoked()
            case NotRevoked(why, final=final):
                if final or not await self._queued_after_all(revocation):
                    self._abandon(revocation, "refused" if final else "not_queued", why)

    async def _queued_after_all(self, revocation: Revocation) -> bool:
        try:
            until = max(revocation.until, await self._store.now() + KEPT_FOR)
            queued = await self._store.revocations.add(replace(revocation, until=until)) == 1
            self.counts.queued += queued
            return queued
        except StoreUnavailable:
            return False

    def _hold(self, retry_after: float | None) -> None:
        if retry_after is not None:
            until = asyncio.get_running_loop().time() + min(retry_after, MAX_HOLD)
            self._held_until = max(self._held_until, until)

    def _revoked(self) -> None:
        self.counts.revoked += 1
        metrics.REVOCATIONS.labels(outcome="revoked").inc()

    def _abandon(self, revocation: Revocation, outcome: str, why: str) -> None:
        self.counts.abandoned += 1
        metrics.REVOCATIONS.labels(outcome=outcome).inc()
        fields = {"session": revocation.session, "why": why, "kind": revocation.hint, "attempts": revocation.attempts}
        logger.warning("a token could not be revoked; it stays valid until the provider expires it", extra=fields)


def _tokens_of(session: Session) -> Sequence[_Token]:
    # Computed from the record, not from the store's clock: after the deletion nothing may delay the queueing.
    until = max(session.ends_at, session.tokens.received_at + KEPT_FOR)
    successor = session.concurrent_successor.refresh_token if session.concurrent_successor else None
    tokens = [_Token(value, "refresh_token", until) for value in (session.tokens.refresh_token, successor) if value]
    tokens = tokens or [_Token(session.tokens.access_token, "access_token", session.tokens.usable_until)]
    # Exchanged tokens are revoked by themselves: they do not belong to the refresh token (RFC 8693 section 2.2.2).
    exchanged = revocable_tokens(session, session.tokens.received_at)
    return [*tokens, *(_Token(value, "access_token", until) for value, until in exchanged)]
