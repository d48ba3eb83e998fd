"""Ends one session: deletes its record, closes its streams, and queues its tokens for revocation."""

import asyncio
import logging

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.logout.revocations import Revocations
from bff.flows.logout.session_ends import SessionEnds
from bff.flows.recent_records import RecentRecords
from bff.flows.streams import OpenStreams
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import SessionStore
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
        self.revocations, self.recent = revocations, recent
        self.ends = SessionEnds()

    async def end(self, key: SessionKey, reason: EndReason, expected_version: int | None = None) -> Session | None:
        """Ends a session now and revokes its tokens in the background. Returns what was ended, if anything.

        Not cancelled with the caller: between the deletion of the record and the entry in the revocation queue only
        this task holds the tokens.
        """
        return await asyncio.shield(self._tasks.start(self._end(key, reason, expected_version), "end session"))

    async def _end(self, key: SessionKey, reason: EndReason, expected_version: int | None) -> Session | None:
        if self.recent is not None:
            self.recent.forget(key)
        session = await self._store.delete(key, reason, expected_version)
        if session is None:
            return None
        if self._streams is not None:
            self._streams.session_ended(key, reason)
        metrics.SESSION_ENDED.labels(reason=reason.value).inc()
        audit.record(AuditEvent.SESSION_ENDED, reason.value, session=session, by=ENDED_BY[reason])
        try:
            await self.revocations.session_ended(session)
            await self._store_reason_for_browser(session, reason)
        finally:
            # Last: a caller that is answered requests /auth/session, which takes the reason from both places.
            self.ends.ended(key)
        return session

    async def _store_reason_for_browser(self, session: Session, reason: EndReason) -> None:
        """With its browser-id cookie a browser gets the reason from /auth/session without its session cookie too."""
        if session.browser is None:
            return
        try:
            await self._store.put_end_reason(session.browser, reason)
        except StoreUnavailable:
            logger.warning("the reason why a session ended could not be stored", extra={"session": session.fingerprint})
