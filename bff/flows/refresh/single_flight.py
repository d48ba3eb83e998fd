"""Single flight: one refresh task per session in this process, joined by every caller."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bff.errors import ProviderUnavailable, StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.logout.session_ends import EndWatch
from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.reservation import NotDue, RefreshCause
from bff.flows.refresh.timing import RefreshTiming
from bff.session.session import Session, SessionKey
from bff.session.timing import inside_grace
from bff.session.token_response import Pending, RefreshResult, Renewed
from bff.telemetry import metrics

# seconds between reservations while the store is failing and the grace period of a lost response runs
RETRY_INTERVAL = 1.0


NO_CAUSE: Final = RefreshCause()


class SingleFlight:
    """`on_renewed` is called with each record that has new tokens, once it is durable."""

    def __init__(
        self,
        attempts: RefreshAttempts,
        tasks: BackgroundTasks,
        end_watch: EndWatch,
        timing: RefreshTiming,
        on_renewed: Callable[[Session], None],
    ) -> None:
        self._attempts, self._tasks, self._end_watch = attempts, tasks, end_watch
        self._policy, self._monotonic, self._on_renewed = timing.policy, timing.monotonic, on_renewed
        self._refresh_tasks: dict[SessionKey, asyncio.Task[None]] = {}

    def running(self, key: SessionKey) -> asyncio.Task[None] | None:
        """The unfinished refresh task of this session in this process."""
        refresh_task = self._refresh_tasks.get(key)
        return None if refresh_task is None or refresh_task.done() else refresh_task

    def join_or_start(self, key: SessionKey, cause: RefreshCause = NO_CAUSE) -> asyncio.Task[None]:
        """The running refresh task of this session in this process, whatever its cause, or a new one.

        There is no await between look-up and start.
        """
        if (refresh_task := self.running(key)) is not None:
            return refresh_task
        refresh_task = self._tasks.start(self._refresh_until_settled(key, cause), "refresh")
        self._refresh_tasks[key] = refresh_task
        return refresh_task

    async def wait(self, key: SessionKey, refresh_task: asyncio.Task[None], within: float) -> None:
        """Returns when the record is to be read again: the refresh is over, or the session is.

        Raises ProviderUnavailable after `within` seconds, and what ended the refresh: ProviderUnavailable or
        StoreUnavailable.
        """
        if within <= 0:
            raise ProviderUnavailable(retry_after=1)
        metrics.REFRESH_CALLERS_COALESCED.inc()
        self._attempts.slots.awaited(key)
        # `asyncio.wait` does not cancel the task: a caller that disconnects leaves the refresh running.
        either = [refresh_task, self._end_watch.beside(refresh_task, key)]
        done, _ = await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)
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

    async def _refresh_until_settled(self, key: SessionKey, first: RefreshCause) -> None:
        """Sends until there is an outcome, the grace period is over, or the token is certainly unused."""
        cause, write_failed, grace_ends = first, False, 0.0
        try:
            while True:
                result: RefreshResult | NotDue
                try:
                    result = await self._attempts.attempt(key, cause)
                except StoreUnavailable:
                    # Whether the reservation was written is unknown, and an earlier response was lost: retry.
                    if self._monotonic() >= grace_ends:
                        raise
                    result, write_failed = NotDue(), True
                match result:
                    case Renewed(session):
                        self._on_renewed(session)
                        return
                    case Pending(session, resend):
                        cause = replace(first, resend_of=_attempt_id(session) if resend else None)
                        pause = 0.0 if resend else self._pause_inside_grace(session)
                        if pause is None:
                            return
                        grace_ends = grace_ends or self._monotonic() + self._policy.grace
                        await asyncio.sleep(pause)
                    case NotDue() if write_failed and self._monotonic() < grace_ends:
                        cause = first
                        await asyncio.sleep(RETRY_INTERVAL)
                    case _:
                        return
        finally:
            self._attempts.slots.settled(key)
            if self._refresh_tasks.get(key) is asyncio.current_task():
                del self._refresh_tasks[key]

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


def _attempt_id(session: Session) -> str | None:
    return session.attempt.attempt_id if session.attempt else None
