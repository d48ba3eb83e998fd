"""The credentials of a request: its session's token, refreshed when due or when an upstream rejected it."""

import json
from pathlib import Path

import jwt
import pytest

from bff.errors import ForbiddenByRule
from bff.web.api import BACKGROUND, is_background
from bff.web.cookies import CookieNames
from bff.web.session_cookies import SessionCookies
from bff.web.upstream_credentials import SessionCredentials, UpstreamTokens
from tests.harness.asgi_call import http_scope
from tests.harness.minting import EC_KEY, private_jwk
from tests.harness.minting import jwk as public_jwk
from tests.harness.routes import a_route
from tests.harness.web_parts import PUBLIC_URL, Browser, WebParts, web_parts


def credentials(parts: WebParts) -> SessionCredentials:
    flows, cookies = parts.flows.sessions, SessionCookies(parts.stores.ring, CookieNames())
    tokens = UpstreamTokens(frozenset({"openid", "orders"}), parts.flows.assertions)
    return SessionCredentials(flows.refresh, flows.streams, cookies, tokens, clock=parts.clock)


def cookie(browser: Browser) -> str:
    return f"cookie: __Host-Http-session={browser.cookies['__Host-Http-session']}"


async def test_the_token_is_refreshed_when_it_is_due(signed_in: Browser, parts: WebParts) -> None:
    source, scope = credentials(parts), http_scope("GET", "/api/x", cookie(signed_in))
    assert (await source(scope)).access_token == "access-canary-1"
    parts.clock.now += 3599
    assert (await source(scope)).access_token == "access-canary-2"


async def test_a_rejected_token_is_renewed_once(signed_in: Browser, parts: WebParts) -> None:
    source, scope = credentials(parts), http_scope("GET", "/api/x", cookie(signed_in))
    parts.clock.now += 100  # a token that was only just received is not refreshed again
    first, second = await source(scope), await source(scope)
    assert [await each.renew() for each in (first, second)] == [True, True]
    assert first.access_token == second.access_token == "access-canary-2"
    assert (await source(scope)).access_token == "access-canary-2"


async def test_scopes_are_those_granted_or_else_those_requested(signed_in: Browser, parts: WebParts) -> None:
    found = await credentials(parts)(http_scope("GET", "/api/x", cookie(signed_in)))
    assert set(found.scopes) == {"openid", "email", "offline_access"}
    assert not found.dpop_bound
    assert [found.claim(name) for name in ("sub", "email", "groups")] == ["00u1", "ann@example.com", None]
    with pytest.raises(ValueError, match="not DPoP-bound"):
        found.dpop_proof("GET", "https://api.example.com/x", None)


async def test_a_renewal_applies_the_rules_to_the_claims_that_it_brings(browser: Browser, parts: WebParts) -> None:
    ops = a_route("/ops", allow=[{"name": "ops", "groups_any": ["ops"]}])
    parts.provider.claims["groups"] = ["ops"]
    await browser.sign_in()
    source, scope = credentials(parts), http_scope("GET", "/ops/x", cookie(browser))
    allowed, unchecked = await source(scope), await source(scope)
    allowed.authorize(ops)
    parts.clock.now += 100
    parts.provider.refreshed = {"groups": ["staff"]}
    with pytest.raises(ForbiddenByRule, match="ops"):
        await allowed.renew()
    assert await unchecked.renew()
    with pytest.raises(ForbiddenByRule):
        (await source(scope)).authorize(ops)


@pytest.mark.parametrize(
    ("lines", "more", "background"),
    [
        ((), {}, False),
        (("x-background: 1",), {}, True),
        (("x-background: 0",), {}, False),
        ((), {BACKGROUND: True}, True),
    ],
)
def test_background_requests_are_marked_by_header_or_route(
    lines: tuple[str, ...], more: dict[str, bool], background: bool
) -> None:
    assert is_background(http_scope("GET", "/api/x", *lines, **more)) is background


async def test_an_identity_assertion_is_about_the_user_of_the_session(tmp_path: Path) -> None:
    routes = [{"prefix": "/api", "upstream": "https://api.example.com", "assertion": {"audience": "orders-api"}}]
    keys = json.dumps(private_jwk(EC_KEY, "own"))
    async with web_parts(tmp_path, routes=json.dumps(routes), assertion_keys=keys) as parts:
        browser = parts.browser()
        await browser.sign_in()
        found = await credentials(parts)(http_scope("GET", "/api/x", cookie(browser)))
        assertion = found.assertion(parts.settings.routes[0])
    claims = jwt.decode(
        assertion, jwt.PyJWK(public_jwk(EC_KEY), "ES256"), audience="orders-api", options={"verify_exp": False}
    )
    assert (claims["iss"], claims["sub"], claims["iat"]) == (PUBLIC_URL, "00u1", int(parts.clock()))
