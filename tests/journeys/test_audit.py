"""The audit trail as an operator reads it: every event of the closed list, recorded once, with who and why."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from bff.app import build_app
from bff.base64url import encode_base64url
from bff.config.reload import Sources
from bff.session.keyring import new_key
from bff.telemetry.audit import AuditEvent
from demo.simulator.grants import RotationPolicy
from tests.harness.audit_trail import Trail
from tests.harness.bff_command import bff
from tests.harness.http_browser import NAVIGATION, Browser
from tests.harness.provider_orders import call, post_logout_token, revoke
from tests.harness.settings import with_changes
from tests.harness.world import World, small_world

ALICE = "alice@example.com"
HONEST = "198.51.100.7"
FINGERPRINT = re.compile(r"[0-9a-f]{8}")


@pytest.fixture
async def browser(world: World) -> Browser:
    return await world.signed_in()


async def test_sign_in_and_sign_out_are_two_records_of_one_session(world: World, trail: Trail) -> None:
    browser = await world.signed_in()
    await browser.sign_out()
    began, ended = trail.only(AuditEvent.SIGNED_IN), trail.only(AuditEvent.SESSION_ENDED)
    assert [line["event"] for line in trail.lines] == ["signed_in", "session_ended"]
    for line in (began, ended):
        assert FINGERPRINT.fullmatch(line["session"])
        assert FINGERPRINT.fullmatch(line["subject"])
        assert (line["logger"], line["level"], line["client"]) == ("bff.audit", "info", "127.0.0.1")
        assert line["time"].endswith("+00:00")
    assert (began["session"], began["subject"]) == (ended["session"], ended["subject"])
    assert (ended["reason"], ended["by"]) == ("signed_out", "person")
    assert ALICE not in json.dumps(trail.lines)


async def test_a_second_sign_in_is_recorded_as_a_replacement(world: World, browser: Browser, trail: Trail) -> None:
    await browser.sign_in()
    assert trail.only(AuditEvent.SIGNED_IN)["replaces"] == 1
    assert trail.only(AuditEvent.SESSION_ENDED)["reason"] == "replaced"


async def test_the_subject_is_the_sub_where_the_operator_wants_it(tmp_path: Path, trail: Trail) -> None:
    async with small_world(tmp_path, audit_subject="sub") as world:
        await world.signed_in()
        assert trail.only(AuditEvent.SIGNED_IN)["subject"] == world.sub()


async def test_the_client_is_the_address_behind_the_trusted_proxy(tmp_path: Path, trail: Trail) -> None:
    async with small_world(tmp_path, trusted_proxies="127.0.0.1") as world:
        browser = world.browser()
        browser.http.headers["x-forwarded-for"] = f"192.0.2.1, {HONEST}"
        await browser.sign_in()
        assert trail.only(AuditEvent.SIGNED_IN)["client"] == HONEST


async def test_a_refused_sign_in_is_recorded_with_the_providers_reason_or_ours(world: World, trail: Trail) -> None:
    await world.browser().sign_in("mallory@example.com")
    refused = trail.only(AuditEvent.SIGN_IN_REFUSED)
    assert (refused["reason"], refused["error"]) == ("not_assigned", "access_denied")
    trail.lines.clear()
    await world.browser().arrive(f"{world.callback}?code=stolen-code&state=forged-state")
    forged = trail.only(AuditEvent.SIGN_IN_REFUSED)
    assert (forged["reason"], forged["level"]) == ("sign_in_state_invalid", "warning")
    assert re.fullmatch(r"[0-9a-f]{16}", forged["correlation_id"])
    trail.lines.clear()
    world.okta.control.settings(id_token_claims={"nonce": "other"})
    await world.browser().sign_in()
    assert trail.only(AuditEvent.SIGN_IN_REFUSED)["reason"] == "sign_in_failed"


async def test_a_logout_token_is_recorded_and_so_is_each_session_it_ends(
    world: World, browser: Browser, trail: Trail
) -> None:
    await world.signed_in()
    trail.lines.clear()
    await post_logout_token(world, sub=world.sub())
    ordered = trail.only(AuditEvent.PROVIDER_LOGOUT_ACCEPTED)
    assert (ordered["reason"], ordered["ended"]) == ("back_channel", 2)
    ended = trail.of(AuditEvent.SESSION_ENDED)
    assert [(line["reason"], line["by"]) for line in ended] == [("back_channel", "provider")] * 2
    assert len({line["session"] for line in ended}) == 2


async def test_rejected_logout_tokens_are_recorded_with_why_and_without_their_text(world: World, trail: Trail) -> None:
    await post_logout_token(world, "eyJhbGciOiJub25lIn0.e30.")
    await revoke(world, {"format": "email", "email": ALICE}, "garbage")
    first, second = trail.of(AuditEvent.PROVIDER_LOGOUT_REJECTED)
    assert (first["reason"], second["reason"]) == ("invalid_request", "revocation_refused")
    assert first["why"]
    assert second["why"]
    assert "garbage" not in json.dumps(trail.lines)
    assert "eyJ" not in json.dumps(trail.lines)


async def test_a_made_up_sid_leaves_no_record(world: World, browser: Browser, trail: Trail) -> None:
    query = {"iss": world.okta.issuer, "sid": "made-up"}
    assert (await call(world, "/auth/frontchannel-logout", "GET", params=query)).status_code == 200
    assert trail.lines == []


async def test_a_sign_in_that_a_logout_overtook_is_recorded(world: World, trail: Trail) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    await post_logout_token(world, sub=world.sub())
    await browser.arrive(answer)
    assert trail.only(AuditEvent.SIGN_IN_SUPERSEDED)["reason"] == "signed_out_meanwhile"
    assert trail.of(AuditEvent.SIGNED_IN) == []


async def test_a_denied_refresh_is_recorded_and_so_is_the_session_it_ends(tmp_path: Path, trail: Trail) -> None:
    async with small_world(tmp_path, rotation=RotationPolicy(access_token_lifetime=300)) as world:
        browser = await world.signed_in()
        world.okta.control.fault("invalid_client", grant="refresh_token")
        world.advance(301)
        await browser.fetch("/api/x")
        await world.settled()
        denied = trail.only(AuditEvent.REFRESH_DENIED)
        assert (denied["reason"], denied["session"]) == ("invalid_client", trail.lines[0]["session"])
        assert trail.of(AuditEvent.SESSION_ENDED) == []
        world.okta.control.revoke_user(ALICE)
        world.advance(301)
        await browser.fetch("/api/x")
        await world.settled()
        ended = trail.only(AuditEvent.SESSION_ENDED)
        assert (ended["reason"], ended["by"]) == ("refresh_token_invalid", "provider")


async def test_a_csrf_refusal_is_recorded_at_each_endpoint(world: World, browser: Browser, trail: Trail) -> None:
    await browser.fetch("/api/x", headers={"x-csrf": "2"})
    await browser.fetch("/auth/logout", "POST", headers={"x-csrf": "2"})
    await browser.fetch("/auth/verify", headers={"x-csrf": "2"})
    assert [line["reason"] for line in trail.of(AuditEvent.CSRF_REFUSED)] == ["csrf_required"] * 3
    assert {line["client"] for line in trail.lines} == {"127.0.0.1"}


async def test_a_missing_scope_is_recorded(tmp_path: Path, trail: Trail) -> None:
    scopes = "openid profile email offline_access"
    async with small_world(tmp_path, scopes=f"{scopes} phone", route={"scopes": ["phone"]}) as world:
        browser = world.browser()
        world.okta.control.fault("edit_answer", endpoint="token", set={"scope": scopes})
        await browser.sign_in()
        assert (await browser.fetch("/api/x")).status_code == 403
        assert trail.only(AuditEvent.ACCESS_REFUSED)["reason"] == "insufficient_scope"


async def test_a_required_step_up_is_recorded(world: World, browser: Browser, trail: Trail) -> None:
    world.upstream.answers = [401, 401]
    world.upstream.fields = [
        (b"www-authenticate", b'Bearer error="insufficient_user_authentication", max_age="300"'),
    ]
    assert (await browser.fetch("/api/x")).json()["code"] == "step_up_required"
    assert trail.only(AuditEvent.STEP_UP_REQUIRED)["reason"] == "step_up_required"


async def test_a_rate_limit_is_recorded(tmp_path: Path, trail: Trail) -> None:
    async with small_world(tmp_path, trusted_proxies="127.0.0.1", sign_in_rate_per_client="1") as world:
        for _ in range(2):
            await call(world, "/auth/login", "GET", headers={**NAVIGATION, "x-forwarded-for": HONEST})
        limited = trail.only(AuditEvent.RATE_LIMITED)
        assert (limited["client"], limited["why"]) == (HONEST, "The rate limit of sign_in for client is exhausted.")


async def test_sessions_ended_by_the_operator_are_recorded_with_the_reason(world: World, browser: Browser) -> None:
    command = ("sessions", "end", "--sub", world.sub(), "--reason", "laptop stolen")
    # However quiet the log is meant to be.
    quiet = {**world.environ, "BFF_LOG_LEVEL": "error"}
    # In a thread: the provider is in this loop, and is asked to revoke.
    done = await asyncio.to_thread(bff, *command, environ=quiet, cwd=Path.cwd())
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    by_event = {line["event"]: line for line in lines if "event" in line}
    operator = by_event[AuditEvent.SESSIONS_ENDED_BY_OPERATOR]
    assert (operator["selected_by"], operator["ended"], operator["why"]) == ("sub", 1, "laptop stolen")
    assert (by_event[AuditEvent.SESSION_ENDED]["by"], by_event[AuditEvent.SESSION_ENDED]["reason"]) == (
        *("operator", "operator"),
    )


async def test_changed_keys_and_secrets_are_recorded_by_name(tmp_path: Path, trail: Trail) -> None:
    keys, secret = tmp_path / "keys", tmp_path / "secret"
    first, second = encode_base64url(new_key()), encode_base64url(new_key())
    keys.write_text(first)
    secret.write_text("the-first-client-secret-0123456789abcdef")
    files = {"session_keys_file": str(keys), "client_secret_file": str(secret)}
    store = f"sqlite:///{tmp_path / 'bff.db'}"
    sources = Sources(with_changes(session_keys=None, client_secret=None, store=store, **files))
    app = build_app(sources.load(), sources=sources)
    keys.write_text(f"{second} {first}")
    secret.write_text("another-client-secret-0123456789abcdefgh")
    app.reload()
    await app.stores.sessions.close()
    changed = trail.only(AuditEvent.KEY_RING_CHANGED)
    assert len(changed["key_ids"].split()) == 2
    assert trail.only(AuditEvent.CLIENT_CREDENTIALS_CHANGED)["changed"] == "client_secret"
    for text in (first, second, "client-secret-0123"):
        assert text not in json.dumps(trail.lines)
