"""What Chromium does with device-bound sessions, line by line: what the BFF is built on."""

import json
from pathlib import Path

import pytest

from tests.device_bound.front import Header
from tests.device_bound.scene import BOUND, Scene, scene
from tests.harness.device import REFRESH, REGISTRATION
from tests.harness.waiting import until

pytestmark = pytest.mark.device_bound


async def test_a_registration_has_a_proof_and_our_cookies_and_nothing_that_a_csrf_rule_could_use(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as on:
        await on.bind()
        [seen] = on.front.registrations
        assert (seen.method, seen.body, seen.status) == ("POST", b"", 200)
        assert not [name for name in seen.headers if name.startswith("sec-fetch-") or name == "origin"]
        assert seen.headers["secure-session-response"].count(".") == 2
        assert "bff-session=" in seen.headers["cookie"]
        assert on.front.refreshes == []
        session = await on.world.stored()
        assert session.device_binding is not None
        assert session.device_binding.alg == "ES256"


async def test_a_challenge_that_was_sent_ahead_saves_a_round_trip(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.establish()
        await on.expire(601)
        assert (await on.fetch("/api/x"))[0] == 200
        [seen] = on.front.refreshes
        assert (seen.status, seen.body) == (200, b"")
        assert seen.headers["sec-secure-session-id"] == (await on.world.stored()).public_id
        assert [call.is_bound for call in on.api] == [True]
        # After a long pause the challenge has expired: one signature more.
        await on.expire(2000)
        assert (await on.fetch("/api/y"))[0] == 200
        assert [refresh.status for refresh in on.front.refreshes] == [200, 403, 200]


async def test_requests_at_the_moment_of_expiry_wait_for_one_refresh(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.establish()
        await on.expire(601)
        calls = "() => Promise.all([...Array(500).keys()].map((n) => fetch(`/api/${n}`, {headers: {'X-CSRF': '1'}})"
        statuses = await on.page.evaluate(calls + ".then((answer) => answer.status)))")
        assert statuses == [200] * 500
        assert len(on.front.refreshes) == 1
        assert all(call.is_bound for call in on.api)
        assert len(on.api) == 500


async def test_streams_and_sockets_wait_too(tmp_path: Path) -> None:
    async with scene(tmp_path, route={"websocket": True}) as on:
        await on.establish()
        await on.expire(601)
        await on.page.evaluate("""() => new Promise((done) => {
            const source = new EventSource("/auth/session/events");
            source.onopen = () => { source.close(); done(); };
        })""")
        await on.expire(601)
        await on.page.evaluate("""() => new Promise((done, failed) => {
            const socket = new WebSocket(`ws://${location.host}/api/socket`);
            socket.onopen = () => { socket.close(); done(); };
            socket.onerror = failed;
        })""")
        assert [refresh.status for refresh in on.front.refreshes] == [200, 200]
        streams = [*on.front.of("/auth/session/events"), *on.front.of("/api/socket")]
        assert [stream.is_bound for stream in streams] == [True, True]


@pytest.mark.parametrize("status", [500, 503])
async def test_an_error_of_the_server_costs_the_browser_nothing(tmp_path: Path, status: int) -> None:
    async with scene(tmp_path) as on:
        await on.establish()
        await on.expire(601)
        on.front.answers[REFRESH] = status
        answered, problem = await on.fetch("/api/x")
        assert (answered, problem["code"]) == (503, "device_binding_pending")
        assert on.api[-1].skipped == "server_error"
        assert on.world.upstream.heard == []
        del on.front.answers[REFRESH]
        assert (await on.fetch("/api/x"))[0] == 200
        assert on.api[-1].is_bound
        first, second = (seen.headers["secure-session-response"] for seen in on.front.refreshes[:2])
        assert first == second, "the signature is used again, so that it costs no quota"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
async def test_any_other_error_ends_the_binding_in_the_browser_without_a_word(tmp_path: Path, status: int) -> None:
    """That is why the two routes are never rate-limited, and why every proxy has to leave them alone."""
    async with scene(tmp_path) as on:
        await on.establish()
        await on.expire(601)
        on.front.answers[REFRESH] = status
        answered, problem = await on.fetch("/api/x")
        assert (answered, problem["code"], problem["reason"]) == (401, "sign_in_required", "device_binding_lost")
        assert on.api[-1].skipped is None
        del on.front.answers[REFRESH]
        tried = len(on.front.refreshes)
        assert (await on.fetch("/api/x"))[0] == 401
        assert len(on.front.refreshes) == tried
        # Its record is alive, and a sign-in without a prompt binds a new one.
        assert (await on.world.stored()).device_binding is not None
        await on.sign_in()
        await on.establish()
        assert (await on.fetch("/api/x"))[0] == 200


async def test_a_browser_signs_a_few_times_only_and_is_not_signed_out_for_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.establish()

        async def quota_exceeded() -> bool:
            await on.expire()
            answered, problem = await on.fetch("/api/x")
            if answered == 200:
                return False
            assert (answered, problem["code"]) == (503, "device_binding_pending")
            return on.api[-1].skipped == "quota_exceeded"

        await until(quota_exceeded)
        assert len(on.front.refreshes) >= 3
        assert (await on.world.stored()).device_binding is not None


async def test_a_cookie_with_the_prefix_of_the_others_registers_no_key(tmp_path: Path) -> None:
    def renamed(headers: list[Header], body: bytes) -> tuple[list[Header], bytes]:
        name = b"__Host-Http-bound"
        fields = [
            (field, value.replace(b"bff-bound=", name + b"=") + b"; Secure" if field == b"set-cookie" else value)
            for field, value in headers
        ]
        instructions = json.loads(body)
        instructions["credentials"][0] |= {
            "name": name.decode(),
            "attributes": "Path=/; HttpOnly; SameSite=Strict; Secure",
        }
        return fields, json.dumps(instructions).encode()

    async with scene(tmp_path) as on:
        on.front.rewrites[REGISTRATION] = renamed
        await on.fetch("/auth/session")
        await until(lambda: on.front.registrations and on.front.registrations[0].status)
        assert on.front.registrations[0].status == 200
        await on.context.clear_cookies(name="__Host-Http-bound")
        on.world.advance(3000)
        assert (await on.fetch("/api/x"))[0] == 200, "never confirmed, so nothing is required"
        assert on.front.refreshes == []


async def test_offered_at_the_end_of_a_sign_in_a_registration_comes_without_our_cookies(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        offers: list[str] = []

        def keep(headers: list[Header], body: bytes) -> tuple[list[Header], bytes]:
            offers.extend(value.decode() for name, value in headers if name == b"secure-session-registration")
            return [field for field in headers if field[0] != b"secure-session-registration"], body

        def offer(headers: list[Header], body: bytes) -> tuple[list[Header], bytes]:
            return [*headers, (b"secure-session-registration", offers[0].encode())], body

        on.front.rewrites["/auth/session"] = keep
        await on.fetch("/auth/session")
        on.front.rewrites["/authorization-code/callback"] = offer
        await on.context.clear_cookies()  # the provider's too: its page, of another site, starts the chain of redirects
        await on.sign_in()
        await until(lambda: on.front.registrations and on.front.registrations[0].status)
        [seen] = on.front.registrations
        assert "bff-session=" not in seen.headers.get("cookie", "")
        assert seen.status == 401
        assert (await on.fetch("/api/x"))[0] == 200


async def test_a_cookie_that_is_about_to_expire_is_renewed_ahead(tmp_path: Path) -> None:
    def shorter(headers: list[Header], body: bytes) -> tuple[list[Header], bytes]:
        return [(name, value.replace(b"Max-Age=540", b"Max-Age=100")) for name, value in headers], body

    async with scene(tmp_path) as on:
        on.front.rewrites[REGISTRATION] = shorter
        await on.bind()
        await on.fetch("/api/x")
        await until(lambda: on.front.refreshes)
        assert on.api[0].is_bound


async def test_clearing_all_cookies_of_the_site_would_take_ours_and_leave_the_key(tmp_path: Path) -> None:
    """That is why a sign-out expires the bound cookie by name, and ends the binding by the next refresh."""

    def clears(headers: list[Header], body: bytes) -> tuple[list[Header], bytes]:
        return [*headers, (b"clear-site-data", b'"cookies"')], body

    async with scene(tmp_path) as on:
        await on.establish()
        on.front.rewrites["/api/clear"] = clears
        await on.fetch("/api/clear")
        assert await on.context.cookies(on.world.public_url) == []
        assert (await on.fetch("/api/x"))[0] == 401
        [refresh] = on.front.refreshes
        assert "bff-session=" not in refresh.headers.get("cookie", "")
        assert refresh.status == 401, "which ends the binding of a session that the browser cannot use any more"
        assert await on.bound_cookie() is None
        await next_session_is_bound(on)
        assert {refresh.status for refresh in on.front.refreshes[1:]} == {200}


async def test_a_browser_that_has_lost_the_session_cookie_alone_binds_its_next_session(tmp_path: Path) -> None:
    """As after a restart of the browser: the session cookie has no lifetime, the bound cookie and the key have one."""
    async with scene(tmp_path) as on:
        await on.establish()
        kept = await on.bound_cookie()
        for cookie in await on.context.cookies(on.world.public_url):
            if cookie["name"] != BOUND:  # type: ignore[typeddict-item]
                await on.context.clear_cookies(name=cookie["name"])  # type: ignore[typeddict-item]
        assert await on.bound_cookie() == kept
        await next_session_is_bound(on)
        assert {refresh.status for refresh in on.front.refreshes} <= {200, 401}


async def next_session_is_bound(on: Scene) -> None:
    await on.sign_in()
    await on.establish()
    for _ in range(2):
        await on.expire(601)
        assert (await on.fetch("/api/x"))[0] == 200
        assert on.api[-1].is_bound


@pytest.mark.parametrize("answer", [b'{"continue": false}', None])
async def test_a_refresh_of_a_session_that_has_ended_ends_the_binding(tmp_path: Path, answer: bytes | None) -> None:
    """By 401, as the BFF does; `continue: false` does the same."""
    async with scene(tmp_path) as on:
        await on.establish()
        if answer is None:
            assert (await on.fetch("/auth/logout", "POST"))[0] == 200
            assert await on.bound_cookie() is None
        else:
            on.front.rewrites[REFRESH] = lambda headers, _: ([(b"content-type", b"application/json")], answer)
            await on.expire(601)
        await on.fetch("/api/x")
        assert [refresh.status for refresh in on.front.refreshes] == [200 if answer else 401]
        await on.context.clear_cookies(name=BOUND)
        await on.fetch("/api/x")
        assert len(on.front.refreshes) == 1


async def test_a_refresh_never_comes_without_the_session_cookie_of_a_browser_that_has_it(tmp_path: Path) -> None:
    """Such a refresh would end the binding. A link of another site carries no Strict cookie, and starts no refresh."""
    async with scene(tmp_path) as on:
        await on.establish()
        await on.expire(601)
        await on.page.goto(f"data:text/html,<a href='{on.world.public_url}/orders'>orders</a>")
        on.front.seen.clear()
        await on.page.get_by_role("link").click()
        await on.page.wait_for_url(f"{on.world.public_url}/orders")
        assert "bff-session=" not in on.front.of("/orders")[0].headers.get("cookie", "")
        assert on.front.refreshes == []
        assert (await on.fetch("/api/x"))[0] == 200
        await on.expire(601)
        await on.page.goto(f"{on.world.public_url}/orders")
        assert [refresh.status for refresh in on.front.refreshes] == [200, 200]
        assert all("bff-session=" in refresh.headers["cookie"] for refresh in on.front.refreshes)
