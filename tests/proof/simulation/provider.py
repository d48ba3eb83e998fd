"""An OpenIDProvider (bff/oidc/provider.py) over the simulator's token families and a network that fails."""

import asyncio
import json
from collections.abc import Callable
from functools import cache
from itertools import count
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bff.errors import ProviderUnavailable
from bff.oidc.client_auth import client_authentication
from bff.oidc.jwks import KeySet, SigningKey
from bff.oidc.jws import sign
from bff.oidc.token import (
    Denied,
    Granted,
    NoAnswer,
    NotRevoked,
    RevocationResult,
    Revoked,
    TokenResponse,
    TokenResult,
    TokenTypeHint,
    parse_token_response,
)
from bff.provider.client_grants import ClientGrants
from demo.simulator.grants import Issued, Refusal, Refused
from demo.simulator.token_families import TokenFamilies
from tests.proof.simulation.database import EPOCH
from tests.proof.simulation.faults import Faults, TokenPlan
from tests.proof.simulation.invariants import Invariants, Presentation
from tests.proof.simulation.loop import Process, SimulatedLoop
from tests.proof.simulation.scenario import Scenario

ISSUER = "https://provider.okta.com"  # it revokes single tokens, as Okta does
CLIENT_ID = "client"
_KEY = ec.generate_private_key(ec.SECP256R1())
_KEY_SET = KeySet((SigningKey("1", frozenset({"ES256"}), _KEY.public_key()),))


_CLIENT = client_authentication("client_secret_basic", CLIENT_ID, secrets=["s" * 32])
# What a provider or a proxy in front of it may say to everybody while it is broken; none of it is about the token.
_BREAKDOWNS = (
    *[(400, b'{"error":"invalid_request"}'), (400, b""), (400, b"<html>"), (403, b'{"message":"Forbidden"}')],
    *[(400, b'{"error":"invalid_request"}'), (400, b'{"error":"server_error"}'), (404, b"")],
)


@cache
def id_token(sub: str) -> str:
    """Good for the whole simulation: signing one for each answer would take longer than all the rest."""
    claims = {"iss": ISSUER, "aud": CLIENT_ID, "sub": sub, "iat": EPOCH, "exp": EPOCH + 1e6, "name": f"Name of {sub}"}
    return sign(claims, _KEY, alg="ES256", kid="1")


class TokenEndpoint:
    """The one provider that every replica asks."""

    def __init__(self, scenario: Scenario, loop: SimulatedLoop, invariants: Invariants) -> None:
        numbers = count(1)
        self.families = TokenFamilies(scenario.provider, new_value=lambda kind: f"{kind}canary{next(numbers)}")
        self._loop, self._invariants, self._refusal = loop, invariants, scenario.refusal
        self.session_of: dict[str, str] = {}  # the name of the session of each access token
        self.exchanged: dict[str, tuple[str, str]] = {}  # session and audience of each exchanged token
        self.exchanges = Random(f"exchanges {scenario}")  # dice of their own: the other worlds stay as they are

    def now(self) -> float:
        return EPOCH + self._loop.time()

    def refresh(self, presentation: Presentation) -> tuple[int, bytes]:
        alarms = len(self.families.alarms)
        outcome = self.families.refresh(presentation.refresh_token, client_id=CLIENT_ID, now=self.now())
        self._invariants.processed(presentation, outcome, alarmed=len(self.families.alarms) > alarms)
        match outcome:
            case Refused(Refusal.USER_NOT_ASSIGNED):
                return 400, _error("access_denied")
            case Refused():
                return self._refusal
            case Issued():
                return 200, self._body(outcome)

    def _issued(self, issued: Issued) -> str:
        self.session_of[issued.access_token] = issued.sign_in.sid or ""
        return issued.access_token

    def exchange(self, subject_token: str, audience: str) -> str:
        token = f"exchanged-canary-{len(self.exchanged)}"
        self.exchanged[token] = self.session_of[subject_token], audience
        return token

    def _body(self, issued: Issued) -> bytes:
        fields: dict[str, Any] = {
            "token_type": "Bearer",
            "access_token": self._issued(issued),
            "expires_in": self.families.policy.access_token_lifetime,
            "scope": " ".join(sorted(issued.scope)),
        }
        if issued.refresh_token is not None:
            fields["refresh_token"] = issued.refresh_token
        if issued.id_token:
            fields["id_token"] = id_token(issued.sign_in.sub)
        return json.dumps(fields).encode()


class SimulatedProvider:
    """One replica's way to the provider."""

    def __init__(self, endpoint: TokenEndpoint, faults: Faults, invariants: Invariants, process: Process) -> None:
        self._endpoint, self._faults, self._invariants, self._process = endpoint, faults, invariants, process
        self._loop = invariants.loop
        self._grants = ClientGrants(self._loop.time)

    async def refresh(
        self,
        refresh_token: str,
        *,
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
        dpop_key: str | None = None,
        resource: str | None = None,
    ) -> TokenResult:
        began = self._loop.time()
        deadline = began + timeout
        presentation = self._invariants.about_to_send(refresh_token, self._process)
        plan = self._faults.token_request()
        if plan.connect:
            await self._wait(min(plan.connect, timeout))
        if plan.refused or plan.connect >= timeout or self._loop.time() >= deadline:
            self._invariants.not_connected(presentation)
            return NoAnswer(False, "not connected")
        if not may_send():
            self._invariants.connected_too_late(presentation, self._loop.time() - began)
            return NoAnswer(False, "may not be sent any more")
        self._invariants.sent(presentation)
        future: asyncio.Future[TokenResult] = self._loop.create_future()
        self._outside(presentation, plan, deadline, future)
        try:
            answer = await future
        except asyncio.CancelledError:
            self._invariants.cut_off(presentation, self._process)
            raise
        self._invariants.answered(presentation, answer)
        return self._grants.noted(answer, _CLIENT, _CLIENT.candidates[0], began)

    async def exchange_token(
        self, subject_token: str, *, audience: str, timeout: float, may_send: Callable[[], bool], **_: Any
    ) -> TokenResult:
        """Delays, and lost answers: an exchange consumes nothing."""
        chance = self._endpoint.exchanges
        await self._wait(min(timeout, chance.choice([0.01, 0.1, 1.0, 12.0])))
        if not may_send() or chance.random() < 0.1:
            return NoAnswer(False, "not sent")
        if chance.random() < 0.1:
            return Denied(400, chance.choice(["invalid_target", "invalid_grant", "invalid_request"]))
        token = self._endpoint.exchange(subject_token, audience)
        await self._wait(chance.choice([0.01, 0.1]))
        if chance.random() < 0.1:
            return NoAnswer(True, "the answer is lost")
        return Granted(TokenResponse(token, chance.choice([20, 60])))

    async def revoke(self, token: str, token_type_hint: TokenTypeHint, *, within: float) -> RevocationResult:
        delay, done = self._faults.other_request("revoke_fails")
        with self._invariants.revoking(token, self._process):
            await self._wait(0.01)  # connecting

        def there() -> None:
            if done:
                self._endpoint.families.revoke_refresh_token(token, CLIENT_ID)
                self._invariants.revoked(token)
            else:
                self._invariants.excuse_token(token, "a revocation that failed")

        self._loop.outside(delay, there)
        await self._wait(min(delay, within))
        return Revoked() if done else NotRevoked("the faults")

    async def keys(self, kid: str | None = None) -> KeySet:
        delay, there = self._faults.other_request("keys_fail")
        if delay > 0.05:
            await self._wait(delay)
        if not there:
            raise ProviderUnavailable
        return _KEY_SET

    async def _wait(self, delay: float) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._loop.outside(delay, lambda: None if future.done() else future.set_result(None))
        await future

    def _outside(
        self, presentation: Presentation, plan: TokenPlan, deadline: float, future: "asyncio.Future[TokenResult]"
    ) -> None:
        """The way there, what happens there, and the way back; the deadline is kept by the socket, not by the task."""

        def over(answer: TokenResult) -> None:
            if not presentation.over:
                self._invariants.over(presentation)
            if not future.done():
                future.set_result(answer)

        def there() -> None:
            answer = self._treated(presentation, plan.instead)
            if answer is None or self._loop.time() + plan.back >= deadline:
                self._invariants.lost(presentation)
            else:
                self._loop.outside(plan.back, lambda: over(answer))

        if plan.arrive is not None:
            self._loop.outside(plan.arrive, there)
        why = "reset" if plan.instead == "answer_lost" else "no answer in time"
        left = deadline - self._loop.time()
        gives_up = min(left, (plan.arrive or 0) + plan.back) if plan.instead == "answer_lost" else left
        self._loop.outside(gives_up, lambda: over(NoAnswer(True, why)))

    def _treated(self, presentation: Presentation, instead: str) -> TokenResult | None:
        """None: the answer never comes."""
        now = self._endpoint.now()
        if instead == "error_before":
            return parse_token_response(503, {"retry-after": "7"} if int(now) % 2 else {}, b"busy", now)
        if instead == "throttled":
            after = {} if int(now) % 3 == 0 else {"retry-after": str(int(now) % 15 + 1)}
            return parse_token_response(429, after, _error("invalid_grant"), now)
        if instead == "breakdown":
            status, body = _BREAKDOWNS[int(now) % len(_BREAKDOWNS)]
            return parse_token_response(status, {}, body, now)
        if instead == "invalid_client":
            return parse_token_response(401, {}, _error("invalid_client"), now)
        status, body = self._endpoint.refresh(presentation)
        if instead == "answer_lost":
            return None
        if instead == "error_after":
            self._invariants.lost(presentation)
            return parse_token_response(502, {}, b"bad gateway", now)
        if instead == "broken_body":
            self._invariants.lost(presentation)
            return parse_token_response(status, {}, body[: len(body) // 2], now)
        return parse_token_response(status, {}, body, now)


def _error(code: str) -> bytes:
    return json.dumps({"error": code, "error_description": "no"}).encode()
