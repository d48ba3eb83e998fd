"""Rate limits of sign-in and sign-out:

`/auth/login`, the callback, `/auth/logout` and the provider's endpoints. Each endpoint has a total rate and a rate per
client, so a flood at one endpoint does not block the others: a browser that got past the login endpoint also gets
through the callback. The counts are those of a process, or of all workers of a machine. A signed-in user can always
sign out: with a valid session cookie the session itself is the client at `/auth/logout`, and the total rate does not
apply. The provider's endpoints have ten times the rate: requests arrive in a burst from few addresses when an
administrator signs many users out, and a lost one leaves a user signed in. Signed requests count against the total rate
only if their signature is valid: otherwise a flood of forged ones from many addresses would block the genuine ones.
Front-channel requests are not signed, so they have rates of their own. An IPv6 client is counted twice: by its /64,
which one customer holds alone (RFC 6177), and at a higher rate by its /48, of which tunnel brokers and hosting
providers give 65,536 such networks to any customer.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.config.settings import Settings
from bff.errors import InvalidRequest, RateLimited
from bff.proxy.client_address import TrustedProxies
from bff.telemetry import metrics
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.rate_memory import RateMemory
from bff.web.return_path import requested_return_path, return_path
from bff.web.session_cookies import SessionCookies, SignedIn

# Rate limits per minute, in total and per client, in memory of constant size. Pure: `now` is an argument, in seconds of
# a monotonic clock. The algorithm is GCRA (the generic cell rate algorithm, a leaky bucket with one number): a burst of
# a minute's worth, then the steady rate. A refused request is not counted, so a client that keeps asking gets exactly
# the allowed rate.

MINUTE: Final = 60.0
_ROUNDING: Final = 1e-6  # seconds; absorbs the rounding errors of thousands of additions


@dataclass(frozen=True, slots=True)
class Rate:
    """`paid_until` is the theoretical arrival time: the time up to which accepted requests have used the rate."""

    per_minute: int

    def wait(self, paid_until: float, now: float) -> float:
        """Seconds until the next request is allowed; 0 if it is allowed now."""
        ahead = max(paid_until, now) + MINUTE / self.per_minute - now - MINUTE
        return ahead if ahead > _ROUNDING else 0.0

    def after(self, paid_until: float, now: float) -> float:
        """`paid_until` after one more accepted request."""
        return max(paid_until, now) + MINUTE / self.per_minute


class TotalRate:
    """One rate for all clients. A rate of 0 means no limit."""

    def __init__(self, per_minute: int, memory: RateMemory) -> None:
        self._rate = Rate(per_minute) if per_minute else None
        self._paid_until = memory.take(1)

    def wait(self, now: float) -> float:
        """Seconds until the next request is allowed; 0 if it is allowed now."""
        return self._rate.wait(self._paid_until[0], now) if self._rate else 0.0

    def count(self, now: float) -> None:
        if self._rate is not None:
            self._paid_until[0] = self._rate.after(self._paid_until[0], now)


class ClientRate:
    """One rate per client, in a table of constant size (a count-min sketch of GCRA cells).

    A client has one cell in each row, chosen by a keyed hash that outsiders cannot predict, and its emptiest cell
    decides. So a client never exceeds its rate, whatever others do; it is refused because of others only if all its
    cells happen to be full. A cell fills with a minute's worth of accepted requests: with a total rate of F times the
    rate per client at most 2 F cells of a row are full at a time. With the defaults that is 100 of 8192, a chance of 1
    in 40 million for an honest client.
    """

    ROWS: Final = 4
    CELLS: Final = 8192  # in each row; 256 KiB in all

    def __init__(self, per_minute: int, memory: RateMemory) -> None:
        self._rate = Rate(per_minute) if per_minute else None
        self._secret = memory.secret
        self._paid_until = memory.take(self.ROWS * self.CELLS)

    def wait(self, client: bytes, now: float) -> float:
        """Seconds until this client's next request is allowed; 0 if it is allowed now."""
        if self._rate is None:
            return 0.0
        return self._rate.wait(min(self._paid_until[cell] for cell in self._cells(client)), now)

    def count(self, client: bytes, now: float) -> None:
        if self._rate is None:
            return
        cells = self._cells(client)
        paid_until = self._rate.after(min(self._paid_until[cell] for cell in cells), now)
        for cell in cells:
            # A cell that other clients have filled further keeps its value: it is shared.
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
SITE_FACTOR: Final = 5  # total of all clients of one /48, in multiples of one client's rate
# The responses to a signed request with a valid signature.
_SIGNATURE_HELD: Final = frozenset({200, 202, 204, 404, 422})


class RateLimits:
    """The counts of all endpoints. `clock` is monotonic, in seconds."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.monotonic, memory: RateMemory | None = None
    ) -> None:
        self.browser, self._clock = settings.browser, clock
        memory = memory or RateMemory()
        self.endpoints: Mapping[str, Endpoint] = {
            LOGIN: "sign_in",
            settings.browser.callback_path: "callback",
            "/auth/logout": "sign_out",
            "/auth/backchannel-logout": "provider",
            "/auth/frontchannel-logout": "front_channel",
            "/auth/global-token-revocation": "provider",
            "/auth/security-events": "provider",
        }
        by_provider = ("provider", "front_channel")
        factors = {endpoint: PROVIDER_FACTOR if endpoint in by_provider else 1 for endpoint in self.endpoints.values()}
        total, per_client = settings.sign_in.rate, settings.sign_in.rate_per_client
        self._for_all = {endpoint: TotalRate(total * factor, memory) for endpoint, factor in factors.items()}
        self._per_client = {endpoint: ClientRate(per_client * factor, memory) for endpoint, factor in factors.items()}
        self._per_site = {
            endpoint: ClientRate(per_client * factor * SITE_FACTOR, memory) for endpoint, factor in factors.items()
        }

    def check(
        self, endpoint: Endpoint, *, session: bytes | None, client: bytes | None, site: bytes | None
    ) -> RateLimited | None:
        """Counts the request if every rate allows it; otherwise counts it in none."""
        now = self._clock()
        for_all, per_client, per_site = self._for_all[endpoint], self._per_client[endpoint], self._per_site[endpoint]
        if session is not None:
            client, site = session, None
        wait, rate = (per_client.wait(client, now), "client") if client else (0.0, "client")
        if not wait and site:
            wait, rate = per_site.wait(site, now), "network"
        if not wait and session is None:
            wait, rate = for_all.wait(now), "all"
        if wait:
            metrics.RATE_LIMITED.labels(endpoint=endpoint, rate=rate).inc()
            return RateLimited(f"The rate limit of {endpoint} for {rate} is exhausted.", retry_after=ceil(wait))
        if client:
            per_client.count(client, now)
        if site:
            per_site.count(site, now)
        if session is None and endpoint != "provider":
            for_all.count(now)
        return None

    def count_signed(self, endpoint: Endpoint) -> None:
        """Counts a request against the total rate of its endpoint once its signature has been validated."""
        self._for_all[endpoint].count(self._clock())


class RateLimitMiddleware:
    """ASGI middleware around our own endpoints."""

    def __init__(
        self,
        app: ASGIApp,
        limits: RateLimits,
        trusted_proxies: TrustedProxies,
        cookies: SessionCookies,
        errors: ErrorResponder,
    ) -> None:
        self._app, self._limits, self._trusted_proxies = app, limits, trusted_proxies
        self._cookies, self._errors = cookies, errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Decoded, as the router reads it: /auth/%6Cogin is the same endpoint.
        endpoint = self._limits.endpoints.get(scope["path"]) if scope["type"] == "http" else None
        refusal = None if endpoint is None else self._check(endpoint, scope)
        if refusal is None:
            await self._app(scope, receive, self._counting(endpoint, send) if endpoint == "provider" else send)
            return
        response = self._errors.respond(refusal, Request(scope), return_to=self._return_to(scope))
        await response(scope, receive, send)

    def _check(self, endpoint: Endpoint, scope: Scope) -> RateLimited | None:
        session = self._session(scope) if endpoint == "sign_out" else None
        client, site = (None, None) if session else self._client(scope)
        return self._limits.check(endpoint, session=session, client=client, site=site)

    def _counting(self, endpoint: Endpoint, send: Send) -> Send:
        """Counts a signed request against the total rate once it proves to be the provider's."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _SIGNATURE_HELD:
                self._limits.count_signed(endpoint)
            await send(message)

        return counted

    def _session(self, scope: Scope) -> bytes | None:
        """The session of the cookie, if the BFF sealed it. A client has only as many of those as it signed in for."""
        match self._cookies.read(scope["headers"]):
            case SignedIn(session_id):
                return session_id.key.encode()
            case _:
                return None

    def _client(self, scope: Scope) -> tuple[bytes | None, bytes | None]:
        """The client and its site: an IPv4 address and none, or the /64 and the /48 of an IPv6 address."""
        peer = scope.get("client")
        known = self._trusted_proxies.known_client(peer[0] if peer else None, scope["headers"])
        if known is None:
            return None, None
        address = ip_address(known)
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.packed[:8], address.packed[:6] if address.version == 6 else None

    def _return_to(self, scope: Scope) -> str | None:
        """The return path for the page's retry link."""
        if scope["path"] != LOGIN:
            return None
        try:
            query = parse_qs(scope["query_string"].decode("ascii"), max_num_fields=50, errors="strict")
        except ValueError:
            return None
        try:
            wanted = requested_return_path({name: values[0] for name, values in query.items()})
        except InvalidRequest:
            return None
        return return_path(wanted, self._limits.browser)
