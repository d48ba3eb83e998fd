"""Sign in, call /api, be renewed, sign out: the whole story once, with every promise checked on the way."""

from pathlib import Path

from bff.web.auth.session import REASON_SHOWN
from demo.simulator.grants import RotationPolicy
from tests.harness.world import World, small_world


async def test_a_person_signs_in_calls_the_api_and_signs_out(world: World) -> None:
    browser = world.browser()
    assert await browser.session() == {"authenticated": False, "reason": None}
    refused = await browser.fetch("/api/orders")
    assert (refused.status_code, refused.json()["code"]) == (401, "sign_in_required")

    landed = await browser.sign_in(return_to="/orders?page=2")
    assert str(landed.url) == f"{world.public_url}/orders?page=2"
    session = await browser.session()
    assert session["authenticated"] is True
    assert session["user"]["email"] == "alice@example.com"
    assert session["user"]["given_name"] == "Alice"  # from UserInfo: the ID token is a thin one

    answer = await browser.fetch("/api/orders?x=1")
    assert answer.status_code == 200
    assert world.upstream.heard[-1].path == "/api/orders"
    assert world.upstream.tokens[-1].count(".") == 2
    assert "cookie" not in world.upstream.heard[-1].headers

    ended = await browser.sign_out()
    assert "bff-session" not in browser.cookie_names()
    assert (await browser.fetch("/api/orders")).status_code == 401
    back = await browser.navigate(ended["end_session_url"])
    assert [seen.request.url.path for seen in browser.seen][-2:] == ["/oauth2/default/v1/logout", "/"]
    assert str(back.url) == f"{world.public_url}/"
    assert await browser.session() == {"authenticated": False, "reason": "signed_out"}
    world.advance(REASON_SHOWN + 1)
    assert await browser.session() == {"authenticated": False, "reason": None}
    assert world.revoked == ["revoked by the client"]
    assert world.okta.control.violations == []


async def test_a_token_that_falls_due_is_renewed_and_the_old_one_is_not_used_again(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=RotationPolicy(access_token_lifetime=300)) as world:
        browser = await world.signed_in()
        await browser.fetch("/api/a")
        world.advance(301)
        assert (await browser.fetch("/api/b")).status_code == 200
        first, second = world.upstream.tokens
        assert first != second
        assert world.okta.control.refresh_requests == 1
        assert world.okta.control.reuse_alarms == 0
