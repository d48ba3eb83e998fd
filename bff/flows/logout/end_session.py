"""Ends a session, or a batch: deletes the records, closes the streams, and queues the tokens for revocation."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.logout.revocations import Revocations
from bff.flows.logout.session_ends import SessionEnds
from bff.flows.logout.sign_out_hints import SignOutHints
from bff.flows.recent_records import RecentRecords
from bff.flows.streams import OpenStreams
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Deleted, SessionStore
from bff.telemetry import audit, metrics
from bff.telemetry.audit import ENDED_BY, AuditEvent

logger = logging.getLogger(__name__)


class EndSession:
    def __init__(
        self,
        store: SessionStore,
        revocations: Revocations,
        tasks: BackgroundTasks,
        *,
        streams: OpenStreams | None = None,
        recent: RecentRecords | None = None,
    ) -> None:
        self._store, self._tasks, self._streams = store, tasks, streams
        self.revocations, self.recent, self._hints = revocations, recent, SignOutHints(store)
        self.ends = SessionEnds()

    async def end(
        self, key: SessionKey, reason: EndReason, expected_version: int | None = None, *, revoke: bool = True
    ) -> Session | None:
        """Ends a session now and revokes its tokens in the background. Returns what was ended, if anything.

        `revoke` False: its tokens are dropped, because their revocation could end another session. Not cancelled with
        the caller: between the deletion of the record and the entry in the revocation queue only this task holds the
        tokens.
        """
        ending = self._end(key, reason, expected_version, revoke)
        return await asyncio.shield(self._tasks.start(ending, "end session"))

    async def end_batch(self, keys: Sequence[SessionKey], reason: EndReason, turns: Counter[str]) -> Deleted:
        """As `end` for each session of a batch, in few operations of the store. For some hundred sessions.

        `turns` counts each user's tokens in the batches of one order: it puts them behind those of others. Raises
        StoreUnavailable if none could be ended.
        """
        return await asyncio.shield(self._tasks.start(self._end_batch(keys, reason, turns), "end sessions"))

    async def _end(
        self, key: SessionKey, reason: EndReason, expected_version: int | None, revoke: bool
    ) -> Session | None:
        if self.recent is not None:
            self.recent.forget(key)
        session = await self._store.delete(key, reason, expected_version)
        if session is None:
            return None
        await self._have_ended([session], reason, Counter(), revoke=revoke)
        return session

    async def _end_batch(self, keys: Sequence[SessionKey], reason: EndReason, turns: Counter[str]) -> Deleted:
        if self.recent is not None:
            for key in keys:
                self.recent.forget(key)
        deleted = await self._store.delete_all(keys, reason)
        await self._have_ended(deleted.sessions, reason, turns)
        return deleted

    async def _have_ended(
        self, sessions: Sequence[Session], reason: EndReason, turns: Counter[str], *, revoke: bool = True
    ) -> None:
        for session in sessions:
            if self._streams is not None:
                self._streams.ended_here(session.key, reason)
            metrics.SESSION_ENDED.labels(reason=reason.value).inc()
            audit.record(AuditEvent.SESSION_ENDED, reason.value, session=session, by=ENDED_BY[reason])
        try:
            if revoke:
                await self.revocations.sessions_ended(sessions, turns)
            await self._store_reason_for_browsers(sessions, reason)
            for session in sessions:
                await self._hints.keep(session, reason)
        finally:
            # Last: a caller that is answered requests /auth/session, which takes the reason from both places.
            for session in sessions:
                self.ends.ended(session.key)

    async def _store_reason_for_browsers(self, sessions: Sequence[Session], reason: EndReason) -> None:
        """With its browser-id cookie a browser gets the reason from /auth/session without its session cookie too."""
        browsers = [session.browser for session in sessions if session.browser is not None]
        if not browsers:
            return
        try:
            if len(browsers) == 1:
                await self._store.put_end_reason(browsers[0], reason)
            else:
                await self._store.put_end_reasons(browsers, reason)
        except StoreUnavailable:
            logger.warning("the reason why sessions ended could not be stored", extra={"count": len(browsers)})
