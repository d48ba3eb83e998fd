"""The access token for a request: reads the record, decides, and when a refresh is due lets one task refresh it for all
callers.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from bff.errors import ProviderUnavailable, SignInRequired, StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.session_ends import EndWatch
from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.early import EarlyRefresh
from bff.flows.refresh.wait_for_peer import RecordWatcher
from bff.session.rotation import (
    AwaitRefresh,
    Pending,
    Renewed,
    RetryLater,
    SendRefresh,
    SignInAgain,
    UseAccessToken,
    decide,
)
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Found, KeyRemoved, Missing, SessionStore, StoredSession
from bff.session.timing import RefreshPolicy, inside_grace, token_fingerprint
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

CALLER_DEADLINE = 10.0  # seconds that a request waits for a refresh before it gets 503
MAX_REFRESHES_PER_CALLER = 3  # a caller that has seen this many failed refreshes gets an error, whatever its deadline
# seconds between reservations while the store is failing and the grace period of a lost response runs
RETRY_INTERVAL = 1.0
CONFIRM_AFTER = 3.0  # seconds; by then a store failover has happened
TOUCH_INTERVAL = 60.0  # seconds between two writes of last_seen_at


@dataclass(frozen=True, slots=True)
class _Result:
    """The last result that this process wrote for a session, to be written again if a failover
    of the store loses it.
    """

    session: Session
    until: float


class RefreshTokenFlow:
    """Keeps the invariants *answered by deadline* and *single flight*: every caller gets a result by its deadline, and
    each session has one token request in flight.
    """

    def __init__(
        self,
        store: SessionStore,
        attempts: RefreshAttempts,
        end_session: EndSession,
        tasks: BackgroundTasks,
        policy: RefreshPolicy,
        *,
        concurrency: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._attempts, self._end_session = store, attempts, end_session
        self._tasks, self._policy, self._monotonic = tasks, policy, monotonic
        self._watch, self._end_watch = RecordWatcher(store, tasks, monotonic), EndWatch(store, tasks, end_session.ends)
        self._slots = asyncio.Semaphore(concurrency)
        self._refresh_tasks: dict[SessionKey, asyncio.Task[None]] = {}
        self._results: dict[SessionKey, _Result] = {}
        self._sealing: set[SessionKey] = set()
        self._early = EarlyRefresh(self._start_early_refresh, monotonic)

    async def session_with_fresh_token(
        self, key: SessionKey, *, rejected_token: str | None = None, passive: bool = False
    ) -> Session:
        """The live session with an access token that is good now.

        With `rejected_token`, the fingerprint of a token that got a 401, the same one is returned if none is newer. A
        `passive` call does not extend the idle timeout. Raises SignInRequired, ProviderUnavailable, StoreUnavailable.
        """
        deadline, refreshes_awaited = self._monotonic() + CALLER_DEADLINE, 0
        while True:
            asked_at = self._monotonic()
            stored = await self._reassert(await self._store.get(key))
            if not isinstance(stored, Found):
                reason = await self.end_reason(key, stored)
                raise SignInRequired(reason=reason.value if reason else None)
            session = stored.session
            # A paused process may read a reply long after the store sent it.
            now, age, last_seen_at = stored.now, self._monotonic() - asked_at, stored.last_seen_at
            match decide(session, now, self._policy, "", last_seen_at=last_seen_at, rejected_token=rejected_token):
                case UseAccessToken():
                    if now < session.tokens.usable_until <= now + age:
                        continue
                    self._note_activity(stored, passive=passive)
                    return session
                case SendRefresh():
                    refresh_task = self._join_or_start(key, rejected_token)
                    usable = now + age < session.tokens.usable_until
                    if usable and rejected_token != token_fingerprint(session.tokens.access_token):
                        self._note_activity(stored, passive=passive)
                        return session
                    refreshes_awaited += 1
                    await self._wait(key, refresh_task, deadline, last=refreshes_awaited > MAX_REFRESHES_PER_CALLER)
                case AwaitRefresh(until):
                    metrics.REFRESH_WAITS.labels(where="local" if key in self._refresh_tasks else "replica").inc()
                    await self._await_other(key, session.version, until - now, deadline)
                case RetryLater(at):
                    if (under_way := self._refresh_tasks.get(key)) is not None and not under_way.done():
                        # The holder retries by itself inside the grace period, so the token may arrive soon.
                        refreshes_awaited += 1
                        await self._wait(key, under_way, deadline, last=refreshes_awaited > MAX_REFRESHES_PER_CALLER)
                        continue
                    raise ProviderUnavailable(retry_after=max(1, math.ceil(at - now)))
                case SignInAgain(reason):
                    # A concurrent write may have refreshed the session, so it is decided again.
                    if await self._end_session.end(key, reason, expected_version=session.version) is not None:
                        raise SignInRequired(reason=reason.value)
                case decision:
                    assert_never(decision)

    async def run_early_refreshes(self) -> None:
        """Refreshes active sessions as they become due, until cancelled: a task of the application's lifespan."""
        await self._early.run()

    async def peek(self, key: SessionKey) -> StoredSession:
        """The current record, for display; refreshes nothing. Raises StoreUnavailable."""
        stored = await self._store.get(key)
        if isinstance(stored, Found):
            self._reseal(stored)
        return await self._reassert(stored)

    async def end_reason(self, key: SessionKey, stored: Missing | KeyRemoved) -> EndReason | None:
        """Why there is no session for this read, if known. The reason remains available to `/auth/session`."""
        if isinstance(stored, KeyRemoved):
            return EndReason.KEY_REMOVED
        try:
            return await self._store.get_end_reason(key)
        except StoreUnavailable:
            return None

    def _join_or_start(self, key: SessionKey, rejected_token: str | None) -> asyncio.Task[None]:
        """The running refresh task of this session in this process, or a new one.

        There is no await between look-up and start.
        """
        refresh_task = self._refresh_tasks.get(key)
        if refresh_task is not None and not refresh_task.done():
            return refresh_task
        refresh_task = self._tasks.start(self._refresh_until_settled(key, rejected_token), "refresh")
        self._refresh_tasks[key] = refresh_task
        return refresh_task

    async def _wait(self, key: SessionKey, refresh_task: asyncio.Task[None], deadline: float, *, last: bool) -> None:
        """Returns when the record is to be read again: the refresh is over, or the session is."""
        left = deadline - self._monotonic()
        if left <= 0 or last:
            raise ProviderUnavailable(retry_after=1)
        metrics.REFRESH_CALLERS_COALESCED.inc()
        # `asyncio.wait` does not cancel the task: a caller that disconnects leaves the refresh running.
        either = [refresh_task, self._end_watch.beside(refresh_task, key)]
        done, _ = await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise ProviderUnavailable(retry_after=1)
        if refresh_task not in done:
            return  # the session has ended: its caller reads the record again, and finds none
        if refresh_task.cancelled():
            raise StoreUnavailable(retry_after=1)
        match refresh_task.exception():
            # Each caller gets its own exception; the task's exception is not shared with later callers.
            case StoreUnavailable():
                raise StoreUnavailable(retry_after=1)
            case ProviderUnavailable(retry_after=seconds):
                raise ProviderUnavailable(retry_after=seconds)
            case _:
                return

    async def _await_other(self, key: SessionKey, version: int, lease_left: float, deadline: float) -> None:
        refresh_task = self._refresh_tasks.get(key)
        if refresh_task is not None and not refresh_task.done():
            await self._wait(key, refresh_task, deadline, last=False)
            return
        left = deadline - self._monotonic()
        if left <= 0:
            raise ProviderUnavailable(retry_after=1)
        await self._watch.wait_for_change(key, version, within=min(left, max(0.05, lease_left)))

    async def _refresh_until_settled(self, key: SessionKey, refused: str | None) -> None:
        """Sends until there is an outcome, the grace period is over, or the token is certainly unused."""
        resend, write_failed, grace_ends = False, False, 0.0
        try:
            while True:
                try:
                    result = await self._attempts.attempt(key, rejected_token=refused, resend=resend, slots=self._slots)
                except StoreUnavailable:
                    # Whether the reservation was written is unknown, and an earlier response was lost: retry.
                    if self._monotonic() >= grace_ends:
                        raise
                    result, write_failed = None, True
                match result:
                    case Renewed(session):
                        self._remember(session)
                        self._confirm_soon(key)
                        self._early.renewed(key, session.tokens.refresh_at - session.tokens.received_at)
                        return
                    case Pending(session, resend):
                        pause = 0.0 if resend else self._pause_inside_grace(session)
                        if pause is None:
                            return
                        grace_ends = grace_ends or self._monotonic() + self._policy.grace
                        await asyncio.sleep(pause)
                    case None if write_failed and self._monotonic() < grace_ends:
                        resend = False
                        await asyncio.sleep(RETRY_INTERVAL)
                    case _:
                        return
        finally:
            if self._refresh_tasks.get(key) is asyncio.current_task():
                del self._refresh_tasks[key]

    def _start_early_refresh(self, key: SessionKey) -> None:
        self._join_or_start(key, None)

    def _pause_inside_grace(self, session: Session) -> float | None:
        """Seconds until this holder retries by itself. A lost response must not wait for the next request."""
        attempt = session.attempt
        if (
            attempt is None
            or attempt.first_sent_at is None
            or not inside_grace(attempt, attempt.not_before, self._policy)
        ):
            return None
        return max(0.0, attempt.not_before - attempt.lease_until)

    def _remember(self, session: Session) -> None:
        now = self._monotonic()
        # Oldest first, all with the same retention, so expiring them needs no scan.
        self._results.pop(session.key, None)
        while self._results and (oldest := next(iter(self._results.items())))[1].until <= now:
            del self._results[oldest[0]]
        self._results[session.key] = _Result(session, now + max(self._policy.grace, self._policy.lease))

    def _confirm_soon(self, key: SessionKey) -> None:
        """A timer, not a task: shutdown does not wait for it."""
        loop = asyncio.get_running_loop()
        loop.call_later(CONFIRM_AFTER, lambda: self._tasks.start(self._confirm(key), "confirm"))

    async def _confirm(self, key: SessionKey) -> None:
        """Reads the record once more: a failover that lost the write is repaired without waiting for a request."""
        result = self._results.get(key)
        if result is None or result.until <= self._monotonic():
            return
        try:
            await self._reassert(await self._store.get(key))
        except StoreUnavailable:
            self._confirm_soon(key)

    async def _reassert(self, stored: StoredSession) -> StoredSession:
        """Writes a granted result again if a failover of the store lost it. Returns the record as it then is."""
        if not isinstance(stored, Found):
            return stored
        session = stored.session
        result = self._results.get(session.key)
        if result is None or session.rotation >= result.session.rotation or result.until <= self._monotonic():
            return stored
        if session.signed_in_at != result.session.signed_in_at:
            return stored
        ours = replace(result.session, version=session.version + 1)
        replaced = await self._store.replace(ours, session.version)
        if replaced.done:
            metrics.REFRESH_REASSERTED.inc()
            logger.warning(
                "the store had lost refreshed tokens; they were written again", extra={"session": ours.fingerprint}
            )
            return Found(stored.now, ours, stored.last_seen_at)
        return await self._store.get(session.key)

    def _note_activity(self, stored: Found, *, passive: bool) -> None:
        session = stored.session
        self._reseal(stored)
        if passive:
            return
        if session.attempt is None and session.tokens.refresh_token is not None:
            self._early.active(session.key, session.tokens.refresh_at - stored.now)
        if stored.now - stored.last_seen_at >= min(TOUCH_INTERVAL, self._policy.idle_timeout / 10):
            self._tasks.start(self._touch(session.key, stored.now), "touch")

    def _reseal(self, stored: Found) -> None:
        session = stored.session
        if stored.older_key and session.key not in self._sealing:
            self._sealing.add(session.key)
            self._tasks.start(self._rewrite(session), "seal anew")

    async def _rewrite(self, session: Session) -> None:
        try:
            with contextlib.suppress(StoreUnavailable):  # the next request tries again
                await self._store.replace(replace(session, version=session.version + 1), session.version)
        finally:
            self._sealing.discard(session.key)

    async def _touch(self, key: SessionKey, now: float) -> None:
        with contextlib.suppress(StoreUnavailable):  # the next request writes it again
            await self._store.touch(key, now)
