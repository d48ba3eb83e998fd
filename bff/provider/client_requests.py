"""POST requests that carry client authentication: with the secret, key and audience that the provider accepts."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from bff.oidc.challenge import USE_NONCE
from bff.oidc.client_auth import Candidate, ClientAuthentication, Credentials
from bff.oidc.dpop_nonces import DpopNonces
from bff.oidc.form_fields import FormFields
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.token import (
    MAX_RESPONSE_BYTES,
    Denied,
    NoAnswer,
    TokenResult,
    TokenType,
    parse_token_response,
)
from bff.provider.client_grants import ClientGrants
from bff.provider.connections import ProviderConnections, Purpose
from bff.provider.response import HttpResponse, Outcome

logger = logging.getLogger(__name__)

# Requests for the tokens of a user. A token of the client itself needs neither sessions nor accounts: a provider that
# cannot read those still grants it, so it proves nothing about a refresh.
_FOR_USERS: Final[frozenset[Purpose]] = frozenset({"refresh", "sign_in"})


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """`may_send` may prevent each attempt, right before its first byte."""

    purpose: Purpose
    endpoint: str
    form: FormFields = field(repr=False)
    may_send: Callable[[], bool] = lambda: True
    dpop_key: str | None = field(default=None, repr=False)


class ClientRequests:
    """Remembers which secret the provider accepted last, and which audience of an assertion at each endpoint, so that
    the usual request is a single one. `clock` is the wall clock, `monotonic` is for how long ago a token was granted.
    """

    def __init__(
        self,
        client_auth: ClientAuthentication,
        connections: ProviderConnections,
        nonces: DpopNonces,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._client_auth, self._connections = client_auth, connections
        self._nonces, self._clock, self._monotonic = nonces, clock, monotonic
        self._grants = ClientGrants(monotonic)
        self._accepted = 0  # index of the secret that the provider accepted last
        self._audiences: dict[str, str] = {}  # by endpoint; bounded, because the metadata names few

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None:
        """Switches to other secrets or another key; requests in progress keep the ones they started with."""
        self._client_auth, self._accepted, self._audiences = client_auth, 0, {}

    async def post(
        self, request: ClientRequest, metadata: ProviderMetadata, *, deadline: float
    ) -> tuple[Outcome, TokenResult]:
        """Posts, and tries the next secret and then the next audience if the client is refused, which consumes nothing.

        All attempts share one `deadline` (seconds of the loop's clock). Never raises.
        """
        client_auth = self._client_auth
        attempts = self._attempts(client_auth, request.endpoint, metadata)
        tried = 0
        while True:
            position, audience = attempts[tried]
            began, candidate = self._monotonic(), client_auth.candidates[position]
            credentials = partial(self._credentials, client_auth, candidate, audience)
            outcome, answer = await self._attempt(request, credentials, deadline)
            tried += 1
            if isinstance(answer, Denied) and answer.refuses_client:
                if tried < len(attempts):
                    continue
                fields = {"purpose": request.purpose, "attempts": tried}
                logger.error("the provider rejects the client with every configured secret or key", extra=fields)
            elif client_auth is self._client_auth and _proves_client(outcome, answer):
                self._remember_secret(position)
                if audience != attempts[0][1]:
                    self._remember_audience(request.endpoint, audience)
            if request.purpose not in _FOR_USERS:
                return outcome, answer
            return outcome, self._grants.noted(answer, client_auth, candidate, began)

    def _attempts(
        self, client_auth: ClientAuthentication, endpoint: str, metadata: ProviderMetadata
    ) -> list[tuple[int, str]]:
        """Positions of candidates, and audiences: what was accepted last comes first."""
        audiences = client_auth.audience_values(endpoint=endpoint, metadata=metadata)
        known, count = self._audiences.get(endpoint), len(client_auth.candidates)
        return [
            ((self._accepted + further) % count, audience)
            for audience in sorted(audiences, key=lambda value: value != known)
            for further in range(count)
        ]

    def _credentials(self, client_auth: ClientAuthentication, candidate: Candidate, audience: str) -> Credentials:
        return client_auth.credentials(candidate, audience=audience, now=self._clock(), jti=secrets.token_urlsafe(16))

    def _remember_secret(self, position: int) -> None:
        if position != self._accepted:
            logger.warning("the provider accepted the secondary client secret", extra={"position": position + 1})
            self._accepted = position

    def _remember_audience(self, endpoint: str, audience: str) -> None:
        fields = {"endpoint": endpoint, "audience": audience}
        logger.info("the provider accepts another audience of client assertions than the one tried first", extra=fields)
        self._audiences[endpoint] = audience

    async def _attempt(
        self, request: ClientRequest, credentials: Callable[[], Credentials], deadline: float
    ) -> tuple[Outcome, TokenResult]:
        """With one secret or key; once more with the nonce that the provider asks for (RFC 9449 section 8), which
        consumes nothing either.
        """
        nonce_retried = False
        while True:
            proven = credentials()
            outcome = await self._connections.of(request.purpose).send(
                "POST",
                request.endpoint,
                within=max(0.0, deadline - asyncio.get_running_loop().time()),
                limit=MAX_RESPONSE_BYTES,
                headers={**proven.headers, **self._proof(request)},
                form={**request.form, **proven.form},
                may_send=request.may_send,
            )
            answer = self._parse(outcome, "Bearer" if request.dpop_key is None else "DPoP")
            asks_for_nonce = self._asks_for_nonce(request, outcome, answer)
            if nonce_retried or not asks_for_nonce:
                return outcome, answer
            nonce_retried = True

    def _asks_for_nonce(self, request: ClientRequest, outcome: Outcome, answer: TokenResult) -> bool:
        """Whether there is a nonce to repeat the request with. Stores the nonce of every response."""
        if request.dpop_key is None or not isinstance(outcome, HttpResponse):
            return False
        has_nonce = self._nonces.remember(request.endpoint, outcome.headers.get("dpop-nonce"))
        return has_nonce and isinstance(answer, Denied) and answer.error == USE_NONCE

    def _proof(self, request: ClientRequest) -> dict[str, str]:
        if request.dpop_key is None:
            return {}
        return {"dpop": self._nonces.proof(request.dpop_key, "POST", request.endpoint, self._clock())}

    def _parse(self, outcome: Outcome, token_type: TokenType) -> TokenResult:
        if isinstance(outcome, NoAnswer):
            return outcome
        answer = parse_token_response(
            outcome.status,
            outcome.headers,
            outcome.body if outcome.complete else None,
            self._clock(),
            token_type=token_type,
        )
        if isinstance(answer, NoAnswer) and outcome.why:
            return NoAnswer(answer.may_have_been_sent, outcome.why, answer.retry_after)
        return answer


def _proves_client(outcome: Outcome, answer: TokenResult) -> bool:
    """Whether the client was authenticated: the endpoint did what was asked, or refused the grant alone."""
    if isinstance(outcome, HttpResponse) and outcome.status in (200, 201):
        return True
    return isinstance(answer, Denied) and answer.proves_client
