"""Builds the authorization request, and the login transaction that the cookie keeps.

If the provider supports it the request is pushed (RFC 9126): the browser carries only a reference, and an intermediary
can neither read nor change the request.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, assert_never

from bff.config.settings import Settings
from bff.errors import ProviderUnavailable, SignInFailed, StoreUnavailable
from bff.oidc.authorization import PLAIN, SignInOptions, authorization_parameters, authorization_url
from bff.oidc.dpop import proof_algorithm
from bff.oidc.form_fields import FormFields
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.pkce import s256_challenge
from bff.oidc.provider import OpenIDProvider
from bff.oidc.pushed_authorization import NotPushed, Pushed, pushed_parameters
from bff.session.keyring import KeyRing
from bff.session.login_transaction import LoginTransaction, begin, provider_fingerprint, sign_state
from bff.session.sign_in_intent import SignInIntent
from bff.session.store import SessionStore

logger = logging.getLogger(__name__)

PUSH_COOL_DOWN: Final = 300.0  # seconds without another push after one has failed, since each failure delays a sign-in


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """The authorization URL, and the login transaction for the cookie."""

    url: str
    transaction: LoginTransaction


def request_fingerprint(settings: Settings) -> str:
    """Of the parts of an authorization request that the settings decide, and that its response has to match."""
    return provider_fingerprint(settings.provider.issuer, settings.browser.redirect_uri, settings.resources)


class AuthorizationRequests:
    def __init__(
        self,
        store: SessionStore,
        provider: OpenIDProvider,
        ring: KeyRing,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._provider, self._ring, self._settings, self._clock = store, provider, ring, settings, clock
        self._push_again_at = 0.0

    async def begin(
        self,
        *,
        intent: SignInIntent,
        options: SignInOptions = PLAIN,
        browser: str | None = None,
        slot: int | None = None,
    ) -> SignInRequest:
        """Starts a sign-in.

        Raises ProviderUnavailable when the provider's metadata is unavailable, or a required push got no response;
        SignInFailed when a push was rejected, or the provider does not support what the settings require. The intent is
        kept in `state`, and the ID token is validated against it. `options` are the same plus `login_hint`, which is
        stored nowhere. `slot` is the cookie's.
        """
        metadata = await self._provider.metadata()
        if self._settings.provider.uses_dpop and proof_algorithm(metadata.dpop_signing_alg_values_supported) is None:
            logger.error("BFF_DPOP is on, and the provider does not support DPoP proofs with any of our algorithms")
            raise SignInFailed
        transaction = begin(
            now=await self._now(),
            provider=request_fingerprint(self._settings),
            intent=intent,
            browser=browser,
            slot=slot,
        )
        parameters = authorization_parameters(
            client_id=self._settings.provider.client_id,
            redirect_uri=self._settings.browser.redirect_uri,
            scopes=self._settings.provider.scopes,
            state=sign_state(transaction, self._ring),
            nonce=transaction.nonce,
            code_challenge=s256_challenge(transaction.code_verifier),
            options=replace(options, prompt=self._settings.sign_in.prompt_with(options.prompt)),
            response_mode=self._settings.sign_in.response_mode,
            resources=self._settings.resources,
        )
        carried = await self._pushed(metadata, parameters)
        return SignInRequest(authorization_url(metadata, carried), transaction)

    async def _pushed(self, metadata: ProviderMetadata, parameters: FormFields) -> FormFields:
        """The parameters for the browser: the reference of a pushed request, or the whole request."""
        offered = metadata.pushed_authorization_request_endpoint is not None
        must = self._settings.sign_in.par == "required" or (metadata.require_pushed_authorization_requests and offered)
        waiting = self._clock() < self._push_again_at
        if self._settings.sign_in.par == "never" or not (must or (offered and not waiting)):
            return parameters
        match await self._provider.push(parameters):
            case Pushed(request_uri):
                return pushed_parameters(self._settings.provider.client_id, request_uri)
            case NotPushed(why, refused):
                logger.warning("an authorization request was not pushed", extra={"why": why, "required": must})
                if must:
                    raise SignInFailed if refused or not offered else ProviderUnavailable(retry_after=5)
                self._push_again_at = self._clock() + PUSH_COOL_DOWN
                return parameters
            case answer:
                assert_never(answer)

    async def _now(self) -> float:
        """The store's time, which logout markers use too; the host's while the store is unavailable."""
        try:
            return await self._store.now()
        except StoreUnavailable:
            return self._clock()
