"""Nothing of one person reaches another through a cache: the browser's, a proxy's, a service worker's or ours."""

import httpx
import pytest

from tests.harness.pages import parameters
from tests.harness.raw_http import send
from tests.harness.world import World


@pytest.mark.case("CA-008")
async def test_a_redirect_follows_the_settings_and_never_the_host(world: World) -> None:
    port = httpx.URL(world.public_url).port or 80
    for host in ("evil.test", "evil.test:8080", "localhost"):
        request = f"GET /auth/login?return_to=/x HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.test\r\n\r\n"
        answer = await send(port, request)
        assert parameters(answer.one("location") or "")["redirect_uri"] == world.callback
        assert "evil.test" not in str(answer.fields)
        assert answer.one("cache-control") == "no-store"


@pytest.mark.case("CA-010", "CA-016")
async def test_two_people_who_ask_for_one_thing_get_their_own(world: World) -> None:
    alice, bob = await world.signed_in(), await world.signed_in("bob@example.com")
    world.upstream.fields = [(b"etag", b'"of-alice"'), (b"cache-control", b"max-age=3600")]
    first = await alice.fetch("/api/me")
    assert first.headers["etag"] == '"of-alice"'
    assert first.headers["cache-control"] == "max-age=3600, private"
    await bob.fetch("/api/me", headers={"if-none-match": '"of-alice"'})
    # Paths that a careless key would fold into one: each is asked of the upstream, with its asker's token.
    for path in ("/api/caf%C3%A9", "/api/cafe%CC%81", "/api/ME", "/api/me/", "/api/me?"):
        await alice.fetch(path)
        await bob.fetch(path)
    heard = world.upstream.heard
    assert len(heard) == 12
    assert heard[1].headers["if-none-match"] == '"of-alice"'
    tokens = [each.headers["authorization"] for each in heard]
    assert len(set(tokens)) == 2
    assert tokens[0::2] == [tokens[0]] * 6
    assert tokens[1::2] == [tokens[1]] * 6


async def test_no_other_sites_page_may_embed_what_a_session_says(world: World) -> None:
    browser = world.browser()
    asked = [("GET", "/auth/session"), ("POST", "/auth/session/extend"), ("GET", "/auth/sessions"), ("GET", "/api/x")]
    nobodys = [await browser.fetch(path, method) for method, path in asked]
    await browser.sign_in()
    asked += [("POST", "/auth/sessions/end"), ("GET", "/auth/nothing"), ("POST", "/auth/logout")]
    theirs = [await browser.fetch(path, method) for method, path in asked]
    assert {answer.status_code for answer in nobodys} == {200, 401}
    ours = [answer for answer in (*nobodys, *theirs) if answer.url.path != "/api/x" or answer.status_code == 401]
    assert {answer.headers.get("cross-origin-resource-policy") for answer in ours} == {"same-origin"}
    # The provider's page holds this one in a frame.
    framed = await browser.navigate("/auth/frontchannel-logout")
    assert "cross-origin-resource-policy" not in framed.headers
