"""Nothing of one person reaches another through a cache: the browser's, a proxy's, a service worker's or ours."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.harness.pages import parameters
from tests.harness.upstream_wire import ask
from tests.harness.world import World, small_world

PAGE = "<!doctype html><title>app</title>"


@pytest.fixture
async def spa(tmp_path: Path) -> AsyncIterator[World]:
    folder = tmp_path / "spa"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "assets" / "app.js").write_text("x" * 100_000)
    async with small_world(tmp_path, spa_dir=str(folder)) as world:
        yield world


@pytest.mark.case("CA-008")
async def test_a_redirect_follows_the_settings_and_never_the_host(world: World) -> None:
    port = httpx.URL(world.public_url).port or 80
    for host in ("evil.test", "evil.test:8080", "localhost"):
        request = f"GET /auth/login?return_to=/x HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.test\r\n\r\n"
        answer = await ask(port, request)
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


@pytest.mark.case("CA-011")
async def test_ranges_without_end_are_passed_on_or_refused(spa: World) -> None:
    browser = await spa.signed_in()
    some, many = "bytes=" + ",".join(["0-"] * 5000), "bytes=" + ",".join(["0-"] * 20_000)
    assert (await browser.fetch("/api/x", headers={"range": some})).status_code == 200
    assert spa.upstream.heard[-1].headers["range"] == some
    for path in ("/api/x", "/assets/app.js"):
        assert (await browser.fetch(path, headers={"range": many})).status_code in (400, 431)
    # One file never becomes larger than it is by being asked for in many pieces at once.
    answer = await browser.fetch("/assets/app.js", headers={"range": some})
    assert answer.status_code in (200, 206, 416)
    assert len(answer.content) <= 2 * 100_000
    part = await browser.fetch("/assets/app.js", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, b"x" * 10)


@pytest.mark.case("CA-012")
@pytest.mark.parametrize("signed_in", [False, True])
async def test_head_says_what_get_says_without_a_body(spa: World, signed_in: bool) -> None:
    browser = await spa.signed_in() if signed_in else spa.browser()
    for path in ("/auth/session", "/", "/api/x", "/auth/nothing"):
        got, head = [await browser.fetch(path, method) for method in ("GET", "HEAD")]
        assert (got.status_code, head.content) == (head.status_code, b"")
        changing = {"date", "etag"} | ({"content-length"} if path in ("/auth/session", "/auth/nothing") else set())
        fields = [{k: v for k, v in each.headers.items() if k not in changing} for each in (got, head)]
        assert fields[0] == fields[1], path


@pytest.mark.case("CA-013", "CA-014")
async def test_what_says_who_is_signed_in_is_stored_by_nobody(world: World) -> None:
    """A service worker stores what it is written to store; an API cannot install one above its own path."""
    browser = await world.signed_in()
    world.upstream.fields = [(b"service-worker-allowed", b"/")]
    for path in ("/auth/session", "/auth/sessions", "/api/sw.js", "/auth/nothing"):
        answer = await browser.fetch(path)
        assert answer.headers["cache-control"] == "no-store", path
        assert "service-worker-allowed" not in answer.headers
    ended = await browser.fetch("/auth/logout", "POST")
    assert ended.headers["clear-site-data"] == '"cache"'
    assert ended.headers["cache-control"] == "no-store"


@pytest.mark.case("CA-015")
async def test_the_page_is_the_same_for_everybody_and_asked_for_every_time(spa: World) -> None:
    pages = [await browser.navigate("/deep/link") for browser in (spa.browser(), await spa.signed_in())]
    assert {page.text for page in pages} == {PAGE}
    for page in pages:
        assert page.headers["cache-control"] == "no-cache"
        assert "set-cookie" not in page.headers
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


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
