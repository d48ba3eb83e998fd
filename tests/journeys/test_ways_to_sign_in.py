"""Four kinds of client authentication, two kinds of authorization server, and a provider in trouble."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.minting import EC_KEY, RSA_KEY, jwk
from tests.harness.pages import error_page, set_cookies, try_again
from tests.harness.world import World, small_world


async def signs_in_and_is_renewed(world: World) -> Browser:
    """Sign in, call, be renewed, call again, sign out."""
    browser = world.browser()
    await browser.sign_in(return_to="/orders")
    assert (await browser.session())["user"]["email"] == "alice@example.com"
    assert (await browser.fetch("/api/a")).status_code == 200
    world.advance(301)
    assert (await browser.fetch("/api/b")).status_code == 200
    assert len(set(world.upstream.tokens)) == 2
    assert world.okta.control.refresh_requests == 1
    await browser.sign_out()
    await world.settled()
    assert world.revoked == ["revoked by the client"]
    assert world.okta.control.reuse_alarms == 0
    assert world.okta.control.violations == []
    return browser


SHORT = RotationPolicy(access_token_lifetime=300)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
async def test_a_client_with_a_secret_signs_in_and_is_renewed(tmp_path: Path, method: str) -> None:
    okta = {"auth_methods": frozenset({method})}
    async with small_world(tmp_path, rotation=SHORT, okta=okta, client_auth=method) as world:
        await signs_in_and_is_renewed(world)


def a_key(kind: str) -> tuple[str, dict[str, Any]]:
    """A private key as PEM, and its public half as Okta is given it."""
    key = RSA_KEY if kind == "RSA" else EC_KEY
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), jwk(key)


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
        await signs_in_and_is_renewed(world)


async def test_the_org_authorization_server_signs_in_and_completes_its_thin_id_token(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=SHORT, org_server=True) as world:
        browser = await signs_in_and_is_renewed(world)
        await browser.sign_in()
        assert (await browser.session())["user"]["given_name"] == "Alice"


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
