"""The texts of `bff sessions list` and `show`.

They identify sessions and users by fingerprints and contain no token, so they give access to nothing.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from bff.admin.selection import Progress, Selection, no_progress, selected_records
from bff.admin.sessions import AdminContext, count_of
from bff.config.settings import Settings
from bff.session.store import Found, KeyRemoved, SessionStore


async def list_sessions(
    context: AdminContext,
    selection: Selection,
    *,
    limit: int | None = None,
    after: str = "",
    progress: Progress = no_progress,
) -> AsyncIterator[str]:
    """One line for each session, then their number.

    `limit` and `after` are for all sessions: at most `limit`, beginning at the position `after`, and the last line has
    the next position. Raises StoreUnavailable, and InvalidPosition.
    """
    if limit is not None or after:
        async for line in _list_page(context.store, limit, after):
            yield line
        return
    listed = unreadable = 0
    async for stored in selected_records(context.store, selection, progress):
        if isinstance(stored, Found):
            listed += 1
            yield _line(stored)
        unreadable += isinstance(stored, KeyRemoved)
    yield _total(listed, unreadable)


async def _list_page(store: SessionStore, limit: int | None, after: str) -> AsyncIterator[str]:
    listed = unreadable = 0
    position: str | None = after
    while position is not None and (limit is None or listed < limit):
        page = await store.page(position) if limit is None else await store.page(position, limit - listed)
        for stored in page.records:
            if isinstance(stored, Found):
                listed += 1
                yield _line(stored)
            unreadable += isinstance(stored, KeyRemoved)
        position = page.following
    total = _total(listed, unreadable)
    yield total if position is None else f"{total}; for the next ones: --after {position}"


async def show_sessions(
    context: AdminContext, selection: Selection, progress: Progress = no_progress
) -> AsyncIterator[str]:
    """A block of lines for each session. Raises StoreUnavailable."""
    async for stored in selected_records(context.store, selection, progress):
        if isinstance(stored, Found):
            yield f"session {stored.session.fingerprint}"
            for name, value in _details(stored, context.settings):
                yield f"  {name}: {value}"


def _line(stored: Found) -> str:
    session = stored.session
    return (
        f"{session.fingerprint}  user {session.person}  signed in {_time(session.signed_in_at)}  last used "
        f"{_time(stored.last_seen_at)}  {session.client or '-'}  {session.address or '-'}"
    )


def _total(listed: int, unreadable: int) -> str:
    total = count_of(listed, "session")
    return f"{total}, {unreadable} encrypted under a key that is not in the ring" if unreadable else total


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


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
