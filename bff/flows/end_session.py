"""The end of a session: the record goes first, then the provider is told (RFC 7009), bounded and best effort."""

import asyncio
import logging

from bff import audit, metrics
from bff.audit import ENDED_BY, AuditEvent
from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.open_streams import OpenStreams
from bff.flows.session_ends import SessionEnds
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import Revoked
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import SessionStore

logger = logging.getLogger(__name__)

REVOKE_WITHIN = 8.0  # seconds; nobody waits for it


class EndSession:
    def __init__(
        self,
        store: SessionStore,
        provider: OpenIDProvider,
        tasks: BackgroundTasks,
        *,
        streams: OpenStreams | None = None,
    ) -> None:
        self._store, self._provider, self._tasks, self._streams = store, provider, tasks, streams
        self.ends = SessionEnds()

    async def end(self, key: SessionKey, reason: EndReason, expected_version: int | None = None) -> Session | None:
        """Ends a session now and revokes its refresh token in the background. Returns what was ended, if anything.

        Whoever waits for it may hang up: between the record's end and the revocation nobody else knows the token.
        """
        return await asyncio.shield(self._tasks.start(self._end(key, reason, expected_version), "end session"))

    async def _end(self, key: SessionKey, reason: EndReason, expected_version: int | None) -> Session | None:
        session = await self._store.delete(key, reason, expected_version)
        if session is None:
            return None
        self.ends.ended(key)
        if self._streams is not None:
            self._streams.session_ended(key, reason)
        metrics.SESSION_ENDED.labels(reason=reason.value).inc()
        audit.tell(AuditEvent.SESSION_ENDED, reason.value, session=session, by=ENDED_BY[reason])
        self.revoke_tokens_of(session)
        if session.browser is not None:
            # The cookie may be gone from this browser; its companion still lets /auth/session say why.
            try:
                await self._store.leave_end(session.browser, reason)
            except StoreUnavailable:
                logger.warning("why a session ended could not be kept", extra={"session": session.fingerprint})
        return session

    def revoke_tokens_of(self, session: Session) -> None:
        alternate = session.alternate.refresh_token if session.alternate else None
        for refresh_token in (session.tokens.refresh_token, alternate):
            if refresh_token:
                self.revoke(refresh_token)

    def revoke(self, refresh_token: str) -> None:
        """Tells the provider that nobody holds this token any more. Its access tokens die with it (`okta.md` 3.4)."""
        self._tasks.start(self._revoke(refresh_token), "revoke")

    async def _revoke(self, refresh_token: str) -> None:
        answer = await self._provider.revoke(refresh_token, "refresh_token", within=REVOKE_WITHIN)
        if not isinstance(answer, Revoked):
            logger.warning("a refresh token could not be revoked; it stays good until the provider expires it")
