"""The provider signs people out: back-channel logout, front-channel logout, and Okta's Universal Logout."""

import asyncio
import json
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from bff.provider.key_set import UNKNOWN_KID_COOL_DOWN
from bff.telemetry import metrics
from bff.web.auth.session import REASON_SHOWN
from demo.simulator.signing_keys import SigningKey
from tests.harness.minting import b64, signature
from tests.harness.pages import problem
from tests.harness.provider_orders import (
    REVOCATION,
    call,
    is_signed_in,
    post_logout_token,
    reason,
    revocation_token,
    revoke,
    sid,
)
from tests.harness.redis_servers import one_server
from tests.harness.streams import Page, endless_world
from tests.harness.waiting import until
from tests.harness.world import World, small_world

ALICE, BOB = "alice@example.com", "bob@example.com"
BY_EMAIL = {"format": "email", "email": ALICE}
STRANGER = SigningKey.generate()


# --- back-channel logout ---------------------------------------------------------------------------------------------


async def test_a_sid_ends_one_session_everywhere_and_the_reason_is_shown(world: World) -> None:
    first, second, other = await world.signed_in(), world.browser(), await world.signed_in(BOB)
    ended = sid(world)
    await second.sign_in()
    answer = await post_logout_token(world, sid=ended)
    assert (answer.status_code, answer.headers["cache-control"], answer.content) == (200, "no-store", b"")
    assert await reason(first) == "back_channel"
    assert await reason(first) == "back_channel", "a refusal does not use the reason up"
    assert await is_signed_in(second)
    assert await is_signed_in(other)
    assert await first.session() == {"authenticated": False, "reason": "back_channel"}
    world.advance(REASON_SHOWN + 1)
    assert await first.session() == {"authenticated": False, "reason": None}
    await world.settled()
    assert world.revoked.count(None) == 2


@pytest.mark.case("BL-011")
async def test_a_sub_ends_all_sessions_of_a_person_and_of_nobody_else(world: World) -> None:
    mine = [await world.signed_in() for _ in range(3)]
    other = await world.signed_in(BOB)
    token = world.okta.control.orders.logout_token(sub=world.sub())
    assert (await post_logout_token(world, token)).status_code == 200
    assert [await reason(browser) for browser in mine] == ["back_channel"] * 3
    again = await world.signed_in()
    assert (await post_logout_token(world, token)).status_code == 200, "a repeat is harmless"
    for claims in ({"sid": sid(world, BOB), "sub": world.sub()}, {"sid": "idxunknown"}):
        assert (await post_logout_token(world, **claims)).status_code == 200, "whose sub is not the session's"
    assert await is_signed_in(again)
    assert await is_signed_in(other)


async def test_a_session_without_a_sid_ends_by_the_sub_beside_one(world: World) -> None:
    """It may be the one that is meant; a session that carries another `sid` is not."""
    elsewhere = await world.signed_in()
    world.okta.control.settings(id_token_claims={"sid": None})
    nameless, other, under_way = await world.signed_in(), await world.signed_in(BOB), world.browser()
    answer = await under_way.until_callback()
    assert (await post_logout_token(world, sid="idxanother")).status_code == 200
    assert await is_signed_in(nameless), "a sid alone does not mean it"
    assert (await post_logout_token(world, sid="idxanother", sub=world.sub())).status_code == 200
    assert await reason(nameless) == "back_channel"
    assert await is_signed_in(elsewhere)
    assert await is_signed_in(other)
    back = await under_way.arrive(answer)
    assert back.headers["location"].startswith(world.okta.issuer), "the sign-in under way is overtaken, and begins anew"
    assert under_way.cookie("bff-session") is None


@pytest.mark.case("BL-026")
async def test_a_late_token_ends_no_later_sign_in(world: World) -> None:
    browser = await world.signed_in()
    orders, sub, exp = world.okta.control.orders, world.sub(), int(time.time()) + 3600
    late = [orders.logout_token(sid=sid(world), exp=exp), orders.logout_token(sub=sub, exp=exp)]
    late.append(orders.logout_token(sid="idxanother", sub=sub, exp=exp))
    await browser.sign_out()
    world.okta.control.revoke_user(ALICE)  # the session at the provider is over, the next one has another sid
    world.advance(600)
    again = await world.signed_in()
    world.okta.control.settings(id_token_claims={"sid": None})
    nameless = await world.signed_in()
    for token in late:
        assert (await post_logout_token(world, token)).status_code == 200
        assert await is_signed_in(again)
        assert await is_signed_in(nameless)


def bad_logout_tokens(world: World) -> dict[str, str]:
    orders, issuer, sub, client_id = (
        world.okta.control.orders,
        world.okta.issuer,
        world.sub(),
        world.environ["BFF_CLIENT_ID"],
    )
    head, body, _ = orders.logout_token(sub=sub).split(".")
    unsigned = b64(json.dumps({"alg": "none", "typ": "logout+jwt"}).encode())
    hs256 = b64(json.dumps({"alg": "HS256", "typ": "logout+jwt"}).encode()) + "." + body
    event = "http://schemas.openid.net/event/backchannel-logout"
    claims = {"iss": issuer, "aud": client_id, "sub": sub, "iat": int(time.time()), "events": {event: {}}, "jti": "j"}
    return {
        "BL-002 unsigned": f"{unsigned}.{body}.",
        "BL-002 signature cut off": f"{head}.{body}.",
        "BL-003 HS256": f"{hs256}.{b64(signature(b'x' * 32, hs256.encode(), 'HS256'))}",
        "BL-004 another issuer": orders.logout_token(sub=sub, issuer="https://evil.example"),
        "BL-004 trailing slash": orders.logout_token(sub=sub, issuer=issuer + "/"),
        "BL-005 another audience": orders.logout_token(sub=sub, aud="other"),
        "BL-005 no audience": orders.logout_token(sub=sub, aud=None),
        "BL-005 others too": orders.logout_token(sub=sub, aud=[client_id, "other"]),
        "BL-006 no events": orders.logout_token(sub=sub, events=None),
        "BL-006 another event": orders.logout_token(sub=sub, events={"https://example.com/e": {}}),
        "BL-006 a list": orders.logout_token(sub=sub, events=[event]),
        "BL-006 no object": orders.logout_token(sub=sub, events={event: True}),
        "BL-009 an ID token": world.okta.control.sign_in(ALICE)["id_token"],
        "BL-009 a nonce": orders.logout_token(sub=sub, nonce="n"),
        "BL-010 nobody": orders.logout_token(),
        "a stranger's key": STRANGER.sign(claims, {"typ": "logout+jwt"}),
        "expired": orders.logout_token(sub=sub, exp=int(time.time()) - 300),
        "empty": "",
    }


FORM = "application/x-www-form-urlencoded"
BAD_FORMS = (
    (b"", FORM, 400),
    (b"logout_token=a&logout_token=b", FORM, 400),
    (b"%ff=%ff", FORM, 400),
    (b'{"logout_token": "a"}', "application/json", 415),
    (b"logout_token=a", "", 415),
)


@pytest.mark.case("BL-002", "BL-003", "BL-004", "BL-005", "BL-006", "BL-009", "BL-010")
async def test_no_bad_logout_token_touches_a_session(world: World) -> None:
    browser = await world.signed_in()
    for name, token in bad_logout_tokens(world).items():
        answer = await post_logout_token(world, token)
        assert problem(answer) == (400, "invalid_request"), name
        assert answer.headers["cache-control"] == "no-store"
    for content, kind, status in BAD_FORMS:
        headers = {"content-type": kind} if kind else {}
        answer = await call(world, "/auth/backchannel-logout", content=content, headers=headers)
        assert answer.status_code == status, content
    assert await is_signed_in(browser)
    assert (await post_logout_token(world, sub=world.sub())).status_code == 200
    assert await reason(browser) == "back_channel"


@pytest.mark.case("BL-017")
async def test_while_the_store_is_away_the_provider_is_to_ask_again(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with small_world(tmp_path, store=redis.url) as world:
            browser = await world.signed_in()
            token = world.okta.control.orders.logout_token(sub=world.sub())
            redis.freeze()
            answer = await post_logout_token(world, token)
            assert problem(answer) == (503, "store_unavailable")
            assert "retry-after" in answer.headers
            redis.thaw()

            async def accepted() -> bool:
                return (await post_logout_token(world, token)).status_code == 200

            await until(accepted)
            assert await reason(browser) == "back_channel"


@pytest.mark.case("BL-020")
async def test_ten_megabytes_are_refused_before_they_have_come(world: World) -> None:
    """The answer is there while most of the body is not."""
    where = urlsplit(world.public_url)
    part = b"logout_token=" + b"a" * 30_000
    for length, sent in (
        ("content-length: 10000013", part),
        ("transfer-encoding: chunked", b"%x\r\n%b\r\n" % (len(part), part)),
    ):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        head = f"POST /auth/backchannel-logout HTTP/1.1\r\nhost: x\r\n{length}\r\ncontent-type: {FORM}\r\n\r\n"
        writer.write(head.encode() + sent)
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


@pytest.mark.case("BL-021")
async def test_a_flood_of_unknown_keys_costs_the_provider_one_fetch(world: World) -> None:
    def keys_fetched() -> float:
        samples = (sample for family in metrics.JWKS_FETCHES.collect() for sample in family.samples)
        return sum(sample.value for sample in samples if sample.name.endswith("_total"))

    browser = await world.signed_in()
    world.okta.control.rotate_keys()  # so that the keys are asked for at all
    now = int(time.time())
    claims = {"iss": world.okta.issuer, "aud": world.environ["BFF_CLIENT_ID"], "iat": now, "exp": now + 60}
    tokens = [
        STRANGER.sign({**claims, "jti": str(number)}, {"typ": "logout+jwt", "kid": f"forged-{number}"})
        for number in range(60)
    ]
    before, began = keys_fetched(), time.monotonic()
    answers = await asyncio.gather(*(post_logout_token(world, token) for token in tokens))
    assert {answer.status_code for answer in answers} == {400}
    assert await is_signed_in(browser)
    # One, and on a machine that takes so long another each time that the cool-down is over.
    assert keys_fetched() - before <= 1 + (time.monotonic() - began) // UNKNOWN_KID_COOL_DOWN


@pytest.mark.case("BL-025")
@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_a_stream_that_is_open_ends_with_the_session(tmp_path: Path, store: str) -> None:
    """The token comes to one replica, the stream is open on another where there are two."""
    with ExitStack() as servers:
        url = f"sqlite:///{tmp_path / 'bff.db'}"
        if store == "redis":
            url = servers.enter_context(one_server(tmp_path / "redis")).url
        async with AsyncExitStack() as running:
            world, _ = await running.enter_async_context(endless_world(tmp_path, store=url))
            browser = await world.signed_in()
            base = await running.enter_async_context(world.replica()) if store == "redis" else world.public_url
            reading = await running.enter_async_context(Page(base, browser).reading("/api/events"))
            await reading.next()
            assert (await post_logout_token(world, sub=world.sub())).status_code == 200
            assert await reading.end() == "broken", "never as if the upstream had finished"
            assert (await Page(base, browser).fetch("/api/x")).status_code == 401


async def test_a_sign_in_under_way_is_overtaken_and_silently_begins_again(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/orders")
    assert (await post_logout_token(world, sub=world.sub())).status_code == 200
    back = await browser.arrive(answer)
    assert back.status_code == 303
    assert back.headers["location"].startswith(world.okta.issuer), "to the provider once more, with no page between"
    assert browser.cookie("bff-session") is None
    await world.settled()
    assert world.revoked.count(None) == 0
    landed = await browser.navigate(await browser.at_provider(back.headers["location"]))
    assert str(landed.url) == f"{world.public_url}/orders"
    assert await is_signed_in(browser)


async def test_a_session_of_the_provider_that_ended_is_not_accepted_again_and_the_browser_does_not_loop(
    world: World,
) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    assert (await post_logout_token(world, sid=sid(world))).status_code == 200
    for _ in range(2):
        back = await browser.arrive(answer)
        assert back.status_code == 303
        answer = await browser.at_provider(back.headers["location"])
    page = await browser.arrive(answer)
    assert page.status_code == 403
    assert "sign_in_refused" in page.text
    assert not await is_signed_in(browser)
    world.okta.control.revoke_user(ALICE)
    browser.forget()
    await browser.sign_in()
    assert await is_signed_in(browser)


# --- front-channel logout --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_frame_ends_the_session_it_names_and_no_other(world: World, method: str) -> None:
    browser = await world.signed_in()
    path, issuer, mine = "/auth/frontchannel-logout", world.okta.issuer, sid(world)
    for fields in (
        {},
        {"sid": mine},
        {"iss": issuer},
        {"iss": "https://evil.example", "sid": mine},
        {"iss": issuer, "sid": "x"},
    ):
        assert (await browser.navigate(f"{path}?{urlencode(fields)}")).status_code == 200, "with all cookies"
    assert await is_signed_in(browser)
    named = {"params" if method == "GET" else "data": {"iss": issuer, "sid": mine}}
    answer = await call(world, path, method, **named)
    assert answer.status_code == 200
    assert "x-frame-options" not in answer.headers, "it is made to be framed"
    assert answer.headers["cache-control"] == "no-store"
    assert await reason(browser) == "front_channel"
    await world.settled()
    assert world.revoked.count(None) == 0


# --- Okta Universal Logout -------------------------------------------------------------------------------------------


async def test_okta_ends_all_sessions_of_a_person_by_email(world: World) -> None:
    mine, other = [await world.signed_in() for _ in range(2)], await world.signed_in(BOB)
    answer = await revoke(world, {"format": "email", "email": "ALICE@Example.com"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert [await reason(browser) for browser in mine] == ["universal_logout"] * 2
    assert await is_signed_in(other)
    await world.settled()
    assert world.revoked.count(None) == 1


@pytest.mark.parametrize("org_server", [False, True])
async def test_okta_ends_all_sessions_of_a_person_by_issuer_and_subject(tmp_path: Path, org_server: bool) -> None:
    async with small_world(tmp_path, org_server=org_server) as world:
        browser = await world.signed_in()
        subject = {"format": "iss_sub", "iss": world.okta.base_url, "sub": world.sub()}
        assert (await revoke(world, subject)).status_code == 204
        assert await reason(browser) == "universal_logout"
        again = await world.signed_in()
        url = f"{world.public_url}{REVOCATION}"
        assert await world.okta.control.orders.send_global_token_revocation(url, sub=world.sub()) == 204
        assert await reason(again) == "universal_logout"


async def test_every_shape_of_revocation_token_that_okta_documents_is_believed(world: World) -> None:
    control, now = world.okta.control, int(time.time())
    control.rotate_keys()  # two published keys: without a kid there is a choice
    shapes: dict[str, dict[str, Any]] = {
        "of the org, without a kid": {},
        "of the issuer": {"iss": world.okta.issuer},
        "with its kid": {"header": {"kid": control.state()["signing_key"]}},
        "our clock is four minutes ahead": {"iat": now - 250, "nbf": now - 550, "exp": now + 50},
        "our clock is four minutes behind": {"iat": now + 250, "nbf": now - 50, "exp": now + 550},
        "only exp": {"iat": None, "nbf": None},
    }
    for name, changes in shapes.items():
        browser = await world.signed_in()
        token = revocation_token(world, **changes)
        assert (await revoke(world, BY_EMAIL, token)).status_code == 204, name
        assert not await is_signed_in(browser)
        again = await world.signed_in()
        assert (await revoke(world, BY_EMAIL, token)).status_code == 401, "a token is good for one request"
        assert await is_signed_in(again)


async def test_no_bad_revocation_token_touches_a_session(world: World) -> None:
    browser = await world.signed_in()
    endpoint, now = f"{world.public_url}{REVOCATION}", int(time.time())
    claims = {"iss": world.okta.base_url, "aud": endpoint, "sub": world.environ["BFF_CLIENT_ID"], "jti": "j"}
    for name, token in {
        "none": "",
        "garbage": "garbage",
        "typ missing": revocation_token(world, header={"typ": None}),
        "typ of a logout token": revocation_token(world, header={"typ": "logout+jwt"}),
        "another key": STRANGER.sign({**claims, "exp": now + 60}, {"typ": "global-token-revocation+jwt", "kid": None}),
        "unknown kid": revocation_token(world, header={"kid": "unknown"}),
        "another issuer": revocation_token(world, iss="https://evil.example"),
        "another endpoint": revocation_token(world, aud=endpoint + "/"),
        "two audiences": revocation_token(world, aud=[endpoint, "other"]),
        "another client": revocation_token(world, sub="0oaother"),
        "a person as sub": revocation_token(world, sub=world.sub()),
        "expired": revocation_token(world, exp=now - 301),
        "no exp": revocation_token(world, exp=None),
        "not yet": revocation_token(world, nbf=now + 330),
        "no jti": revocation_token(world, jti=None),
        "an ID token": world.okta.control.sign_in(ALICE)["id_token"],
    }.items():
        assert problem(await revoke(world, BY_EMAIL, token)) == (401, "revocation_refused"), name
    assert await is_signed_in(browser)


async def test_an_invalid_token_is_refused_without_keys_and_a_possible_one_waits_for_them(tmp_path: Path) -> None:
    """During an outage a token that no key could verify is invalid, not "unavailable"; the others are to be retried."""
    async with small_world(tmp_path) as world:
        claims = b64(b"{}")
        await world.okta.control.down()
        revocation, logout = revocation_token(world), world.okta.control.orders.logout_token(sid="s")
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
                    assert problem(await revoke(world, {}, token)) == (401, "revocation_refused"), name
                else:
                    assert problem(await post_logout_token(world, token)) == (400, "invalid_request"), name
        for answer in (await revoke(world, {}, revocation), await post_logout_token(world, logout)):
            assert problem(answer) == (503, "provider_unavailable")
        await world.okta.control.up()


async def test_each_fault_of_the_body_has_its_status(world: World) -> None:
    browser = await world.signed_in()
    subjects: list[tuple[Any, int]] = [
        ({"format": "phone_number", "phone_number": "+1"}, 400),
        ({"format": "email"}, 400),
        ({"format": "email", "email": ["a@b"]}, 400),
        ({"format": "iss_sub", "sub": "00u"}, 400),
        ("x", 400),
        ({"format": "email", "email": "a" * 9000 + "@b"}, 413),
        ({"format": "email", "email": "nobody@example.com"}, 404),
        ({"format": "iss_sub", "iss": "https://evil.example", "sub": world.sub()}, 404),
    ]
    bodies: list[tuple[dict[str, Any], int]] = [({"json": {"sub_id": subject}}, status) for subject, status in subjects]
    bodies += [({"json": {}}, 400), ({"json": []}, 400), ({"content": b"{"}, 415)]
    for body, status in bodies:
        assert (await revoke(world, None, **body)).status_code == status, body
    assert await is_signed_in(browser)


async def test_without_addresses_no_session_can_be_found_by_one(tmp_path: Path) -> None:
    async with small_world(tmp_path, scopes="openid offline_access") as world:
        browser = await world.signed_in()
        assert problem(await revoke(world, BY_EMAIL)) == (422, "sign_out_impossible")
        assert await is_signed_in(browser)


async def test_a_sign_in_under_way_of_somebody_without_a_session_is_overtaken_too(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    assert (await revoke(world, BY_EMAIL)).status_code == 404
    assert (await browser.arrive(answer)).headers["location"].startswith(world.okta.issuer)
    assert browser.cookie("bff-session") is None
