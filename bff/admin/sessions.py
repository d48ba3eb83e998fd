"""Operator access to the session store, and ending sessions."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, assert_never

from bff.admin.selection import Progress, Selection, no_progress, records_with_fingerprint
from bff.config.settings import Settings
from bff.flows.background import BackgroundTasks
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.end_sessions import EndSessions
from bff.flows.logout.markers import LogoutMarkers
from bff.flows.logout.revocations import REVOKE_TIMEOUT, Revocations
from bff.provider.open import open_provider
from bff.session.keyring import KeyRing
from bff.session.revocation import WAITING_LIMIT
from bff.session.session import EndReason
from bff.session.store import Found, SessionStore
from bff.storage.credentials import ChangingCredentials
from bff.storage.open import open_store
from bff.telemetry import audit
from bff.telemetry.application import ApplicationTelemetry
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)

WAIT_STEP: Final = 0.25  # seconds between two looks at the revocation queue
CHECKED_EVERY: Final = 1_000  # sessions ended between two looks


@dataclass(frozen=True, slots=True)
class AdminContext:
    settings: Settings
    store: SessionStore
    end_sessions: EndSessions
    revocations: Revocations


class TokensStayValid(Exception):
    """Sessions have ended, but so many of their tokens could neither be revoked nor queued for revocation."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count_of(count, 'token')} not revoked, valid until the provider expires them")
        self.count = count


@asynccontextmanager
async def open_admin_context(settings: Settings) -> AsyncIterator[AdminContext]:
    """Raises StoreUnavailable."""
    ring, credentials = KeyRing.from_keys(settings.session.key_ring), ChangingCredentials.of(settings.store.login)
    store = open_store(settings.store.url, ring, credentials=credentials)
    provider, tasks = open_provider(settings), BackgroundTasks()
    revocations = Revocations(store, provider, tasks, settings.provider.issuer)
    end_session = EndSession(store, revocations, tasks)
    logout_markers = LogoutMarkers(store, settings.sign_in.login_lifetime)
    ApplicationTelemetry(settings.telemetry.audit_subject).bind()
    try:
        end_sessions = EndSessions(store, end_session, logout_markers, tasks, settings.provider.issuer)
        yield AdminContext(settings, store, end_sessions, revocations)
    finally:
        # The refresh tokens of ended sessions are still revoked at the provider.
        if left := await tasks.drain(2 * REVOKE_TIMEOUT):
            logger.warning("tokens are not yet revoked; a running bff serve continues", extra={"count": left})
        await provider.close()
        await store.close()


async def end_sessions(
    context: AdminContext,
    selection: Selection,
    reason: str,
    *,
    wait: float,
    progress: Progress = no_progress,
) -> AsyncIterator[str]:
    """Ends the sessions and revokes their tokens, for which it waits up to `wait` seconds.

    What is not revoked by then stays in the queue of the store, for any process. `reason` is for the audit log. Raises
    StoreUnavailable, and TokensStayValid at the end.
    """
    end, by, queue_limit = context.end_sessions, selection.by, _QueueLimit(context, wait, progress)
    match by:
        case "sub" | "email":
            count = len(await end.of_user(by, selection.value, EndReason.OPERATOR))
        case "sid":
            count = len(await end.of_provider_session(selection.value, EndReason.OPERATOR))
        case "all":
            count = await end.of_everyone(EndReason.OPERATOR, queue_limit.after_batch)
        case "id":
            selected = await records_with_fingerprint(context.store, selection.value, progress)
            sessions = [stored.session for stored in selected if isinstance(stored, Found)]
            count = len(await end.these(sessions, EndReason.OPERATOR))
        case _:
            assert_never(by)
    audit.record(AuditEvent.SESSIONS_ENDED_BY_OPERATOR, "operator", selected_by=by, ended=count, why=reason)
    yield f"{count_of(count, 'session')} ended"
    waiting = await _revoke(context, wait, progress)
    counts = context.revocations.counts
    yield f"{count_of(counts.revoked, 'token')} revoked at the provider"
    if waiting:
        yield (
            f"{count_of(waiting, 'token')} in the queue of the store: a running bff serve revokes them, and so does "
            "this command when it is run again"
        )
    if counts.abandoned:
        raise TokensStayValid(counts.abandoned)


class _QueueLimit:
    """Keeps the revocation queue from overflowing while very many sessions end."""

    def __init__(self, context: AdminContext, wait: float, progress: Progress) -> None:
        self._context, self._wait, self._progress = context, wait, progress
        self._checked = 0

    async def after_batch(self, ended: int) -> None:
        """Waits while the queue is nearly full, for at most `wait` seconds in which it does not get shorter."""
        self._progress(f"{count_of(ended, 'session')} ended")
        if ended - self._checked < CHECKED_EVERY:
            return
        self._checked = ended
        queue, shortest, waited = self._context.store.revocations, WAITING_LIMIT, 0.0
        while (waiting := await queue.waiting()) > WAITING_LIMIT - 2 * CHECKED_EVERY and waited < self._wait:
            self._progress(f"{count_of(ended, 'session')} ended, {count_of(waiting, 'token')} to be revoked first")
            self._context.revocations.work_soon()
            await asyncio.sleep(WAIT_STEP)
            waited = 0.0 if waiting < shortest else waited + WAIT_STEP
            shortest = min(shortest, waiting)


async def _revoke(context: AdminContext, wait: float, progress: Progress) -> int:
    """Returns the length of the queue when it is empty, all tokens of this process are done, or the time is over."""
    counts, waited = context.revocations.counts, 0.0
    while (waiting := await context.store.revocations.waiting()) and waited < wait:
        if counts.queued and counts.revoked + counts.abandoned >= counts.queued:
            break
        progress(f"{count_of(waiting, 'token')} to be revoked")
        context.revocations.work_soon()
        await asyncio.sleep(WAIT_STEP)
        waited += WAIT_STEP
    return waiting


def count_of(number: int, noun: str) -> str:
    """ "1 session", "2 sessions"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
