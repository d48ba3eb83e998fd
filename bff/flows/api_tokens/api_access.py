"""What one request needs to call an API: an access token, and the key that it is bound to."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bff.config.api_tokens import ApiToken, ClientName, RequestedToken, ResourceToken
from bff.errors import ProviderUnavailable
from bff.flows.api_tokens.refusal import ApiTokenDenied, ApiTokenRefused
from bff.oidc.provider import TokenIssuer
from bff.oidc.token import Denied, Granted, TokenResult
from bff.session.audience_tokens import MAX_TOKEN, TOO_LARGE
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

_NOT_FOR_THIS_USER: Final = "access_denied"  # RFC 6749 section 4.1.2.1; Okta: the policy denies it


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """`dpop_key` is None for a bearer token.

    `usable_until` is by the store's clock; None for a token of the BFF itself.
    """

    access_token: str = field(repr=False)
    dpop_key: str | None = field(default=None, repr=False)
    usable_until: float | None = None


class TokenIssuers:
    """The authorization servers, by issuer and client. `own` is the issuer of the session's tokens."""

    def __init__(self, issuers: Mapping[tuple[str, ClientName], TokenIssuer], own: str) -> None:
        self._issuers, self._own = issuers, own

    def of(self, token: RequestedToken) -> TokenIssuer:
        return self._issuers[self.name(token)]

    def name(self, token: RequestedToken) -> tuple[str, ClientName]:
        """The issuer and the client: what the limits of an authorization server apply to."""
        return token.issuer or self._own, token.client

    def is_own(self, token: RequestedToken) -> bool:
        """Whether the session's own tokens come from the same issuer, by the same client."""
        return self.name(token) == (self._own, "sign_in")


def refusal(token: ApiToken, error: str) -> ApiTokenRefused:
    """The error of a route whose token the provider refuses with that code."""
    return ApiTokenDenied() if error == _NOT_FOR_THIS_USER else ApiTokenRefused()


def unavailable(seconds: float) -> ProviderUnavailable:
    """The error of a route whose token the provider may issue in that many seconds."""
    return ProviderUnavailable(retry_after=max(1, math.ceil(seconds)))


def record_answer(token: ApiToken, answer: TokenResult, session: str = "") -> None:
    """Counts and logs the response to a request; `session` is a fingerprint."""
    match answer:
        case Granted(tokens) if len(tokens.access_token or "") > MAX_TOKEN and token.kind != "client_credentials":
            outcome, reason = "refused", TOO_LARGE
        case Granted(tokens) if tokens.access_token is not None:
            outcome, reason = "granted", ""
        case Granted(tokens):
            outcome, reason = "refused", tokens.problem
        case Denied(error=error):
            outcome, reason = "refused", error
        case _:
            outcome, reason = "unavailable", getattr(answer, "why", "") or "rate limit"
    metrics.API_TOKENS.labels(kind=token.kind, outcome=outcome).inc()
    if outcome == "granted":
        return
    fields = {"kind": token.kind, "audience": _audience(token), "outcome": outcome, "reason": reason}
    if isinstance(answer, Denied):
        fields |= {"status": str(answer.status), "description": answer.description}
    logger.warning("no access token for an API", extra=fields | ({"session": session} if session else {}))


def _audience(token: ApiToken) -> str:
    if isinstance(token, ResourceToken):
        return token.resource
    return token.audience or " ".join(token.scope)
