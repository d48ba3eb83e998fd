"""The control of the org over HTTP, also while the provider is down."""

from collections.abc import AsyncIterator

import httpx
import pytest

from demo.simulator.config import SimulatorConfig
from tests.harness.plain_http import plain_http
from tests.unit.demo.simulator.application import Application, application


@pytest.fixture
async def control(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    assert app.okta.control_url is not None
    async with plain_http(base_url=app.okta.control_url) as client:
        yield client


async def test_the_state_stays_readable_while_the_provider_is_down(
    app: Application, control: httpx.AsyncClient
) -> None:
    assert (await control.post("/down", json={"seconds": 60, "how": "refuse"})).json()["up"] is False
    with pytest.raises(httpx.ConnectError):
        await app.backend.get(f"{app.endpoints}/keys")
    assert (await control.get("/state")).json()["down_until"] > 0
    assert (await control.post("/up")).json()["up"] is True
    assert (await app.backend.get(f"{app.endpoints}/keys")).status_code == 200
    state = (await control.post("/down", json={})).json()
    assert (state["up"], state["down_until"]) == (False, None)


async def test_events_settings_faults_users_and_keys(app: Application, control: httpx.AsyncClient) -> None:
    body = await app.tokens()
    first = (await control.get("/events")).json()
    assert [event["kind"] for event in first["events"]] == ["signed_in", "code_issued", "token_issued"]
    newer = (await control.get("/events", params={"after": first["last"]})).json()
    assert newer == {"events": [], "last": first["last"]}
    changed = await control.post("/settings", json={"mode": "persistent", "access_token_lifetime": 9})
    assert (changed.json()["rotation"]["mode"], changed.json()["access_token_lifetime"]) == ("persistent", 9)
    assert (await control.post("/faults", json={"kind": "invalid_client", "times": 1})).status_code == 201
    assert len((await control.get("/state")).json()["faults"]) == 1
    assert (await control.delete("/faults")).status_code == 204
    sub = app.okta.control.person("alice@example.com").sub
    for path, error in (
        (f"{sub}/unassign", "access_denied"),
        (f"{sub}/assign", None),
        (f"{sub}/revoke", "invalid_grant"),
    ):
        assert (await control.post(f"/users/{path}")).status_code == 204
        assert (await app.refresh(body["refresh_token"])).json().get("error") == error
    kid = (await control.post("/keys/rotate")).json()["kid"]
    assert (await control.get("/state")).json()["signing_key"] == kid


async def test_an_invalid_command_is_400_and_changes_nothing(control: httpx.AsyncClient) -> None:
    before = (await control.get("/state")).json()
    cases: list[tuple[str, object]] = [
        ("/faults", {"kind": "gremlins"}),
        ("/faults", {"kind": "slow", "wait": 3}),
        ("/settings", {"mode": "sideways"}),
        ("/settings", {"grace": 61}),
        ("/settings", {"colour": "blue"}),
        ("/down", {"how": "sideways"}),
        ("/users/nobody/unassign", {}),
        ("/settings", []),
    ]
    for path, body in cases:
        assert (await control.post(path, json=body)).status_code == 400, body
    assert {**(await control.get("/state")).json(), "now": 0} == {**before, "now": 0}


async def test_only_a_configured_origin_may_read_it() -> None:
    async with application(SimulatorConfig(control_port=0, control_origins=("http://localhost:8080",))) as app:
        for origin, allowed in (("http://localhost:8080", True), ("http://evil.example", False)):
            answer = await app.backend.get(f"{app.okta.control_url}/state", headers={"Origin": origin})
            assert ("access-control-allow-origin" in answer.headers) is allowed
