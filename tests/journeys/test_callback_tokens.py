"""What a provider may answer when the code is redeemed: other people's tokens, half ones, none, and floods.

Whatever it is, nobody is signed in by it, the person gets a page, and tokens that were granted are revoked.
"""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from bff.session.login_transaction import slot_of
from tests.harness.http_browser import Browser
from tests.harness.lying_endpoint import flood, gzip_bomb, http, lying_endpoint
from tests.harness.pages import error_page, parameters, set_cookies, try_again, with_parameters
from tests.harness.world import CLIENT_ID, World, small_world


async def assert_signed_out(world: World, browser: Browser) -> None:
    assert (await browser.session())["authenticated"] is False
    assert (await browser.fetch("/api/x")).status_code == 401
    assert world.upstream.heard == []


async def assert_revoked(world: World, count: int = 1) -> None:
    await world.settled()
    assert world.revoked == ["revoked by the client"] * count


@pytest.mark.case("AZ-020")
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_parameter_of_a_client_overrides_ours(world: World, method: str) -> None:
    hostile = {
        "code_challenge_method": "plain",
        "code_challenge": "x",
        "state": "fixed",
        "nonce": "fixed",
        "client_id": "other",
        "redirect_uri": "https://evil.example/callback",
        "response_type": "code id_token",
        "response_mode": "fragment",
        "scope": "openid okta.users.manage",
        "request": "eyJhbGciOiJub25lIn0..",
        "request_uri": "https://evil.example/request",
    }
    browser = world.browser()
    if method == "GET":
        begun = await browser.navigate(f"/auth/login?{urlencode(hostile)}", follow=False)
    else:
        posted = await browser.submit("/auth/login", hostile, follow=False)
        begun = await browser.navigate(posted.headers["location"], follow=False)
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert all(len(values) == 1 for values in asked.values())
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["code_challenge"][0]) == 43
    assert asked["client_id"] == [CLIENT_ID]
    assert asked["redirect_uri"] == [world.callback]
    assert (asked["response_type"], asked["response_mode"]) == (["code"], ["query"])
    assert asked["scope"] == ["openid profile email offline_access"]
    assert "fixed" not in asked["state"] + asked["nonce"]
    assert not asked.keys() & {"prompt", "idp", "request", "request_uri"}


# --- somebody else's code or token -----------------------------------------------------------------------------------


@pytest.mark.case("AZ-017")
async def test_a_stolen_code_does_not_fit_another_sign_in(world: World) -> None:
    attacker, victim = world.browser(), world.browser()
    stolen = parameters(await victim.until_callback("alice@example.com"))["code"]
    own = await attacker.until_callback("bob@example.com")
    assert error_page(await attacker.arrive(with_parameters(own, code=stolen))) == (502, "sign_in_failed")
    await assert_signed_out(world, attacker)
    assert world.revoked == []


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "no nonce": {"nonce": None},
    "for another client": {"aud": "0oaother"},
    "for two clients": {"aud": [CLIENT_ID, "0oaother"]},
    "for another party": {"azp": "0oaother"},
    "of another issuer": {"iss": "https://evil.example"},
    "expired": {"exp": 1_700_000_000},
    "of the future": {"iat": 4_000_000_000},
    "without a subject": {"sub": None},
    "with the hash of another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.case("AZ-017", "AZ-024")
async def test_an_id_token_that_is_not_for_this_sign_in_signs_nobody_in(world: World) -> None:
    """Among them a genuine token of the same person, made for another sign-in of theirs: the nonce tells."""
    nonce_of_another = {"nonce": parameters(await world.browser().begin())["nonce"]}
    wrong = {**WRONG_CLAIMS, "of another sign-in": nonce_of_another}
    for name, claims in wrong.items():
        browser = world.browser()
        answer = await browser.until_callback(return_to="/orders")
        world.okta.control.settings(id_token_claims=claims)
        refused = await browser.arrive(answer)
        assert error_page(refused) == (502, "sign_in_failed"), name
        assert try_again(refused) == "/auth/login?return_to=/orders"
        assert "bff-session" not in set_cookies(refused)
        await assert_signed_out(world, browser)
    await assert_revoked(world, len(wrong))


async def test_an_id_token_signed_with_a_key_that_nobody_published_signs_nobody_in(world: World) -> None:
    browser = world.browser()
    url = await browser.begin()
    answer, now = await browser.at_provider(url), int(world.clock())
    claims = {"iss": world.okta.issuer, "sub": "x", "aud": CLIENT_ID, "iat": now, "exp": now + 3600}
    forged = world.okta.control.sign({**claims, "nonce": parameters(url)["nonce"]}, kid="of-nobody")
    world.okta.control.fault("edit_answer", set={"id_token": forged})
    assert error_page(await browser.arrive(answer)) == (502, "sign_in_failed")
    await assert_signed_out(world, browser)


async def test_keys_that_were_changed_in_an_emergency_are_fetched_in_the_middle_of_a_sign_in(world: World) -> None:
    browser = await world.signed_in()
    await browser.sign_out()
    world.okta.control.rotate_keys(emergency=True, forget_previous=True)
    await browser.sign_in()
    assert (await browser.session())["authenticated"] is True


@pytest.mark.case("AZ-066")
async def test_userinfo_about_somebody_else_refuses_the_sign_in(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    world.okta.control.fault("edit_answer", endpoint="userinfo", set={"sub": "00u2bobcratchit00002"})
    assert error_page(await browser.arrive(answer)) == (502, "sign_in_failed")
    await assert_signed_out(world, browser)
    await assert_revoked(world)


async def test_userinfo_that_does_not_answer_leaves_a_session_with_fewer_claims(world: World) -> None:
    for kind in ("server_error", "html", "reset"):
        browser = world.browser()
        answer = await browser.until_callback()
        world.okta.control.fault(kind, endpoint="userinfo")
        assert (await browser.arrive(answer)).status_code == 303, kind
        assert (await browser.session())["user"]["email"] == "alice@example.com"


@pytest.mark.case("AZ-068")
async def test_a_fresher_or_stronger_sign_in_that_was_asked_for_is_insisted_on(tmp_path: Path) -> None:
    """The provider is made to ignore what was asked, and says so in its ID token."""
    cases: tuple[tuple[str, dict[str, Any], bool], ...] = (
        ("max_age=60", {"auth_time": 1_700_000_000}, False),
        ("max_age=0", {"auth_time": None}, False),
        ("max_age=60", {}, True),
        ("acr_values=phr", {"acr": "urn:okta:loa:1fa:any"}, False),
        ("acr_values=phr", {"acr": None}, False),
        ("acr_values=urn:okta:loa:2fa:any%20phr", {}, True),
    )
    async with small_world(tmp_path, acr_values="urn:okta:loa:2fa:any phr") as world:
        for asked, claims, signed_in in cases:
            browser = world.browser()
            url = (await browser.navigate(f"/auth/login?{asked}", follow=False)).headers["location"]
            assert parameters(url).keys() & {"max_age", "acr_values"}
            if not signed_in:
                url = with_parameters(url, max_age=None, acr_values=None)
            answer = await browser.at_provider(url)
            world.okta.control.settings(id_token_claims=claims)
            arrived = await browser.arrive(answer)
            assert signed_in or error_page(arrived) == (502, "sign_in_failed"), (asked, claims)
            assert (await browser.session())["authenticated"] is signed_in


# --- purposes --------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-045")
async def test_a_login_cookie_opens_no_session_and_a_session_cookie_no_sign_in(world: World) -> None:
    browser = await world.signed_in()
    session = str(browser.cookie("bff-session"))
    answer = await browser.until_callback()
    ((name, login),) = browser.login_cookies().items()

    confused = world.browser()
    confused.plant("bff-session", login)
    assert (await confused.session()) == {"authenticated": False, "reason": None}
    assert (await confused.fetch("/api/x")).status_code == 401
    confused.plant("bff-browser", session)
    confused.plant(name, session)
    assert error_page(await confused.arrive(answer)) == (400, "sign_in_state_invalid")
    # In the slot of another sign-in it is garbage; in its own slot it is another sign-in's.
    other = parameters(await confused.begin())["state"]
    confused.plant(f"bff-login-{slot_of(other.partition('.')[0]):x}", login)
    assert error_page(await confused.arrive(with_parameters(answer, state=other)))[0] == 400
    assert world.okta.control.token_requests == 1


# --- the token endpoint lies -----------------------------------------------------------------------------------------


def answer_of(members: object) -> tuple[bytes, bytes]:
    return http(json.dumps(members).encode(), "Content-Type: application/json")


CANARY = "canary-" + "c" * 40
TOKENS = {"access_token": CANARY, "id_token": "x"}
# `provider_unavailable` where the answer is not the token endpoint's; `sign_in_failed` where the tokens fail.
LIES: dict[str, tuple[str, Iterable[bytes]]] = {
    "a page": ("provider_unavailable", http(f"<p>{CANARY}".encode(), "Content-Type: text/html")),
    "a list": ("provider_unavailable", answer_of([CANARY])),
    "a text": ("provider_unavailable", answer_of(CANARY)),
    "null": ("provider_unavailable", answer_of(None)),
    "no ID token": ("sign_in_failed", answer_of({"access_token": CANARY, "token_type": "Bearer"})),
    "DPoP": ("provider_unavailable", answer_of({**TOKENS, "token_type": "DPoP"})),
    "MAC": ("provider_unavailable", answer_of({**TOKENS, "token_type": "MAC"})),
    "no type": ("provider_unavailable", answer_of(TOKENS)),
    "bEaReR": ("sign_in_failed", answer_of({**TOKENS, "token_type": "bEaReR"})),
    "error and token": ("sign_in_failed", answer_of({"error": "x", "access_token": CANARY})),
    "50 MB": ("provider_unavailable", flood(50)),
    "gzip bomb": ("provider_unavailable", gzip_bomb()),
}


@pytest.mark.case("AZ-055", "AZ-056", "AZ-057", "AZ-058", "AZ-060", "AZ-061", "AZ-062", "AZ-063")
async def test_an_unbelievable_token_answer_signs_nobody_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "bff")
    async with (
        lying_endpoint() as endpoint,
        lying_endpoint() as elsewhere,
        small_world(tmp_path, prepare=endpoint.instead_of("token_endpoint")) as world,
    ):
        redirects = {
            status: ("provider_unavailable", http(b"", f"Location: {elsewhere.url}", status=status))
            for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect")
        }
        for name, (code, lie) in {**LIES, **redirects}.items():
            endpoint.answer = lie
            endpoint.heard.clear()
            endpoint.sent = 0
            browser = world.browser()
            refused = await browser.arrive(await browser.until_callback())
            assert error_page(refused) == ({"provider_unavailable": 503, "sign_in_failed": 502}[code], code), name
            assert CANARY not in refused.text
            await assert_signed_out(world, browser)
            assert len(endpoint.heard) == 1, "the code is presented once, whatever came back"
            assert endpoint.sent < 16_000_000  # what the sockets buffer, some MB; the rest of a flood was not read
        assert elsewhere.heard == [], "a redirect is not followed"
    assert CANARY not in caplog.text
