"""The OpenID Provider over HTTP: sends what `bff.oidc` builds, and lets `bff.oidc` parse the responses."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from bff.errors import ProviderUnavailable
from bff.oidc.challenge import USE_NONCE, asks_for_nonce
from bff.oidc.client_auth import ClientAuthentication
from bff.oidc.dpop_nonces import DpopNonces
from bff.oidc.jwks import KeySet
from bff.oidc.metadata import MAX_METADATA_BYTES, ProviderMetadata
from bff.oidc.pushed_authorization import NotPushed, Pushed, PushResult, parse_push_response
from bff.oidc.strict_json import JsonRefused, read_object
from bff.oidc.token import (
    MAX_RESPONSE_BYTES,
    Denied,
    NoAnswer,
    NotRevoked,
    RevocationResult,
    Revoked,
    TokenResult,
    TokenType,
    TokenTypeHint,
    code_exchange_form,
    parse_revocation_response,
    parse_token_response,
    refresh_form,
    revocation_form,
)
from bff.provider.connections import ProviderConnections, Purpose
from bff.provider.discovery import discovery
from bff.provider.http import HttpResponse, Outcome
from bff.provider.key_set import KeySetCache
from bff.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

PUSH_TIMEOUT: Final = 3.0  # seconds; a user is waiting, and there is a fallback

_PURPOSES: Final[Mapping[str, Purpose]] = {"code": "sign_in", "refresh": "refresh"}
_OUTCOMES: Final = {"Granted": "granted", "Denied": "denied", "Postponed": "postponed", "NoAnswer": "no_answer"}


class HttpProvider:
    """Implements `bff.oidc.provider.OpenIDProvider`.

    `clock` is the wall clock, for assertions and HTTP dates; `monotonic` is for the age of documents.
    """

    def __init__(
        self,
        issuer: str,
        client_auth: ClientAuthentication,
        connections: ProviderConnections,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client_auth, self._connections, self._clock = client_auth, connections, clock
        self._timeout = connections.timeout
        self._accepted = 0  # index of the secret that the provider accepted last
        self._nonces = DpopNonces()
        self._metadata = discovery(self._fetch_document, issuer, clock=monotonic)
        self._keys = KeySetCache(self._fetch_document, self._metadata, clock=monotonic)

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None:
        """Switches to other secrets or another key; requests in progress keep the ones they started with."""
        self._client_auth, self._accepted = client_auth, 0

    async def metadata(self) -> ProviderMetadata:
        return await self._metadata.get()

    async def keys(self, kid: str | None = None) -> KeySet:
        return await self._keys.get(kid)

    async def push(self, parameters: Mapping[str, str]) -> PushResult:
        within = min(self._timeout, PUSH_TIMEOUT)
        deadline = asyncio.get_running_loop().time() + within
        endpoint = await self._endpoint("pushed_authorization_request_endpoint", within)
        if endpoint is None:
            return NotPushed("the provider has no endpoint for pushed authorization requests")
        with tracing.span("provider push", "client"):
            outcome, _ = await self._post("sign_in", endpoint, parameters, deadline, lambda: True)
        if isinstance(outcome, NoAnswer) or not outcome.complete:
            answer: PushResult = NotPushed(outcome.why)
        else:
            answer = parse_push_response(outcome.status, outcome.body)
        counted = "granted" if isinstance(answer, Pushed) else "denied" if answer.refused else "no_answer"
        metrics.PROVIDER_REQUESTS.labels(endpoint="push", outcome=counted).inc()
        return answer

    async def exchange_code(
        self, code: str, *, redirect_uri: str, code_verifier: str, dpop_key: str | None = None
    ) -> TokenResult:
        form = code_exchange_form(code, redirect_uri=redirect_uri, code_verifier=code_verifier)
        return await self._request_tokens(form, self._timeout, lambda: True, dpop_key, metric_endpoint="code")

    async def refresh(
        self,
        refresh_token: str,
        *,
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
        dpop_key: str | None = None,
    ) -> TokenResult:
        form = refresh_form(refresh_token)
        return await self._request_tokens(form, timeout, may_send, dpop_key, metric_endpoint="refresh")

    async def userinfo(self, access_token: str, *, dpop_key: str | None = None) -> Mapping[str, Any]:
        metadata = await self.metadata()
        if metadata.userinfo_endpoint is None:
            raise ProviderUnavailable("The provider has no UserInfo endpoint.")
        endpoint, deadline = metadata.userinfo_endpoint, asyncio.get_running_loop().time() + self._timeout
        with tracing.span("provider userinfo", "client"):
            answer = await self._get_userinfo(endpoint, access_token, dpop_key, deadline)
            if dpop_key is not None and isinstance(answer, HttpResponse):
                has_nonce = self._nonces.remember(endpoint, answer.headers.get("dpop-nonce"))
                challenge = answer.headers.get("www-authenticate", "").encode("latin-1", "replace")
                if has_nonce and answer.status == 401 and asks_for_nonce([challenge]):
                    answer = await self._get_userinfo(endpoint, access_token, dpop_key, deadline)
        try:
            claims = read_object(_document(answer, "UserInfo").body, max_bytes=MAX_RESPONSE_BYTES)
        except (ProviderUnavailable, JsonRefused) as refused:
            metrics.PROVIDER_REQUESTS.labels(endpoint="userinfo", outcome="no_answer").inc()
            raise ProviderUnavailable(f"The UserInfo answer cannot be used: {refused}") from None
        metrics.PROVIDER_REQUESTS.labels(endpoint="userinfo", outcome="granted").inc()
        return claims

    async def _get_userinfo(self, endpoint: str, access_token: str, dpop_key: str | None, deadline: float) -> Outcome:
        headers = {"authorization": f"Bearer {access_token}"}
        if dpop_key is not None:
            proof = self._nonces.proof(dpop_key, "GET", endpoint, self._clock(), access_token)
            headers = {"authorization": f"DPoP {access_token}", "dpop": proof}
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        http = self._connections.of("sign_in")
        return await http.send("GET", endpoint, within=left, limit=MAX_RESPONSE_BYTES, headers=headers)

    async def revoke(self, token: str, token_type_hint: TokenTypeHint, *, within: float) -> RevocationResult:
        deadline = asyncio.get_running_loop().time() + within
        try:
            async with asyncio.timeout(within):
                endpoint = (await self.metadata()).revocation_endpoint
        except (ProviderUnavailable, TimeoutError):
            return NotRevoked("the provider's metadata is unavailable")
        if endpoint is None:
            return NotRevoked("the provider has no revocation endpoint", final=True)
        with tracing.span("provider revocation", "client"):
            form = revocation_form(token, token_type_hint)
            outcome, _ = await self._post("revocation", endpoint, form, deadline, lambda: True)
        if isinstance(outcome, NoAnswer):
            answer: RevocationResult = NotRevoked(outcome.why)
        else:
            answer = parse_revocation_response(outcome.status, outcome.headers, outcome.body, self._clock())
        counted = "granted" if isinstance(answer, Revoked) else "denied" if answer.final else "no_answer"
        metrics.PROVIDER_REQUESTS.labels(endpoint="revocation", outcome=counted).inc()
        return answer

    async def close(self) -> None:
        await self._keys.document.close()
        await self._metadata.close()
        await self._connections.close()

    async def _request_tokens(
        self,
        form: Mapping[str, str],
        within: float,
        may_send: Callable[[], bool],
        dpop_key: str | None,
        *,
        metric_endpoint: Literal["code", "refresh"],
    ) -> TokenResult:
        deadline = asyncio.get_running_loop().time() + within
        with tracing.span(f"provider {metric_endpoint}", "client") as span:
            endpoint = await self._endpoint("token_endpoint", within)
            if endpoint is None:
                answer: TokenResult = NoAnswer(False, "the provider's metadata is unavailable")
            else:
                _, answer = await self._post(_PURPOSES[metric_endpoint], endpoint, form, deadline, may_send, dpop_key)
            outcome = _OUTCOMES[type(answer).__name__]
            span.set("bff.outcome", outcome)
            if isinstance(answer, NoAnswer):
                span.fail(outcome)
        metrics.PROVIDER_REQUESTS.labels(endpoint=metric_endpoint, outcome=outcome).inc()
        return answer

    async def _endpoint(self, name: str, within: float) -> str | None:
        try:
            async with asyncio.timeout(within):
                endpoint: str | None = getattr(await self.metadata(), name)
        except (ProviderUnavailable, TimeoutError):
            return None
        return endpoint

    async def _post(
        self,
        purpose: Purpose,
        endpoint: str,
        form: Mapping[str, str],
        deadline: float,
        may_send: Callable[[], bool],
        dpop_key: str | None = None,
    ) -> tuple[Outcome, TokenResult]:
        """Posts with client authentication, and tries the next secret if it is refused, which consumes nothing.

        Nor does `use_dpop_nonce` (RFC 9449 section 8), which is resent once with the provided nonce. All attempts share
        one deadline (seconds of the loop's clock).
        """
        client_auth = self._client_auth
        candidates = client_auth.candidates
        first, tried, nonce_retried = self._accepted, 0, False
        while True:
            position = (first + tried) % len(candidates)
            credentials = client_auth.credentials(
                candidates[position], endpoint=endpoint, now=self._clock(), jti=secrets.token_urlsafe(16)
            )
            proof = {} if dpop_key is None else {"dpop": self._nonces.proof(dpop_key, "POST", endpoint, self._clock())}
            outcome = await self._connections.of(purpose).send(
                "POST",
                endpoint,
                within=max(0.0, deadline - asyncio.get_running_loop().time()),
                limit=MAX_RESPONSE_BYTES,
                headers={**credentials.headers, **proof},
                form={**form, **credentials.form},
                may_send=may_send,
            )
            answer = self._parse(outcome, "Bearer" if dpop_key is None else "DPoP")
            if dpop_key is not None and isinstance(outcome, HttpResponse):
                has_nonce = self._nonces.remember(endpoint, outcome.headers.get("dpop-nonce"))
                if has_nonce and not nonce_retried and isinstance(answer, Denied) and answer.error == USE_NONCE:
                    nonce_retried = True
                    continue
            tried += 1
            if isinstance(answer, Denied) and answer.refuses_client:
                if tried < len(candidates):
                    continue
                logger.error("the provider rejects every configured client secret or key", extra={"purpose": purpose})
            elif _proves_client(outcome, answer) and position != self._accepted and client_auth is self._client_auth:
                logger.warning("the provider accepted the secondary client secret", extra={"position": position + 1})
                self._accepted = position
            return outcome, answer

    def _parse(self, outcome: Outcome, token_type: TokenType) -> TokenResult:
        if isinstance(outcome, NoAnswer):
            return outcome
        answer = parse_token_response(
            outcome.status, outcome.headers, outcome.body, self._clock(), token_type=token_type
        )
        if isinstance(answer, NoAnswer) and outcome.why:
            return NoAnswer(answer.may_have_been_sent, outcome.why, answer.retry_after)
        return answer

    async def _fetch_document(self, url: str) -> HttpResponse:
        with tracing.span("provider document", "client"):
            http = self._connections.of("documents")
            answer = await http.send("GET", url, within=self._timeout, limit=MAX_METADATA_BYTES)
        return _document(answer, "document")


def _proves_client(outcome: Outcome, answer: TokenResult) -> bool:
    """Whether the client was authenticated: the endpoint did what was asked, or refused the grant alone."""
    if isinstance(outcome, HttpResponse) and outcome.status in (200, 201):
        return True
    return isinstance(answer, Denied) and answer.proves_client


def _document(answer: Outcome, what: str) -> HttpResponse:
    """A response whose body may be parsed. Raises ProviderUnavailable."""
    if isinstance(answer, NoAnswer):
        raise ProviderUnavailable(f"The {what} could not be fetched: {answer.why}.")
    if answer.status != 200:  # redirects are not followed
        raise ProviderUnavailable(f"The {what} could not be fetched: status {answer.status}.")
    if not answer.complete:
        raise ProviderUnavailable(f"The {what} could not be fetched: {answer.why}.")
    return answer
