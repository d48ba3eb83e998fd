"""Pushed authorization requests (RFC 9126) at the simulated org: who may push, and what a name is good for."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from demo.simulator.server import SimulatorConfig
from demo.simulator.visitor import sign_in
from tests.unit.demo.simulator.application import CALLBACK, Application, returned
from tests.unit.demo.simulator.conftest import Begin

OFFERED = SimulatorConfig(pushed_requests=True)


async def push(app: Application, /, **changes: str | None) -> httpx.Response:
    form = dict(parse_qsl(urlsplit(app.authorization_url(**changes)).query))
    return await app.backend.post(f"{app.endpoints}/par", data=form, auth=(app.client_id, app.secret))


def named(app: Application, request_uri: str, **beside: str) -> str:
    return f"{app.endpoints}/authorize?{urlencode({'client_id': app.client_id, 'request_uri': request_uri, **beside})}"


async def document(app: Application) -> dict[str, object]:
    found: dict[str, object] = (await app.backend.get(f"{app.okta.issuer}/.well-known/openid-configuration")).json()
    return found


async def test_an_org_without_it_neither_says_nor_has_it(app: Application) -> None:
    assert "pushed_authorization_request_endpoint" not in await document(app)
    assert (await push(app)).status_code == 404


@pytest.mark.parametrize("status", [200, 201])
async def test_a_pushed_request_is_a_sign_in_like_any_other(begin: Begin, status: int) -> None:
    async with begin(SimulatorConfig(pushed_requests=True, pushed_status=status)) as app:  # type: ignore[arg-type]
        assert (await document(app))["pushed_authorization_request_endpoint"] == f"{app.endpoints}/par"
        answer = await push(app, state="s-1")
        assert answer.status_code == status
        assert answer.headers["cache-control"] == "no-cache, no-store"
        back = returned(await sign_in(app.browser, named(app, answer.json()["request_uri"]), "alice@example.com"))
        assert back["state"] == "s-1"
        assert (await app.exchange(back["code"])).status_code == 200
        assert app.okta.control.violations == []


async def test_what_stands_beside_the_name_counts_for_nothing(begin: Begin) -> None:
    async with begin(OFFERED) as app:
        name = (await push(app, state="pushed")).json()["request_uri"]
        url = named(app, name, state="beside", redirect_uri="https://evil.example/")
        assert returned(await sign_in(app.browser, url, "alice@example.com"))["state"] == "pushed"


async def test_a_name_is_good_once_and_for_an_hour(begin: Begin) -> None:
    async with begin(OFFERED) as app:
        name = (await push(app)).json()["request_uri"]
        assert (await app.browser.get(named(app, name))).status_code == 200
        again = await app.browser.get(named(app, name))
        assert again.status_code == 400
        answer = (await push(app)).json()
        app.okta.control.advance(answer["expires_in"])
        assert (await app.browser.get(named(app, answer["request_uri"]))).status_code == 400
        assert (await app.browser.get(named(app, "urn:okta:invented"))).status_code == 400


async def test_a_name_belongs_to_the_server_that_gave_it(begin: Begin) -> None:
    async with begin(OFFERED) as app:
        name = (await push(app)).json()["request_uri"]
        app.use_org_server()
        assert (await app.browser.get(named(app, name))).status_code == 400


async def test_only_the_client_itself_pushes(begin: Begin) -> None:
    async with begin(OFFERED) as app:
        app.secret = "wrong"
        refused = await push(app)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"request_uri": "urn:okta:another"}, "invalid_request"),
        ({"state": None}, "invalid_state"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
    ],
)
async def test_a_wrong_request_is_refused_when_it_is_pushed(
    begin: Begin, changes: dict[str, str | None], error: str
) -> None:
    async with begin(OFFERED) as app:
        refused = await push(app, **changes)
        assert (refused.status_code, refused.json()["error"]) == (400, error)
        assert CALLBACK not in refused.text
