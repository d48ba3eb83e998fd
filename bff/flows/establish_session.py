"""A sign-in's last step: the session is stored, what this browser had before ends, and no logout is overtaken."""

import logging

from bff import audit, metrics
from bff.audit import AuditEvent
from bff.errors import StoreUnavailable
from bff.flows.end_session import EndSession
from bff.flows.tombstones import Tombstones
from bff.session.session import EndReason, Session
from bff.session.store import SessionStore
from bff.session.timing import RefreshPolicy, limit_reached

logger = logging.getLogger(__name__)


class EstablishSession:
    def __init__(
        self, store: SessionStore, end_session: EndSession, tombstones: Tombstones, policy: RefreshPolicy
    ) -> None:
        self._store, self._end_session, self._tombstones = store, end_session, tombstones
        self._policy = policy

    async def is_there_already(self, session: Session, shown: str | None) -> bool:
        """Whether this browser is signed in by the same authentication of the same person: nobody typed anything anew.

        `shown` is the fingerprint of the session that the browser showed when the sign-in began, None where it must be
        replaced. Raises StoreUnavailable.
        """
        if shown is None or session.browser is None:
            return False
        for old in await self._store.find("browser", session.browser):
            if old.fingerprint == shown and _authentication(old) == _authentication(session):
                reading = await self._store.get(old.key)
                alive = reading.session
                return alive is not None and not limit_reached(alive, reading.now, self._policy, reading.last_seen_at)
        return False

    async def establish(self, session: Session) -> bool:
        """Stores the session; False when its person was signed out meanwhile. Raises StoreUnavailable.

        A logout leaves its tombstone before it looks for sessions, and we look for tombstones once the session can be
        found: none slips through between.
        """
        before = await self._store.find("browser", session.browser) if session.browser else ()
        if await self._tombstones.refuse(session):
            return self._overtaken(session)
        await self._store.create(session)
        if await self._tombstones.refuse(session):
            await self._store.delete(session.key, EndReason.REPLACED)
            return self._overtaken(session)
        metrics.SIGN_IN.labels(outcome="signed_in").inc()
        audit.tell(AuditEvent.SIGNED_IN, "", session=session, acr=session.acr, replaces=len(before))
        for old in before:
            await self._replace(old)
        await self._forget_ends(session)
        return True

    def _overtaken(self, session: Session) -> bool:
        metrics.SIGN_IN.labels(outcome="signed_out_meanwhile").inc()
        audit.tell(AuditEvent.SIGN_IN_OVERTAKEN, "signed_out_meanwhile", session=session)
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
                await self._store.take_end(session.browser)
            except StoreUnavailable:
                logger.warning("an old end marker could not be removed", extra={"session": session.fingerprint})


def _authentication(session: Session) -> tuple[str, str, str | None, float | None]:
    """At the provider: whose, in which of its sessions, and when. A logout token must still find what is kept."""
    return session.issuer, session.user.sub, session.sid, session.auth_time
