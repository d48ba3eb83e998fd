"""The credentials of a request: its session's token, refreshed when due or when an upstream rejected it."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from bff.config.browser import KEY_SET_PATH
from bff.errors import ForbiddenByRule
from bff.web.api import BACKGROUND, is_background
from bff.web.cookies import CookieNames
from bff.web.origin_policy import OriginPolicy
from bff.web.request_authentication import RequestAuthentication
from bff.web.session_cookies import SessionCookies
from bff.web.upstream_credentials import SessionCredentials, UpstreamTokens
from tests.harness.asgi_call import http_scope
from tests.harness.minting import EC_KEY, private_jwk
from tests.harness.raw_upstream import ok, raw_upstream
from tests.harness.routes import a_route
from tests.harness.web_parts import FETCH, PUBLIC_URL, Browser, WebParts, web_parts


def credentials(parts: WebParts) -> SessionCredentials:
    flows = parts.flows.sessions
    authentication = RequestAuthentication(OriginPolicy(PUBLIC_URL), SessionCookies(parts.stores.ring, CookieNames()))
    tokens = UpstreamTokens(frozenset({"openid", "orders"}), parts.flows.assertions, parts.flows.api_tokens)
    return SessionCredentials(flows.refresh, flows.streams, authentication, tokens, clock=parts.clock)


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


IDENTITY = {"audience": "orders-api", "claims": ["sub", "name"]}


async def test_an_identity_assertion_follows_the_session(tmp_path: Path) -> None:
    keys = json.dumps(private_jwk(EC_KEY, "own"))
    async with raw_upstream(ok()) as upstream:
        routes = [{"prefix": "/api", "upstream": upstream.url, "assertion": IDENTITY}]
        async with web_parts(tmp_path, routes=json.dumps(routes), assertion_keys=keys) as parts:
            browser = parts.browser()
            parts.provider.claims["name"] = "Ann"
            await browser.sign_in()

            async def claims() -> dict[str, Any]:
                """Those that the upstream verifies with the published keys."""
                assert (await browser.send("GET", "/api/x", *FETCH, "x-bff-assertion: forged")).status == 200
                document = json.loads((await browser.fetch("GET", KEY_SET_PATH)).body)
                sent = upstream.requests[-1]
                assert (sent.one("authorization") or "").startswith("Bearer access-canary-")
                assertion, times = sent.one("x-bff-assertion") or "", {"verify_exp": False, "verify_iat": False}
                key = jwt.PyJWKSet.from_dict(document)["own"]
                return jwt.decode(assertion, key, audience="orders-api", issuer=PUBLIC_URL, options=times)

            first, second = await claims(), await claims()
            assert first == second
            assert (first["sub"], first["name"], first["exp"]) == ("00u1", "Ann", int(parts.clock()) + 60)
            parts.clock.now += 3599
            parts.provider.refreshed = {"name": "Ann Lee"}
            assert (await claims())["name"] == "Ann Lee"
            forwarded = len(upstream.requests)
            assert (await browser.fetch("POST", "/auth/logout")).status == 200
            assert (await browser.fetch("GET", "/api/x")).problem == (401, "sign_in_required")
            assert len(upstream.requests) == forwarded
