"""Ends many sessions at once: those of a user, of a provider session, or all of them."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final, TypeVar

from bff.flows.background import BackgroundTasks
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.markers import LogoutMarkers, MarkerKind
from bff.session.session import EndReason, Session
from bff.session.store import Found, IndexName, SessionStore

BATCH: Final = 50  # sessions ended concurrently when all are ended

T = TypeVar("T")


class EndSessions:
    """No method is cancelled with its caller.

    Each raises StoreUnavailable when some sessions could not be ended; the caller should repeat the request: the logout
    markers stay, and ended sessions are skipped.
    """

    def __init__(
        self,
        store: SessionStore,
        end_session: EndSession,
        logout_markers: LogoutMarkers,
        tasks: BackgroundTasks,
        issuer: str,
    ) -> None:
        self._store, self._end_session, self._logout_markers = store, end_session, logout_markers
        self._tasks, self._issuer = tasks, issuer

    def forget_recent_records(self) -> None:
        """For a logout request that is authentic: sessions that it ends are not used if the store cannot be reached."""
        if self._end_session.recent is not None:
            self._end_session.recent.forget_all()

    async def of_user(
        self, index: IndexName, value: str, reason: EndReason, *, at: float | None = None
    ) -> tuple[Session, ...]:
        """Ends all sessions of a `sub` or an `email`.

        Returns those that this call ended. `at` is when the logout was requested, in seconds since the epoch, if it may
        be delivered late: a sign-in that started after that stays.
        """
        self.forget_recent_records()
        marker_kind: MarkerKind = "email" if index == "email" else "sub"
        return await self._shielded(self._of(index, marker_kind, value, reason, at))

    async def of_provider_session(
        self,
        sid: str,
        reason: EndReason,
        *,
        sub: str | None = None,
        at: float | None = None,
        mark_if_unknown: bool = True,
    ) -> tuple[Session, ...]:
        """Ends the sessions that belong to this provider session; with `sub`, only that user's.

        With `sub`, that user's sessions without any `sid` end too, if they started by `at`: the session meant may be
        among them (docs/decisions/0012-logout-token-with-sid-and-sub.md). `mark_if_unknown=False` writes no logout
        marker where there is no session: for requests that any client can send.
        """
        if mark_if_unknown:
            self.forget_recent_records()
        elif self._end_session.recent is not None:
            self._end_session.recent.forget_provider_session(sid)
        return await self._shielded(self._of_sid(sid, reason, sub, at, mark_if_unknown=mark_if_unknown))

    async def of_everyone(self, reason: EndReason) -> int:
        """Ends every session in the store. Returns their number."""
        self.forget_recent_records()
        return await self._shielded(self._of_everyone(reason))

    async def these(self, sessions: Iterable[Session], reason: EndReason) -> tuple[Session, ...]:
        """Ends exactly these sessions. Writes no logout marker, so a sign-in in progress is not refused."""
        return await self._shielded(self._end_all(sessions, reason))

    async def _of(
        self, index: IndexName, marker_kind: MarkerKind, value: str, reason: EndReason, at: float | None
    ) -> tuple[Session, ...]:
        now = await self._store.now()
        at = now if at is None else min(at, now)
        await self._logout_markers.put(marker_kind, value, at)
        return await self._end_all(
            [session for session in await self._store.find(index, value) if session.sign_in_began_by(at)], reason
        )

    async def _of_sid(
        self, sid: str, reason: EndReason, sub: str | None, at: float | None, *, mark_if_unknown: bool
    ) -> tuple[Session, ...]:
        now = await self._store.now()
        at = now if at is None else min(at, now)
        if mark_if_unknown:
            await self._logout_markers.put("sid", sid, now)
        if sub is not None:
            await self._logout_markers.put("sub without sid", sub, at)
        sessions = [session for session in await self._store.find("sid", sid) if sub is None or session.user.sub == sub]
        if sessions and not mark_if_unknown:
            await self._logout_markers.put("sid", sid, now)
        if sub is not None:
            known = await self._store.find("sub", sub)
            sessions += [session for session in known if session.sid is None and session.sign_in_began_by(at)]
        return await self._end_all(sessions, reason)

    async def _of_everyone(self, reason: EndReason) -> int:
        at = await self._store.now()
        await self._logout_markers.put("everyone", "", at)
        ended = 0
        batch: list[Session] = []
        async for stored in self._store.all():
            if isinstance(stored, Found) and stored.session.sign_in_began_by(at):
                batch.append(stored.session)
            if len(batch) >= BATCH:
                ended += len(await self._end_all(batch, reason))
                batch = []
        return ended + len(await self._end_all(batch, reason))

    async def _end_all(self, sessions: Iterable[Session], reason: EndReason) -> tuple[Session, ...]:
        """Attempts all of them, then raises the first failure, if any."""
        mine = [session for session in sessions if session.issuer == self._issuer]
        ends = (self._end_session.end(session.key, reason) for session in mine)
        outcomes = await asyncio.gather(*ends, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return tuple(outcome for outcome in outcomes if isinstance(outcome, Session))

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.shield(self._tasks.start(work, "end sessions"))
