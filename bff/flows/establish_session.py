"""A sign-in's last step: the session is stored, what this browser had before ends, and no logout is overtaken."""

import logging

from bff.errors import StoreUnavailable
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.markers import LogoutMarkers
from bff.flows.streams import OpenStreams
from bff.session.session import EndReason, Session
from bff.session.store import SessionStore
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)


class EstablishSession:
    def __init__(
        self, store: SessionStore, end_session: EndSession, logout_markers: LogoutMarkers, streams: OpenStreams
    ) -> None:
        self._store, self._end_session, self._logout_markers = store, end_session, logout_markers
        self._streams = streams

    async def establish(self, session: Session) -> bool:
        """Stores the session; False when its person was signed out meanwhile. Raises StoreUnavailable.

        A logout leaves its tombstone before it looks for sessions, and we look for tombstones once the session can be
        found: none slips through between.
        """
        before = await self._store.find("browser", session.browser) if session.browser else ()
        if await self._logout_markers.covers(session):
            return self._superseded(session)
        await self._store.create(session)
        if await self._logout_markers.covers(session):
            await self._store.delete(session.key, EndReason.REPLACED)
            return self._superseded(session)
        metrics.SIGN_IN.labels(outcome="signed_in").inc()
        audit.record(AuditEvent.SIGNED_IN, "", session=session, acr=session.acr, replaces=len(before))
        for old in before:
            if session.replaces(old):
                # Whose streams they are has not changed, and any site can send a browser here to sign in again.
                self._streams.hand_over(old.key, session)
            await self._replace(old)
        await self._forget_ends(session)
        return True

    def _superseded(self, session: Session) -> bool:
        metrics.SIGN_IN.labels(outcome="signed_out_meanwhile").inc()
        audit.record(AuditEvent.SIGN_IN_SUPERSEDED, "signed_out_meanwhile", session=session)
        return False

    async def _replace(self, old: Session) -> None:
        """Session fixation and leftovers: this browser's former session dies with the new sign-in."""
        try:
            await self._end_session.end(old.key, EndReason.REPLACED)
        except StoreUnavailable:
            # The cookie has moved on all the same; the record ends by its own limits.
            logger.warning("a replaced session could not be deleted", extra={"session": old.fingerprint})

    async def _forget_ends(self, session: Session) -> None:
        """Why the session before this one ended is no answer to why this one did."""
        if session.browser is not None:
            try:
                await self._store.take_end_reason(session.browser)
            except StoreUnavailable:
                logger.warning("an old end marker could not be removed", extra={"session": session.fingerprint})
