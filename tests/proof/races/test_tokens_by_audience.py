"""Random concurrent calls of several sessions to routes with several tokens, at three replicas, with a provider that
loses answers, refuses, throttles and replays: an upstream gets a token of the right session and audience, or none.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from random import Random
from typing import Any, cast

import pytest

from bff.config.api_tokens import ClientCredentialsToken, ExchangeToken, ResourceToken
from bff.config.routes import Route
from bff.flows.api_tokens.client_credentials import ClientTokens
from bff.flows.api_tokens.flow import ApiTokens
from bff.flows.identity_assertions import IdentityAssertions
from bff.flows.streams import OpenStreams
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from bff.proxy.credentials import UpstreamCredentials
from bff.proxy.headers import PublicOrigin
from bff.proxy.http import HttpProxy
from bff.proxy.routes import RouteTable
from bff.proxy.websocket import WebSocketProxy
from bff.session.session import Session
from bff.session.timing import new_tokens
from bff.web.api import ApiEndpoint, Upstreams
from bff.web.error_responder import ErrorResponder
from bff.web.origin_policy import OriginPolicy
from bff.web.request_authentication import RequestAuthentication
from bff.web.session_cookies import SessionCookies
from bff.web.upstream_credentials import SessionCredentials, UpstreamTokens, _RequestCredentials
from tests.harness.asgi_call import http_scope, run
from tests.harness.routes import a_route
from tests.harness.scripted_provider import ScriptedProvider
from tests.harness.virtual_time import VirtualTimeLoop
from tests.harness.web_parts import FETCH
from tests.unit.flows.api_tokens.replicas import Replica, issuers_of
from tests.unit.flows.parts import Parts

STOCK, PRICES = "https://stock.example.com", "https://prices.example.com"
TOKENS: dict[str, tuple[Any, str]] = {  # by route: its token, and the audience that its upstream expects
    "/user": ("user", "session"),
    "/maybe": ("user_or_none", "session"),
    "/orders": (ExchangeToken(audience="orders"), "orders"),
    "/billing": (ExchangeToken(audience="billing", scope=("pay",)), "billing"),
    "/audit": (ExchangeToken(audience="audit"), "audit"),
    "/stock": (ResourceToken(resource=STOCK), STOCK),
    "/prices": (ResourceToken(resource=PRICES), PRICES),
    "/reports": (ClientCredentialsToken(scope=("reports",)), "own"),
}
SESSIONS, REPLICAS = 6, 3
LIFETIME = 30  # seconds of each access token
GRACE = 30.0
ORIGIN = "https://app.example.com"


def _now() -> float:
    """In seconds of the loop, from which the store's time is derived."""
    return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class _Issued:
    session: str
    audience: str
    until: float


class Provider(ScriptedProvider):
    """Issues tokens, knows what each is for, and fails at random. Within the grace period a replay of a refresh token
    returns the first answer, whatever was asked for then.
    """

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.issued: dict[str, _Issued] = {}
        self.sessions: dict[str, str] = {}  # by refresh token
        self.replays: dict[str, tuple[float, Granted]] = {}
        self.counts: Counter[str] = Counter()

    def issue(self, session: str, audience: str) -> str:
        token = f"access-{len(self.issued)}"
        self.issued[token] = _Issued(session, audience, _now() + LIFETIME)
        return token

    async def _fails(self) -> TokenResult | None:
        await asyncio.sleep(self._random.choice((0.01, 0.05, 0.3, 1.0)))
        draw = self._random.random()
        if draw < 0.03:
            return NoAnswer(True, "reset")
        if draw < 0.05:
            return Postponed(self._random.choice((None, 2.0)))
        return NoAnswer(False, "no connection") if draw < 0.07 else None

    async def _answered(self, answer: TokenResult) -> TokenResult:
        await asyncio.sleep(self._random.choice((0.01, 0.1, 1.0)))
        lost = self._random.random() < 0.05
        self.counts["lost" if lost else type(answer).__name__] += 1
        return NoAnswer(True, "the answer is lost") if lost else answer

    async def refresh(
        self, refresh_token: str, *, resource: str | None = None, may_send: Callable[[], bool] = lambda: True, **_: Any
    ) -> TokenResult:
        if (failure := await self._fails()) is not None:
            return failure
        if not may_send():
            return NoAnswer(False)
        if (replay := self.replays.get(refresh_token)) is not None:
            self.counts["replays"] += 1
            return await self._answered(replay[1] if _now() <= replay[0] + GRACE else Denied(400, "invalid_grant"))
        session = self.sessions[refresh_token]
        if resource is not None and self._random.random() < 0.05:
            return await self._answered(Denied(400, self._random.choice(("invalid_target", "invalid_grant"))))
        successor = f"refresh-{len(self.sessions)}"
        self.sessions[successor] = session
        granted = Granted(TokenResponse(self.issue(session, resource or "session"), LIFETIME, successor))
        self.replays[refresh_token] = _now(), granted
        self.counts["resources" if resource else "plain"] += 1
        return await self._answered(granted)

    async def exchange_token(
        self, subject_token: str, *, audience: str, may_send: Callable[[], bool] = lambda: True, **_: Any
    ) -> TokenResult:
        if (failure := await self._fails()) is not None:
            return failure
        if not may_send():
            return NoAnswer(False)
        subject = self.issued[subject_token]
        assert subject.audience == "session"
        if subject.until < _now():
            return await self._answered(Denied(400, "invalid_grant"))
        if self._random.random() < 0.05:
            return await self._answered(Denied(400, self._random.choice(("invalid_target", "access_denied"))))
        return await self._answered(Granted(TokenResponse(self.issue(subject.session, audience), LIFETIME)))

    async def client_token(self, scopes: Collection[str], **_: Any) -> TokenResult:
        if (failure := await self._fails()) is not None:
            return failure
        return await self._answered(Granted(TokenResponse(self.issue("own", "own"), LIFETIME)))


class Upstream(HttpProxy):
    """Sees what would be sent; some requests are rejected, and repeated after a renewal."""

    def __init__(self, world: "World") -> None:
        super().__init__(PublicOrigin.parse(ORIGIN))
        self._world = world

    async def forward(  # type: ignore[override]
        self, route: Route, scope: Any, receive: Any, send: Any, *, credentials: UpstreamCredentials, **_: Any
    ) -> None:
        world, caller = self._world, dict(scope["headers"])[b"x-caller"].decode()
        world.sees(route, caller, credentials.access_token)
        if world.random.random() < 0.02 and await credentials.renew():
            world.provider.counts["repeated"] += 1
            world.sees(route, caller, credentials.access_token)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class World:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.provider = Provider(self.random)
        first = Parts(provider=self.provider)
        self.parts = [first, *(Parts(beside=first) for _ in range(REPLICAS - 1))]
        self.replicas = [self._api(parts) for parts in self.parts]
        self.sessions: dict[str, Session] = {}

    def _api(self, parts: Parts) -> ApiEndpoint:
        own = ClientTokens(issuers_of(parts), parts.tasks, monotonic=parts.timing.monotonic)
        api_tokens = ApiTokens(Replica(parts).tokens, own)
        tokens = UpstreamTokens(frozenset(), cast("IdentityAssertions", None), api_tokens)
        authentication = RequestAuthentication(OriginPolicy(ORIGIN), cast("SessionCookies", None))
        streams = cast("OpenStreams", None)
        source = SessionCredentials(parts.refresh, streams, authentication, tokens)

        async def credentials(scope: Any) -> UpstreamCredentials:
            session = self.sessions[dict(scope["headers"])[b"x-caller"].decode()]
            return _RequestCredentials(source, await parts.refresh.session_at(session.key))

        table = RouteTable(a_route(prefix, token=token) for prefix, (token, _) in TOKENS.items())
        upstreams = Upstreams(table, Upstream(self), WebSocketProxy(PublicOrigin.parse(ORIGIN)), streams)
        return ApiEndpoint(upstreams, credentials, origins=OriginPolicy(ORIGIN), errors=ErrorResponder())

    def sees(self, route: Route, caller: str, token: str) -> None:
        issued, (_, audience) = self.provider.issued[token], TOKENS[route.prefix]
        assert (issued.session, issued.audience) == (caller if audience != "own" else "own", audience)
        assert _now() < issued.until
        self.provider.counts[f"seen by {route.prefix}"] += 1

    async def sign_in(self, name: str) -> None:
        refresh_token = f"refresh-of-{name}"
        self.provider.sessions[refresh_token] = name
        parts = self.parts[0]
        session = await parts.signed_in(resources=[STOCK, PRICES])
        tokens = TokenResponse(self.provider.issue(name, "session"), LIFETIME, refresh_token)
        made = new_tokens(tokens, session.key, parts.now, parts.now, parts.timing.policy.before_expiry)
        assert made is not None
        self.sessions[name] = replace(session, version=2, tokens=made)
        await parts.store.replace(self.sessions[name], 1)

    async def call(self, number: int) -> None:
        await asyncio.sleep(number * 0.3)
        api, caller, path = self.random.choice(self.replicas), f"s{number % SESSIONS}", self.random.choice([*TOKENS])
        response = await run(api, http_scope("GET", f"{path}/x", *FETCH, f"x-caller: {caller}"))
        assert response.status in (200, 403, 502, 503), response
        self.provider.counts[f"status {response.status}"] += 1


async def story(calls: int, seed: int) -> Counter[str]:
    world = World(seed)
    for number in range(SESSIONS):
        await world.sign_in(f"s{number}")
    for first in range(0, calls, 400):
        await asyncio.gather(*(world.call(number) for number in range(min(400, calls - first))))
    for parts in world.parts:
        await parts.tasks.drain(60)
    for session in world.sessions.values():
        assert await world.parts[0].stored(session) is not None, "a session ended"
    return world.provider.counts


@pytest.mark.parametrize("calls", [1200, pytest.param(100_000, marks=pytest.mark.long)])
def test_an_upstream_never_sees_a_token_of_another_audience_or_session(calls: int) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        counts = runner.run(story(calls, 7))
    print("\n".join(f"{times:9} {what}" for what, times in sorted(counts.items())))
    assert not [prefix for prefix in TOKENS if not counts[f"seen by {prefix}"]]
    rare = ("repeated", "status 403", "status 502") if calls > 10_000 else ()
    happened = ("replays", "resources", "plain", "lost", "status 503", *rare)
    assert not [what for what in happened if not counts[what]]
    assert counts["status 200"] > calls * 0.6
