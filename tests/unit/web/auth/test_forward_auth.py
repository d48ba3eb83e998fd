"""`/auth/verify`: what a proxy learns of a request, on which port, and from whom it is believed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from bff.web.auth.forward_auth import VERIFY
from tests.harness.asgi_call import Response, call
from tests.harness.minting import EC_KEY, private_jwk
from tests.harness.minting import jwk as public_jwk
from tests.harness.web_parts import PUBLIC_URL, Browser, WebParts, web_parts

PROXY, STRANGER = "10.0.0.1", "192.0.2.9"
SAME, CROSS = "sec-fetch-site: same-origin", "sec-fetch-site: cross-site"
NAVIGATE, ORIGINAL_GET = "sec-fetch-mode: navigate", "x-forwarded-method: GET"
READS = (ORIGINAL_GET, "x-forwarded-uri: /orders?a=1", SAME)


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[WebParts]:
    changes = {"trusted_proxies": PROXY, "forward_auth_headers": "X-User=sub X-Email=email"}
    async with web_parts(tmp_path, **changes) as parts:
        yield parts


def cookie(browser: Browser) -> str:
    return f"cookie: __Host-Http-session={browser.cookies['__Host-Http-session']}"


async def verify(parts: WebParts, *lines: str, port: str = "private", target: str = "", **more: Any) -> Response:
    app = parts.public if port == "public" else parts.forward_auth
    more = {"client": PROXY, **more}
    return await call(app, more.pop("method", "GET"), VERIFY.decode() + target, *lines, **more)


@pytest.mark.parametrize(
    ("port", "client", "token"), [("private", PROXY, True), ("private", STRANGER, False), ("public", PROXY, False)]
)
async def test_only_a_trusted_proxy_on_the_private_port_gets_the_token(
    signed_in: Browser, parts: WebParts, port: str, client: str, token: bool
) -> None:
    response = await verify(parts, cookie(signed_in), *READS, "x-csrf: 1", port=port, client=client)
    assert (response.status, response.one("x-user"), response.one("x-email")) == (200, "00u1", "ann@example.com")
    assert response.all("authorization") == (["Bearer access-canary-1"] if token else [])
    assert response.one("cache-control") == "no-store"


IDENTITY = {"audience": "reports", "claims": ["sub", "email"]}
WAYS = {
    "instead": ({"forward_auth_token": json.dumps({"identity": IDENTITY})}, "authorization", "Bearer "),
    "beside": ({"forward_auth_assertion": json.dumps({**IDENTITY, "header": "X-Proof"})}, "x-proof", ""),
}


@pytest.mark.parametrize("way", WAYS)
async def test_only_a_trusted_proxy_on_the_private_port_gets_an_identity_assertion(tmp_path: Path, way: str) -> None:
    changes, header, scheme = WAYS[way]
    keys = {"assertion_keys": json.dumps(private_jwk(EC_KEY)), "forward_auth_listen": "127.0.0.1:8081"}
    async with web_parts(tmp_path, trusted_proxies=PROXY, **keys, **changes) as parts:
        browser = parts.browser()
        await browser.sign_in()
        lines = (cookie(browser), *READS, "x-proof: forged", "x-csrf: 1")
        response = await verify(parts, *lines)
        for port, client in (("private", STRANGER), ("public", PROXY)):
            without = await verify(parts, *lines, port=port, client=client)
            assert without.status == 200
            assert (without.all("authorization"), without.all("x-proof")) == ([], [""] if way == "beside" else [])
    key, times = jwt.PyJWK(public_jwk(EC_KEY), "ES256"), {"verify_exp": False, "verify_iat": False}
    assertion = (response.one(header) or "").removeprefix(scheme)
    claims = jwt.decode(assertion, key, audience="reports", options=times)
    assert (claims["iss"], claims["sub"], claims["email"]) == (PUBLIC_URL, "00u1", "ann@example.com")
    if way == "beside":
        assert response.one("authorization") == "Bearer access-canary-1"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (READS, 200),
        (("x-original-method: HEAD", SAME), 200),
        ((ORIGINAL_GET, CROSS, NAVIGATE), 200),
        ((ORIGINAL_GET, CROSS), 403),
        ((SAME,), 403),  # an unknown method counts as unsafe
        ((SAME, "x-csrf: 1"), 200),
        (("x-forwarded-method: POST", SAME), 403),
        (("x-forwarded-method: POST", SAME, "x-csrf: 1"), 200),
        ((ORIGINAL_GET, "x-original-method: POST", SAME), 400),
        ((ORIGINAL_GET, "x-original-method: GET", SAME), 200),
        ((ORIGINAL_GET, "x-forwarded-uri: /a", "x-original-uri: /b", SAME), 400),
        ((ORIGINAL_GET, "x-forwarded-uri: /api/../admin", SAME), 400),
        ((ORIGINAL_GET, "x-forwarded-uri: //orders", SAME), 200),
    ],
)
async def test_the_original_request_decides(
    signed_in: Browser, parts: WebParts, lines: tuple[str, ...], status: int
) -> None:
    assert (await verify(parts, cookie(signed_in), *lines)).status == status


async def test_a_strangers_headers_describe_no_request(signed_in: Browser, parts: WebParts) -> None:
    assert (await verify(parts, cookie(signed_in), *READS, client=STRANGER)).status == 403


@pytest.mark.parametrize(
    ("method", "target", "lines", "status"),
    [
        ("GET", "/orders", (SAME,), 200),  # Envoy repeats the method and appends the path
        ("POST", "/orders", (SAME,), 403),
        ("POST", "/orders", (SAME, "x-csrf: 1"), 200),
        ("POST", "", (SAME, "x-csrf: 1"), 400),
        ("POST", "", (SAME, "x-csrf: 1", "x-forwarded-method: POST"), 200),
        ("GET", "x", (SAME, "x-csrf: 1"), 404),
    ],
)
async def test_the_request_of_the_proxy_itself_may_be_the_original(
    signed_in: Browser, parts: WebParts, method: str, target: str, lines: tuple[str, ...], status: int
) -> None:
    assert (await verify(parts, cookie(signed_in), *lines, method=method, target=target)).status == status


ORDERS = "/auth/login?return_to=/orders%3Fa%3D1"


@pytest.mark.parametrize(
    ("target", "lines", "status", "url"),
    [
        ("", READS, 401, ORDERS),
        ("", (*READS, NAVIGATE), 401, ORDERS),
        ("?sign_in=redirect", READS, 401, ORDERS),
        ("?sign_in=redirect", (*READS, NAVIGATE), 303, ORDERS),
        ("?sign_in=redirect", (*READS[:2], CROSS, NAVIGATE), 303, "/auth/landing?to=/orders%3Fa%3D1"),
        (
            "?sign_in=redirect",
            ("x-forwarded-method: POST", SAME, NAVIGATE, "x-csrf: 1"),
            401,
            "/auth/login?return_to=/",
        ),
        ("/orders?a=1", (SAME, NAVIGATE, "x-sign-in: redirect"), 303, ORDERS),
        ("/orders?sign_in=redirect", (SAME, NAVIGATE), 401, "/auth/login?return_to=/orders%3Fsign_in%3Dredirect"),
    ],
)
async def test_without_a_session_it_says_where_to_sign_in(
    parts: WebParts, target: str, lines: tuple[str, ...], status: int, url: str
) -> None:
    response = await verify(parts, *lines, target=target)
    assert response.status == status
    if status == 303:
        assert response.one("location") == f"https://app.example.com{url}"
    else:
        assert response.one("x-sign-in-url") == url
    assert response.all("set-cookie") == []


async def test_an_explained_request_that_passes_by_now_is_repeated(signed_in: Browser, parts: WebParts) -> None:
    response = await verify(parts, cookie(signed_in), *READS, target="?explain=refusal")
    assert (response.problem, response.one("retry-after")) == ((503, "retry_required"), "1")


async def test_background_requests_extend_nothing(signed_in: Browser, parts: WebParts) -> None:
    parts.clock.now += 100
    await verify(parts, cookie(signed_in), *READS, "x-background: 1")
    await parts.tasks.drain(60)
    before = (await signed_in.session())["session"]["idle_ends_at"]
    await verify(parts, cookie(signed_in), *READS)
    await parts.tasks.drain(60)
    assert (await signed_in.session())["session"]["idle_ends_at"] == before + 100


@pytest.fixture
async def with_rules(tmp_path: Path) -> AsyncIterator[WebParts]:
    named = [{"name": "ops", "allow": [{"name": "operators", "groups_any": ["ops"]}]}]
    named.append({"name": "strong", "allow": [{"name": "phishing-resistant", "acr": ["phr"]}]})
    changes = {"trusted_proxies": PROXY, "acr_values": "phr", "forward_auth_rules": json.dumps(named)}
    changes["forward_auth_allow"] = json.dumps([{"name": "staff", "groups_any": ["staff"]}])
    async with web_parts(tmp_path, **changes) as parts:
        yield parts


OPS = "x-access-rules: ops"


@pytest.mark.parametrize(
    ("groups", "target", "lines", "expected"),
    [
        (["staff"], "", READS, 200),
        (["ops"], "", READS, "staff"),
        (["staff"], "?rules=ops", READS, "operators"),
        (["staff", "ops"], "?rules=ops", READS, 200),
        (["ops"], "?rules=ops", READS, "staff"),  # those of every request apply, too
        (["staff"], "?sign_in=redirect&rules=ops&explain=refusal", (*READS, NAVIGATE), "operators"),
        (["staff"], "/orders", (SAME, OPS), "operators"),
        (["staff", "ops"], "/orders?rules=strong", (SAME, OPS), 200),  # the query is the original request's
        (["staff"], "", (*READS, OPS), 200),  # a header of the client, where the proxy uses the query
        (["staff", "ops"], "?rules=ops&rules=strong", READS, 400),
        (["staff", "ops"], "/orders", (SAME, OPS, "x-access-rules: strong"), 400),
        (["staff", "ops"], "?rules=Ops", READS, 400),
        (["staff", "ops"], "?rules=", READS, 400),
    ],
)
async def test_access_rules_are_those_of_every_request_and_those_that_the_proxy_names(
    with_rules: WebParts, groups: list[str], target: str, lines: tuple[str, ...], expected: int | str
) -> None:
    browser = with_rules.browser()
    with_rules.provider.claims["groups"] = groups
    await browser.sign_in()
    for port in ("private", "public"):
        response = await verify(with_rules, cookie(browser), *lines, target=target, port=port)
        if isinstance(expected, str):
            assert response.status == 403
            assert f"not allowed by: {expected}." in response.body.decode()
            assert not response.all("authorization") + response.all("x-user-sub") + response.all("x-sign-in-url")
        else:
            assert response.status == expected


async def test_a_refusal_by_a_rule_says_which_sign_in_would_help(with_rules: WebParts) -> None:
    browser = with_rules.browser()
    with_rules.provider.claims["groups"] = ["staff"]
    await browser.sign_in()
    response = await verify(with_rules, cookie(browser), *READS, target="?rules=strong")
    assert response.problem == (403, "forbidden_by_rule")
    assert json.loads(response.body)["sign_in_url"] == "/auth/login?acr_values=phr&return_to="
    assert response.one("x-sign-in-url") == "/auth/login?acr_values=phr&return_to=/orders%3Fa%3D1"
