"""Every way to sign in: four kinds of client authentication, two kinds of authorization server, Okta's own tile.

Each way is walked to its end: the API is called, the token is renewed, and the provider saw nothing it must not see.
"""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.pages import error_page, set_cookies, try_again
from tests.harness.world import CLIENT_SECRET, World, small_world


async def walk(world: World, browser: Browser | None = None) -> None:
    """Sign in, call, be renewed, call again, sign out."""
    browser = browser or world.browser()
    await browser.sign_in(return_to="/orders")
    assert (await browser.session())["user"]["email"] == "alice@example.com"
    assert (await browser.fetch("/api/a")).status_code == 200
    world.advance(301)
    assert (await browser.fetch("/api/b")).status_code == 200
    assert len(set(world.upstream.tokens)) == 2
    assert world.okta.control.refresh_requests == 1
    await browser.sign_out()
    await world.settled()
    control = world.okta.control
    assert [family["revoked"] for family in control.state()["families"]] == ["revoked by the client"]
    assert control.reuse_alarms == 0
    assert control.violations == []


SHORT = RotationPolicy(access_token_lifetime=300)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
async def test_a_client_with_a_secret_signs_in_and_is_renewed(tmp_path: Path, method: str) -> None:
    okta = {"auth_methods": frozenset({method})}
    async with small_world(tmp_path, rotation=SHORT, okta=okta, client_auth=method) as world:
        await walk(world)


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8)).rstrip(b"=").decode()


def a_key(kind: str) -> tuple[str, dict[str, Any]]:
    """A private key as PEM, and its public half as Okta is given it."""
    if kind == "RSA":
        rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        numbers = rsa_key.public_key().public_numbers()
        return pem.decode(), {"kty": "RSA", "kid": "k1", "n": _number(numbers.n), "e": _number(numbers.e)}
    ec_key = ec.generate_private_key(ec.SECP256R1())
    pem = ec_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    point = ec_key.public_key().public_numbers()
    return pem.decode(), {"kty": "EC", "kid": "k1", "crv": "P-256", "x": _number(point.x), "y": _number(point.y)}


@pytest.mark.parametrize("kind", ["RSA", "EC"])
async def test_a_client_with_a_private_key_signs_in_and_is_renewed(tmp_path: Path, kind: str) -> None:
    pem, public = a_key(kind)
    okta = {"client_jwks": (public,), "client_secrets": ()}
    method: dict[str, Any] = {
        "client_auth": "private_key_jwt",
        "client_private_key": pem,
        "client_key_id": "k1",
        "client_secret": "",
    }
    async with small_world(tmp_path, rotation=SHORT, okta=okta, **method) as world:
        await walk(world)


async def test_of_two_live_secrets_the_second_is_used_when_the_first_is_dead(tmp_path: Path) -> None:
    other = "the-new-client-secret-0123456789abcdefgh"
    async with small_world(tmp_path, rotation=SHORT, client_secret_next=other) as world:
        browser = world.browser()
        await browser.sign_in()
        world.okta.control.settings(secrets=(other,))  # the operator's last step: the old one is deactivated
        world.advance(301)
        assert (await browser.fetch("/api/a")).status_code == 200
        await browser.sign_out()
        await world.settled()
        await browser.sign_in()
        assert (await browser.session())["authenticated"] is True
        # Remembered: the dead secret was presented once, not with every request.
        refused = [event for event in world.okta.control.events() if event.kind == "refused"]
        assert len(refused) == 1


async def test_the_org_authorization_server_signs_in_and_completes_its_thin_id_token(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=SHORT, org_server=True) as world:
        browser = world.browser()
        await walk(world, browser)
        await browser.sign_in()
        assert (await browser.session())["user"]["given_name"] == "Alice"


async def test_an_access_policy_that_is_missing_in_a_new_org_is_not_the_persons_fault(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    world.okta.control.settings(policy_exists=False)
    assert error_page(await browser.arrive(answer))[0] in (403, 502)
    assert (await browser.session())["authenticated"] is False


# --- Okta's Initiate login URI ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("whose", ["issuer", "org", "org with a slash"])
async def test_a_tile_in_the_dashboard_signs_in(world: World, method: str, whose: str) -> None:
    """Okta names its org URL as `iss`, also where the app's issuer is a custom authorization server."""
    iss = {"issuer": world.okta.issuer, "org": world.okta.org_issuer, "org with a slash": world.okta.org_issuer + "/"}
    asked = {"iss": iss[whose], "target_link_uri": f"{world.public_url}/orders?page=2"}
    browser = world.browser()
    if method == "GET":
        page = await browser.navigate(f"/auth/login?{urlencode(asked)}", initiator=world.okta.base_url)
    else:
        page = await browser.submit("/auth/login", asked, initiator=world.okta.base_url)
    arrived = await browser.fill_in(page)
    assert str(arrived.url) == f"{world.public_url}/orders?page=2"
    assert (await browser.session())["authenticated"] is True


@pytest.mark.parametrize("path", ["/auth/login", "/authorization-code/callback"])
async def test_a_tile_of_another_provider_is_refused(world: World, path: str) -> None:
    host = urlsplit(world.okta.issuer).netloc
    for iss in (
        "https://evil.example",
        f"https://{host}",
        f"http://{host}.evil.example",
        f"http://{host}@evil.example",
    ):
        browser = world.browser()
        refused = await browser.navigate(f"{path}?{urlencode({'iss': iss})}", initiator="https://evil.example")
        assert error_page(refused) == (400, "invalid_request"), iss
        assert set_cookies(refused) == {}


async def test_a_foreign_target_link_uri_leads_to_the_landing_page(world: World) -> None:
    elsewhere = ["https://evil.example/", "//evil.example", f"{world.public_url}.evil.example/", "javascript:alert(1)"]
    elsewhere += [f"{world.public_url}@evil.example/", "/auth/logout", "/authorization-code/callback?code=x"]
    for target in elsewhere:
        browser = world.browser()
        asked = urlencode({"iss": world.okta.org_issuer, "target_link_uri": target})
        arrived = await browser.fill_in(await browser.navigate(f"/auth/login?{asked}"))
        assert str(arrived.url) == f"{world.public_url}/", target


async def test_a_login_hint_is_passed_on_and_nothing_else_of_it_believed(world: World) -> None:
    browser = world.browser()
    for hint in ("bob@example.com", "zoë@example.com", 'a"b&prompt=none'):
        begun = await browser.navigate(f"/auth/login?{urlencode({'login_hint': hint})}", follow=False)
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        assert asked["login_hint"] == [hint]
        assert "prompt" not in asked
    for useless in ("x" * 255, "two\r\nlines"):
        begun = await browser.navigate(f"/auth/login?{urlencode({'login_hint': useless})}", follow=False)
        assert "login_hint" not in parse_qs(urlsplit(begun.headers["location"]).query)


@pytest.mark.parametrize("with_iss", [False, True], ids=["bare", "only-iss"])
async def test_a_callback_without_an_answer_begins_a_sign_in(world: World, with_iss: bool) -> None:
    """Okta's guide to self-registration has administrators point the Initiate login URI at the callback."""
    browser = world.browser()
    query = f"?{urlencode({'iss': world.okta.org_issuer})}" if with_iss else ""
    arrived = await browser.fill_in(await browser.navigate(world.callback + query, initiator=world.okta.base_url))
    assert str(arrived.url) == f"{world.public_url}/"
    assert (await browser.session())["authenticated"] is True


# --- when the provider is away ---------------------------------------------------------------------------------------


async def test_a_provider_that_is_away_at_the_start_is_a_page_that_says_when_to_come_back(world: World) -> None:
    await world.okta.control.down()
    await world.restart()  # it starts all the same: sessions that are open go on
    browser = world.browser()
    refused = await browser.navigate("/auth/login?return_to=/orders")
    assert error_page(refused) == (503, "provider_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert try_again(refused) == "/auth/login?return_to=/orders"
    assert set_cookies(refused) == {}
    asked = await browser.fetch("/auth/session")
    assert asked.json() == {"authenticated": False, "reason": None}


@pytest.mark.parametrize("how", ["reset", "server_error", "rate_limited", "temporarily_unavailable", "html"])
async def test_a_provider_that_fails_at_the_callback_is_a_page_and_the_next_try_succeeds(
    world: World, how: str
) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/orders")
    world.okta.control.fault(how)
    refused = await browser.arrive(answer)
    assert error_page(refused) == (503, "provider_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert "bff-session" not in set_cookies(refused)
    arrived = await browser.navigate(try_again(refused), initiator=world.public_url)
    assert str(arrived.url) == f"{world.public_url}/orders"
    assert (await browser.session())["authenticated"] is True


async def test_a_client_secret_that_is_wrong_is_the_operators_to_fix(world: World) -> None:
    browser = world.browser()
    world.okta.control.settings(secrets=("another-secret-0123456789abcdefghijklmn",))
    refused = await browser.arrive(await browser.until_callback())
    assert error_page(refused) == (502, "sign_in_failed")
    assert CLIENT_SECRET not in refused.text
