"""The same hand on the org, over HTTP, while the provider itself is away."""

from collections.abc import AsyncIterator

import httpx
import pytest

from demo.simulator.__main__ import read_arguments
from demo.simulator.config import SimulatorConfig
from tests.harness.plain_http import plain_http
from tests.unit.demo.simulator.application import Application
from tests.unit.demo.simulator.conftest import Begin


@pytest.fixture
async def control(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    assert app.okta.control_url is not None
    async with plain_http(base_url=app.okta.control_url) as client:
        yield client


async def test_the_state_stays_readable_while_the_provider_is_away(
    app: Application, control: httpx.AsyncClient
) -> None:
    down = await control.post("/down", json={"seconds": 60, "how": "refuse"})
    assert down.json()["up"] is False
    with pytest.raises(httpx.ConnectError):
        await app.backend.get(f"{app.endpoints}/keys")
    assert (await control.get("/state")).json()["down_until"] > 0
    assert (await control.post("/up")).json()["up"] is True
    assert (await app.backend.get(f"{app.endpoints}/keys")).status_code == 200


async def test_away_until_told_otherwise_is_still_json(control: httpx.AsyncClient) -> None:
    state = (await control.post("/down", json={})).json()
    assert (state["up"], state["down_until"]) == (False, None)
    assert (await control.get("/state")).json()["up"] is False


async def test_events_are_told_from_where_the_reader_stopped(app: Application, control: httpx.AsyncClient) -> None:
    await app.tokens()
    first = (await control.get("/events")).json()
    kinds = [event["kind"] for event in first["events"]]
    assert kinds == ["signed_in", "code_issued", "token_issued"]
    assert {"n", "at", "kind", "text"} <= first["events"][0].keys()
    nothing_new = (await control.get("/events", params={"after": first["last"]})).json()
    assert nothing_new == {"events": [], "last": first["last"]}


async def test_settings_and_faults_by_json(app: Application, control: httpx.AsyncClient) -> None:
    changed = await control.post("/settings", json={"mode": "persistent", "access_token_lifetime": 9})
    assert (changed.json()["rotation"]["mode"], changed.json()["access_token_lifetime"]) == ("persistent", 9)
    assert (await control.post("/faults", json={"kind": "invalid_client", "times": 1})).status_code == 201
    assert len((await control.get("/state")).json()["faults"]) == 1
    assert (await control.delete("/faults")).status_code == 204
    body = await app.tokens()
    assert (await app.refresh(body["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"kind": "gremlins"}),
        ("/faults", {}),
        ("/settings", {"mode": "sideways"}),
        ("/settings", {"grace": "long"}),
        ("/settings", {"colour": "blue"}),
        ("/down", {"how": "sideways"}),
        ("/users/nobody/unassign", {}),
        ("/settings", []),
    ],
)
async def test_nonsense_is_400_and_changes_nothing(control: httpx.AsyncClient, path: str, body: object) -> None:
    before = (await control.get("/state")).json()
    assert (await control.post(path, json=body)).status_code == 400
    after = (await control.get("/state")).json()
    assert {**before, "now": 0} == {**after, "now": 0}


async def test_people_are_unassigned_and_revoked_by_login_or_sub(app: Application, control: httpx.AsyncClient) -> None:
    body = await app.tokens()
    sub = app.okta.control.person("alice@example.com").sub
    assert (await control.post(f"/users/{sub}/unassign")).status_code == 204
    assert (await app.refresh(body["refresh_token"])).json()["error"] == "access_denied"
    assert (await control.post("/users/alice@example.com/assign")).status_code == 204
    assert (await control.post(f"/users/{sub}/revoke")).status_code == 204
    assert (await app.refresh(body["refresh_token"])).json()["error"] == "invalid_grant"


async def test_keys_turn_by_post(control: httpx.AsyncClient) -> None:
    kid = (await control.post("/keys/rotate")).json()["kid"]
    assert (await control.get("/state")).json()["signing_key"] == kid


async def test_only_a_named_origin_may_read_it_from_a_browser(begin: Begin) -> None:
    config = SimulatorConfig(control_port=0, control_origins=("http://localhost:8080",))
    async with begin(config) as app:
        url = f"{app.okta.control_url}/state"
        named = await app.backend.get(url, headers={"Origin": "http://localhost:8080"})
        other = await app.backend.get(url, headers={"Origin": "http://evil.example"})
        assert named.headers["access-control-allow-origin"] == "http://localhost:8080"
        assert "access-control-allow-origin" not in other.headers


def test_the_command_line_says_all_of_it() -> None:
    said = "--port 1 --control-port 2 --client-id 0oax --client-secret a --client-secret b --redirect-uri http://h/c "
    said += "--post-logout-redirect-uri http://h/ --access-token-lifetime 30 --rotation persistent --grace 0"
    config = read_arguments(said.split())
    assert (config.port, config.control_port, config.client_id, config.client_secrets) == (1, 2, "0oax", ("a", "b"))
    assert (config.redirect_uris, config.post_logout_redirect_uris) == (("http://h/c",), ("http://h/",))
    assert (config.rotation.mode, config.rotation.grace, config.rotation.access_token_lifetime) == ("persistent", 0, 30)
