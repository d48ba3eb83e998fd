"""Logout requests from the provider: OpenID Back-Channel Logout, Front-Channel Logout and Okta's Universal Logout.

A token counts as used only after every
named session is gone, so the provider's retry after a failure is accepted, and a repeat is harmless. No request ends a
sign-in that started after it was issued.
"""

from collections.abc import Callable
from typing import Final, assert_never

from bff.config.settings import Settings
from bff.errors import ProviderUnavailable, RevocationRefused, SignOutImpossible, UserUnknown
from bff.flows.logout.end_sessions import EndSessions
from bff.oidc.global_token_revocation import (
    SKEW,
    EmailSubject,
    IssuerSubject,
    RevocationKeyUnknown,
    RevocationToken,
    Subject,
    validate_revocation_token,
    validate_revocation_token_form,
)
from bff.oidc.jwks import KeySet
from bff.oidc.jws import JwsRefused
from bff.oidc.logout import (
    TYPES,
    LogoutKeyUnknown,
    LogoutToken,
    LogoutTokenRefused,
    validate_front_channel_logout,
    validate_logout_token,
    validate_logout_token_form,
)
from bff.oidc.provider import OpenIDProvider
from bff.session.session import EndReason, Session
from bff.session.store import SessionStore
from bff.telemetry import audit
from bff.telemetry.audit import AuditEvent

USED_TOKEN_LIFETIME: Final = 86400.0  # seconds that the jti of a used token is kept


class ProviderLogoutFlow:
    """`providers`: their keys may sign, the token issuer's first. `clock` is the wall clock."""

    def __init__(
        self,
        store: SessionStore,
        providers: tuple[OpenIDProvider, ...],
        end_sessions: EndSessions,
        settings: Settings,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._providers, self._end_sessions = store, providers, end_sessions
        self._settings, self._clock = settings, clock

    async def back_channel(self, compact: str) -> None:
        """Ends the sessions that a logout token names (Back-Channel Logout section 2.7); a used token changes nothing.

        Raises LogoutTokenRefused, ProviderUnavailable (no keys), StoreUnavailable.
        """
        token = await self._logout_token(compact)
        self._end_sessions.forget_recent_records()
        used = f"logout token {token.jti}"
        if await self._store.get_marker(used) is not None:
            return
        reason, at = EndReason.BACK_CHANNEL, token.iat + self._settings.provider.clock_skew
        if token.sid is not None:
            ended = await self._end_sessions.of_provider_session(token.sid, reason, sub=token.sub, at=at)
        else:
            ended = await self._end_sessions.of_user("sub", str(token.sub), reason, at=at)
        await self._mark_used(used)
        _record(EndReason.BACK_CHANNEL, ended)

    async def front_channel(self, iss: str | None, sid: str | None) -> None:
        """Ends the sessions of a `sid` (Front-Channel Logout section 3). Raises StoreUnavailable."""
        session_id = validate_front_channel_logout(self._settings.provider.logout_issuers, iss, sid)
        if session_id is not None:
            ended = await self._end_sessions.of_provider_session(
                session_id, EndReason.FRONT_CHANNEL, mark_if_unknown=False
            )
            if ended:
                # Anybody can send an iss and a sid; only a request that ended something is recorded as the provider's.
                _record(EndReason.FRONT_CHANNEL, ended)

    async def authorize_revocation(self, compact: str) -> RevocationToken:
        """Validates the bearer token of a Universal Logout request, before its body is read.

        Raises RevocationRefused (also for a used token), ProviderUnavailable, StoreUnavailable.
        """
        token = await self._revocation_token(compact)
        self._end_sessions.forget_recent_records()
        if await self._store.get_marker(f"revocation token {token.jti}") is not None:
            raise RevocationRefused("jti: used before")
        return token

    async def universal_logout(self, token: RevocationToken, subject: Subject) -> None:
        """Ends all sessions of a user. Raises UserUnknown, SignOutImpossible, StoreUnavailable."""
        # Allows for clock skew; otherwise a session that started just before would count as newer than the request.
        at = None if token.iat is None else token.iat + SKEW
        match subject:
            case EmailSubject(email):
                if not self._settings.provider.requests_email:
                    raise SignOutImpossible("Sessions are stored without an e-mail address.")
                ended = await self._end_sessions.of_user("email", email, EndReason.UNIVERSAL_LOGOUT, at=at)
            case IssuerSubject(iss, sub):
                # Okta's examples write the org's URL with a slash.
                if not {iss, iss.removesuffix("/")} & set(self._settings.provider.logout_issuers):
                    raise UserUnknown
                ended = await self._end_sessions.of_user("sub", sub, EndReason.UNIVERSAL_LOGOUT, at=at)
            case _:
                assert_never(subject)
        await self._mark_used(f"revocation token {token.jti}")
        _record(EndReason.UNIVERSAL_LOGOUT, ended)
        if not ended:
            raise UserUnknown

    async def _mark_used(self, name: str) -> None:
        now = await self._store.now()
        await self._store.put_marker(name, now, now + USED_TOKEN_LIFETIME)

    async def _logout_token(self, compact: str) -> LogoutToken:
        provider, settings = self._providers[0], self._settings.provider
        compact = self._decrypted(compact)
        validate_logout_token_form(compact, settings.id_token_algorithms)

        def validate(keys: KeySet) -> LogoutToken:
            return validate_logout_token(
                compact,
                keys,
                issuer=settings.issuer,
                client_id=settings.client_id,
                now=self._clock(),
                skew=settings.clock_skew,
                algorithms=settings.id_token_algorithms,
            )

        try:
            return validate(await provider.keys())
        except LogoutKeyUnknown as unknown:
            return validate(await provider.keys(unknown.kid))

    def _decrypted(self, compact: str) -> str:
        """The signed logout token: providers may encrypt them where they encrypt ID tokens, or only sign them.

        Only the signature authorizes a logout, and a refused one would leave a session open. So both are accepted,
        whatever BFF_ID_TOKEN_ENCRYPTION says. Raises LogoutTokenRefused.
        """
        decryption = self._settings.provider.encryption.decryption
        if decryption is None:
            return compact
        try:
            return decryption.open(compact, types=TYPES, required=False)
        except JwsRefused as refused:
            raise LogoutTokenRefused(str(refused)) from None

    async def _revocation_token(self, compact: str) -> RevocationToken:
        """Okta signs with the keys of one of its authorization servers; its documentation does not say which."""
        validate_revocation_token_form(compact, self._settings.provider.id_token_algorithms)
        refusal: RevocationRefused | ProviderUnavailable | None = None
        for provider in self._providers:
            try:
                try:
                    return self._validate(compact, await provider.keys())
                except RevocationKeyUnknown as unknown:
                    return self._validate(compact, await provider.keys(unknown.kid))
            except (RevocationRefused, ProviderUnavailable) as error:
                # Unavailable keys take precedence over a refusal, because the token cannot be called invalid without
                # them.
                refusal = error if refusal is None or isinstance(error, ProviderUnavailable) else refusal
        raise refusal or RevocationRefused

    def _validate(self, compact: str, keys: KeySet) -> RevocationToken:
        return validate_revocation_token(
            compact,
            keys,
            issuers=self._settings.provider.logout_issuers,
            client_id=self._settings.provider.client_id,
            endpoint=self._settings.browser.revocation_endpoint,
            now=self._clock(),
            algorithms=self._settings.provider.id_token_algorithms,
        )


def _record(how: EndReason, ended: tuple[Session, ...]) -> None:
    audit.record(AuditEvent.PROVIDER_LOGOUT_ACCEPTED, how.value, ended=len(ended))
