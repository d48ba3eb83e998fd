"""The provider orders people to be signed out, as it would call us, and what a browser then meets."""

from typing import Any, Final

import httpx

from tests.harness.http_browser import Browser
from tests.harness.plain_http import plain_http
from tests.harness.world import World

REVOCATION: Final = "/auth/global-token-revocation"


async def call(world: World, path: str, method: str = "POST", **more: Any) -> httpx.Response:
    """As the provider's own servers call: without a cookie, without what a browser sends."""
    async with plain_http(base_url=world.public_url) as http:
        return await http.request(method, path, **more)


async def post_logout_token(world: World, token: str | None = None, **claims: Any) -> httpx.Response:
    """Back-channel logout with this token, or with one that the provider signs of `claims`."""
    token = world.okta.control.orders.logout_token(**claims) if token is None else token
    return await call(world, "/auth/backchannel-logout", data={"logout_token": token})


def revocation_token(world: World, **changes: Any) -> str:
    return world.okta.control.orders.revocation_token(f"{world.public_url}{REVOCATION}", **changes)


async def revoke(world: World, subject: Any, token: str | None = None, **more: Any) -> httpx.Response:
    """Okta's Universal Logout of `subject`, or with the body that `more` says; "" as `token` is none."""
    token = revocation_token(world) if token is None else token
    headers = {**({"authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
    return await call(world, REVOCATION, headers=headers, **(more or {"json": {"sub_id": subject}}))


def sid(world: World, login: str = "alice@example.com") -> str:
    """The `sid` of the person's only session at the provider."""
    (found,) = world.okta.control.orders.sids_of(world.sub(login))
    return found


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.fetch("/api/x")).status_code == 200


async def reason(browser: Browser) -> str | None:
    """Why the API refuses this browser, which it must."""
    answer = await browser.fetch("/api/x")
    assert answer.status_code == 401, answer.text
    return answer.json().get("reason")
