"""The simulated Management API: its apps are clients; refusals, pages and limits are as at Okta."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from demo.simulator.config import SimulatorConfig
from demo.simulator.server import RunningSimulator, running_simulator
from tests.harness.plain_http import plain_http
from tests.unit.demo.simulator.application import CALLBACK, Application

TOKEN = "an-api-token-0123456789"
Json = dict[str, Any]


class Administrator:
    def __init__(self, okta: RunningSimulator, http: httpx.AsyncClient) -> None:
        self.okta, self.http = okta, http

    async def ask(self, method: str, path: str, body: Any = None, *, token: str = f"SSWS {TOKEN}") -> httpx.Response:
        url = path if path.startswith("http") else f"{self.okta.base_url}/api/v1/{path}"
        content = {} if body is None else {"json": body}
        return await self.http.request(method, url, headers={"authorization": token}, **content)

    async def make(self, **client: Any) -> Json:
        answer = await self.ask("POST", "apps", an_app(**client))
        assert answer.status_code == 200, answer.text
        made: Json = answer.json()
        return made

    async def assign(self, app: Json, group: str) -> None:
        (found,) = (await self.ask("GET", f"groups?q={group}")).json()
        assert (await self.ask("PUT", f"apps/{app['id']}/groups/{found['id']}")).status_code == 200


def an_app(label: str = "An app", credentials: Json | None = None, **client: Any) -> Json:
    return {
        "name": "oidc_client",
        "label": label,
        "signOnMode": "OPENID_CONNECT",
        "credentials": {"oauthClient": credentials or {}},
        "settings": {
            "oauthClient": {
                "application_type": "web",
                "redirect_uris": [CALLBACK],
                "response_types": ["code"],
                "grant_types": ["authorization_code", "refresh_token"],
                **client,
            }
        },
    }


@contextlib.asynccontextmanager
async def org(**more: Any) -> AsyncIterator[Administrator]:
    config = SimulatorConfig(**{"empty_org": True, "api_token": TOKEN, **more})
    async with running_simulator(config) as okta, plain_http() as http:
        yield Administrator(okta, http)


@pytest.fixture
async def admin() -> AsyncIterator[Administrator]:
    async with org() as running:
        yield running


class MadeApp(Application):
    """An app as the Apps API answered with it, and a browser of its own."""

    def __init__(self, admin: Administrator, made: Json, browser: httpx.AsyncClient) -> None:
        self.okta, self.browser, self.backend = admin.okta, browser, admin.http
        oauth = made["credentials"]["oauthClient"]
        self.client_id, self.secret = oauth["client_id"], oauth["client_secret"]
        self.endpoints = f"{admin.okta.issuer}/v1"


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with plain_http() as running:
        yield running


def error(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body.keys() == {"errorCode", "errorSummary", "errorLink", "errorId", "errorCauses"}
    return answer.status_code, body["errorCode"]


# --- authorization


async def test_requests_without_a_valid_token_are_refused() -> None:
    async with org(empty_org=False) as admin:
        user_token = admin.okta.control.sign_in("alice@example.com")["access_token"]
        for token in ("SSWS wrong", "SSWS", f"Bearer {user_token}", "Basic abc", f"ssws {TOKEN}", ""):
            assert error(await admin.ask("GET", "apps", token=token)) == (401, "E0000011")
    async with org(api_token=None) as admin:
        assert error(await admin.ask("GET", "apps", token="SSWS None")) == (401, "E0000011")


# --- a created app is a client


async def test_a_created_app_can_be_used_to_sign_in_with_its_own_grace(
    admin: Administrator, browser: httpx.AsyncClient
) -> None:
    made = await admin.make(refresh_token={"rotation_type": "ROTATE", "leeway": 20})
    await admin.assign(made, "Everyone")
    app = MadeApp(admin, made, browser)
    tokens = await app.tokens()
    first = await app.refresh(tokens["refresh_token"])
    assert first.json()["refresh_token"] != tokens["refresh_token"]
    admin.okta.control.advance(1)
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    admin.okta.control.advance(20)  # twenty seconds are over, the org's thirty are not
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


# --- put replaces


async def test_put_replaces_everything_but_rotation_that_is_left_out(admin: Administrator) -> None:
    made = await admin.make(
        post_logout_redirect_uris=["https://x.example.com/"],
        refresh_token={"rotation_type": "ROTATE", "leeway": 5},
        tos_uri="https://x.example.com/terms",
    )
    await admin.ask("PUT", f"apps/{made['id']}", an_app())
    client = (await admin.ask("GET", f"apps/{made['id']}")).json()["settings"]["oauthClient"]
    assert client["post_logout_redirect_uris"] == []
    assert "tos_uri" not in client
    assert client["refresh_token"] == {"rotation_type": "ROTATE", "leeway": 5}


async def test_a_web_app_starts_without_rotation_and_with_a_secret_that_only_the_answer_tells(
    admin: Administrator,
) -> None:
    made = await admin.make()
    assert made["settings"]["oauthClient"]["refresh_token"] == {"rotation_type": "STATIC", "leeway": 30}
    assert len(made["credentials"]["oauthClient"]["client_secret"]) >= 14
    assert "client_secret" not in (await admin.ask("GET", f"apps/{made['id']}")).json()["credentials"]["oauthClient"]


REFUSED: list[tuple[Json, str]] = [
    (an_app(label=" "), "label"),
    (an_app(redirect_uris=[]), "redirect_uris"),
    (an_app(redirect_uris=["/cb"]), "redirect_uris"),
    (an_app(redirect_uris=["https://x.example.com/#cb"]), "redirect_uris"),
    (an_app(redirect_uris=["https://*.example.com/cb"]), "redirect_uris"),
    (an_app(grant_types=[]), "grant_types"),
    (an_app(grant_types=["magic"]), "grant_types"),
    (an_app(response_types=[]), "response_types"),
    (an_app(response_types=["code", "token"]), "implicit"),
    (an_app(refresh_token={"leeway": 30}), "rotation_type"),
    (
        an_app(refresh_token={"rotation_type": "ROTATE", "leeway": 61}),
        "leeway",
    ),
    (an_app(idp_initiated_login={"mode": "SPEC"}), "initiate_login_uri"),
    (an_app(idp_initiated_login={"mode": "MAYBE"}), "idp_initiated_login"),
    (an_app(application_type="desktop"), "application_type"),
    (an_app(credentials={"token_endpoint_auth_method": "private_key_jwt"}), "jwks"),
    (an_app(credentials={"client_secret": "short"}), "client_secret"),
    (an_app(credentials={"client_id": "abc"}), "client_id"),
    ({**an_app(), "signOnMode": "SAML_2_0"}, "OpenID"),
]


async def test_an_app_that_okta_would_not_take_is_refused_with_the_cause(admin: Administrator) -> None:
    for body, cause in REFUSED:
        answer = await admin.ask("POST", "apps", body)
        assert error(answer) == (400, "E0000001"), cause
        assert any(cause in item["errorSummary"] for item in answer.json()["errorCauses"])
    assert (await admin.ask("GET", "apps")).json() == []


# --- secrets


async def test_a_client_has_two_secrets_at_most_and_one_at_least(admin: Administrator) -> None:
    path = f"apps/{(await admin.make())['id']}/credentials/secrets"
    (first,) = (await admin.ask("GET", path)).json()
    made = await admin.ask("POST", path, {"status": "ACTIVE"})
    assert made.status_code == 201
    second = made.json()
    assert error(await admin.ask("POST", path, {})) == (400, "E0000001")
    assert error(await admin.ask("DELETE", f"{path}/{first['id']}")) == (400, "E0000001")
    assert (await admin.ask("POST", f"{path}/{first['id']}/lifecycle/deactivate")).json()["status"] == "INACTIVE"
    assert error(await admin.ask("POST", f"{path}/{second['id']}/lifecycle/deactivate")) == (400, "E0000001")
    assert (await admin.ask("DELETE", f"{path}/{first['id']}")).status_code == 204
    assert [secret["id"] for secret in (await admin.ask("GET", path)).json()] == [second["id"]]
    assert error(await admin.ask("GET", f"{path}/{first['id']}")) == (404, "E0000007")


# --- lists


async def test_lists_come_in_pages_that_link_to_the_next(admin: Administrator) -> None:
    for number in range(7):
        await admin.make(label=f"App {number}")
    seen, url = [], "apps?limit=3"
    while url:
        answer = await admin.ask("GET", url)
        seen += [app["label"] for app in answer.json()]
        links = dict(reversed(link.split("; rel=")) for link in answer.headers.get_list("link"))
        url = links.get('"next"', "").strip("<>")
    assert seen == [f"App {number}" for number in range(7)]


# --- limits


async def test_rate_limits_are_in_every_response_and_enforced(admin: Administrator) -> None:
    admin.okta.control.management.rate_limit = 2
    first = await admin.ask("GET", "groups")
    assert (first.headers["x-rate-limit-limit"], first.headers["x-rate-limit-remaining"]) == ("2", "1")
    await admin.ask("GET", "groups")
    limited = await admin.ask("GET", "groups")
    assert error(limited) == (429, "E0000047")
    assert limited.headers["x-rate-limit-remaining"] == "0"
    assert (await admin.ask("GET", "trustedOrigins")).status_code == 200  # a bucket of its own
    admin.okta.control.advance(61)
    assert (await admin.ask("GET", "groups")).status_code == 200


# --- trusted origins and policies


async def test_a_code_is_exchanged_only_where_a_policy_lets_the_client_in(
    admin: Administrator, browser: httpx.AsyncClient
) -> None:
    admin.okta.control.settings(policy_exists=False)
    made = await admin.make()
    await admin.assign(made, "Everyone")
    app = MadeApp(admin, made, browser)
    refused = await app.exchange((await app.sign_in())["code"])
    assert (refused.status_code, refused.json()["error"]) == (401, "access_denied")

    path = "authorizationServers/default/policies"
    policy = {
        "type": "OAUTH_AUTHORIZATION_POLICY",
        "name": "For one client",
        "conditions": {"clients": {"include": [made["id"]]}},
    }
    policy = (await admin.ask("POST", path, policy)).json()
    refused = await app.exchange((await app.sign_in())["code"])
    assert refused.status_code == 401  # a policy without a rule lets nobody in
    rule = {
        "type": "RESOURCE_ACCESS",
        "name": "All",
        "conditions": {"grantTypes": {"include": ["authorization_code"]}, "scopes": {"include": ["*"]}},
    }
    assert (await admin.ask("POST", f"{path}/{policy['id']}/rules", rule)).status_code == 201
    assert (await app.exchange((await app.sign_in())["code"])).status_code == 200
