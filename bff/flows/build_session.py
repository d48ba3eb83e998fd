"""Builds a session from the token response of a sign-in: a validated ID token, claims, tokens and time limits."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from bff.config.settings import Settings
from bff.errors import ProviderUnavailable, SignInFailed
from bff.flows.id_tokens import IdTokenValidator, email_of, provider_session_of, session_expiry_of
from bff.flows.offline_access import OfflineAccess
from bff.oidc.id_token import IdTokenClaims, IdTokenRefused
from bff.oidc.token import TokenResponse
from bff.session.keyring import new_session_id
from bff.session.login_transaction import LoginTransaction
from bff.session.session import Session, SessionId, User
from bff.session.store import SessionStore
from bff.session.timing import end_of_session, new_tokens
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)

# Okta's thin ID token carries only these in the code flow; if the settings need more, UserInfo has it.
THIN_CLAIMS = frozenset({"sub", "email", "name", "preferred_username"})


class BuildSession:
    """`clock` is the wall clock, in seconds since the epoch; the session's times are the store's."""

    def __init__(
        self,
        store: SessionStore,
        id_tokens: IdTokenValidator,
        offline_access: OfflineAccess,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._id_tokens, self._provider = store, id_tokens, id_tokens.provider
        self._offline_access, self._settings, self._clock = offline_access, settings, clock

    async def build(
        self, response: TokenResponse, transaction: LoginTransaction, dpop_key: str | None, *, asked_at: float
    ) -> tuple[SessionId, Session]:
        """Validates the ID token and builds the session, which is not stored yet.

        `asked_at` is when the tokens were requested, in seconds of the store's clock: their lifetime counts from then.
        Raises SignInFailed, ProviderUnavailable, StoreUnavailable.
        """
        response = self._id_tokens.decrypted(response)
        if response.id_token is None or response.access_token is None:
            raise _failed(response.problem or "the token response lacks an ID token or an access token")
        try:
            id_token = await self._id_tokens.at_sign_in(
                response.id_token,
                nonce=transaction.nonce,
                access_token=response.access_token,
                now=self._clock(),
                max_age=transaction.options.max_age,
                acr_values=transaction.options.acr_values,
            )
        except IdTokenRefused as refused:
            raise _failed(f"ID token rejected: {refused.detail}") from None
        claims = await self._all_claims(id_token, response.access_token, dpop_key)

        session_id = new_session_id()
        now = await self._store.now()
        tokens = new_tokens(response, session_id.key, asked_at, now, self._settings.refresh.before_expiry)
        if tokens is None:
            raise _failed("the access token had expired when it was received")
        ends_at = end_of_session(now, self._settings.session.max_lifetime, session_expiry_of(id_token.claims))
        if ends_at <= now:
            raise _failed("the provider's session_expiry has passed")
        session = Session(
            key=session_id.key,
            version=1,
            rotation=0,
            issuer=self._settings.provider.issuer,
            client_id=self._settings.provider.client_id,
            user=User(id_token.sub, email_of(claims), self._id_tokens.visible_claims(claims)),
            tokens=tokens,
            signed_in_at=now,
            ends_at=ends_at,
            sid=id_token.sid,
            provider_session=provider_session_of(id_token.claims),
            sign_in_began_at=transaction.started_at,
            nonce=transaction.nonce,
            auth_time=id_token.auth_time,
            acr=id_token.acr,
            amr=list(id_token.amr) or None,
            dpop_key=dpop_key,
            resources=list(self._settings.resources) or None,
        )
        self._offline_access.record(session)
        return session_id, session

    async def _all_claims(self, id_token: IdTokenClaims, access_token: str, dpop_key: str | None) -> Mapping[str, Any]:
        """The ID token's claims, completed from UserInfo if the settings ask for it.

        Raises SignInFailed if `sub` differs.
        """
        metadata = await self._provider.metadata()
        if metadata.userinfo_endpoint is None or not self._asks_userinfo(id_token):
            return id_token.claims
        try:
            answer = await self._provider.userinfo(access_token, dpop_key=dpop_key)
            userinfo = await self._id_tokens.userinfo_claims(answer, now=self._clock())
        except ProviderUnavailable as error:
            why = {"why": error.detail}
            logger.warning("UserInfo is unavailable; the session shows only the ID token's claims", extra=why)
            return id_token.claims
        # OIDC Core section 5.3.2: without this comparison another user's claims could be substituted.
        if userinfo.get("sub") != id_token.sub:
            raise _failed("UserInfo is about another subject")
        return {**userinfo, **id_token.claims}

    def _asks_userinfo(self, id_token: IdTokenClaims) -> bool:
        match self._settings.provider.userinfo:
            case "always":
                return True
            case "never":
                return False
            case "auto":
                missing = self._id_tokens.requested_claims() - THIN_CLAIMS - id_token.claims.keys()
                return bool(missing)


def _failed(why: str) -> SignInFailed:
    audit.record(AuditEvent.SIGN_IN_REFUSED, SignInFailed.code, why=why)
    metrics.SIGN_IN.labels(outcome="failed").inc()
    return SignInFailed()
