"""What tokens of routes need in the org: as a comparison without an org, and with the commands."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bff.admin.okta import api_tokens
from bff.admin.okta.access_policy import Policies
from bff.admin.okta.api_tokens import ApiTokensView, TokenServer
from bff.admin.okta.needed_tokens import TOKEN_EXCHANGE, needed_tokens
from demo.simulator.config import ServerConfig
from tests.harness.okta_org import Json, Operator, app_body, client_of, empty_org
from tests.unit.admin.okta.test_app_properties import desired
from tests.unit.admin.okta.test_okta_api_facts import OF_ROUTE_TOKENS, template, violations
from tests.unit.admin.okta.test_org_parts import CLIENT_ID, policy, rule

SERVICE_ID, SERVER_ID = "0oaserviceapp0000009", "aus0orders0000000001"
ISSUER = f"https://example.okta.com/oauth2/{SERVER_ID}"
EXCHANGE = {"audience": "api://orders", "scope": "orders:read", "client": "service", "issuer": ISSUER}
SERVICE = {"service_client_id": SERVICE_ID, "service_client_secret": "secret-of-the-service-app-0123456789"}


def routes(*tokens: Any) -> str:
    return json.dumps(
        [
            {"prefix": f"/api{number}", "upstream": "http://127.0.0.1:9", "token": token}
            for number, token in enumerate(tokens)
        ]
    )


def named(*tokens: Any, view: ApiTokensView) -> dict[str, str]:
    """What differs, by name, with who changes it."""
    wanted = desired(issuer="https://example.okta.com/oauth2/default", routes=routes(*tokens), **SERVICE)
    return {each.name: each.by for each in api_tokens.compare(view, CLIENT_ID, wanted).differences}


def service_app(**client: Any) -> Json:
    complete = {"application_type": "service", "grant_types": ["client_credentials", TOKEN_EXCHANGE]}
    return app_body(**{**complete, **client})


def server(**changes: Any) -> TokenServer:
    body = {"status": "ACTIVE", "audiences": ["api://orders"]}
    both = rule(TOKEN_EXCHANGE, "client_credentials", scopes=("orders:read",))
    complete = {
        "policies": Policies(body, ((policy(SERVICE_ID, CLIENT_ID), (both,)),)),
        "trusted": frozenset({"default"}),
        "scopes": frozenset({"openid", "orders:read"}),
    }
    return TokenServer(**{**complete, **changes})


COMPLETE = ApiTokensView({SERVER_ID: server()}, service_app())
OWN = {"scope": "orders:read", "issuer": ISSUER}


@pytest.mark.parametrize(
    ("token", "view", "expected"),
    [
        ({"exchange": EXCHANGE}, COMPLETE, {}),
        ({"client_credentials": OWN}, COMPLETE, {}),
        ({"exchange": {**EXCHANGE, "client": "sign_in"}}, COMPLETE, {"token_client": "manual"}),
        ({"exchange": EXCHANGE}, ApiTokensView({SERVER_ID: server()}), {"service_app": "manual"}),
        (
            {"exchange": EXCHANGE},
            ApiTokensView({SERVER_ID: server()}, service_app(application_type="web")),
            {"service_app_type": "manual"},
        ),
        (
            {"exchange": EXCHANGE},
            ApiTokensView({SERVER_ID: server()}, service_app(grant_types=["client_credentials"])),
            {"service_app_grants": "apply"},
        ),
        (
            {"exchange": EXCHANGE},
            ApiTokensView({SERVER_ID: server(trusted=frozenset())}, service_app()),
            {"trusted_servers": "apply"},
        ),
        (
            {"exchange": {**EXCHANGE, "audience": "api://billing"}},
            COMPLETE,
            {"token_audience": "manual"},
        ),
        ({"exchange": {**EXCHANGE, "scope": "orders:delete"}}, COMPLETE, {"token_scopes": "manual"}),
        ({"exchange": {**EXCHANGE, "scope": ""}}, COMPLETE, {"token_scopes": "manual"}),
        (
            {"exchange": {**EXCHANGE, "scope": ""}},
            ApiTokensView({SERVER_ID: server(default_scopes=True)}, service_app()),
            {},
        ),
        (
            {"exchange": EXCHANGE},
            ApiTokensView({SERVER_ID: server(policies=Policies({"audiences": ["api://orders"]}))}, service_app()),
            {"token_policy": "apply"},
        ),
        (
            {"exchange": EXCHANGE},
            ApiTokensView({SERVER_ID: TokenServer(Policies())}, service_app()),
            {"token_server": "manual"},
        ),
        (
            {"exchange": {**EXCHANGE, "issuer": "https://example.okta.com"}},
            ApiTokensView({}, service_app()),
            {"token_server": "manual"},
        ),
        ({"client_credentials": {**OWN, "scope": "x"}}, COMPLETE, {"token_scopes": "manual"}),
    ],
)
def test_what_a_token_lacks_is_named(token: Json, view: ApiTokensView, expected: dict[str, str]) -> None:
    assert named(token, view=view) == expected


def test_tokens_of_the_org_server_cannot_be_exchanged() -> None:
    wanted = desired(issuer="https://example.okta.com", routes=routes({"exchange": EXCHANGE}), **SERVICE)
    (difference,) = api_tokens.compare(COMPLETE, CLIENT_ID, wanted).differences
    assert (difference.name, difference.by) == ("subject_server", "manual")


def test_a_token_that_several_routes_have_is_compared_once_and_those_of_other_orgs_are_noted() -> None:
    elsewhere = {**EXCHANGE, "issuer": "https://id.example.net"}
    tokens = [{"exchange": EXCHANGE}, {"exchange": EXCHANGE}, {"exchange": elsewhere}, {"resource": "urn:a"}, "user"]
    wanted = desired(issuer="https://example.okta.com/oauth2/default", routes=routes(*tokens), **SERVICE)
    (needed,) = needed_tokens(wanted)
    assert (needed.places, needed.server_id) == ("the token of /api0, /api1", SERVER_ID)
    notes = api_tokens.compare(None, CLIENT_ID, wanted).notes
    assert ["id.example.net" in note for note in notes] == [True, False]
    assert api_tokens.compare(None, CLIENT_ID, desired()).notes == ()
    unreadable = ApiTokensView({SERVER_ID: TokenServer(Policies(unreadable="No permission."))}, service_app())
    assert "No permission." in api_tokens.compare(unreadable, CLIENT_ID, wanted).notes[-1]


async def test_apply_grants_what_the_routes_need_and_asks_before_it_changes_the_service_app(tmp_path: Path) -> None:
    orders = ServerConfig(id=SERVER_ID, audience="api://orders", scopes=("orders:read",), policy_grants=())
    async with empty_org(tmp_path, servers=(orders,)) as operator:
        body = app_body(application_type="service", grant_types=["client_credentials"], response_types=["token"])
        service = await operator.api("POST", "apps?activate=true", body)
        issuer = operator.okta.issuer_of(SERVER_ID)
        tokens = ({"exchange": {**EXCHANGE, "issuer": issuer}}, {"client_credentials": {**OWN, "issuer": issuer}})
        operator.environ |= {
            "BFF_ROUTES": routes(*tokens),
            "BFF_SERVICE_CLIENT_ID": service["id"],
            "BFF_SERVICE_CLIENT_SECRET": service["credentials"]["oauthClient"]["client_secret"],
        }
        heard = operator.okta.control.management.requests
        heard.clear()
        refused = await operator.bff_okta("apply", "--json")
        assert (refused.code, operator.writes()) == (1, [])
        assert service["id"] in refused.stderr
        applied = await operator.bff_okta("apply", "--yes")
        assert applied.code == 0, applied.stdout + applied.stderr
        assert client_of(await operator.api("GET", f"apps/{service['id']}"))["grant_types"] == [
            *("client_credentials", TOKEN_EXCHANGE)
        ]
        org = operator.okta.control.server(SERVER_ID)
        assert org.trusts == {"default"}
        assert {tuple(made.body["conditions"]["clients"]["include"]) for made in org.policies.values()} == {
            *((service["id"],), (operator.held()["BFF_CLIENT_ID"],))
        }
        planned = await operator.bff_okta("plan", "--json")
        assert (planned.code, planned.json["differences"]) == (0, [])
        shown = (await operator.bff_okta("show", "--json")).json["token_servers"]
        assert shown[SERVER_ID]["trusted_servers"] == ["default"]
        assert [problem for request in heard for problem in violations(*request)] == []
        used = {f"{method} {template(urlsplit(path).path)}" for method, path, _ in heard}
        assert used >= OF_ROUTE_TOKENS


async def test_a_route_without_such_a_token_costs_no_request(operator: Operator) -> None:
    operator.environ["BFF_ROUTES"] = routes("user")
    assert (await operator.bff_okta("plan")).code == 2
    assert not [path for _, path, _ in operator.okta.control.management.requests if "associatedServers" in path]
