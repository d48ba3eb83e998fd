"""Sign-in with the authorization code flow and PKCE (RFC 6749 section 4.1, RFC 7636, OIDC Core section 3.1)."""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import assert_never

from bff.config.settings import Settings
from bff.errors import (
    BffError,
    NotAssigned,
    ProviderUnavailable,
    SignInFailed,
    SignInRefused,
    SignInStateInvalid,
)
from bff.flows.authorization_request import request_fingerprint
from bff.flows.build_session import BuildSession
from bff.flows.establish_session import EstablishSession
from bff.oidc.algorithms import RSA_PSS
from bff.oidc.authorization import AuthorizationError, Code, check_issuer
from bff.oidc.dpop import ES256, new_dpop_key, proof_algorithm
from bff.oidc.error_codes import known_error
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse
from bff.session.login_transaction import LoginTransaction
from bff.session.session import Session, SessionId
from bff.session.store import SessionStore
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)

# Error codes that mean "temporarily unavailable", not "denied" (RFC 6749 section 4.1.2.1).
TEMPORARY_ERRORS = frozenset({"server_error", "temporarily_unavailable"})
# Denied by the user or a policy; every other code is an error in the request or in the app's settings.
REFUSALS = frozenset(
    {"access_denied", "login_required", "consent_required", "interaction_required", "account_selection_required"}
    | {"unmet_authentication_requirements", "mfa_required"}
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    session_id: SessionId
    session: Session
    return_to: str


@dataclass(frozen=True, slots=True)
class AlreadyUsed:
    """This response was redeemed before: a reload, the back button, or another replica."""

    return_to: str


@dataclass(frozen=True, slots=True)
class SignedOutMeanwhile:
    """The provider or an operator signed this user out while the sign-in was in progress; it may be restarted."""

    return_to: str


@dataclass(frozen=True, slots=True)
class NotSignedIn:
    """The response to a silent check (`prompt=none`): the provider requires interaction.

    No session of ours has changed.
    """

    return_to: str


@dataclass(frozen=True, slots=True)
class Client:
    """The client as its owner will recognise it: a coarse browser hint, and the network it came from."""

    hint: str | None = None
    address: str | None = None


class AuthorizationCodeFlow:
    def __init__(
        self,
        store: SessionStore,
        provider: OpenIDProvider,
        build: BuildSession,
        establish: EstablishSession,
        settings: Settings,
    ) -> None:
        self._store, self._provider, self._build, self._establish = store, provider, build, establish
        self._settings = settings

    async def finish(
        self, answer: Code | AuthorizationError, transaction: LoginTransaction, *, browser: str, client: Client
    ) -> SignedIn | AlreadyUsed | SignedOutMeanwhile | NotSignedIn:
        """Exchanges the authorization response for a session; `browser` is the hash of the browser-id cookie.

        The transaction is consumed by any response. Raises SignInStateInvalid, SignInRefused, NotAssigned,
        SignInFailed, ProviderUnavailable, StoreUnavailable.
        """
        metadata = await self._provider.metadata()
        ours = request_fingerprint(self._settings)
        if transaction.provider != ours or check_issuer(metadata, answer.iss) is not None:
            raise SignInStateInvalid("the response is not from the provider of this sign-in")
        until = transaction.started_at + 86400
        if not await self._store.claim_once(f"login:{transaction.id}", until):
            return AlreadyUsed(transaction.return_to)
        match answer:
            case AuthorizationError(error) if transaction.options.silent and error in REFUSALS | TEMPORARY_ERRORS:
                metrics.SIGN_IN.labels(outcome="not_signed_in").inc()
                return NotSignedIn(transaction.return_to)
            case AuthorizationError():
                raise self._refusal(answer)
            case Code(code):
                asked_at = await self._store.now()
                dpop_key = await _new_dpop_key(metadata) if self._settings.provider.uses_dpop else None
                response = await self._exchange(code, transaction, dpop_key)
            case _:
                assert_never(answer)
        try:
            session_id, session = await self._build.build(response, transaction, dpop_key, asked_at=asked_at)
            session = replace(session, browser=browser, client=client.hint, address=client.address)
            if await self._establish.establish(session):
                return SignedIn(session_id, session, transaction.return_to)
        except BaseException:
            # These tokens are discarded: revoke them at the provider.
            self._establish.discard(response, browser)
            raise
        self._establish.discard(response, browser)
        return SignedOutMeanwhile(transaction.return_to)

    async def _exchange(self, code: str, transaction: LoginTransaction, dpop_key: str | None) -> TokenResponse:
        answer = await self._provider.exchange_code(
            code,
            redirect_uri=self._settings.browser.redirect_uri,
            code_verifier=transaction.code_verifier,
            dpop_key=dpop_key,
        )
        match answer:
            case Granted(response):
                return response
            case Denied(status, error):
                refusal = SignInRefused() if error == "access_denied" else SignInFailed()
                _record_refusal(refusal.code, "token endpoint", error, status=status)
                metrics.SIGN_IN.labels(outcome="failed").inc()
                raise refusal
            case Postponed(retry_after):
                raise ProviderUnavailable(retry_after=max(1, round(retry_after or 5)))
            case NoAnswer(why=why):
                logger.warning("the authorization code could not be redeemed", extra={"why": why})
                metrics.SIGN_IN.labels(outcome="provider_unavailable").inc()
                raise ProviderUnavailable(retry_after=5)
            case _:
                assert_never(answer)

    def _refusal(self, answer: AuthorizationError) -> Exception:
        refusal, outcome = _classify(answer)
        _record_refusal(refusal.code, "authorization endpoint", answer.error)
        metrics.SIGN_IN.labels(outcome=outcome).inc()
        return refusal


async def _new_dpop_key(metadata: ProviderMetadata) -> str:
    """A key for the first of our algorithms that the provider supports."""
    alg = proof_algorithm(metadata.dpop_signing_alg_values_supported) or ES256
    if alg in RSA_PSS:  # takes long: other requests must not wait
        return await asyncio.to_thread(new_dpop_key, alg)
    return new_dpop_key(alg)


def _classify(answer: AuthorizationError) -> tuple[BffError, str]:
    """The error shown to the user, and the outcome for the metric."""
    if answer.error in TEMPORARY_ERRORS:
        return ProviderUnavailable(retry_after=5), "provider_unavailable"
    if answer.error == "access_denied" and "not assigned" in answer.description:
        return NotAssigned(), "refused"
    if answer.error in REFUSALS:
        return SignInRefused(), "refused"
    return SignInFailed(), "failed"


def _record_refusal(reason: str, where: str, error: str, status: int | None = None) -> None:
    """Only error codes of a closed list are logged: the browser may have written the rest of the response."""
    audit.record(
        AuditEvent.SIGN_IN_REFUSED,
        reason,
        where=where,
        error=known_error(error),
        status=status,
    )
