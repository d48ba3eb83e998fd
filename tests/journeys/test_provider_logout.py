"""The provider signs people out: back-channel logout, front-channel logout, and Okta's Universal Logout."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from bff.provider.key_set import UNKNOWN_KID_COOL_DOWN
from demo.simulator.signing_keys import SigningKey
from tests.harness.http_browser import Browser
from tests.harness.minting import b64, signature
from tests.harness.plain_http import plain_http
from tests.harness.redis_servers import one_server
from tests.harness.streams import Page, endless_world
from tests.harness.world import World, small_world

ALICE, BOB = "alice@example.com", "bob@example.com"


@contextlib.asynccontextmanager
async def provider_calls() -> AsyncIterator[httpx.AsyncClient]:
    async with plain_http(timeout=60) as http:
        yield http


async def post_token(world: World, token: str) -> httpx.Response:
    async with provider_calls() as http:
        return await http.post(f"{world.public_url}/auth/backchannel-logout", data={"logout_token": token})


async def signed_in(world: World, login: str = ALICE) -> Browser:
    browser = world.browser()
    await browser.sign_in(login)
    assert (await browser.fetch("/api/x")).status_code == 200
    return browser


async def refused(browser: Browser) -> str | None:
    answer = await browser.fetch("/api/x")
    assert answer.status_code == 401, answer.text
    return answer.json().get("reason")


async def lives(browser: Browser) -> bool:
    return (await browser.fetch("/api/x")).status_code == 200


def sub_of(world: World, login: str = ALICE) -> str:
    return world.okta.control.person(login).sub


def only_sid(world: World, login: str = ALICE) -> str:
    (sid,) = world.okta.control.orders.sids_of(sub_of(world, login))
    return sid


def live_families(world: World) -> int:
    return sum(family["revoked"] is None for family in world.okta.control.state()["families"])


# --- back-channel logout ---------------------------------------------------------------------------------------------


async def test_a_sid_ends_one_session_everywhere_it_shows_and_tells_why_once(world: World) -> None:
    first, second, other = await signed_in(world), world.browser(), await signed_in(world, BOB)
    sid = only_sid(world)
    await second.sign_in()
    answer = await post_token(world, world.okta.control.orders.logout_token(sid=sid))
    assert (answer.status_code, answer.headers["cache-control"], answer.content) == (200, "no-store", b"")
    assert await refused(first) == "back_channel"
    assert await refused(first) == "back_channel", "a refusal does not use the reason up"
    assert await lives(second)
    assert await lives(other)
    assert await first.session() == {"authenticated": False, "reason": "back_channel"}
    assert await first.session() == {"authenticated": False, "reason": None}
    await world.settled()
    assert live_families(world) == 2


async def test_a_sub_ends_all_sessions_of_a_person_and_nobody_elses(world: World) -> None:
    mine = [await signed_in(world) for _ in range(3)]
    other = await signed_in(world, BOB)
    token = world.okta.control.orders.logout_token(sub=sub_of(world))
    assert (await post_token(world, token)).status_code == 200
    assert [await refused(browser) for browser in mine] == ["back_channel"] * 3
    assert await lives(other)
    again = await signed_in(world)
    assert (await post_token(world, token)).status_code == 200, "a repeat is harmless"
    assert await lives(again)


async def test_a_sub_beside_a_sid_must_be_the_sessions(world: World) -> None:
    browser = await signed_in(world)
    token = world.okta.control.orders.logout_token(sid=only_sid(world), sub=sub_of(world, BOB))
    assert (await post_token(world, token)).status_code == 200
    assert await lives(browser)


async def test_a_session_without_a_sid_ends_by_the_sub_beside_one(world: World) -> None:
    """Nobody can say that it is not the one that is meant; a session that carries another `sid` is not."""
    elsewhere = await signed_in(world)
    world.okta.control.settings(id_token_claims={"sid": None})
    nameless, other = await signed_in(world), await signed_in(world, BOB)
    under_way = world.browser()
    answer = await under_way.until_callback()
    token = world.okta.control.orders.logout_token(sid="idxanother", sub=sub_of(world))
    assert (await post_token(world, token)).status_code == 200
    assert await refused(nameless) == "back_channel"
    assert await lives(elsewhere)
    assert await lives(other)
    back = await under_way.arrive(answer)
    assert back.headers["location"].startswith(world.okta.issuer), "the sign-in under way is overtaken, and begins anew"
    assert under_way.cookie("bff-session") is None


async def test_a_session_without_a_sid_is_no_business_of_a_sid_alone_nor_of_a_late_token(world: World) -> None:
    world.okta.control.settings(id_token_claims={"sid": None})
    first = await signed_in(world)
    orders, sub = world.okta.control.orders, sub_of(world)
    assert (await post_token(world, orders.logout_token(sid="idxanother"))).status_code == 200
    assert await lives(first)
    late = orders.logout_token(sid="idxanother", sub=sub, exp=int(time.time()) + 3600)
    await first.sign_out()
    world.advance(600)
    again = await signed_in(world)
    assert (await post_token(world, late)).status_code == 200
    assert await lives(again)


@pytest.mark.case("BL-011")
async def test_an_unknown_sid_is_answered_200_and_ends_nothing(world: World) -> None:
    browser = await signed_in(world)
    assert (await post_token(world, world.okta.control.orders.logout_token(sid="idxunknown"))).status_code == 200
    assert await lives(browser)


def bad_tokens(world: World) -> dict[str, str]:
    orders, sub = world.okta.control.orders, sub_of(world)
    issuer = world.okta.issuer
    good = orders.logout_token(sub=sub)
    head, body, _ = good.split(".")
    unsigned = b64(json.dumps({"alg": "none", "typ": "logout+jwt"}).encode())
    hs256 = b64(json.dumps({"alg": "HS256", "typ": "logout+jwt"}).encode()) + "." + body
    stranger = SigningKey.generate()
    claims = {"iss": issuer, "aud": world.environ["BFF_CLIENT_ID"], "sub": sub, "iat": int(time.time())}
    event = "http://schemas.openid.net/event/backchannel-logout"
    return {
        "BL-002 unsigned": f"{unsigned}.{body}.",
        "BL-002 signature cut off": f"{head}.{body}.",
        "BL-003 HS256": f"{hs256}.{b64(signature(b'x' * 32, hs256.encode(), 'HS256'))}",
        "BL-004 another issuer": orders.logout_token(sub=sub, issuer="https://evil.example"),
        "BL-004 trailing slash": orders.logout_token(sub=sub, issuer=issuer + "/"),
        "BL-005 another audience": orders.logout_token(sub=sub, aud="other"),
        "BL-005 no audience": orders.logout_token(sub=sub, aud=None),
        "BL-005 others too": orders.logout_token(sub=sub, aud=[world.environ["BFF_CLIENT_ID"], "other"]),
        "BL-006 no events": orders.logout_token(sub=sub, events=None),
        "BL-006 another event": orders.logout_token(sub=sub, events={"https://example.com/e": {}}),
        "BL-006 a list": orders.logout_token(sub=sub, events=[event]),
        "BL-006 no object": orders.logout_token(sub=sub, events={event: True}),
        "BL-009 an ID token": world.okta.control.sign_in(ALICE)["id_token"],
        "BL-009 a nonce": orders.logout_token(sub=sub, nonce="n"),
        "BL-010 nobody": orders.logout_token(),
        "a stranger's key": stranger.sign({**claims, "events": {event: {}}, "jti": "j"}, {"typ": "logout+jwt"}),
        "expired": orders.logout_token(sub=sub, exp=int(time.time()) - 300),
        "empty": "",
    }


@pytest.mark.case("BL-002", "BL-003", "BL-004", "BL-005", "BL-006", "BL-009", "BL-010")
async def test_no_bad_token_touches_a_session(world: World) -> None:
    browser = await signed_in(world)
    for name, token in bad_tokens(world).items():
        answer = await post_token(world, token)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), name
        assert answer.headers["cache-control"] == "no-store"
    assert await lives(browser)
    assert (await post_token(world, world.okta.control.orders.logout_token(sub=sub_of(world)))).status_code == 200
    assert await refused(browser) == "back_channel"


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/x-www-form-urlencoded", 400),
        (b"logout_token=a&logout_token=b", "application/x-www-form-urlencoded", 400),
        (b"%ff=%ff", "application/x-www-form-urlencoded", 400),
        (b'{"logout_token": "a"}', "application/json", 415),
        (b"logout_token=a", "", 415),
    ],
)
async def test_what_is_no_form_with_one_token_is_refused(world: World, content: bytes, kind: str, status: int) -> None:
    async with provider_calls() as http:
        headers = {"content-type": kind} if kind else {}
        url = f"{world.public_url}/auth/backchannel-logout"
        assert (await http.post(url, content=content, headers=headers)).status_code == status


@pytest.mark.case("BL-017")
async def test_while_the_store_is_away_the_provider_is_to_ask_again(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with small_world(tmp_path, store=redis.url) as world:
            browser = await signed_in(world)
            token = world.okta.control.orders.logout_token(sub=sub_of(world))
            redis.freeze()
            answer = await post_token(world, token)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert "retry-after" in answer.headers
            redis.thaw()
            async with asyncio.timeout(60):
                while (await post_token(world, token)).status_code != 200:
                    await asyncio.sleep(0.1)
            assert await refused(browser) == "back_channel"


@pytest.mark.case("BL-020")
@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_are_refused_before_they_have_come(world: World, chunked: bool) -> None:
    """The answer is there while most of the body is not."""
    where = urlsplit(world.public_url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    length = "transfer-encoding: chunked" if chunked else "content-length: 10000013"
    head = f"POST /auth/backchannel-logout HTTP/1.1\r\nhost: x\r\n{length}\r\n"
    writer.write(f"{head}content-type: application/x-www-form-urlencoded\r\n\r\n".encode())
    part = b"logout_token=" + b"a" * 30_000
    writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


@pytest.mark.case("BL-021")
async def test_a_flood_of_unknown_keys_costs_the_provider_one_fetch(world: World) -> None:
    browser = await signed_in(world)
    stranger = SigningKey.generate()
    world.okta.control.rotate_keys()  # so that the keys are asked for at all
    now = int(time.time())
    claims = {"iss": world.okta.issuer, "aud": world.environ["BFF_CLIENT_ID"], "iat": now, "exp": now + 60}
    before, began = keys_fetched(world), time.monotonic()
    async with provider_calls() as http:

        async def forge(number: int) -> int:
            token = stranger.sign({**claims, "jti": str(number)}, {"typ": "logout+jwt", "kid": f"forged-{number}"})
            url = f"{world.public_url}/auth/backchannel-logout"
            return (await http.post(url, data={"logout_token": token})).status_code

        for _ in range(5):
            statuses = await asyncio.gather(*(forge(number) for number in range(100)))
            assert set(statuses) == {400}
            assert await lives(browser)
    # One, and on a machine that takes so long another each time that the cool-down is over.
    assert keys_fetched(world) - before <= 1 + (time.monotonic() - began) // UNKNOWN_KID_COOL_DOWN


def keys_fetched(world: World) -> float:
    from bff.telemetry import metrics

    return sum(
        sample.value
        for family in metrics.JWKS_FETCHES.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )


@pytest.mark.case("BL-025")
@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_a_stream_that_is_open_ends_with_the_session(tmp_path: Path, store: str) -> None:
    """The token comes to one replica, the stream is open on another where there are two."""
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'bff.db'}"
        if store == "redis":
            url = stack.enter_context(one_server(tmp_path / "redis")).url
        async with contextlib.AsyncExitStack() as running:
            world, _ = await running.enter_async_context(endless_world(tmp_path, store=url))
            browser = await signed_in_without_calling(world)
            base = await running.enter_async_context(world.replica()) if store == "redis" else world.public_url
            reading = await running.enter_async_context(Page(base, browser).reading("/api/events"))
            await reading.next()
            token = world.okta.control.orders.logout_token(sub=sub_of(world))
            assert (await post_token(world, token)).status_code == 200
            assert await reading.end() == "broken", "never as if the upstream had finished"
            assert (await Page(base, browser).fetch("/api/x")).status_code == 401


async def signed_in_without_calling(world: World) -> Browser:
    browser = world.browser()
    await browser.sign_in()
    return browser


@pytest.mark.case("BL-026")
async def test_a_late_token_ends_no_later_sign_in(world: World) -> None:
    browser = await signed_in(world)
    orders, sub = world.okta.control.orders, sub_of(world)
    by_sid = orders.logout_token(sid=only_sid(world), exp=int(time.time()) + 3600)
    by_sub = orders.logout_token(sub=sub, exp=int(time.time()) + 3600)
    await browser.sign_out()
    world.okta.control.revoke_user(ALICE)  # the session at the provider is over, the next one has another sid
    world.advance(600)
    again = await signed_in(world)
    for token in (by_sid, by_sub):
        assert (await post_token(world, token)).status_code == 200
        assert await lives(again)


async def test_a_sign_in_under_way_is_overtaken_and_silently_begins_again(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/orders")
    assert (await post_token(world, world.okta.control.orders.logout_token(sub=sub_of(world)))).status_code == 200
    back = await browser.arrive(answer)
    assert back.status_code == 303
    assert back.headers["location"].startswith(world.okta.issuer), "to the provider once more, with no page between"
    assert browser.cookie("bff-session") is None
    await world.settled()
    assert live_families(world) == 0
    landed = await browser.navigate(await browser.at_provider(back.headers["location"]))
    assert str(landed.url) == f"{world.public_url}/orders"
    assert await lives(browser)


async def test_a_session_of_the_provider_that_ended_is_not_accepted_again_and_the_browser_does_not_circle(
    world: World,
) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    assert (await post_token(world, world.okta.control.orders.logout_token(sid=only_sid(world)))).status_code == 200
    for _ in range(2):
        back = await browser.arrive(answer)
        assert back.status_code == 303
        answer = await browser.at_provider(back.headers["location"])
    page = await browser.arrive(answer)
    assert page.status_code == 403
    assert "sign_in_refused" in page.text
    assert not await lives(browser)
    world.okta.control.revoke_user(ALICE)
    browser.forget()
    await browser.sign_in()
    assert await lives(browser)


# --- front-channel logout --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_frame_without_any_cookie_ends_the_session_it_names(world: World, method: str) -> None:
    browser = await signed_in(world)
    fields = {"iss": world.okta.issuer, "sid": only_sid(world)}
    url = f"{world.public_url}/auth/frontchannel-logout"
    async with provider_calls() as frame:
        if method == "GET":
            answer = await frame.get(f"{url}?{urlencode(fields)}")
        else:
            answer = await frame.post(url, data=fields)
    assert answer.status_code == 200
    assert "x-frame-options" not in answer.headers, "it is made to be framed"
    assert answer.headers["cache-control"] == "no-store"
    assert await refused(browser) == "front_channel"
    await world.settled()
    assert live_families(world) == 0


async def test_a_cookie_or_half_a_name_ends_nothing(world: World) -> None:
    browser = await signed_in(world)
    sid, issuer = only_sid(world), world.okta.issuer
    for fields in (
        {},
        {"sid": sid},
        {"iss": issuer},
        {"iss": "https://evil.example", "sid": sid},
        {"iss": issuer, "sid": "x"},
    ):
        answer = await browser.navigate(f"/auth/frontchannel-logout?{urlencode(fields)}")
        assert answer.status_code == 200
    assert await lives(browser)


# --- Okta Universal Logout -------------------------------------------------------------------------------------------

ENDPOINT = "/auth/global-token-revocation"


async def revoke(world: World, subject: Any, token: str | None = None, **more: Any) -> httpx.Response:
    endpoint = f"{world.public_url}{ENDPOINT}"
    token = world.okta.control.orders.revocation_token(endpoint) if token is None else token
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with provider_calls() as http:
        return await http.post(endpoint, headers=headers, **(more or {"json": {"sub_id": subject}}))


async def test_okta_ends_all_sessions_of_a_person_by_email(world: World) -> None:
    mine, other = [await signed_in(world) for _ in range(2)], await signed_in(world, BOB)
    answer = await revoke(world, {"format": "email", "email": "ALICE@Example.com"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert [await refused(browser) for browser in mine] == ["universal_logout"] * 2
    assert await lives(other)
    await world.settled()
    assert live_families(world) == 1


@pytest.mark.parametrize("org_server", [False, True])
async def test_okta_ends_all_sessions_of_a_person_by_issuer_and_subject(tmp_path: Path, org_server: bool) -> None:
    async with small_world(tmp_path, org_server=org_server) as world:
        browser = await signed_in(world)
        subject = {"format": "iss_sub", "iss": world.okta.base_url, "sub": sub_of(world)}
        assert (await revoke(world, subject)).status_code == 204
        assert await refused(browser) == "universal_logout"
        again = await signed_in(world)
        url = f"{world.public_url}{ENDPOINT}"
        assert await world.okta.control.orders.send_global_token_revocation(url, sub=sub_of(world)) == 204
        assert await refused(again) == "universal_logout"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="org, without a kid"),
        pytest.param({"iss": "ISSUER"}, id="the token issuer"),
        pytest.param({"kid": "KID"}, id="with its kid"),
        pytest.param({"ahead": -250}, id="our clock is four minutes ahead"),
        pytest.param({"ahead": 250}, id="our clock is four minutes behind"),
        pytest.param({"iat": None, "nbf": None}, id="only exp"),
    ],
)
async def test_every_shape_that_okta_documents_is_believed(world: World, changes: dict[str, Any]) -> None:
    browser = await signed_in(world)
    control = world.okta.control
    control.rotate_keys()  # two published keys: without a kid there is a choice
    if "ahead" in changes:
        now = int(time.time()) + changes.pop("ahead")
        changes = {"iat": now, "nbf": now - 300, "exp": now + 300}
    if changes.get("iss") == "ISSUER":
        changes["iss"] = world.okta.issuer
    header = {"kid": control.state()["signing_key"]} if changes.pop("kid", None) else None
    token = control.orders.revocation_token(f"{world.public_url}{ENDPOINT}", header=header, **changes)
    assert (await revoke(world, {"format": "email", "email": ALICE}, token)).status_code == 204
    assert not await lives(browser)


async def test_no_bad_bearer_token_touches_a_session(world: World) -> None:
    browser = await signed_in(world)
    orders, endpoint, now = world.okta.control.orders, f"{world.public_url}{ENDPOINT}", int(time.time())
    stranger = SigningKey.generate()
    good = {"iss": world.okta.base_url, "aud": endpoint, "sub": world.environ["BFF_CLIENT_ID"], "jti": "j"}
    for name, token in {
        "none": "",
        "garbage": "garbage",
        "typ missing": orders.revocation_token(endpoint, header={"typ": None}),
        "typ of a logout token": orders.revocation_token(endpoint, header={"typ": "logout+jwt"}),
        "another key": stranger.sign({**good, "exp": now + 60}, {"typ": "global-token-revocation+jwt", "kid": None}),
        "unknown kid": orders.revocation_token(endpoint, header={"kid": "unknown"}),
        "another issuer": orders.revocation_token(endpoint, iss="https://evil.example"),
        "another endpoint": orders.revocation_token(endpoint + "/"),
        "two audiences": orders.revocation_token(endpoint, aud=[endpoint, "other"]),
        "another client": orders.revocation_token(endpoint, sub="0oaother"),
        "a person as sub": orders.revocation_token(endpoint, sub=sub_of(world)),
        "expired": orders.revocation_token(endpoint, exp=now - 301),
        "no exp": orders.revocation_token(endpoint, exp=None),
        "not yet": orders.revocation_token(endpoint, nbf=now + 330),
        "no jti": orders.revocation_token(endpoint, jti=None),
        "an ID token": world.okta.control.sign_in(ALICE)["id_token"],
    }.items():
        answer = await revoke(world, {"format": "email", "email": ALICE}, token)
        assert (answer.status_code, answer.json()["code"]) == (401, "revocation_refused"), name
    assert await lives(browser)


async def test_an_invalid_token_is_refused_without_keys_and_a_possible_one_waits_for_them(tmp_path: Path) -> None:
    """During an outage a token that no key could verify is invalid, not "unavailable"; the others are to be retried."""
    async with small_world(tmp_path) as world:
        orders, url, claims = world.okta.control.orders, f"{world.public_url}{ENDPOINT}", b64(b"{}")
        await world.okta.control.down()
        revocation, logout = orders.revocation_token(url), orders.logout_token(sid="s")
        for good, other in ((revocation, logout), (logout, revocation)):
            header, payload, proof = good.split(".")
            invalid = {
                "not base64": "a.b.c",
                "no JSON": f"{b64(b'x')}.{claims}.{proof}",
                "unsigned": f"{b64(json.dumps({'alg': 'none'}).encode())}.{payload}.{proof}",
                "typ of the other token": other,
                "payload no object": f"{header}.{b64(b'[]')}.{proof}",
                "payload not base64": f"{header}.{payload}=.{proof}",
                "signature not base64": f"{header}.{payload}.{proof}=",
                "four segments": f"{good}.x",
            }
            for name, token in invalid.items():
                if good == revocation:
                    answer, refusal = await revoke(world, {}, token), (401, "revocation_refused")
                else:
                    answer, refusal = await post_token(world, token), (400, "invalid_request")
                assert (answer.status_code, answer.json()["code"]) == refusal, name
        for answer in (await revoke(world, {}, revocation), await post_token(world, logout)):
            assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
        await world.okta.control.up()


async def test_a_bearer_token_is_good_for_one_request(world: World) -> None:
    await signed_in(world)
    token = world.okta.control.orders.revocation_token(f"{world.public_url}{ENDPOINT}")
    assert (await revoke(world, {"format": "email", "email": ALICE}, token)).status_code == 204
    again = await signed_in(world)
    assert (await revoke(world, {"format": "email", "email": ALICE}, token)).status_code == 401
    assert await lives(again)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"content": b"{", "headers": {}}, 415),
        ({"json": {}}, 400),
        ({"json": {"sub_id": {"format": "phone_number", "phone_number": "+1"}}}, 400),
        ({"json": {"sub_id": {"format": "email"}}}, 400),
        ({"json": {"sub_id": {"format": "email", "email": ["a@b"]}}}, 400),
        ({"json": {"sub_id": {"format": "iss_sub", "sub": "00u"}}}, 400),
        ({"json": {"sub_id": "x"}}, 400),
        ({"json": []}, 400),
        ({"json": {"sub_id": {"format": "email", "email": "a" * 9000 + "@b"}}}, 413),
        ({"json": {"sub_id": {"format": "email", "email": "nobody@example.com"}}}, 404),
        ({"json": {"sub_id": {"format": "iss_sub", "iss": "https://evil.example", "sub": "ALICE"}}}, 404),
    ],
)
async def test_each_fault_of_the_body_has_its_status(world: World, more: dict[str, Any], status: int) -> None:
    browser = await signed_in(world)
    endpoint = f"{world.public_url}{ENDPOINT}"
    headers = {"authorization": f"Bearer {world.okta.control.orders.revocation_token(endpoint)}"}
    more = json.loads(json.dumps(more).replace("ALICE", sub_of(world))) if "json" in more else more
    async with provider_calls() as http:
        answer = await http.post(endpoint, **{**more, "headers": {**headers, **more.get("headers", {})}})
    assert answer.status_code == status, answer.text
    assert await lives(browser)


async def test_without_addresses_nobody_can_be_found_by_one(tmp_path: Path) -> None:
    async with small_world(tmp_path, scopes="openid offline_access") as world:
        browser = await signed_in(world)
        answer = await revoke(world, {"format": "email", "email": ALICE})
        assert (answer.status_code, answer.json()["code"]) == (422, "sign_out_impossible")
        assert await lives(browser)


async def test_a_sign_in_under_way_of_somebody_without_a_session_is_overtaken_too(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    assert (await revoke(world, {"format": "email", "email": ALICE})).status_code == 404
    assert (await browser.arrive(answer)).headers["location"].startswith(world.okta.issuer)
    assert browser.cookie("bff-session") is None


# --- the person's own sign-out ---------------------------------------------------------------------------------------


@pytest.mark.case("BL-030")
async def test_a_state_at_the_post_logout_address_means_nothing(world: World) -> None:
    browser = await signed_in(world)
    for query in ("", "?state=forged", "?state=a&state=b", "?error=x"):
        page = await browser.navigate(f"/{query}")
        assert page.status_code < 500
    assert await lives(browser)


@pytest.mark.case("BL-032")
@pytest.mark.parametrize("how", ["refuse", "stall", "error"])
async def test_signing_out_needs_no_provider(tmp_path: Path, how: Any) -> None:
    """The record is gone while the provider answers nothing: what is left to do is done in the background."""
    async with small_world(tmp_path) as world:
        browser = await signed_in(world)
        await world.okta.control.down(how=how)
        assert (await browser.sign_out()).keys() == {"end_session_url"}
        assert await refused(browser) is None
        await world.okta.control.up()


@pytest.mark.case("BL-033")
async def test_signing_out_twice_is_signing_out(world: World) -> None:
    browser = await signed_in(world)
    stolen = browser.cookie("bff-session") or ""
    first, second = await asyncio.gather(browser.fetch("/auth/logout", "POST"), browser.fetch("/auth/logout", "POST"))
    assert {first.status_code, second.status_code} == {200}
    assert (await browser.sign_out())["end_session_url"] is None
    browser.plant("bff-session", stolen)
    assert (await browser.sign_out())["end_session_url"] is None
    assert not await lives(browser)
    await world.settled()
    assert live_families(world) == 0


async def test_a_local_sign_out_leaves_the_provider_alone(world: World) -> None:
    browser = await signed_in(world)
    answer = await browser.fetch("/auth/logout", "POST", json={"local": True})
    assert answer.json() == {"end_session_url": None}
    assert not await lives(browser)
    await world.settled()
    assert live_families(world) == 0, "our tokens are given back all the same"
    landed = await browser.navigate("/auth/login?return_to=/again")
    assert str(landed.url) == f"{world.public_url}/again", "the provider's session asks for no password"


@pytest.mark.parametrize("body", [{"local": "yes"}, {"everywhere": True}, {"local": True, "x": 1}])
async def test_a_sign_out_that_is_not_understood_ends_nothing(world: World, body: dict[str, Any]) -> None:
    browser = await signed_in(world)
    assert (await browser.fetch("/auth/logout", "POST", json=body)).status_code == 400
    assert await lives(browser)
