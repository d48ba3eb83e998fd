"""`/auth/login`: what starts a sign-in, with which parameters, and how often."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from bff.errors import InvalidRequest
from bff.web.auth.login import FORM_LIMIT, KNOWN, require_our_provider
from bff.web.auth.loop_guard import LIMIT, WINDOW
from tests.harness.asgi_call import Response
from tests.harness.web_parts import CROSS_SITE, FORM, ISSUER, NAVIGATION, ORG, Browser, WebParts


@pytest.mark.case("AZ-020")
async def test_a_sign_in_asks_the_provider_with_pkce_state_and_nonce(browser: Browser) -> None:
    hostile = "&client_id=evil&redirect_uri=https://evil.test&scope=all&response_type=token&response_mode=fragment"
    hostile += "&state=fixed&nonce=fixed&code_challenge=x&code_challenge_method=plain&request=e30.e30.&request_uri=x"
    asked = await browser.begin(f"?return_to=/orders{hostile}")
    assert "fixed" not in (asked["state"], asked["nonce"])
    assert not {"request", "request_uri"} & asked.keys()
    assert {name: asked[name] for name in ("response_type", "client_id", "redirect_uri", "code_challenge_method")} == {
        "response_type": "code",
        "client_id": "0oa1example",
        "redirect_uri": "https://app.example.com/authorization-code/callback",
        "code_challenge_method": "S256",
    }
    assert "openid" in asked["scope"].split()
    assert len(asked["nonce"]) >= 22 <= len(asked["code_challenge"])
    again = await browser.begin()
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge"))


@pytest.mark.parametrize(
    ("return_to", "leads_to"),
    [("/orders?a=1#b", "/orders?a=1#b"), ("https://evil.test/", "/"), ("//evil.test", "/"), ("/" + "a" * 3000, "/")],
)
async def test_only_a_path_of_ours_is_returned_to(browser: Browser, return_to: str, leads_to: str) -> None:
    response = await browser.sign_in(f"?{urlencode({'return_to': return_to})}")
    assert response.one("location") == leads_to


@pytest.mark.case("AZ-038", "AZ-053")
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 303),
        (NAVIGATION, 303),
        (CROSS_SITE, 303),
        ((*NAVIGATION, "x-csrf: 1"), 403),
        (("sec-fetch-mode: cors",), 403),
        (("sec-fetch-mode: navigate", "sec-fetch-dest: iframe"), 403),
        ((*NAVIGATION, "sec-purpose: prefetch;prerender"), 403),
        ((*NAVIGATION, "purpose: prefetch"), 403),
    ],
)
async def test_only_a_navigation_starts_a_sign_in(browser: Browser, lines: tuple[str, ...], status: int) -> None:
    response = await browser.send("GET", "/auth/login", *lines)
    assert response.status == status
    assert bool(response.all("set-cookie")) == (status == 303)


@pytest.mark.case("DS-021")
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("return_to=/a&return_to=/b", 400),
        ("unknown=1&unknown=2", 303),
        ("return_to=%ff", 400),
        ("max_age=soon", 400),
        ("prompt=consent", 400),
        ("idp=other", 400),
        ("iss=https://evil.test", 400),
        (f"iss={ISSUER}", 303),
        ("&".join("a=1" for _ in range(51)), 400),
    ],
)
async def test_parameters_are_checked(browser: Browser, query: str, status: int) -> None:
    assert (await browser.navigate(f"/auth/login?{query}")).status == status


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("max_age=soon", b"The parameter max_age is not a number of seconds."),
        ("prompt=none%20login", b"The parameter prompt combines none with another value."),
        ("acr_values=canary", b"The parameter acr_values has a value that is not allowed here."),
    ],
)
async def test_the_page_names_the_parameter_and_never_the_value(browser: Browser, query: str, named: bytes) -> None:
    page = await browser.navigate(f"/auth/login?{query}")
    assert (page.status, named in page.body, b"canary" in page.body) == (400, True, False)


@pytest.mark.parametrize(
    ("iss", "ours"),
    [
        (None, True),
        (ISSUER, True),
        (ORG, True),
        (f"{ORG}/", True),
        (f"{ISSUER}/", False),
        ("", False),
        (ORG[:-1], False),
    ],
)
def test_the_org_may_start_a_sign_in_at_its_authorization_server(iss: str | None, ours: bool) -> None:
    if ours:
        require_our_provider(iss, ISSUER)
    else:
        with pytest.raises(InvalidRequest):
            require_our_provider(iss, ISSUER)


async def test_options_that_the_settings_allow_reach_the_provider(browser: Browser) -> None:
    asked = await browser.begin("?prompt=login&max_age=300&login_hint=ann@example.com")
    assert (asked["prompt"], asked["max_age"], asked["login_hint"]) == ("login", "300", "ann@example.com")
    assert "sealed_hint" in KNOWN
    assert "login_hint" not in await browser.begin("?sealed_hint=forged")


@pytest.mark.parametrize("character", ["a", "%22", "&", '"', "'"])
@pytest.mark.parametrize("length", [1024, 2048])
async def test_the_heads_of_a_sign_in_fit_into_8_kib(browser: Browser, character: str, length: int) -> None:
    """Proxies have one buffer for the head of a response, and respond with 502 if it is larger."""
    hint = "+" * 254
    target = ("/" + character * length)[:length] if character == "a" else ("/?" + character * length)[:length]
    query = urlencode({"return_to": target, "login_hint": hint, "max_age": "999999999"})
    for _ in range(3):  # with the cookies of earlier ones
        begun = await browser.navigate(f"/auth/login?{query}")
        assert begun.status == 303
        assert head_size(begun) < 4096
    form = await browser.send("POST", "/auth/login", *CROSS_SITE, FORM, body=query.encode()[:FORM_LIMIT])
    assert form.status == 303
    assert head_size(form) < 8192


def head_size(response: Response) -> int:
    return sum(len(name) + len(value) + 4 for name, value in response.headers)


async def test_a_form_becomes_a_navigation_that_shows_no_address(browser: Browser, parts: WebParts) -> None:
    form = urlencode({"login_hint": "ann@example.com", "target_link_uri": "/orders", "iss": ISSUER}).encode()
    response = await browser.send("POST", "/auth/login", *CROSS_SITE, FORM, body=form)
    location = response.one("location") or ""
    assert (response.status, response.all("set-cookie"), "ann" in location) == (303, [], False)
    assert parse_qs(urlsplit(location).query)["return_to"] == ["/orders"]
    assert (await browser.begin(location.removeprefix("/auth/login")))["login_hint"] == "ann@example.com"
    parts.clock.now += 61
    assert "login_hint" not in await browser.begin(location.removeprefix("/auth/login"))


@pytest.mark.case("PX-087", "PX-089")
@pytest.mark.parametrize(
    ("content_type", "body", "lines", "status"),
    [
        ("text/plain", b"return_to=/", CROSS_SITE, 415),
        ("multipart/form-data; boundary=x", b"--x--", CROSS_SITE, 415),
        ('application/json; a="' + "\\" * 8000, b"return_to=/", CROSS_SITE, 415),
        (FORM[14:], b"return_to=/" + b"a" * FORM_LIMIT, CROSS_SITE, 413),
        (FORM[14:], b"iss=https://evil.test", CROSS_SITE, 400),
        (FORM[14:], b"", ("sec-fetch-mode: cors",), 403),
    ],
)
async def test_a_form_is_checked_too(
    browser: Browser, content_type: str, body: bytes, lines: tuple[str, ...], status: int
) -> None:
    response = await browser.send("POST", "/auth/login", *lines, f"content-type: {content_type}", body=body)
    assert response.status == status


async def test_a_loop_of_sign_ins_stops_and_the_session_stays(signed_in: Browser, parts: WebParts) -> None:
    for _ in range(LIMIT - 1):
        await signed_in.begin()
    response = await signed_in.navigate("/auth/login?return_to=/orders")
    assert (response.status, b"sign_in_loop" in response.body) == (429, True)
    assert response.one("retry-after") == str(WINDOW)
    assert (await signed_in.session())["authenticated"] is True
    assert (await signed_in.send("GET", "/auth/login", *CROSS_SITE)).status == 303, "another site's are counted apart"
    parts.clock.now += WINDOW
    assert (await signed_in.navigate("/auth/login")).status == 303


async def test_while_the_provider_is_unavailable_a_page_keeps_the_way(browser: Browser, parts: WebParts) -> None:
    parts.provider.available = False
    response = await browser.navigate("/auth/login?return_to=/orders&max_age=5")
    assert (response.status, b"provider_unavailable" in response.body) == (503, True)
    assert b"return_to=/orders&amp;max_age=5" in response.body
    silent = await browser.navigate("/auth/login?return_to=/orders&prompt=none")
    assert (silent.status, silent.one("location")) == (303, "/orders")


async def test_signing_in_again_keeps_the_browser_id_and_replaces_the_session(
    signed_in: Browser, parts: WebParts
) -> None:
    before = dict(signed_in.cookies)
    await signed_in.sign_in()
    changed = {name for name in before if before[name] != signed_in.cookies[name]}
    assert changed == {"__Host-Http-session", "__Host-Http-attempts"}
    assert len(await parts.sessions()) == 1
