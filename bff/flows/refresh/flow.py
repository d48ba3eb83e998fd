"""The access token for a request: reads the record, decides, and when a refresh is due lets one task refresh it for all
callers.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from bff.errors import ProviderUnavailable, RefreshRefused, SignInRequired, StepUpRequired, StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.session_ends import EndWatch
from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.early import EarlyRefresh
from bff.flows.refresh.failover import FailoverRecovery
from bff.flows.refresh.record_upkeep import RecordUpkeep
from bff.flows.refresh.record_watcher import RecordWatcher
from bff.flows.refresh.reservation import RefreshCause
from bff.flows.refresh.single_flight import SingleFlight
from bff.flows.refresh.timing import RefreshTiming
from bff.session.rotation import (
    AwaitRefresh,
    ResourceCause,
    RetryLater,
    SendRefresh,
    SignInAgain,
    UseAccessToken,
    decide,
    is_current,
)
from bff.session.session import EndReason, Session, SessionKey
from bff.session.session_view import SessionView
from bff.session.store import Found, KeyRemoved, Missing, SessionStore, StoredSession
from bff.telemetry import metrics

MAX_REFRESHES_PER_CALLER = 3  # a caller that has seen this many failed refreshes gets an error, whatever its deadline


@dataclass(frozen=True, slots=True)
class SessionAt:
    """A session, and the store's time when it was read, in seconds since the epoch."""

    session: SessionView
    now: float


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
        timing: RefreshTiming,
    ) -> None:
        self._store, self._end_session, self._recent = store, end_session, end_session.recent
        self._policy, self._monotonic = timing.policy, timing.monotonic
        self._caller_timeout = timing.timeouts.caller
        self._peers = RecordWatcher(store, tasks, timing.monotonic)
        self._upkeep = RecordUpkeep(store, tasks, timing.policy)
        self._recovery = FailoverRecovery(store, tasks, timing)
        self._early = EarlyRefresh(self._start_early_refresh, timing.monotonic)
        end_watch = EndWatch(store, tasks, end_session.ends)
        self._flight = SingleFlight(attempts, tasks, end_watch, timing, self._renewed)

    async def session_with_fresh_token(
        self,
        key: SessionKey,
        *,
        rejected_token: str | None = None,
        passive: bool = False,
        check: Callable[[SessionView], None] | None = None,
    ) -> SessionView:
        """The session of `session_at`."""
        return (await self.session_at(key, rejected_token=rejected_token, passive=passive, check=check)).session

    async def session_at(
        self,
        key: SessionKey,
        *,
        rejected_token: str | None = None,
        passive: bool = False,
        check: Callable[[SessionView], None] | None = None,
    ) -> SessionAt:
        """The live session with an access token that is good now.

        `check` raises the error of a request that may not use the session, before the session is used for anything.
        With `rejected_token`, the fingerprint of a token that got a 401, the same one is returned if none is newer. A
        `passive` call does not extend the idle timeout. Raises SignInRequired, ProviderUnavailable, StoreUnavailable;
        and StepUpRequired where a security event required a new authentication.
        """
        deadline, refreshes_awaited = self._monotonic() + self._caller_timeout, 0
        while True:
            asked_at = self._monotonic()
            try:
                read = await self._store.get(key)
            except StoreUnavailable as error:
                # Never a token that an upstream has just rejected.
                if self._recent is None or rejected_token is not None:
                    raise
                if (recent := self._recent.session(key, error)) is None:
                    raise
                if check is not None:
                    check(recent[0])
                return SessionAt(_authenticated(recent[0]), recent[1])
            if self._recent is not None:
                self._recent.record(key, read, asked_at)
            stored = await self._recovery.reassert(read) if self._recovery.has_result(key) else read
            if not isinstance(stored, Found):
                ended = await self.end_reason(key, stored)
                raise SignInRequired(reason=ended.value if ended else None)
            if check is not None:
                check(stored.view)
            # A paused process may read a reply long after the store sent it.
            session, now, age = stored.view, stored.now, self._monotonic() - asked_at
            match decide(session, now, self._policy, last_seen_at=stored.last_seen_at, rejected_token=rejected_token):
                case UseAccessToken():
                    if now < session.tokens.usable_until <= now + age:
                        continue
                    if is_current(session, rejected_token) and (under_way := self._flight.running(key)) is not None:
                        # Until its outcome is known, the 401 may come from the refresh itself.
                        refreshes_awaited = _count_awaited(refreshes_awaited)
                        await self._flight.wait(key, under_way, deadline - self._monotonic())
                        continue
                    session = _authenticated(session)
                    self._note_activity(stored, passive=passive)
                    return SessionAt(session, now)
                case SendRefresh():
                    session = _authenticated(session)
                    refresh_task = self._flight.join_or_start(key, RefreshCause(rejected_token))
                    usable = now + age < session.tokens.usable_until
                    if usable and not is_current(session, rejected_token):
                        self._note_activity(stored, passive=passive)
                        return SessionAt(session, now)
                    refreshes_awaited = _count_awaited(refreshes_awaited)
                    await self._flight.wait(key, refresh_task, deadline - self._monotonic())
                case AwaitRefresh(until):
                    await self.await_holder(session, until - now, deadline - self._monotonic())
                case RetryLater(at):
                    if (under_way := self._flight.running(key)) is None:
                        raise _unavailable(session, retry_after=max(1, math.ceil(at - now)))
                    # The holder retries by itself inside the grace period, so the token may arrive soon.
                    refreshes_awaited = _count_awaited(refreshes_awaited)
                    await self._flight.wait(key, under_way, deadline - self._monotonic())
                case SignInAgain(reason):
                    # A concurrent write may have refreshed the session, so it is decided again.
                    if await self._end_session.end(key, reason, expected_version=session.version) is not None:
                        raise SignInRequired(reason=reason.value)
                case decision:
                    assert_never(decision)

    def start_for_resource(self, key: SessionKey, wanted: ResourceCause) -> asyncio.Task[None]:
        """The refresh task of this session in this process: the one that runs, or one for that resource."""
        return self._flight.join_or_start(key, RefreshCause(wanted=wanted))

    async def await_holder(self, session: SessionView, lease_left: float, within: float) -> None:
        """Waits for the holder of a lease in this record, which may be this process or another replica.

        Raises ProviderUnavailable after `within` seconds.
        """
        refresh_task = self._flight.running(session.key)
        metrics.REFRESH_WAITS.labels(where="replica" if refresh_task is None else "local").inc()
        if refresh_task is not None:
            await self._flight.wait(session.key, refresh_task, within)
            return
        if within <= 0:
            raise ProviderUnavailable(retry_after=1)
        await self._peers.wait_for_change(session.key, session.version, within=min(within, max(0.05, lease_left)))

    async def run_early_refreshes(self) -> None:
        """Refreshes active sessions as they become due, until cancelled: a task of the application's lifespan."""
        await self._early.run()

    async def peek(self, key: SessionKey) -> StoredSession:
        """The current record, for display; refreshes nothing. Raises StoreUnavailable."""
        stored = await self._store.get(key)
        if isinstance(stored, Found):
            self._upkeep.reseal(stored)
        return await self._recovery.reassert(stored)

    async def end_reason(self, key: SessionKey, stored: Missing | KeyRemoved) -> EndReason | None:
        """Why there is no session for this read, if known. The reason remains available to `/auth/session`."""
        return EndReason.KEY_REMOVED if isinstance(stored, KeyRemoved) else await self.last_end_reason(key)

    async def last_end_reason(self, name: str) -> EndReason | None:
        """The end reason that the store keeps under a session key or a browser's hash, if it is known and available."""
        try:
            return await self._store.get_end_reason(name)
        except StoreUnavailable:
            return None

    def _note_activity(self, stored: Found, *, passive: bool) -> None:
        session = stored.view
        self._upkeep.reseal(stored)
        if passive:
            return
        if session.attempt is None and session.tokens.refreshable:
            self._early.active(session.key, session.tokens.refresh_at - stored.now)
        self._upkeep.touch(stored)

    def _start_early_refresh(self, key: SessionKey) -> None:
        self._flight.join_or_start(key)

    def _renewed(self, session: Session) -> None:
        self._recovery.renewed(session)
        self._early.renewed(session.key, session.tokens.refresh_at - session.tokens.received_at)


def _authenticated(session: SessionView) -> SessionView:
    """The session itself. Raises StepUpRequired until a new sign-in has replaced it."""
    if session.step_up_required_at is not None:
        raise StepUpRequired("A security event requires a new sign-in.", max_age=0)
    return session


def _unavailable(session: SessionView, *, retry_after: int) -> ProviderUnavailable:
    """The refusal may last: then the client may offer a sign-in instead of a wait."""
    refused = session.attempt is not None and session.attempt.refused_at is not None
    return RefreshRefused(retry_after=retry_after) if refused else ProviderUnavailable(retry_after=retry_after)


def _count_awaited(refreshes_awaited: int) -> int:
    """Raises ProviderUnavailable for one refresh too many."""
    if refreshes_awaited >= MAX_REFRESHES_PER_CALLER:
        raise ProviderUnavailable(retry_after=1)
    return refreshes_awaited + 1
