"""Every fault on command: what the caller sees, and whether the token was rotated behind it."""

import asyncio
import email.utils
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from demo.simulator.control import UnknownSetting
from tests.harness.plain_http import plain_http
from tests.unit.demo.simulator.application import Application

PATIENCE = 1.0  # seconds until the caller hangs up on a provider that says nothing
IMPATIENT = httpx.Timeout(60, read=PATIENCE)


def rotations(app: Application) -> int:
    return int(app.okta.control.state()["families"][0]["rotation_count"])


async def refresh_token(app: Application) -> str:
    return str(app.okta.control.sign_in("alice@example.com")["refresh_token"])


@pytest.mark.parametrize(
    ("kind", "options", "status", "error"),
    [
        ("server_error", {}, 500, "server_error"),
        ("rate_limited", {"retry_after": 7}, 429, None),
        ("user_rate_limited", {"retry_after": 1}, 429, "invalid_grant"),
        ("temporarily_unavailable", {}, 400, "temporarily_unavailable"),
        ("invalid_client", {}, 401, "invalid_client"),
        ("access_denied", {}, 400, "access_denied"),
        ("no_matching_policy", {}, 401, "access_denied"),
    ],
)
async def test_an_answer_in_place_of_processing_consumes_nothing(
    app: Application, kind: str, options: dict[str, Any], status: int, error: str | None
) -> None:
    token = await refresh_token(app)
    app.okta.control.fault(kind, **options)
    answer = await app.refresh(token)
    assert (answer.status_code, answer.json().get("error")) == (status, error)
    assert rotations(app) == 0
    assert (await app.refresh(token)).status_code == 200, "one fault meets one request"


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_in_between_answers_in_plain_text(app: Application, status: int) -> None:
    app.okta.control.fault("server_error", status=status)
    answer = await app.refresh(await refresh_token(app))
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, "text/plain")


async def test_an_admins_revocation_is_invalid_grant_and_lasts(app: Application) -> None:
    token = await refresh_token(app)
    app.okta.control.fault("invalid_grant")
    for _ in range(2):
        answer = await app.refresh(token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert app.okta.control.state()["families"][0]["revoked"]


async def test_a_captive_portal_answers_200_with_a_page(app: Application) -> None:
    token = await refresh_token(app)
    app.okta.control.fault("html")
    answer = await app.refresh(token)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")
    assert rotations(app) == 0


async def test_rate_limits_say_when_to_come_back_in_every_form(app: Application) -> None:
    token = await refresh_token(app)
    told: list[str | None] = []
    for retry_after in (12, "date", "garbage", None):
        app.okta.control.fault("rate_limited", retry_after=retry_after, reset_in=30)
        answer = await app.refresh(token)
        assert answer.json()["errorCode"] == "E0000047"
        assert abs(int(answer.headers["x-rate-limit-reset"]) - time.time() - 30) < 10
        told.append(answer.headers.get("retry-after"))
    assert told[0] == "12"
    assert email.utils.parsedate_to_datetime(str(told[1])) is not None
    with pytest.raises(ValueError):
        email.utils.parsedate_to_datetime(str(told[2]))
    assert told[3] is None


@pytest.mark.parametrize(
    ("kind", "raised", "rotated"),
    [
        ("reset", httpx.ReadError, 0),
        ("lose_answer", httpx.RemoteProtocolError, 1),
        ("reset_mid_body", httpx.ReadError, 1),
        ("truncate", httpx.RemoteProtocolError, 1),
    ],
)
async def test_a_broken_connection_and_what_became_of_the_token_behind_it(
    app: Application, kind: str, raised: type[Exception], rotated: int
) -> None:
    token = await refresh_token(app)
    app.okta.control.fault(kind)
    with pytest.raises(raised):
        await app.refresh(token)
    assert rotations(app) == rotated
    again = await app.refresh(token)
    assert again.status_code == 200
    assert app.okta.control.state()["families"][0]["resends"] == rotated
    assert app.okta.control.reuse_alarms == 0


@pytest.mark.parametrize(("kind", "rotated"), [("stall", 0), ("stall_after", 1)])
async def test_a_stall_lasts_until_the_caller_hangs_up(app: Application, kind: str, rotated: int) -> None:
    token = await refresh_token(app)
    app.okta.control.fault(kind)
    app.backend.timeout = IMPATIENT
    with pytest.raises(httpx.ReadTimeout):
        await app.refresh(token)
    await eventually(lambda: asyncio.sleep(0, rotations(app) == rotated))


async def test_a_broken_body_is_a_complete_200_that_is_not_json(app: Application) -> None:
    token = await refresh_token(app)
    app.okta.control.fault("broken_body")
    answer = await app.refresh(token)
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()
    assert rotations(app) == 1


async def test_a_server_error_after_rotating_looks_like_one_before(app: Application) -> None:
    token = await refresh_token(app)
    app.okta.control.fault("server_error_after", status=502)
    assert (await app.refresh(token)).status_code == 502
    assert rotations(app) == 1


@pytest.mark.parametrize("kind", ["slow", "slow_answer"])
async def test_a_slow_provider_finishes_what_the_caller_gave_up_on(app: Application, kind: str) -> None:
    token = await refresh_token(app)
    app.okta.control.fault(kind, delay=PATIENCE * 2)
    app.backend.timeout = IMPATIENT
    with pytest.raises(httpx.ReadTimeout):
        await app.refresh(token)
    await eventually(lambda: asyncio.sleep(0, rotations(app) == 1))


async def test_an_answer_can_be_edited(app: Application) -> None:
    app.okta.control.fault("edit_answer", set={"expires_in": 10**12, "id_token": None, "token_type": "mac"})
    body = (await app.refresh(await refresh_token(app))).json()
    assert (body["expires_in"], body["token_type"], "id_token" in body) == (10**12, "mac", False)


async def test_faults_last_for_a_number_of_requests_or_of_seconds_or_until_cleared(app: Application) -> None:
    token = await refresh_token(app)
    app.okta.control.fault("server_error", times=2)
    assert [(await app.refresh(token)).status_code for _ in range(3)] == [500, 500, 200]
    app.okta.control.fault("server_error", seconds=10)
    assert (await app.refresh(token)).status_code == 500
    app.okta.control.advance(10)
    assert (await app.refresh(token)).status_code == 200
    app.okta.control.fault("server_error", times=100)
    app.okta.control.clear_faults()
    assert (await app.refresh(token)).status_code == 200


async def test_a_fault_can_wait_at_another_endpoint_or_for_one_grant(app: Application) -> None:
    app.okta.control.fault("server_error", endpoint="keys", status=503)
    app.okta.control.fault("server_error", grant="refresh_token")
    code = (await app.sign_in())["code"]
    body = await app.exchange(code)
    assert body.status_code == 200
    assert (await app.backend.get(f"{app.endpoints}/keys")).status_code == 503
    assert (await app.refresh(body.json()["refresh_token"])).status_code == 500


async def test_connections_are_really_refused_while_away_and_the_port_is_the_same_afterwards(app: Application) -> None:
    token = await refresh_token(app)
    keys = f"{app.endpoints}/keys"
    assert (await app.backend.get(keys)).status_code == 200  # leaves an idle connection behind
    await app.okta.control.down()
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            async with plain_http() as fresh:
                await fresh.get(keys)
    with pytest.raises(httpx.TransportError):
        await app.refresh(token)
    assert app.okta.control.state()["up"] is False
    await app.okta.control.up()
    assert (await app.backend.get(keys)).status_code == 200
    assert (await app.refresh(token)).status_code == 200
    assert rotations(app) == 1


async def test_an_outage_with_an_end_ends_by_itself(app: Application) -> None:
    await app.okta.control.down(0.05)
    assert app.okta.control.state()["down_until"] is not None
    await eventually(lambda: asyncio.sleep(0, app.okta.control.state()["up"]))
    assert (await app.backend.get(f"{app.endpoints}/keys")).status_code == 200


@pytest.mark.parametrize(("how", "raised"), [("stall", httpx.ReadTimeout), ("error", None)])
async def test_an_outage_can_also_be_silence_or_errors_everywhere(
    app: Application, how: Any, raised: type[Exception] | None
) -> None:
    await app.okta.control.down(60, how)
    usual = app.backend.timeout
    if raised:
        app.backend.timeout = IMPATIENT
    for name in ("keys", "userinfo"):
        if raised:
            with pytest.raises(raised):
                await app.backend.get(f"{app.endpoints}/{name}")
        else:
            assert (await app.backend.get(f"{app.endpoints}/{name}")).status_code == 503
    await app.okta.control.up()
    app.backend.timeout = usual
    assert (await app.backend.get(f"{app.endpoints}/keys")).status_code == 200


async def test_an_unknown_fault_is_refused(app: Application) -> None:
    with pytest.raises(UnknownSetting):
        app.okta.control.fault("gremlins")
    with pytest.raises(UnknownSetting):
        app.okta.control.fault("slow", wait=3)
    with pytest.raises(UnknownSetting):
        app.okta.control.settings(grace=61)
    with pytest.raises(UnknownSetting):
        app.okta.control.settings(colour="blue")


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a fact that another task brings about; a hang is cut by the deadline."""
    async with asyncio.timeout(60):
        while not await true():
            await asyncio.sleep(0.01)
