"""The BFF's own access tokens (RFC 6749 section 4.4): one for each kind in a process, shared by all sessions.

They are kept in memory: a process requests one for the lifetime of the last, and needs no store for that.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bff.config.api_tokens import ClientCredentialsToken
from bff.flows.api_tokens.api_access import ApiAccess, TokenIssuers, record_answer, refusal, unavailable
from bff.flows.background import BackgroundTasks
from bff.oidc.dpop import new_dpop_key
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResult
from bff.session.session import SessionKey
from bff.session.timing import REFUSED_TOKEN_AGE, backoff, new_tokens

logger = logging.getLogger(__name__)

RENEW_BEFORE: Final = 60.0  # seconds before the expiry, and at most a quarter of the lifetime
_NO_SESSION: Final = SessionKey("")


@dataclass(slots=True)
class _Kept:
    """Times are monotonic seconds. `failed` is what the callers get until `not_before`, if there is no valid token."""

    dpop_key: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    usable_until: float = 0.0
    refresh_at: float = 0.0
    received_at: float = 0.0
    not_before: float = 0.0
    tries: int = 0
    refused: str = ""
    request: "asyncio.Task[None] | None" = None


class ClientTokens:
    """One per application."""

    def __init__(
        self,
        issuers: TokenIssuers,
        tasks: BackgroundTasks,
        *,
        dpop: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`dpop`: the tokens are bound to a key of this process (RFC 9449)."""
        self._issuers, self._tasks, self._dpop, self._monotonic = issuers, tasks, dpop, monotonic
        self._kept: dict[ClientCredentialsToken, _Kept] = {}

    async def access(self, token: ClientCredentialsToken, *, rejected: str | None = None) -> ApiAccess:
        """A valid access token. `rejected` is one that an upstream answered with 401.

        Raises ApiTokenRefused, and ProviderUnavailable.
        """
        kept = self._kept.get(token)
        if kept is None:
            kept = self._kept[token] = _Kept(dpop_key=new_dpop_key() if self._dpop else None)
        now = self._monotonic()
        current = kept.access_token
        is_rejected = rejected is not None and rejected == current and now >= kept.received_at + REFUSED_TOKEN_AGE
        valid = current is not None and now < kept.usable_until
        if now >= kept.not_before and (not valid or now >= kept.refresh_at or is_rejected):
            request = self._request_once(token, kept)
            if not valid or is_rejected:
                # A caller that disconnects does not cancel the request of the others.
                await asyncio.wait([request])
        if kept.access_token is None or self._monotonic() >= kept.usable_until:
            if kept.refused:
                raise refusal(token, kept.refused)
            raise unavailable(kept.not_before - self._monotonic())
        return ApiAccess(kept.access_token, kept.dpop_key)

    def _request_once(self, token: ClientCredentialsToken, kept: _Kept) -> "asyncio.Task[None]":
        if kept.request is None or kept.request.done():
            kept.request = self._tasks.start(self._request(token, kept), "client credentials")
        return kept.request

    async def _request(self, token: ClientCredentialsToken, kept: _Kept) -> None:
        asked_at = self._monotonic()
        issuer = self._issuers.of(token)
        try:
            answer = await issuer.client_token(token.scope, audience=token.audience, dpop_key=kept.dpop_key)
        except Exception as error:  # the port must return a value; the pause is needed all the same
            logger.exception("the provider client raised an exception", extra={"error": type(error).__name__})
            answer = NoAnswer(may_have_been_sent=True, why=type(error).__name__)
        record_answer(token, answer)
        now = self._monotonic()
        granted = (
            new_tokens(answer.tokens, _NO_SESSION, asked_at, now, RENEW_BEFORE) if isinstance(answer, Granted) else None
        )
        if granted is None:
            kept.tries += 1
            kept.refused = _refusal_code(answer)
            wait = answer.retry_after if isinstance(answer, Postponed | NoAnswer) else None
            kept.not_before = now + max(backoff(kept.tries, _NO_SESSION), wait or 0.0)
            return
        kept.access_token, kept.usable_until, kept.refresh_at = (
            granted.access_token,
            granted.usable_until,
            granted.refresh_at,
        )
        kept.received_at, kept.not_before, kept.tries, kept.refused = now, 0.0, 0, ""


def _refusal_code(answer: TokenResult) -> str:
    match answer:
        case Denied(error=error):
            return error
        case Granted():
            return "no_access_token"
        case _:
            return ""
