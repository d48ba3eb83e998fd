"""Operator access to the session store: select sessions, describe them, end them, re-encrypt them.

The texts identify sessions and users by fingerprints and contain no token, so they give access to nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, assert_never

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
from bff.session.store import Found, KeyRemoved, SessionStore, StoredSession
from bff.storage.open import open_store
from bff.telemetry import audit
from bff.telemetry.application import ApplicationTelemetry
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)

WAIT_STEP: Final = 0.25  # seconds between two looks at the revocation queue
CHECKED_EVERY: Final = 1_000  # sessions ended between two looks
REWRAP_ATTEMPTS: Final = 5  # for a record that concurrent writes keep changing

SelectedBy: TypeAlias = Literal["sub", "email", "sid", "id", "all"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The sessions of a user (`sub`, `email`) or a provider session (`sid`), one by its fingerprint (`id`), or all."""

    by: SelectedBy = "all"
    value: str = ""


@dataclass(frozen=True, slots=True)
class AdminContext:
    settings: Settings
    store: SessionStore
    end_sessions: EndSessions
    revocations: Revocations


class TokensStayValid(Exception):
    """Sessions have ended, but so many of their tokens could neither be revoked nor queued for revocation."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{_count(count, 'token')} not revoked, valid until the provider expires them")
        self.count = count


@asynccontextmanager
async def open_admin_context(settings: Settings) -> AsyncIterator[AdminContext]:
    """Raises StoreUnavailable."""
    store = open_store(settings.store.url, KeyRing.from_keys(settings.session.key_ring))
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


async def list_sessions(context: AdminContext, selection: Selection) -> AsyncIterator[str]:
    """One line for each session, newest first, then the totals. Raises StoreUnavailable."""
    listed = unreadable = 0
    for stored in await _select(context.store, selection):
        if not isinstance(stored, Found):
            unreadable += isinstance(stored, KeyRemoved)
            continue
        listed += 1
        session = stored.session
        yield (
            f"{session.fingerprint}  user {session.person}  signed in {_time(session.signed_in_at)}  last used "
            f"{_time(stored.last_seen_at)}  {session.client or '-'}  {session.address or '-'}"
        )
    total = _count(listed, "session")
    yield f"{total}, {unreadable} encrypted under a key that is not in the ring" if unreadable else total


async def show_sessions(context: AdminContext, selection: Selection) -> AsyncIterator[str]:
    """A block of lines for each session, newest first. Raises StoreUnavailable."""
    for stored in await _select(context.store, selection):
        if isinstance(stored, Found):
            yield f"session {stored.session.fingerprint}"
            for name, value in _details(stored, context.settings):
                yield f"  {name}: {value}"


def _details(stored: Found, settings: Settings) -> list[tuple[str, str]]:
    session, attempt = stored.session, stored.session.attempt
    idle_ends_at = min(stored.last_seen_at + settings.session.idle_timeout, session.ends_at)
    return [
        ("user", session.person),
        ("issuer", session.issuer),
        ("signed in", _time(session.signed_in_at)),
        ("last used", _time(stored.last_seen_at)),
        ("idle timeout", _time(idle_ends_at)),
        ("absolute timeout", _time(session.ends_at)),
        ("client", f"{session.client or '-'}, {session.address or '-'}"),
        ("acr", session.acr or "-"),
        ("scope", session.tokens.scope or "-"),
        ("access token until", _time(session.tokens.usable_until)),
        ("refresh token", "yes" if session.tokens.refresh_token else "no"),
        ("refreshed", f"{session.rotation} times"),
        ("refresh in progress", "no" if attempt is None else f"attempt {attempt.tries}, in progress or unanswered"),
        ("encrypted under", "an older key" if stored.older_key else "the newest key"),
    ]


async def end_sessions(
    context: AdminContext,
    selection: Selection,
    reason: str,
    *,
    wait: float,
    progress: Callable[[str], None] = lambda text: None,
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
            selected = await _select(context.store, selection)
            sessions = [stored.session for stored in selected if isinstance(stored, Found)]
            count = len(await end.these(sessions, EndReason.OPERATOR))
        case _:
            assert_never(by)
    audit.record(AuditEvent.SESSIONS_ENDED_BY_OPERATOR, "operator", selected_by=by, ended=count, why=reason)
    yield f"{_count(count, 'session')} ended"
    waiting = await _revoke(context, wait, progress)
    counts = context.revocations.counts
    yield f"{_count(counts.revoked, 'token')} revoked at the provider"
    if waiting:
        yield (
            f"{_count(waiting, 'token')} in the queue of the store: a running bff serve revokes them, and so does this "
            "command when it is run again"
        )
    if counts.abandoned:
        raise TokensStayValid(counts.abandoned)


class _QueueLimit:
    """Keeps the revocation queue from overflowing while very many sessions end."""

    def __init__(self, context: AdminContext, wait: float, progress: Callable[[str], None]) -> None:
        self._context, self._wait, self._progress = context, wait, progress
        self._checked = 0

    async def after_batch(self, ended: int) -> None:
        """Waits while the queue is nearly full, for at most `wait` seconds in which it does not get shorter."""
        self._progress(f"{_count(ended, 'session')} ended")
        if ended - self._checked < CHECKED_EVERY:
            return
        self._checked = ended
        queue, shortest, waited = self._context.store.revocations, WAITING_LIMIT, 0.0
        while (waiting := await queue.waiting()) > WAITING_LIMIT - 2 * CHECKED_EVERY and waited < self._wait:
            self._progress(f"{_count(ended, 'session')} ended, {_count(waiting, 'token')} to be revoked first")
            self._context.revocations.work_soon()
            await asyncio.sleep(WAIT_STEP)
            waited = 0.0 if waiting < shortest else waited + WAIT_STEP
            shortest = min(shortest, waiting)


async def _revoke(context: AdminContext, wait: float, progress: Callable[[str], None]) -> int:
    """Returns the length of the queue when it is empty, all tokens of this process are done, or the time is over."""
    counts, waited = context.revocations.counts, 0.0
    while (waiting := await context.store.revocations.waiting()) and waited < wait:
        if counts.queued and counts.revoked + counts.abandoned >= counts.queued:
            break
        progress(f"{_count(waiting, 'token')} to be revoked")
        context.revocations.work_soon()
        await asyncio.sleep(WAIT_STEP)
        waited += WAIT_STEP
    return waiting


async def rewrap(context: AdminContext) -> AsyncIterator[str]:
    """Re-encrypts every record under the newest key. Sessions stay usable; a concurrent write re-encrypts the record
    as well. Raises StoreUnavailable.
    """
    rewrapped = newest = unreadable = changing = 0
    async for listed in context.store.all():
        stored: StoredSession = listed
        for _ in range(REWRAP_ATTEMPTS):
            if not isinstance(stored, Found) or not stored.older_key:
                newest += isinstance(stored, Found)
                unreadable += isinstance(stored, KeyRemoved)
                break
            session = stored.session
            written = await context.store.replace(replace(session, version=session.version + 1), session.version)
            if written.done:
                rewrapped += 1
                break
            stored = await context.store.get(session.key)
        else:
            changing += 1
    yield f"{_count(rewrapped, 'record')} re-encrypted, {newest} already under the newest key"
    if unreadable:
        yield (
            f"{_count(unreadable, 'record')} encrypted under a key that is not in the ring: add the key, or let the "
            "records expire"
        )
    if changing:
        yield f"{_count(changing, 'record')} changed too often: run this command again"


async def _select(store: SessionStore, selection: Selection) -> list[StoredSession]:
    """The selected records, newest first."""
    by, selected = selection.by, list[StoredSession]()
    match by:
        case "sub" | "email" | "sid":
            selected = [await store.get(session.key) for session in await store.find(by, selection.value)]
        case "id":
            selected = [stored async for stored in store.all() if _has_fingerprint(stored, selection.value)]
        case "all":
            selected = [stored async for stored in store.all()]
        case _:
            assert_never(by)
    return sorted(selected, key=_signed_in_at, reverse=True)


def _signed_in_at(stored: StoredSession) -> float:
    return stored.session.signed_in_at if isinstance(stored, Found) else 0.0


def _has_fingerprint(stored: StoredSession, fingerprint: str) -> bool:
    return isinstance(stored, Found) and stored.session.fingerprint == fingerprint


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
