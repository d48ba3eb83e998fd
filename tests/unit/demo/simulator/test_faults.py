"""Every fault: what the caller sees, and whether the token was rotated."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.harness.plain_http import plain_http
from tests.harness.waiting import until
from tests.unit.demo.simulator.application import Application


def rotations(app: Application) -> int:
    return int(app.okta.control.state()["families"][0]["rotation_count"])


async def refresh_token(app: Application) -> str:
    return str(app.okta.control.sign_in("alice@example.com")["refresh_token"])


async def test_an_error_in_place_of_processing_consumes_nothing(app: Application) -> None:
    token = await refresh_token(app)
    cases: list[tuple[str, dict[str, Any], int, str | None]] = [
        ("server_error", {}, 500, "server_error"),
        ("rate_limited", {"retry_after": 7}, 429, None),
        ("user_rate_limited", {"retry_after": 1}, 429, "invalid_grant"),
        ("temporarily_unavailable", {}, 400, "temporarily_unavailable"),
        ("invalid_client", {}, 401, "invalid_client"),
        ("access_denied", {}, 400, "access_denied"),
        ("no_matching_policy", {}, 401, "access_denied"),
    ]
    for kind, options, status, error in cases:
        app.okta.control.fault(kind, **options)
        answer = await app.refresh(token)
        assert (answer.status_code, answer.json().get("error")) == (status, error)
    for options, status, content_type in (({"status": 502}, 502, "text/plain"), (None, 200, "text/html")):
        app.okta.control.fault("server_error" if options else "html", **(options or {}))
        answer = await app.refresh(token)
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, content_type)
    assert rotations(app) == 0
    assert (await app.refresh(token)).status_code == 200, "one fault is for one request"


async def test_an_admins_revocation_is_invalid_grant_and_lasts(app: Application) -> None:
    token = await refresh_token(app)
    app.okta.control.fault("invalid_grant")
    for _ in range(2):
        answer = await app.refresh(token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert app.okta.control.state()["families"][0]["revoked"]


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


@pytest.mark.parametrize(
    ("kind", "options", "rotated"),
    [("stall", {}, 0), ("stall_after", {}, 1), ("slow", {"delay": 0.01}, 1), ("slow_answer", {"delay": 60.0}, 1)],
)
async def test_a_provider_may_process_what_the_caller_gave_up_on(
    app: Application, kind: str, options: dict[str, float], rotated: int
) -> None:
    token = await refresh_token(app)
    app.okta.control.fault(kind, **options)
    refreshing = asyncio.create_task(app.refresh(token))
    await until(lambda: not app.okta.control.state()["faults"])
    await until(lambda: rotations(app) == rotated)
    refreshing.cancel()
    await asyncio.wait([refreshing])
    assert rotations(app) == rotated


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


async def test_an_outage_may_end_by_itself_and_be_errors(app: Application) -> None:
    await app.okta.control.down(0.01)
    await until(lambda: app.okta.control.state()["up"])
    await app.okta.control.down(60, "error")
    for name in ("keys", "userinfo"):
        assert (await app.backend.get(f"{app.endpoints}/{name}")).status_code == 503
    await app.okta.control.up()
    assert (await app.backend.get(f"{app.endpoints}/keys")).status_code == 200


async def test_a_held_request_goes_on_when_it_is_released_or_its_delay_is_over(app: Application) -> None:
    token = await refresh_token(app)
    app.okta.control.fault("slow", held=True, delay=3600.0)
    held = asyncio.create_task(app.refresh(token))
    await until(lambda: any(event.kind == "fault" for event in app.okta.control.events()))
    assert rotations(app) == 0
    async with plain_http() as http:
        assert (await http.post(f"{app.okta.control_url}/faults/release", json={"after": 0.01})).status_code == 200
    assert (await held).status_code == 200
    app.okta.control.fault("slow", held=True, delay=0.01)
    assert (await app.refresh(token)).status_code == 200
