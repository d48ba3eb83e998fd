"""The last step of a sign-in: stores the session, ends this browser's previous one, and checks the logout markers."""

import logging
from functools import partial

from bff.config.provider import ProviderSettings
from bff.errors import StoreUnavailable
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.markers import LogoutMarkers
from bff.flows.logout.sign_out_hints import SignOutHints
from bff.flows.streams import OpenStreams
from bff.oidc.token import TokenResponse
from bff.session.session import EndReason, Session
from bff.session.store import SessionStore
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)


class EstablishSession:
    def __init__(
        self,
        store: SessionStore,
        end_session: EndSession,
        logout_markers: LogoutMarkers,
        streams: OpenStreams,
        provider: ProviderSettings,
    ) -> None:
        self._store, self._end_session, self._logout_markers = store, end_session, logout_markers
        self._streams, self._provider, self._hints = streams, provider, SignOutHints(store)

    async def establish(self, session: Session) -> bool:
        """Stores the session; False when its user was signed out meanwhile.

        Raises StoreUnavailable. A logout writes its marker before it looks for sessions, and this method reads the
        markers after the session can be found, so one of the two sees the other.
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
                # The streams still belong to the same user, and any site can send a browser here to sign in again.
                self._streams.hand_over(old.key, session)
            await self._replace(old, session)
        await self._forget_ends(session)
        return True

    def discard(self, response: TokenResponse, browser: str) -> None:
        """Revokes the tokens of a sign-in that led to no session, in the background.

        Not where that could end the session that this browser has: a step-up that failed leaves it as it was.
        """
        unless = None if self._provider.revokes_single_tokens else partial(self._has_session, browser)
        self._end_session.revocations.discarded(response, unless=unless)

    async def _has_session(self, browser: str) -> bool:
        """True also if the store cannot say: a token that no record holds does less harm than a session that ends."""
        try:
            return bool(await self._store.find("browser", browser))
        except StoreUnavailable:
            return True

    def _superseded(self, session: Session) -> bool:
        metrics.SIGN_IN.labels(outcome="signed_out_meanwhile").inc()
        audit.record(AuditEvent.SIGN_IN_SUPERSEDED, "signed_out_meanwhile", session=session)
        return False

    async def _replace(self, old: Session, new: Session) -> None:
        """Prevents session fixation: this browser's previous session ends with the new sign-in.

        Its tokens are not revoked where that could end the new session's too: any site can send a browser here to sign
        in again, and a step-up does. No record holds them any more. The provider ends them with its own session or with
        the grant of the new one, or lets them expire.
        """
        revoke = self._provider.revokes_single_tokens or not new.may_share_grant(old)
        try:
            await self._end_session.end(old.key, EndReason.REPLACED, revoke=revoke)
        except StoreUnavailable:
            # The cookie has already changed; the record ends by its own limits.
            logger.warning("a replaced session could not be deleted", extra={"session": old.fingerprint})

    async def _forget_ends(self, session: Session) -> None:
        """The previous session's end reason must not be reported for this one, nor its ID token sent at a sign-out."""
        if session.browser is not None:
            try:
                await self._store.take_end_reason(session.browser)
                await self._hints.take([session.browser])
            except StoreUnavailable:
                logger.warning("an old end reason could not be removed", extra={"session": session.fingerprint})
