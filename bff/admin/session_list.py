"""The texts of `bff sessions list` and `show`.

They identify sessions and users by fingerprints and contain no token, so they give access to nothing.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Protocol

from bff.admin.selection import Progress, Selection, no_progress, selected_records
from bff.admin.sessions import AdminContext, count_of
from bff.config.settings import Settings
from bff.session.device_binding import is_bound
from bff.session.store import Found, KeyRemoved, SessionStore


class ListFormat(Protocol):
    """The lines of `list`."""

    def session(self, stored: Found) -> str: ...

    def total(self, listed: int, unreadable: int, after: str | None) -> str:
        """The last line. `after` is the position of the next page, or None."""


class TextFormat:
    """For people."""

    def session(self, stored: Found) -> str:
        session = stored.session
        return (
            f"{session.fingerprint}  user {session.person}  signed in {_time(session.signed_in_at)}  last used "
            f"{_time(stored.last_seen_at)}  {session.client or '-'}  {session.address or '-'}  "
            f"device_bound {_yes_or_no(is_bound(session.device_binding))}"
        )

    def total(self, listed: int, unreadable: int, after: str | None) -> str:
        total = count_of(listed, "session")
        if unreadable:
            total = f"{total}, {unreadable} encrypted under a key that is not in the ring"
        return total if after is None else f"{total}; for the next ones: --after {after}"


class JsonFormat:
    """For programs: an object on each line. Times are whole seconds since 1970."""

    def session(self, stored: Found) -> str:
        session = stored.session
        return json.dumps(
            {
                "session": session.fingerprint,
                "user": session.person,
                "signed_in_at": int(session.signed_in_at),
                "last_seen_at": int(stored.last_seen_at),
                "client": session.client,
                "address": session.address,
                "device_bound": is_bound(session.device_binding),
            }
        )

    def total(self, listed: int, unreadable: int, after: str | None) -> str:
        return json.dumps({"listed": listed, "unreadable": unreadable, "after": after})


TEXT = TextFormat()


async def list_sessions(
    context: AdminContext,
    selection: Selection,
    *,
    limit: int | None = None,
    after: str = "",
    form: ListFormat = TEXT,
    progress: Progress = no_progress,
) -> AsyncIterator[str]:
    """One line for each session, then their number.

    `limit` and `after` are for all sessions: at most `limit`, beginning at the position `after`, and the last line has
    the next position. Raises StoreUnavailable, and InvalidPosition.
    """
    if limit is not None or after:
        async for line in _list_page(context.store, limit, after, form):
            yield line
        return
    listed = unreadable = 0
    async for stored in selected_records(context.store, selection, progress):
        if isinstance(stored, Found):
            listed += 1
            yield form.session(stored)
        unreadable += isinstance(stored, KeyRemoved)
    yield form.total(listed, unreadable, None)


async def _list_page(store: SessionStore, limit: int | None, after: str, form: ListFormat) -> AsyncIterator[str]:
    listed = unreadable = 0
    position: str | None = after
    while position is not None and (limit is None or listed < limit):
        page = await store.page(position) if limit is None else await store.page(position, limit - listed)
        for stored in page.records:
            if isinstance(stored, Found):
                listed += 1
                yield form.session(stored)
            unreadable += isinstance(stored, KeyRemoved)
        position = page.following
    yield form.total(listed, unreadable, position)


async def show_sessions(
    context: AdminContext, selection: Selection, progress: Progress = no_progress
) -> AsyncIterator[str]:
    """A block of lines for each session. Raises StoreUnavailable."""
    async for stored in selected_records(context.store, selection, progress):
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
        ("device bound", _yes_or_no(is_bound(session.device_binding))),
        ("acr", session.acr or "-"),
        ("scope", session.tokens.scope or "-"),
        ("access token until", _time(session.tokens.usable_until)),
        ("refresh token", _yes_or_no(bool(session.tokens.refresh_token))),
        ("refreshed", f"{session.rotation} times"),
        ("refresh in progress", "no" if attempt is None else f"attempt {attempt.tries}, in progress or unanswered"),
        ("encrypted under", "an older key" if stored.older_key else "the newest key"),
    ]


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
