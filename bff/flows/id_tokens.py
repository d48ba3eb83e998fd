"""Validates ID tokens with the provider's current keys; refetches the keys once when the kid is unknown."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from bff.config.settings import Settings
from bff.errors import ProviderUnavailable
from bff.oidc.id_token import (
    TYPES,
    IdTokenClaims,
    IdTokenRefused,
    UnknownKey,
    WrongAudience,
    WrongIssuer,
    claims_of_validated,
    is_time,
    user_claims_of,
    validate_id_token,
    validate_refreshed_id_token,
)
from bff.oidc.jwks import KeySet
from bff.oidc.jws import JwsKeyUnknown, JwsRefused
from bff.oidc.logout import is_identifier
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import TokenResponse
from bff.oidc.userinfo import SignedUserInfo, UserInfo, validate_signed_userinfo
from bff.session.session import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SameUser:
    """The refreshed ID token is about the same subject; these are its current claims.

    `withdrawn`: claims about the user that the previous ID token had and this one lacks.
    """

    claims: Mapping[str, Any] = field(default_factory=dict)
    email: str | None = None
    session_expiry: float | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    withdrawn: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WrongUser:
    pass


@dataclass(frozen=True, slots=True)
class Mismatched:
    """The provider signed it for another client, or as another issuer than the one that its metadata still names."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """There was none, or it failed validation: it replaces nothing and ends nothing."""


class IdTokenValidator:
    def __init__(self, provider: OpenIDProvider, settings: Settings) -> None:
        self.provider, self._settings, self._session = provider, settings.provider, settings.session

    def decrypted(self, tokens: TokenResponse) -> TokenResponse:
        """The response with a signed ID token in place of an encrypted one, which is kept as the hint of a sign-out.

        Without an ID token, and with the reason in `problem` and the log, if it cannot be decrypted, or is not
        encrypted although it must be: then it counts as missing.
        """
        decryption = self._settings.encryption.decryption
        if decryption is None or tokens.id_token is None:
            return tokens
        try:
            return replace(tokens, id_token=decryption.open(tokens.id_token, types=TYPES))
        except JwsRefused as refused:
            logger.warning("an ID token cannot be used", extra={"why": str(refused)})
            return replace(tokens, id_token=None, problem=tokens.problem or f"the ID token: {refused}")

    async def at_sign_in(
        self,
        compact: str,
        *,
        nonce: str,
        access_token: str,
        now: float,
        max_age: int | None = None,
        acr_values: tuple[str, ...] = (),
    ) -> IdTokenClaims:
        """OIDC Core section 3.1.3.7. Raises IdTokenRefused or ProviderUnavailable."""

        def validate(keys: Any) -> IdTokenClaims:
            return validate_id_token(
                compact,
                keys,
                issuer=self._settings.issuer,
                client_id=self._settings.client_id,
                algorithms=self._settings.id_token_algorithms,
                skew=self._settings.clock_skew,
                now=now,
                nonce=nonce,
                access_token=access_token,
                max_age=max_age,
                acr_values=acr_values or None,
            )

        try:
            return validate(await self.provider.keys())
        except UnknownKey as unknown:
            return validate(await self.provider.keys(unknown.kid))

    async def at_refresh(self, compact: str, session: Session, *, now: float) -> "UserCheck":
        """OIDC Core section 12.2. Only a different subject, audience or issuer ends the session; any other defect
        leaves it unchanged.
        """

        def validate(keys: Any) -> IdTokenClaims:
            return validate_refreshed_id_token(
                compact,
                keys,
                issuer=self._settings.issuer,
                client_id=self._settings.client_id,
                algorithms=self._settings.id_token_algorithms,
                skew=self._settings.clock_skew,
                now=now,
                nonce=session.nonce,
                auth_time=session.auth_time,
            )

        try:
            try:
                claims = validate(await self.provider.keys())
            except UnknownKey as unknown:
                claims = validate(await self.provider.keys(unknown.kid))
        except WrongAudience:
            return Mismatched()
        except WrongIssuer:
            return await self._other_issuer(session)
        except (IdTokenRefused, ProviderUnavailable) as error:
            record_ignored(session, str(error))
            return Unverified()
        if claims.sub != session.user.sub:
            return WrongUser()
        return SameUser(
            self.visible_claims(claims.claims),
            email_of(claims.claims),
            session_expiry_of(claims.claims),
            claims.acr,
            claims.amr,
            withdrawn_claims(session, claims.claims),
        )

    async def userinfo_claims(self, answer: UserInfo, *, now: float) -> Mapping[str, Any]:
        """The claims of a UserInfo response, whose signature is verified if it has one (OIDC Core section 5.3.2).

        Raises ProviderUnavailable, also if it cannot be verified: nothing of it is used then.
        """
        if not isinstance(answer, SignedUserInfo):
            return answer
        decryption = self._settings.encryption.decryption

        def validate(keys: KeySet) -> Mapping[str, Any]:
            return validate_signed_userinfo(
                compact,
                keys,
                issuer=self._settings.issuer,
                client_id=self._settings.client_id,
                algorithms=self._settings.id_token_algorithms,
                now=now,
                skew=self._settings.clock_skew,
            )

        try:
            compact = answer.compact
            if decryption is not None:
                compact = decryption.open(compact, types=TYPES, required=False)
            try:
                return validate(await self.provider.keys())
            except JwsKeyUnknown as unknown:
                return validate(await self.provider.keys(unknown.kid))
        except JwsRefused as refused:
            raise ProviderUnavailable(f"The signed UserInfo response is refused: {refused}.") from None

    async def _other_issuer(self, session: Session) -> "UserCheck":
        """Where an operator changes the provider's own name (a custom domain, an issuer mode), every token that comes
        next has another issuer. Then the metadata has it too, and the sessions are not to blame.
        """
        try:
            await self.provider.refetch_metadata()
        except ProviderUnavailable as error:
            why = f"it names another issuer, and so may the provider's metadata by now: {error}"
            record_ignored(session, why, level=logging.ERROR)
            return Unverified()
        return Mismatched()

    def requested_claims(self) -> frozenset[str]:
        return frozenset(self._session.user_claims)

    def visible_claims(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """The claims that a session keeps: the allow-list, nothing else."""
        return {name: claims[name] for name in self._session.user_claims if name in claims}


def withdrawn_claims(session: Session, refreshed: Mapping[str, Any]) -> frozenset[str]:
    """The claims that the provider no longer states: many omit one without values, such as that of the last group.

    An ID token without any claim about the user says nothing about them (OIDC Core section 12.2 requires none), and
    withdraws none.
    """
    stated = user_claims_of(refreshed)
    if not stated:
        return frozenset(session.withdrawn_claims or ())
    before = user_claims_of(claims_of_validated(session.tokens.id_token or ""))
    return (before | frozenset(session.withdrawn_claims or ())) - stated


UserCheck: TypeAlias = SameUser | WrongUser | Mismatched | Unverified


def record_ignored(session: Session, why: str, *, level: int = logging.WARNING) -> None:
    """Logs why a refreshed ID token replaced nothing. `why` contains no part of it."""
    logger.log(level, "a refreshed ID token was ignored", extra={"session": session.fingerprint, "why": why})


def email_of(claims: Mapping[str, Any]) -> str | None:
    email = claims.get("email")
    return email if isinstance(email, str) and email else None


def session_expiry_of(claims: Mapping[str, Any]) -> float | None:
    """The provider's maximum session lifetime (`session_expiry` of the IPSIE profile), in seconds since the epoch."""
    expiry = claims.get("session_expiry")
    return float(expiry) if is_time(expiry) else None


def provider_session_of(claims: Mapping[str, Any]) -> str | None:
    """Okta's `session.id` claim, under that name or as the member `id` of `session`."""
    nested = claims.get("session")
    value = claims.get("session.id", nested.get("id") if isinstance(nested, Mapping) else None)
    return value if is_identifier(value) else None
