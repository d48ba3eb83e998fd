"""The two routes of device-bound sessions: what a browser that signs gets, and what another client gets."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bff.base64url import encode_base64url
from bff.session.device_binding import UNUSED
from bff.session.keyring import new_key, new_session_id
from bff.session.session import EndReason, public_id
from bff.telemetry.metrics import REGISTRY
from bff.web.auth.device_binding import ALGORITHMS
from bff.web.session_cookies import seal_session_cookie
from tests.harness.asgi_call import Response
from tests.harness.device import REFRESH, REGISTRATION, Device, bound
from tests.harness.web_parts import CROSS_SITE, FETCH, Browser, WebParts, web_parts


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[WebParts]:
    async with web_parts(tmp_path, device_bound="enforce") as parts:
        yield parts


def refreshed() -> float:
    return REGISTRY.get_sample_value("bff_device_binding_total", {"outcome": "refreshed", "reason": ""}) or 0.0


async def binding(parts: WebParts) -> Any:
    [session] = await parts.sessions()
    return session.device_binding


async def test_a_page_of_ours_is_offered_a_registration_and_the_browser_gets_a_bound_cookie(
    browser: Browser, parts: WebParts
) -> None:
    await browser.sign_in()
    device = Device(browser)
    response = await device.register()
    assert response.status == 200
    [session] = await parts.sessions()
    assert json.loads(response.body) == {
        "session_identifier": session.public_id,
        "refresh_url": REFRESH,
        "scope": {"include_site": False},
        "credentials": [
            {
                "type": "cookie",
                "name": "__Host-bff-bound",
                "attributes": "Path=/; HttpOnly; SameSite=Strict; Secure",
            }
        ],
    }
    cookie = response.one("set-cookie") or ""
    assert cookie.startswith("__Host-bff-bound=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=540")
    assert response.one("cache-control") == "no-store"
    assert device.challenge
    assert session.device_binding is not None
    assert session.device_binding.confirmed_at is None
    shown = await browser.session()
    assert shown["device_bound"]
    await parts.tasks.drain(60)
    assert (await binding(parts)).confirmed_at == parts.clock.now
    assert await device.offer() is None, "one that is bound is offered nothing"
    listed = json.loads((await browser.fetch("GET", "/auth/sessions")).body)
    assert [each["device_bound"] for each in listed["sessions"]] == [True]


async def test_only_the_pages_own_fetch_is_offered_a_registration(browser: Browser, parts: WebParts) -> None:
    await browser.sign_in()
    for method, lines in (
        ("GET", CROSS_SITE),
        ("GET", ("sec-fetch-mode: navigate", "sec-fetch-site: same-origin")),
        ("GET", ("sec-fetch-mode: no-cors", "sec-fetch-site: same-site")),
        ("HEAD", FETCH),
    ):
        response = await browser.send(method, "/auth/session", *lines)
        assert response.status == 200
        assert response.one("secure-session-registration") is None, lines


async def test_only_two_algorithms_are_offered() -> None:
    assert ALGORITHMS == ("ES256", "RS256")


async def test_one_without_a_session_is_offered_nothing(browser: Browser, parts: WebParts) -> None:
    assert await Device(browser).offer() is None


async def test_a_key_registers_with_rs256_too(browser: Browser, parts: WebParts) -> None:
    device = await bound(browser, key=rsa.generate_private_key(65537, 2048), alg="RS256")
    assert (await device.refresh()).status == 200


async def test_a_refresh_brings_a_new_cookie_and_the_next_challenge(browser: Browser, parts: WebParts) -> None:
    device = await bound(browser)
    parts.clock.now += 700
    first, before = device.challenge, refreshed()
    response = await device.refresh()
    assert response.status == 200
    assert device.challenge not in ("", first)
    assert json.loads(response.body)["session_identifier"] == device.id
    assert (await browser.session())["device_bound"]
    assert refreshed() == before + 1
    [session] = await parts.sessions()
    assert (await parts.stores.sessions.get(session.key)).last_seen_at == session.signed_in_at  # type: ignore[union-attr]


def other_key(device: Device) -> str:
    return replace(device, key=ec.generate_private_key(ec.SECP256R1())).sign({"jti": device.challenge})


REFUSED = {
    "no proof": lambda device: "",
    "another key": other_key,
    "no challenge of ours": lambda device: device.sign({"jti": "guessed"}),
    "another audience": lambda device: device.sign(
        {"jti": device.challenge, "aud": "https://app.example.com" + REGISTRATION}
    ),
    "another type": lambda device: device.sign({"jti": device.challenge}, typ="jwt"),
    "no JWS": lambda device: "x",
    "huge": lambda device: device.sign({"jti": device.challenge, "pad": "p" * 8000}),
}


async def test_a_wrong_proof_gets_a_challenge_and_no_cookie(browser: Browser, parts: WebParts) -> None:
    device = await bound(browser)
    for name, proof in REFUSED.items():
        first = device.challenge
        response = await device.refresh(proof=proof(device))
        assert response.problem == (403, "device_binding_refused"), name
        assert response.one("set-cookie") is None
        assert device.challenge != first, "what the browser signs next"
    assert (await device.refresh()).status == 200


async def test_a_challenge_counts_once_and_for_a_time(browser: Browser, parts: WebParts) -> None:
    device = await bound(browser)
    proof = device.sign({"jti": device.challenge})
    assert [(await device.refresh(proof=proof)).status for _ in range(2)] == [200, 403]
    parts.clock.now += 1200
    assert (await device.refresh()).status == 403
    assert (await device.refresh()).status == 200, "with the challenge of the refusal"


async def test_a_challenge_of_another_session_or_purpose_is_refused(browser: Browser, parts: WebParts) -> None:
    device, other = await bound(browser), await bound(parts.browser())
    device.challenge = other.challenge
    assert (await device.refresh()).status == 403
    mine, theirs = Device(parts.browser()), Device(parts.browser())
    for each in (mine, theirs):
        await each.browser.sign_in()
    offer, foreign = await mine.offer(), await theirs.offer()
    assert offer is not None
    assert foreign is not None
    for wrong in ((foreign[0], offer[1]), (offer[0], foreign[1]), (offer[1], offer[0]), (device.challenge, offer[1])):
        assert (await mine.register(wrong)).problem == (403, "device_binding_refused")
    assert (await mine.register(offer)).status == 200


async def test_a_registration_counts_once_and_a_bound_session_takes_no_other_key(
    browser: Browser, parts: WebParts
) -> None:
    await browser.sign_in()
    device, thief = Device(browser), Device(browser)
    offer, second = await device.offer(), await device.offer()
    assert (await device.register(offer)).status == 200
    for again in (offer, second):
        assert (await thief.register(again)).status == 403
    await browser.session()
    await parts.tasks.drain(60)
    parts.clock.now += UNUSED + 1
    assert await device.offer() is None
    assert (await thief.register(second)).status == 403


async def test_a_registration_whose_answer_got_lost_can_be_repeated(browser: Browser, parts: WebParts) -> None:
    await browser.sign_in()
    lost = Device(browser)
    await lost.register()
    del browser.cookies["__Host-bff-bound"]
    assert await lost.offer() is None
    parts.clock.now += UNUSED
    assert (await Device(browser).register()).status == 200


async def test_an_offer_is_not_good_for_ever(browser: Browser, parts: WebParts) -> None:
    await browser.sign_in()
    device = Device(browser)
    offer = await device.offer()
    parts.clock.now += 301
    assert (await device.register(offer)).status == 403


async def test_a_registration_needs_the_session_of_the_offer(browser: Browser, parts: WebParts) -> None:
    await browser.sign_in()
    device = Device(browser)
    offer = await device.offer()
    assert (await Device(parts.browser()).register(offer)).problem == (401, "sign_in_required")


async def ended_by_sign_out(device: Device, parts: WebParts) -> Response:
    return await device.browser.fetch("POST", "/auth/logout")


async def ended_by_operator(device: Device, parts: WebParts) -> None:
    [session] = await parts.sessions()
    await parts.flows.sessions.end_session.end(session.key, EndReason.OPERATOR)


async def ended_by_time(device: Device, parts: WebParts) -> None:
    parts.clock.now += parts.settings.session.idle_timeout


@pytest.mark.parametrize("end", [ended_by_sign_out, ended_by_operator, ended_by_time])
async def test_a_session_that_has_ended_is_answered_with_401(end: Any, browser: Browser, parts: WebParts) -> None:
    device = await bound(browser)
    response = await end(device, parts)
    if response is not None:
        assert "__Host-bff-bound" not in browser.cookies
    refused = await device.refresh(without="-")
    assert refused.problem == (401, "sign_in_required")
    assert refused.one("secure-session-challenge") is None


async def test_a_browser_keeps_its_key_while_the_record_is_lost(browser: Browser, parts: WebParts) -> None:
    """As it keeps its cookie: a store that has lost the record without an end may recover it."""
    device, lost = await bound(browser), new_session_id()
    browser.cookies["__Host-Http-session"] = seal_session_cookie(lost, parts.stores.ring)
    device.id = public_id(lost.key)
    assert (await device.refresh()).problem == (503, "device_binding_pending")


async def test_a_refresh_needs_the_cookie_of_the_session_that_it_names(browser: Browser, parts: WebParts) -> None:
    """A browser that keeps the key of a session whose cookie is gone is rid of it; with the cookie all is as before."""
    device, name = await bound(browser), "__Host-Http-session"
    own = browser.cookies[name]
    for other in (None, "garbage", seal_session_cookie(new_session_id(), parts.stores.ring)):
        del browser.cookies[name]
        if other is not None:
            browser.cookies[name] = other
        refused = await device.refresh()
        assert refused.problem == (401, "sign_in_required")
        assert refused.all("set-cookie") == []
        assert refused.one("secure-session-challenge") is None
        browser.cookies[name] = own
        assert (await device.refresh()).status == 200, "no challenge was used, and the session is alive"


async def test_the_cookie_of_a_later_sign_in_does_not_renew_the_binding_of_an_earlier_one(
    browser: Browser, parts: WebParts
) -> None:
    device = await bound(browser)
    parts.clock.now += 60
    await browser.sign_in()
    assert (await device.refresh()).status == 401
    assert (await Device(browser).register()).status == 200


async def test_a_session_whose_cookie_the_browser_has_lost_does_not_replace_the_bound_cookie_of_another(
    browser: Browser, parts: WebParts
) -> None:
    device = await bound(browser)
    browser.cookies.clear()
    await browser.sign_in()
    assert len(await parts.sessions()) == 2, "the browser id is new, so the first one was not replaced"
    later = Device(browser)
    assert (await later.register()).status == 200
    assert (await device.refresh()).problem == (401, "sign_in_required")
    assert (await later.refresh()).status == 200


async def test_a_binding_that_the_store_has_lost_is_503_and_offered_again(browser: Browser, parts: WebParts) -> None:
    device = await bound(browser)
    await parts.tasks.drain(60)
    [session] = await parts.sessions()
    lost = replace(session, version=session.version + 1, device_binding=None)
    assert (await parts.stores.sessions.replace(lost, session.version)).done
    response = await device.refresh()
    assert response.problem == (503, "device_binding_pending")
    assert response.one("secure-session-challenge") is None
    assert (await browser.fetch("GET", "/auth/sessions")).status == 200, "not signed out"
    assert (await device.register()).status == 200


async def test_the_key_ring_rolls_without_a_refusal(browser: Browser, parts: WebParts) -> None:
    device = await bound(browser)
    await parts.tasks.drain(60)
    old, new = parts.settings.session.key_ring[0], new_key()
    parts.stores.ring.replace_keys([new, old])
    assert (await browser.session())["device_bound"]
    assert (await device.refresh()).status == 200
    await parts.tasks.drain(60)  # the record has been encrypted again
    parts.stores.ring.replace_keys([new])
    assert (await browser.session())["device_bound"]
    assert (await device.refresh()).status == 200


async def test_headers_that_are_too_large_do_not_make_the_browser_drop_its_key(
    browser: Browser, parts: WebParts
) -> None:
    device = await bound(browser)
    lines = [f"sec-secure-session-id: {device.id}", f"cookie: pad={'p' * 40_000}"]
    response = await browser.send("POST", REFRESH, *lines, without="__Host")
    assert response.problem == (503, "device_binding_pending")
    assert (await device.refresh()).status == 200


async def test_a_session_cookie_that_came_twice_finds_the_session_too(browser: Browser, parts: WebParts) -> None:
    device = await bound(browser)
    twice = "; ".join([f"__Host-Http-session={browser.cookies['__Host-Http-session']}"] * 2)
    lines = [f"sec-secure-session-id: {device.id}", f"cookie: {twice}"]
    proof = f"secure-session-response: {device.sign({'jti': device.challenge})}"
    assert (await browser.send("POST", REFRESH, *lines, proof, without="__Host")).status == 200


async def test_a_replica_without_the_key_answers_503(browser: Browser, parts: WebParts) -> None:
    device = await bound(browser)
    await parts.tasks.drain(60)
    parts.stores.ring.replace_keys([new_key()])
    assert (await device.refresh()).problem == (503, "device_binding_pending")
    assert (await device.refresh(without="browser")).problem == (503, "device_binding_pending")


async def test_the_routes_work_while_the_setting_is_off_and_nothing_is_offered(tmp_path: Path) -> None:
    """A deploy that changes the setting: a 404 would make the browser drop its key."""
    keys = encode_base64url(new_key())
    async with web_parts(tmp_path, device_bound="offer", session_keys=keys) as on:
        device = await bound(on.browser())
        await on.tasks.drain(60)
        async with web_parts(tmp_path, session_keys=keys) as off:
            here = off.browser()
            here.cookies = device.browser.cookies
            device.browser = here
            assert (await device.refresh()).status == 200
            shown = await here.fetch("GET", "/auth/session")
            assert json.loads(shown.body)["device_bound"] is False
            assert shown.one("secure-session-registration") is None
