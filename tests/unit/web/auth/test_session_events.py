"""`/auth/session/events`: what a page hears of its session, who may listen, and that listening changes nothing."""

from pathlib import Path

import pytest

from bff.errors import StoreUnavailable
from bff.session.expiry_notice import lead
from bff.session.keyring import new_key
from bff.session.session import EndReason, SessionKey
from bff.web.auth.session_events import EventStreamLimits
from tests.harness.asgi_call import Response, call, run, websocket_scope
from tests.harness.event_stream import EVENTS, SOURCE, EventStream
from tests.harness.policy import Policy
from tests.harness.waiting import loop_turns
from tests.harness.web_parts import Browser, WebParts, web_parts


async def listen(browser: Browser, parts: WebParts) -> EventStream:
    return await EventStream(parts.public, browser.cookies).opened()


async def key_of(parts: WebParts) -> SessionKey:
    [session] = await parts.sessions()
    return session.key


async def look(parts: WebParts, key: SessionKey) -> None:
    """What the watch of the open streams does every second."""
    await parts.flows.sessions.streams.check([key], parts.flows.sessions.end_session.end)


async def test_a_stream_begins_with_headers_that_no_proxy_misunderstands(signed_in: Browser, parts: WebParts) -> None:
    stream = await listen(signed_in, parts)
    fields = dict(stream.headers)
    assert (stream.status, fields[b"content-type"]) == (200, b"text/event-stream")
    assert fields[b"cache-control"] == b"no-store, no-transform"
    assert (fields[b"x-accel-buffering"], fields[b"x-content-type-options"]) == (b"no", b"nosniff")
    assert fields[b"cross-origin-resource-policy"] == b"same-origin"
    assert b"set-cookie" not in fields
    retry = int(stream.text.removeprefix("retry: ").strip())
    assert 2000 <= retry < 5000
    assert (stream.events, "canary" in stream.text) == ([], False)
    stream.leave()
    await stream.task
    assert parts.flows.sessions.streams.observers(await key_of(parts)) == 0


async def test_the_end_of_the_session_is_heard_with_its_reason(signed_in: Browser, parts: WebParts) -> None:
    streams = [await listen(signed_in, parts) for _ in range(2)]
    await signed_in.fetch("POST", "/auth/logout")
    for stream in streams:
        await stream.task
        assert (stream.events, stream.whole) == ([("ended", {"reason": "signed_out"})], True)


async def test_an_end_by_another_replica_has_its_reason_too(signed_in: Browser, parts: WebParts) -> None:
    stream, key = await listen(signed_in, parts), await key_of(parts)
    await parts.stores.sessions.delete(key, EndReason.OPERATOR)
    await look(parts, key)
    await stream.task
    assert stream.events == [("ended", {"reason": "operator"})]
    assert (await signed_in.session())["reason"] == "operator", "the stream has not consumed it"


async def test_another_persons_sign_in_ends_it_and_the_same_persons_does_not(
    signed_in: Browser, parts: WebParts
) -> None:
    stream = await listen(signed_in, parts)
    await signed_in.sign_in()
    assert stream.events == [], "the new cookie has to arrive first"
    await look(parts, await key_of(parts))
    await stream.hears("signed_in")
    parts.provider.claims |= {"sub": "00u2", "sid": "sid-2"}
    await signed_in.sign_in()
    await stream.task
    assert stream.events == [("signed_in", {}), ("ended", {"reason": "replaced"})]


async def test_the_near_end_is_announced_and_the_extension_too(signed_in: Browser, parts: WebParts) -> None:
    idle = parts.settings.session.idle_timeout
    before, key = await signed_in.session(), await key_of(parts)
    stream = await listen(signed_in, parts)
    parts.clock.now += idle - lead(Policy(idle_timeout=idle)) - 1
    await look(parts, key)
    parts.clock.now += 1
    await look(parts, key)
    await stream.hears("expiring")
    ends = before["session"]["idle_ends_at"]
    assert stream.events[0][1] == {"at": ends, "now": int(parts.clock.now), "reason": "idle_timeout"}
    late = await listen(signed_in, parts)
    assert late.events == stream.events, "who comes late hears it at once"
    extended = (await signed_in.fetch("POST", "/auth/session/extend")).status
    await look(parts, key)
    await look(parts, key)
    await stream.hears("expiring", "renewed")
    assert (extended, stream.events[1][1]) == (200, {"at": int(parts.clock.now + idle), "now": int(parts.clock.now)})
    parts.clock.now += idle
    await look(parts, key)
    for each in (stream, late):
        await each.task
        assert each.events[-1] == ("ended", {"reason": "idle_timeout"}), "an open stream is no activity"


async def test_a_stopping_process_ends_the_stream_without_an_end_of_the_session(
    signed_in: Browser, parts: WebParts
) -> None:
    stream = await listen(signed_in, parts)
    parts.flows.sessions.streams.close_for_shutdown()
    await stream.task
    assert (stream.events, stream.whole) == ([], True)


async def test_a_client_that_does_not_read_loses_its_connection(signed_in: Browser, parts: WebParts) -> None:
    closed: list[bool] = []
    stream = EventStream(parts.public, signed_in.cookies, **{"bff.close_connection": closed.append})
    await stream.opened()
    stream.reads.clear()
    await signed_in.sign_in()
    await look(parts, await key_of(parts))  # an event that cannot be sent
    await loop_turns(20)
    await signed_in.fetch("POST", "/auth/logout")
    assert closed == [True]
    stream.reads.set()
    await stream.task


# --- refusals


@pytest.mark.parametrize(
    ("method", "lines", "problem"),
    [
        ("GET", ("sec-fetch-site: cross-site", "sec-fetch-mode: cors"), (403, "csrf_required")),
        ("GET", ("sec-fetch-site: same-site", "origin: https://evil.example.com"), (403, "csrf_required")),
        ("GET", ("accept: */*",), (403, "csrf_required")),
        ("HEAD", SOURCE, None),
        ("POST", SOURCE, (405, "method_not_allowed")),
        ("OPTIONS", SOURCE, (405, "method_not_allowed")),
    ],
)
async def test_only_a_get_of_our_own_page_is_answered(
    signed_in: Browser, parts: WebParts, method: str, lines: tuple[str, ...], problem: tuple[int, str] | None
) -> None:
    response = await EventStream(parts.public, signed_in.cookies, *lines, method=method).refused()
    if problem is None:
        assert (response.status, response.body) == (405, b"")
    else:
        assert response.problem == problem
    assert response.all("allow") == (["GET"] if response.status == 405 else [])
    assert response.one("x-bff-forwarded") == "no"


async def test_without_a_session_it_is_401_with_the_reason(browser: Browser, parts: WebParts) -> None:
    assert (await EventStream(parts.public, {}).refused()).problem == (401, "sign_in_required")
    await browser.sign_in()
    parts.clock.now += parts.settings.session.idle_timeout + 1
    response = await EventStream(parts.public, browser.cookies).refused()
    assert (response.problem, b'"reason":"idle_timeout"' in response.body) == ((401, "sign_in_required"), True)
    twice = f"cookie: __Host-Http-session={'a' * 87}; __Host-Http-session={'a' * 87}"
    assert (await call(parts.public, "GET", EVENTS, *SOURCE, twice)).problem == (400, "invalid_request")


async def test_other_paths_and_protocols_have_no_events(signed_in: Browser, parts: WebParts) -> None:
    for path in (EVENTS + "/", EVENTS + "/x", EVENTS + "x"):
        assert (await signed_in.send("GET", path, *SOURCE)).problem == (404, "route_not_found")
    handshake: Response = await run(parts.public, websocket_scope(EVENTS, "origin: https://app.example.com"))
    assert handshake.problem == (405, "method_not_allowed")


async def test_a_session_has_five_streams_at_most(signed_in: Browser, parts: WebParts) -> None:
    limit = parts.settings.session.event_streams
    assert limit == EventStreamLimits().per_session == 5
    streams = [await listen(signed_in, parts) for _ in range(limit)]
    refused = await EventStream(parts.public, signed_in.cookies).refused()
    assert (refused.problem, refused.one("retry-after")) == ((429, "too_many_streams"), "30")
    other = parts.browser()
    await other.sign_in()
    assert (await listen(other, parts)).status == 200, "another browser has streams of its own"
    streams[0].leave()
    await streams[0].task
    assert (await listen(signed_in, parts)).status == 200


async def test_they_can_be_turned_off(tmp_path: Path) -> None:
    async with web_parts(tmp_path, session_event_streams="0") as parts:
        browser = parts.browser()
        await browser.sign_in()
        assert (await EventStream(parts.public, browser.cookies).refused()).problem == (404, "route_not_found")


async def test_an_unavailable_store_is_503_and_ends_nothing(
    signed_in: Browser, parts: WebParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, key = await listen(signed_in, parts), await key_of(parts)

    async def away(key: object) -> None:
        raise StoreUnavailable(retry_after=2)

    with monkeypatch.context() as patch:
        patch.setattr(parts.stores.sessions, "get", away)
        response = await EventStream(parts.public, signed_in.cookies).refused()
        await look(parts, key)
    assert (response.problem, response.one("retry-after")) == ((503, "store_unavailable"), "2")
    assert (response.all("set-cookie"), stream.task.done()) == ([], False)


async def test_a_cookie_under_an_older_key_is_renewed(signed_in: Browser, parts: WebParts) -> None:
    parts.stores.ring.replace_keys([new_key(), *parts.settings.session.key_ring])
    stream = await listen(signed_in, parts)
    assert b"__Host-Http-session=" in dict(stream.headers)[b"set-cookie"]
