"""Floods of sign-ins: `/auth/login`, the callback, `/auth/logout`, the provider's calls, each with rates of its own.

Each door has a rate for everybody and one for each client, so a flood at one door costs the others nothing: whoever
got past the login address also gets through the callback. The counts are this process's alone.

Whoever is signed in signs out: with a cookie that we sealed, the session itself is the client at `/auth/logout`, and
the rate for everybody does not hold there. The provider's calls get ten times as much: they come in a burst from few
addresses when an administrator signs many people out, and one that is lost leaves somebody signed in.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bff import metrics
from bff.endpoints.answers import error_answer
from bff.endpoints.cookies import CookieNames
from bff.endpoints.current_session import SignedIn, read_session_id
from bff.endpoints.rate_limit import RateForAll, RatePerClient
from bff.errors import RateLimited
from bff.proxy.client_address import TrustedProxies
from bff.session.return_to import safe_return_to
from bff.session.sealing import KeyRing

Door: TypeAlias = Literal["sign_in", "callback", "sign_out", "provider"]

LOGIN: Final = "/auth/login"
PROVIDER_FACTOR: Final = 10


@dataclass(frozen=True, slots=True)
class LimitRules:
    """Requests a minute; 0 limits nothing."""

    per_client: int
    for_all: int
    public_url: str
    callback_path: str
    landing_path: str


class SignInLimits:
    """Plain ASGI around our own endpoints. `clock` is in seconds and never goes back."""

    def __init__(
        self,
        app: ASGIApp,
        rules: LimitRules,
        trusted_proxies: TrustedProxies,
        ring: KeyRing,
        names: CookieNames,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._rules, self._trusted_proxies = app, rules, trusted_proxies
        self._ring, self._names, self._clock = ring, names, clock
        self._doors: dict[str, Door] = {
            LOGIN: "sign_in",
            rules.callback_path: "callback",
            "/auth/logout": "sign_out",
            "/auth/backchannel-logout": "provider",
            "/auth/frontchannel-logout": "provider",
            "/auth/global-token-revocation": "provider",
        }
        factors = {door: PROVIDER_FACTOR if door == "provider" else 1 for door in self._doors.values()}
        self._for_all = {door: RateForAll(rules.for_all * factor) for door, factor in factors.items()}
        self._per_client = {door: RatePerClient(rules.per_client * factor) for door, factor in factors.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Decoded, as the router reads it: /auth/%6Cogin is the same door.
        door = self._doors.get(scope["path"]) if scope["type"] == "http" else None
        refusal = None if door is None else self._judge(door, scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        back = self._return_to(scope)
        answer = error_answer(refusal, request, landing_path=self._rules.landing_path, return_to=back)
        await answer(scope, receive, send)

    def _judge(self, door: Door, scope: Scope) -> RateLimited | None:
        """Counts the request if it is let through, at both rates or at neither."""
        now = self._clock()
        for_all, per_client = self._for_all[door], self._per_client[door]
        session = self._session(scope) if door == "sign_out" else None
        client = session or self._client(scope)
        wait, rate = (per_client.wait(client, now), "client") if client else (0.0, "client")
        if not wait and session is None:
            wait, rate = for_all.wait(now), "all"
        if wait:
            metrics.RATE_LIMITED.labels(door=door, rate=rate).inc()
            return RateLimited(f"The rate of {door} for {rate} is used up.", retry_after=ceil(wait))
        if client:
            per_client.count(client, now)
        if session is None:
            for_all.count(now)
        return None

    def _session(self, scope: Scope) -> bytes | None:
        """The session that the cookie names, if we sealed it. Nobody has more of those than they signed in for."""
        match read_session_id(scope["headers"], self._ring, self._names):
            case SignedIn(session_id):
                return session_id.key.encode()
            case _:
                return None

    def _client(self, scope: Scope) -> bytes | None:
        """The IPv4 address, or the /64 of an IPv6 one, which one customer has to themselves (RFC 6177)."""
        peer = scope.get("client")
        known = self._trusted_proxies.known_client(peer[0] if peer else None, scope["headers"])
        if known is None:
            return None
        address = ip_address(known)
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.packed[:8]

    def _return_to(self, scope: Scope) -> str | None:
        """Where the page's link leads to after the sign-in that could not begin."""
        if scope["path"] != LOGIN:
            return None
        try:
            query = parse_qs(scope["query_string"].decode("ascii"), max_num_fields=50, errors="strict")
        except ValueError:
            return None
        wanted = query.get("return_to") or query.get("target_link_uri") or [None]
        rules = self._rules
        return safe_return_to(
            wanted[0], fallback=rules.landing_path, public_url=rules.public_url, callback_path=rules.callback_path
        )
