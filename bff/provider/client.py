"""The OpenID Provider over HTTP: sends what `bff.oidc` builds, and lets `bff.oidc` parse the responses."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal

from bff.errors import ProviderUnavailable
from bff.oidc.challenge import asks_for_nonce
from bff.oidc.client_auth import ClientAuthentication
from bff.oidc.dpop_nonces import DpopNonces
from bff.oidc.form_fields import FormFields
from bff.oidc.jwks import KeySet
from bff.oidc.metadata import MAX_METADATA_BYTES, ProviderMetadata
from bff.oidc.pushed_authorization import NotPushed, Pushed, PushResult, parse_push_response
from bff.oidc.strict_json import JsonRefused
from bff.oidc.token import (
    MAX_RESPONSE_BYTES,
    NoAnswer,
    NotRevoked,
    RevocationResult,
    Revoked,
    TokenResult,
    TokenTypeHint,
    code_exchange_form,
    parse_revocation_response,
    refresh_form,
    revocation_form,
)
from bff.oidc.token_exchange import client_credentials_form, exchange_form
from bff.oidc.userinfo import UserInfo, parse_userinfo
from bff.provider.client_requests import ClientRequest, ClientRequests
from bff.provider.connections import ProviderConnections, Purpose
from bff.provider.discovery import discovery
from bff.provider.key_set import KeySetCache
from bff.provider.response import HttpResponse, Outcome
from bff.telemetry import metrics, tracing

PUSH_TIMEOUT: Final = 3.0  # seconds; a user is waiting, and there is a fallback

_PURPOSES: Final[Mapping[str, Purpose]] = {
    "code": "sign_in",
    "refresh": "refresh",
    "exchange": "exchange",
    "client_credentials": "documents",
}
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
        self._connections, self._clock = connections, clock
        self._timeout = connections.timeout
        self._nonces = DpopNonces()
        self._requests = ClientRequests(client_auth, connections, self._nonces, clock=clock, monotonic=monotonic)
        self._metadata = discovery(self._fetch_document, issuer, connections.endpoints, clock=monotonic)
        self._keys = KeySetCache(self._fetch_document, self._jwks_uri, clock=monotonic)

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None:
        """Switches to other secrets or another key; requests in progress keep the ones they started with."""
        self._requests.replace_client_auth(client_auth)

    async def metadata(self) -> ProviderMetadata:
        return await self._metadata.get()

    async def refetch_metadata(self) -> ProviderMetadata:
        return await self._metadata.refetch()

    async def keys(self, kid: str | None = None) -> KeySet:
        return await self._keys.get(kid)

    async def push(self, parameters: FormFields) -> PushResult:
        within = min(self._timeout, PUSH_TIMEOUT)
        deadline = asyncio.get_running_loop().time() + within
        metadata = await self._metadata_within(within)
        if metadata is None or metadata.pushed_authorization_request_endpoint is None:
            return NotPushed("the provider has no endpoint for pushed authorization requests")
        endpoint = metadata.pushed_authorization_request_endpoint
        with tracing.span("provider push", "client"):
            outcome, _ = await self._requests.post(
                ClientRequest("sign_in", endpoint, parameters), metadata, deadline=deadline
            )
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
        resource: str | None = None,
    ) -> TokenResult:
        form = refresh_form(refresh_token, resource)
        return await self._request_tokens(form, timeout, may_send, dpop_key, metric_endpoint="refresh")

    async def exchange_token(
        self,
        subject_token: str,
        *,
        audience: str,
        scope: Collection[str],
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
        dpop_key: str | None = None,
    ) -> TokenResult:
        form = exchange_form(subject_token, audience=audience, scope=scope)
        return await self._request_tokens(form, timeout, may_send, dpop_key, metric_endpoint="exchange")

    async def client_token(
        self, scopes: Collection[str], *, audience: str | None = None, dpop_key: str | None = None
    ) -> TokenResult:
        form = client_credentials_form(scopes, audience=audience)
        within = self._timeout
        return await self._request_tokens(form, within, lambda: True, dpop_key, metric_endpoint="client_credentials")

    async def userinfo(self, access_token: str, *, dpop_key: str | None = None) -> UserInfo:
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
            document = require_document(answer, "UserInfo")
            userinfo = parse_userinfo(document.headers.get("content-type", ""), document.body)
        except (ProviderUnavailable, JsonRefused) as refused:
            metrics.PROVIDER_REQUESTS.labels(endpoint="userinfo", outcome="no_answer").inc()
            raise ProviderUnavailable(f"The UserInfo answer cannot be used: {refused}") from None
        metrics.PROVIDER_REQUESTS.labels(endpoint="userinfo", outcome="granted").inc()
        return userinfo

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
        metadata = await self._metadata_within(within)
        if metadata is None:
            return NotRevoked("the provider's metadata is unavailable")
        if metadata.revocation_endpoint is None:
            return NotRevoked("the provider has no revocation endpoint", final=True)
        form = revocation_form(token, token_type_hint)
        with tracing.span("provider revocation", "client"):
            request = ClientRequest("revocation", metadata.revocation_endpoint, form)
            outcome, _ = await self._requests.post(request, metadata, deadline=deadline)
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
        metric_endpoint: Literal["code", "refresh", "exchange", "client_credentials"],
    ) -> TokenResult:
        deadline = asyncio.get_running_loop().time() + within
        with tracing.span(f"provider {metric_endpoint}", "client") as span:
            metadata = await self._metadata_within(within)
            if metadata is None:
                answer: TokenResult = NoAnswer(False, "the provider's metadata is unavailable")
            else:
                purpose, endpoint = _PURPOSES[metric_endpoint], metadata.token_endpoint
                request = ClientRequest(purpose, endpoint, form, may_send, dpop_key)
                _, answer = await self._requests.post(request, metadata, deadline=deadline)
            outcome = _OUTCOMES[type(answer).__name__]
            span.set("bff.outcome", outcome)
            if isinstance(answer, NoAnswer):
                span.fail(outcome)
        metrics.PROVIDER_REQUESTS.labels(endpoint=metric_endpoint, outcome=outcome).inc()
        return answer

    async def _metadata_within(self, within: float) -> ProviderMetadata | None:
        try:
            async with asyncio.timeout(within):
                return await self.metadata()
        except (ProviderUnavailable, TimeoutError):
            return None

    async def _jwks_uri(self) -> str:
        return (await self._metadata.get()).jwks_uri

    async def _fetch_document(self, url: str) -> HttpResponse:
        with tracing.span("provider document", "client"):
            http = self._connections.of("documents")
            answer = await http.send("GET", url, within=self._timeout, limit=MAX_METADATA_BYTES)
        return require_document(answer, "document")


def require_document(answer: Outcome, what: str) -> HttpResponse:
    """A response whose body may be parsed. Raises ProviderUnavailable."""
    if isinstance(answer, NoAnswer):
        raise ProviderUnavailable(f"The {what} could not be fetched: {answer.why}.")
    if answer.status != 200:  # redirects are not followed
        raise ProviderUnavailable(f"The {what} could not be fetched: status {answer.status}.")
    if not answer.complete:
        raise ProviderUnavailable(f"The {what} could not be fetched: {answer.why}.")
    return answer
