"""Ends many sessions at once: those of a user, of a provider session, or all of them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.markers import LogoutMarkers, MarkerKind
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Found, IndexName, SessionStore, all_records

BATCH: Final = 100  # sessions that end together

T = TypeVar("T")


class _Order:
    """The sessions that one request ends, batch by batch, and the first failure."""

    def __init__(self, end_session: EndSession, reason: EndReason) -> None:
        self._end_session, self._reason = end_session, reason
        self._turns: Counter[str] = Counter()
        self._failure: StoreUnavailable | None = None

    async def end(self, keys: Sequence[SessionKey]) -> Sequence[Session]:
        if not keys:
            return ()
        try:
            deleted = await self._end_session.end_batch(keys, self._reason, self._turns)
        except StoreUnavailable as error:
            self._failure = self._failure or error
            return ()
        if not deleted.complete:
            self._failure = self._failure or StoreUnavailable(retry_after=1)
        return deleted.sessions

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


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

    async def of_everyone(self, reason: EndReason, progress: Callable[[int], Awaitable[None]] | None = None) -> int:
        """Ends every session in the store. Returns their number.

        `progress` is awaited with the number so far after each batch, so that it may hold back the next.
        """
        self.forget_recent_records()
        return await self._shielded(self._of_everyone(reason, progress))

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

    async def _of_everyone(self, reason: EndReason, progress: Callable[[int], Awaitable[None]] | None) -> int:
        at = await self._store.now()
        await self._logout_markers.put("everyone", "", at)
        order, batch, ended = _Order(self._end_session, reason), list[SessionKey](), 0
        async for stored in all_records(self._store):
            if isinstance(stored, Found) and self._is_meant(stored.session, at):
                batch.append(stored.session.key)
            if len(batch) >= BATCH:
                ended += len(await order.end(batch))
                if progress is not None:
                    await progress(ended)
                batch = []
        ended += len(await order.end(batch))
        order.raise_failure()
        return ended

    def _is_meant(self, session: Session, at: float) -> bool:
        return session.issuer == self._issuer and session.sign_in_began_by(at)

    async def _end_all(self, sessions: Iterable[Session], reason: EndReason) -> tuple[Session, ...]:
        """Attempts all of them, then raises the first failure, if any."""
        order, ended = _Order(self._end_session, reason), list[Session]()
        mine = [session.key for session in sessions if session.issuer == self._issuer]
        for first in range(0, len(mine), BATCH):
            ended += await order.end(mine[first : first + BATCH])
        order.raise_failure()
        return tuple(ended)

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.shield(self._tasks.start(work, "end sessions"))
