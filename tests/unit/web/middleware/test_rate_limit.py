"""Rate limits: the algorithm on a clock of the test, which rate counts what, and the middleware around it."""

import random
from collections.abc import Callable
from itertools import count

import pytest

from bff.config.settings import load_settings
from bff.proxy.client_address import TrustedProxies
from bff.session.keyring import KeyRing, new_key, new_session_id
from bff.web.cookies import CookieNames
from bff.web.error_page import ErrorPages
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.rate_limit import (
    MINUTE,
    PROVIDER_FACTOR,
    SITE_FACTOR,
    ClientRate,
    Endpoint,
    RateLimitMiddleware,
    RateLimits,
    TotalRate,
)
from bff.web.middleware.rate_memory import RateMemory
from bff.web.session_cookies import SessionCookies
from tests.harness.asgi_call import Reached, Response, call, run, websocket_scope
from tests.harness.settings import with_changes

ENDPOINTS: dict[str, Endpoint] = {
    "/auth/login": "sign_in",
    "/authorization-code/callback": "callback",
    "/auth/logout": "sign_out",
    "/auth/backchannel-logout": "provider",
    "/auth/frontchannel-logout": "front_channel",
    "/auth/global-token-revocation": "provider",
}


# --- the algorithm


def asking(per_minute: int, *, per_client: bool) -> Callable[[float], bool]:
    """One client's requests, at either kind of rate."""
    clients, total = ClientRate(per_minute, RateMemory()), TotalRate(per_minute, RateMemory())

    def ask(now: float) -> bool:
        if per_client:
            return allowed(clients, b"one", now)
        if total.wait(now):
            return False
        total.count(now)
        return True

    return ask


def allowed(rate: ClientRate, client: bytes, now: float = 0.0) -> bool:
    if rate.wait(client, now):
        return False
    rate.count(client, now)
    return True


@pytest.mark.parametrize("per_client", [True, False])
@pytest.mark.parametrize("per_minute", [1, 7, 600])
@pytest.mark.parametrize("start", [0.0, 123456.789])
def test_a_minutes_worth_passes_at_once_and_then_one_at_a_time(per_minute: int, start: float, per_client: bool) -> None:
    ask, interval = asking(per_minute, per_client=per_client), MINUTE / per_minute
    assert all(ask(start) for _ in range(per_minute))
    assert not ask(start + interval * 0.9)
    assert ask(start + interval * 1.01)
    assert not ask(start + interval * 1.02)
    assert all(ask(start + 10 * MINUTE) for _ in range(per_minute)), "time that was not used adds up to one minute"
    assert not ask(start + 10 * MINUTE)


def test_a_flood_neither_costs_another_client_nor_empties_its_own_count() -> None:
    rate = ClientRate(5, RateMemory())
    assert [allowed(rate, b"flood") for _ in range(100)].count(True) == 5
    assert all(allowed(rate, b"honest") for _ in range(5))
    size = len(rate._paid_until)
    for number in range(2_000):
        allowed(rate, number.to_bytes(8, "big"))
    assert not allowed(rate, b"flood")
    assert len(rate._paid_until) == size == rate.ROWS * rate.CELLS


def test_addresses_without_end_leave_room_for_honest_clients() -> None:
    """The defaults' proportions: the total rate is used up by many clients, each up to its own."""
    rate, total, chance = ClientRate(20, RateMemory()), TotalRate(1000, RateMemory()), random.Random(7)
    for tick in range(100):
        client, now = chance.randbytes(8), tick * 0.5
        for _ in range(21):
            if not rate.wait(client, now) and not total.wait(now):
                rate.count(client, now)
                total.count(now)
    assert all(rate.wait(chance.randbytes(8), 50.0) == 0 for _ in range(2000))


def test_the_cells_of_a_client_differ_from_process_to_process() -> None:
    assert ClientRate(5, RateMemory())._cells(b"one") != ClientRate(5, RateMemory())._cells(b"one")


# --- which rate counts what


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock | None = None, *, total: int = 0, per_client: int = 0) -> RateLimits:
    changes = {"sign_in_rate": str(total), "sign_in_rate_per_client": str(per_client)}
    return RateLimits(load_settings(with_changes(**changes)), clock or Clock())


def passing(rates: RateLimits, endpoint: Endpoint, most: int = 2000, **who: bytes | None) -> int:
    """How many requests pass before one is refused."""
    for number in range(most):
        if rates.check(endpoint, **{"session": None, "client": None, "site": None, **who}):  # type: ignore[arg-type]
            return number
    return most


@pytest.mark.parametrize("endpoint", sorted(set(ENDPOINTS.values())))
def test_the_rates_of_each_endpoint(endpoint: Endpoint) -> None:
    factor = PROVIDER_FACTOR if endpoint in ("provider", "front_channel") else 1
    assert passing(limits(per_client=3), endpoint, client=b"a") == 3 * factor
    of_site = limits(per_client=3)
    clients = count()
    assert (
        next(
            number
            for number in count()
            if of_site.check(endpoint, session=None, client=b"%d" % next(clients), site=b"s")
        )
        == 3 * factor * SITE_FACTOR
    )
    rates = limits(total=3)
    # A provider's request counts against the total once its signature is valid.
    assert passing(rates, endpoint) == (2000 if endpoint == "provider" else 3 * factor)
    if endpoint == "provider":
        for _ in range(3 * factor):
            rates.count_signed(endpoint)
        assert passing(rates, endpoint) == 0
    assert passing(limits(), endpoint) == 2000, "no limits"
    for other in set(ENDPOINTS.values()) - {endpoint}:
        assert rates.check(other, session=None, client=None, site=None) is None, "another endpoint's rate is unused"


def test_a_session_is_its_own_client_and_independent_of_the_total() -> None:
    rates = limits(total=2, per_client=3)
    assert passing(rates, "sign_out", client=b"a") == 2
    assert passing(rates, "sign_out", session=b"s", client=b"a", site=b"x") == 3
    assert passing(rates, "sign_out", session=b"t", site=b"x") == 3


def test_a_refused_request_is_counted_nowhere() -> None:
    clock = Clock()
    rates = limits(clock, total=4, per_client=2)
    assert passing(rates, "sign_in", client=b"a", site=b"x") == 2
    for _ in range(50):
        assert rates.check("sign_in", session=None, client=b"a", site=b"x") is not None
    assert passing(rates, "sign_in", client=b"b", site=b"x") == 2
    refusal = rates.check("sign_in", session=None, client=b"c", site=b"x")
    assert refusal is not None
    assert refusal.retry_after == 15, "the rate for all: one in 15 seconds"
    clock.now = 15.0
    assert rates.check("sign_in", session=None, client=b"c", site=b"x") is None


# --- the middleware

RING, NAMES = KeyRing.from_keys([new_key()]), CookieNames()
COOKIES, PROXY = SessionCookies(RING, NAMES), "10.0.0.1"


def limited(rates: RateLimits, *, status: int = 200) -> RateLimitMiddleware:
    errors = ErrorResponder(ErrorPages())
    return RateLimitMiddleware(Reached(status), rates, TrustedProxies([PROXY]), COOKIES, errors)


async def statuses(app: RateLimitMiddleware, target: str, *lines: str, times: int = 2, **more: str) -> list[int]:
    return [(await call(app, "POST", target, *lines, **more)).status for _ in range(times)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "is_limited"),
    [
        *((path, True) for path in ENDPOINTS),
        ("/auth/%6Cogin", True),
        *((path, False) for path in ("/auth/session", "/auth/login/", "/auth/logout/provider", "/api/x", "/")),
    ],
)
async def test_our_own_endpoints_are_limited_however_they_are_spelled(target: str, is_limited: bool) -> None:
    app = limited(limits(per_client=1))
    endpoint_factor = PROVIDER_FACTOR if "channel" in target or "revocation" in target else 1
    came = await statuses(app, target, times=endpoint_factor + 1, client="8.8.8.8")
    assert came == [200] * endpoint_factor + [429 if is_limited else 200]
    assert (await run(app, websocket_scope(target))).status == 101


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("8.8.8.8", "8.8.8.8", True),
        ("8.8.8.8", "8.8.8.9", False),
        ("2001:4860::1", "2001:4860:0:0:ffff::2", True),  # one /64
        ("2001:4860::1", "2001:4860:0:1::1", False),
        ("::ffff:8.8.8.8", "8.8.8.8", True),
        ("192.168.0.1", "192.168.0.1", False),  # a forgotten proxy, rather than a client
    ],
)
async def test_a_client_is_an_address_or_an_ipv6_network(first: str, second: str, same: bool) -> None:
    for client in (None, PROXY):  # directly, or behind a trusted proxy
        app = limited(limits(per_client=1))
        if client is None:
            came = [(await statuses(app, "/auth/login", times=1, client=address))[0] for address in (first, second)]
        elif first.startswith("192.168"):
            continue
        else:
            lines = [f"x-forwarded-for: {address}" for address in (first, second)]
            came = [(await statuses(app, "/auth/login", line, times=1, client=client))[0] for line in lines]
        assert came == [200, 429 if same else 200]


async def test_the_networks_of_one_ipv6_site_share_a_rate() -> None:
    app, networks = limited(limits(per_client=1)), range(SITE_FACTOR + 1)
    came = [(await statuses(app, "/auth/login", times=1, client=f"2001:4860:0:{number}::1"))[0] for number in networks]
    assert came == [200] * SITE_FACTOR + [429]
    assert await statuses(app, "/auth/login", times=1, client="2001:4860:1::1") == [200]


@pytest.mark.parametrize(
    ("cookie", "target", "came"),
    [
        (NAMES.session, "/auth/logout", [200, 429, 200]),
        ("other", "/auth/logout", [200, 429, 429]),
        (NAMES.session, "/auth/login", [200, 429, 429]),
    ],
)
async def test_a_signed_in_user_can_always_sign_out(cookie: str, target: str, came: list[int]) -> None:
    app = limited(limits(total=1, per_client=1))
    seal = f"cookie: {cookie}={COOKIES.seal(new_session_id())[1].decode().partition('=')[2].partition(';')[0]}"
    sent = [await statuses(app, target, *lines, times=1, client="8.8.8.8") for lines in ((), (), (seal,))]
    assert [status for [status] in sent] == came


@pytest.mark.parametrize(
    ("status", "counts"), [*((held, True) for held in (200, 204, 404, 422)), *((no, False) for no in (400, 401, 503))]
)
async def test_a_providers_request_counts_in_total_once_its_signature_is_valid(status: int, counts: bool) -> None:
    app, target = limited(limits(total=1), status=status), "/auth/backchannel-logout"
    came = await statuses(app, target, times=PROVIDER_FACTOR + 1)
    assert came == [status] * PROVIDER_FACTOR + [429 if counts else status]


async def refused(target: str, *lines: str) -> Response:
    app = limited(limits(total=1))
    await call(app, "GET", target)
    return await call(app, "GET", target, *lines)


async def test_a_refusal_says_when_to_try_again_and_a_page_where() -> None:
    navigation = "sec-fetch-mode: navigate"
    response = await refused("/auth/login?return_to=/orders")
    assert (response.problem, response.one("retry-after")) == ((429, "rate_limited"), "60")
    for query, link in (
        ("return_to=/orders", b"return_to=/orders"),
        ("target_link_uri=/orders", b"return_to=/orders"),
        ("return_to=https://evil.test", b"return_to=/"),
        ("return_to=%ff", b"return_to=/"),
        ("", b"return_to=/"),
    ):
        assert link + b'"' in (await refused(f"/auth/login?{query}", navigation)).body
    callback = await refused("/authorization-code/callback?return_to=/orders", navigation)
    assert b'return_to=/"' in callback.body
