"""Floods of sign-ins: `/auth/login`, the callback, `/auth/logout`, the provider's calls, each with rates of its own.

Each door has a rate for everybody and one for each client, so a flood at one door costs the others nothing: whoever
got past the login address also gets through the callback. The counts are this process's alone.

Whoever is signed in signs out: with a cookie that we sealed, the session itself is the client at `/auth/logout`, and
the rate for everybody does not hold there. The provider's calls get ten times as much: they come in a burst from few
addresses when an administrator signs many people out, and one that is lost leaves somebody signed in. Of those that are
signed only the ones whose signature holds count against the rate for everybody: or a flood of forged ones from many
addresses would keep the true ones out. Front-channel calls carry no signature, so they have rates of their own.

An IPv6 client is counted twice: by its /64, which one customer has to themselves (RFC 6177), and at a higher rate by
its /48, of which a tunnel broker or a hoster gives 65,536 networks of that size to anybody who asks.
"""

import hashlib
import secrets
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.errors import RateLimited
from bff.proxy.client_address import TrustedProxies
from bff.session.keyring import KeyRing
from bff.session.return_to import safe_return_to
from bff.telemetry import metrics
from bff.web.cookies import CookieNames
from bff.web.responses import respond_with_error
from bff.web.session_cookie import SignedIn, read_session_id

# How many requests a minute: for everybody together, and for each client, in memory that no flood makes grow.
#
# Pure: `now` is an argument, in seconds of any clock that never goes back. The rule is GCRA (the "generic cell rate
# algorithm", a leaky bucket that needs one number): a minute's worth may come at once, then one after another. What is
# refused is not counted, so whoever goes on asking gets the rate that is allowed and no less.

MINUTE: Final = 60.0
_ROUNDING: Final = 1e-6  # seconds; thousands of small additions must not cost the last request of a minute


@dataclass(frozen=True, slots=True)
class Rate:
    """`paid_until` is the one number: the time until which what was let through has used the rate up."""

    per_minute: int

    def wait(self, paid_until: float, now: float) -> float:
        """Seconds until one more request fits; 0 if it fits now."""
        ahead = max(paid_until, now) + MINUTE / self.per_minute - now - MINUTE
        return ahead if ahead > _ROUNDING else 0.0

    def after(self, paid_until: float, now: float) -> float:
        """`paid_until` once one more request was let through."""
        return max(paid_until, now) + MINUTE / self.per_minute


class TotalRate:
    """One rate for whoever asks. A rate of 0 limits nothing."""

    def __init__(self, per_minute: int) -> None:
        self._rate = Rate(per_minute) if per_minute else None
        self._paid_until = 0.0

    def wait(self, now: float) -> float:
        """Seconds until one more request fits; 0 if it fits now."""
        return self._rate.wait(self._paid_until, now) if self._rate else 0.0

    def count(self, now: float) -> None:
        if self._rate is not None:
            self._paid_until = self._rate.after(self._paid_until, now)


class ClientRate:
    """One rate for each client, in a table that never grows and never forgets one client for another.

    A client has one cell in each row, found by a hash that nobody outside can foretell, and the emptiest of its cells
    counts (a count-min sketch). So a client is never let through more often than its rate, whatever others do; and it
    is refused for the sake of others only if all its cells are full by chance. A full cell takes a minute's worth of
    requests that were let through: with a rate for all of F times the rate of a client at most 2 F cells of a row are
    full at any time. With the defaults that is 100 of 8192, and the chance of an honest client is 1 in 40 million.
    """

    ROWS: Final = 4
    CELLS: Final = 8192  # in each row; 256 KiB in all

    def __init__(self, per_minute: int) -> None:
        self._rate = Rate(per_minute) if per_minute else None
        self._secret = secrets.token_bytes(16)
        self._paid_until = array("d", bytes(8 * self.ROWS * self.CELLS))

    def wait(self, client: bytes, now: float) -> float:
        """Seconds until one more request of this client fits; 0 if it fits now."""
        if self._rate is None:
            return 0.0
        return self._rate.wait(min(self._paid_until[cell] for cell in self._cells(client)), now)

    def count(self, client: bytes, now: float) -> None:
        if self._rate is None:
            return
        cells = self._cells(client)
        paid_until = self._rate.after(min(self._paid_until[cell] for cell in cells), now)
        for cell in cells:
            # A cell that others have filled further stays as full: it is theirs too.
            self._paid_until[cell] = max(self._paid_until[cell], paid_until)

    def _cells(self, client: bytes) -> list[int]:
        digest = hashlib.blake2b(client, key=self._secret, digest_size=4 * self.ROWS).digest()
        return [
            row * self.CELLS + int.from_bytes(digest[4 * row : 4 * row + 4], "big") % self.CELLS
            for row in range(self.ROWS)
        ]


Endpoint: TypeAlias = Literal["sign_in", "callback", "sign_out", "provider", "front_channel"]

LOGIN: Final = "/auth/login"
PROVIDER_FACTOR: Final = 10
SITE_FACTOR: Final = 5  # what all clients of one /48 may send together, by what one client may
_SIGNATURE_HELD: Final = frozenset({200, 204, 404, 422})  # what a signed call is answered with once it is believed


@dataclass(frozen=True, slots=True)
class LimitRules:
    """Requests a minute; 0 limits nothing."""

    per_client: int
    for_all: int
    public_url: str
    callback_path: str
    landing_path: str


class RateLimitMiddleware:
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
        self._endpoints: dict[str, Endpoint] = {
            LOGIN: "sign_in",
            rules.callback_path: "callback",
            "/auth/logout": "sign_out",
            "/auth/backchannel-logout": "provider",
            "/auth/frontchannel-logout": "front_channel",
            "/auth/global-token-revocation": "provider",
        }
        by_provider = ("provider", "front_channel")
        factors = {endpoint: PROVIDER_FACTOR if endpoint in by_provider else 1 for endpoint in self._endpoints.values()}
        self._for_all = {endpoint: TotalRate(rules.for_all * factor) for endpoint, factor in factors.items()}
        self._per_client = {endpoint: ClientRate(rules.per_client * factor) for endpoint, factor in factors.items()}
        self._per_site = {
            endpoint: ClientRate(rules.per_client * factor * SITE_FACTOR) for endpoint, factor in factors.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Decoded, as the router reads it: /auth/%6Cogin is the same door.
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        refusal = None if endpoint is None else self._check(endpoint, scope)
        if refusal is None:
            await self._app(scope, receive, self._counting(endpoint, send) if endpoint == "provider" else send)
            return
        request = Request(scope)
        back = self._return_to(scope)
        answer = respond_with_error(refusal, request, landing_path=self._rules.landing_path, return_to=back)
        await answer(scope, receive, send)

    def _check(self, endpoint: Endpoint, scope: Scope) -> RateLimited | None:
        """Counts the request if it is let through, at both rates or at neither."""
        now = self._clock()
        for_all, per_client = self._for_all[endpoint], self._per_client[endpoint]
        session = self._session(scope) if endpoint == "sign_out" else None
        client, site = (session, None) if session else self._client(scope)
        per_site = self._per_site[endpoint]
        wait, rate = (per_client.wait(client, now), "client") if client else (0.0, "client")
        if not wait and site:
            wait, rate = per_site.wait(site, now), "network"
        if not wait and session is None:
            wait, rate = for_all.wait(now), "all"
        if wait:
            metrics.RATE_LIMITED.labels(endpoint=endpoint, rate=rate).inc()
            return RateLimited(f"The rate of {endpoint} for {rate} is used up.", retry_after=ceil(wait))
        if client:
            per_client.count(client, now)
        if site:
            per_site.count(site, now)
        if session is None and endpoint != "provider":
            for_all.count(now)
        return None

    def _counting(self, endpoint: Endpoint, send: Send) -> Send:
        """Counts a signed call for everybody's rate when it turns out to be the provider's."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _SIGNATURE_HELD:
                self._for_all[endpoint].count(self._clock())
            await send(message)

        return counted

    def _session(self, scope: Scope) -> bytes | None:
        """The session that the cookie names, if we sealed it. Nobody has more of those than they signed in for."""
        match read_session_id(scope["headers"], self._ring, self._names):
            case SignedIn(session_id):
                return session_id.key.encode()
            case _:
                return None

    def _client(self, scope: Scope) -> tuple[bytes | None, bytes | None]:
        """The client and the site it belongs to: an IPv4 address and none, or the /64 and the /48 of an IPv6 one."""
        peer = scope.get("client")
        known = self._trusted_proxies.known_client(peer[0] if peer else None, scope["headers"])
        if known is None:
            return None, None
        address = ip_address(known)
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.packed[:8], address.packed[:6] if address.version == 6 else None

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
