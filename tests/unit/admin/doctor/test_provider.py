"""What a provider says about itself, what it accepts, and how far its clock is from ours: each against a provider that
answers on a real socket."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bff.admin.doctor.check_result import CheckResult
from bff.admin.doctor.run_checks import run_checks
from bff.config.settings import load_settings
from demo.simulator.server import SimulatorConfig, running_simulator
from tests.harness.minting import RSA_KEY, jwk
from tests.harness.plain_http import plain_http
from tests.harness.provider_wire import discovery_document
from tests.harness.world import listening, serving
from tests.unit.admin.okta.org import Operator, empty_org

KEYS = {"keys": []}


async def findings(environ: dict[str, str], clock: Callable[[], float] = time.time) -> dict[str, CheckResult]:
    return {one.name: one for one in await run_checks(load_settings(environ), None, clock=clock)}


async def well(operator: Operator) -> dict[str, str]:
    await operator.apply()
    operator.environ.pop("BFF_OKTA_API_TOKEN")
    return operator.served()


# --- wrong before anything is asked


@pytest.mark.parametrize(
    ("issuer", "fix"),
    [
        ("https://example-admin.okta.com", "Use the Okta domain without -admin: https://example.okta.com."),
        ("https://example.okta.com/", "Write https://example.okta.com:"),
        ("https://{yourOktaDomain}/oauth2/default", "Use your own Okta domain"),
    ],
    ids=["admin-domain", "slash-at-the-end", "placeholder"],
)
async def test_settings_that_are_wrong_are_findings_too(operator: Operator, issuer: str, fix: str) -> None:
    await operator.apply()
    seen = await operator.doctor("--json", BFF_ISSUER=issuer)
    assert (seen.code, seen.json["healthy"]) == (1, False)
    assert seen.findings["settings"]["observed"].startswith("BFF_ISSUER ")
    assert fix in seen.findings["settings"]["fix"]


async def test_a_wrong_setting_of_the_management_api_is_one_of_its_own(operator: Operator) -> None:
    await operator.apply()
    seen = await operator.doctor("--json", BFF_OKTA_SERVICE_CLIENT_ID="0oaserviceapp0000001")
    assert seen.code == 1
    assert {name for name, one in seen.findings.items() if one["status"] == "fail"} == {"okta_settings"}


# --- metadata and issuer


async def test_a_provider_that_is_away_is_named_and_nothing_more_is_asked_of_it(operator: Operator) -> None:
    environ = await well(operator)
    await operator.okta.control.down()
    found = await findings(environ)
    assert found["metadata"].status == "fail"
    assert "cannot be reached (ConnectError" in found["metadata"].observed
    assert "BFF_PROVIDER_PROXY" in found["metadata"].fix
    assert {found[name].status for name in ("keys", "pkce", "par", "client_credentials", "redirect_uri")} == {"skipped"}


async def test_an_authorization_server_that_the_org_has_not(operator: Operator) -> None:
    environ = await well(operator)
    found = await findings(environ | {"BFF_ISSUER": f"{operator.okta.base_url}/oauth2/aus000000000000gone"})
    assert "answers 404" in found["metadata"].observed
    assert "Security > API > Authorization Servers" in found["metadata"].fix


async def test_a_provider_of_another_trust_is_told_from_one_that_is_away(operator: Operator) -> None:
    environ = await well(operator)
    with listening() as plain:
        port = plain.getsockname()[1]
        async with serving(Starlette(), plain):
            found = await findings(environ | {"BFF_ISSUER": f"https://localhost:{port}"})
    assert found["metadata"].status == "fail"


@pytest.mark.parametrize(
    ("named", "fix"),
    [
        ("{issuer}/", "the trailing slash is significant"),
        ("https://login.example.com/oauth2/default", "a custom domain"),
        ("https://elsewhere.example.com/realms/x", "if that is the intended provider"),
    ],
    ids=["slash", "custom-domain", "another-provider"],
)
async def test_a_document_that_names_another_issuer(operator: Operator, named: str, fix: str) -> None:
    environ = await well(operator)
    with listening() as bound:
        issuer = f"http://127.0.0.1:{bound.getsockname()[1]}/oauth2/default"
        told = named.format(issuer=issuer)
        async with serving(provider({"issuer": told}), bound):
            found = await findings(environ | {"BFF_ISSUER": issuer})
    assert found["issuer"].status == "fail"
    assert told in found["issuer"].observed
    assert f"Set BFF_ISSUER to {'exactly ' if told.endswith('/') else ''}{told}" in found["issuer"].fix
    assert fix in found["issuer"].fix


async def test_an_app_whose_tokens_name_another_issuer_than_the_server(operator: Operator) -> None:
    environ = await well(operator)
    with listening() as bound:
        base = f"http://127.0.0.1:{bound.getsockname()[1]}"

        async def document(request: Request) -> Response:
            issuer = "https://login.example.com" if "client_id" in request.query_params else base
            return JSONResponse(whole(base) | {"issuer": issuer})

        app = Starlette(routes=[Route("/.well-known/openid-configuration", document)])
        async with serving(app, bound):
            found = await findings(environ | {"BFF_ISSUER": base})
    assert found["metadata"].status == "ok"
    assert found["issuer"].status == "fail"
    assert "Sign On > OpenID Connect ID Token > Issuer" in found["issuer"].fix


# --- clock


@pytest.mark.parametrize(
    ("ahead", "status", "told"),
    [
        (0, "ok", "within"),
        (30, "warn", "s ahead of the provider's"),
        (-30, "warn", "s behind the provider's"),
        (3600, "fail", "BFF_CLOCK_SKEW"),
    ],
)
async def test_the_clock_is_compared_with_the_providers(
    operator: Operator, ahead: float, status: str, told: str
) -> None:
    environ = await well(operator)
    found = await findings(environ, clock=lambda: time.time() + ahead - 0.5)
    assert found["clock"].status == status
    assert told in found["clock"].observed
    assert (status == "ok") is (found["clock"].fix == "")


# --- keys, PKCE, pushed requests


async def test_algorithms_that_the_provider_does_not_sign_with(operator: Operator) -> None:
    found = await findings(await well(operator) | {"BFF_ID_TOKEN_ALGORITHMS": "ES256"})
    assert found["keys"].status == "fail"
    assert "the provider signs with RS256" in found["keys"].observed


async def test_keys_that_cannot_be_used(operator: Operator) -> None:
    environ = await well(operator)
    with listening() as bound:
        base = f"http://127.0.0.1:{bound.getsockname()[1]}"
        async with serving(provider(whole(base)), bound):
            found = await findings(environ | {"BFF_ISSUER": base})
    assert found["keys"].status == "fail"
    assert "no usable signing key" in found["keys"].observed
    assert found["pkce"].status == "warn"


async def test_pushed_requests_are_demanded_where_there_is_no_endpoint_for_them(operator: Operator) -> None:
    found = await findings(await well(operator) | {"BFF_PAR": "required"})
    assert found["par"].status == "fail"
    assert "Set BFF_PAR to auto" in found["par"].fix


async def test_a_request_is_pushed_where_that_is_offered(tmp_path: Any) -> None:
    async with empty_org(tmp_path, pushed_requests=True) as operator:
        found = await findings(await well(operator) | {"BFF_PAR": "required"})
        assert found["par"].status == "ok"
        assert found["redirect_uri"].status == "ok"
        assert "pushed" in [event.kind for event in operator.okta.control.events()]
        assert operator.okta.control.violations == []


async def test_a_push_that_is_refused_is_named(tmp_path: Any) -> None:
    async with empty_org(tmp_path, pushed_requests=True) as operator:
        environ = await well(operator) | {"BFF_PAR": "required", "BFF_CALLBACK_PATH": "/elsewhere"}
        seen = await operator.doctor("--json", **environ)
        told = [one for one in seen.json["findings"] if one["name"] == "par"]
        assert [one["status"] for one in told] == ["fail"]
        assert "invalid_request" in told[0]["observed"]
        assert seen.findings["redirect_uri"]["status"] == "fail"


# --- client credentials


async def test_every_configured_secret_is_tried(operator: Operator) -> None:
    environ = await well(operator)
    both = environ | {"BFF_CLIENT_SECRET_NEXT": "a-secret-that-nobody-made-0123456789"}
    found = await findings(both)
    assert (found["client_secret"].status, found["client_secret_next"].status) == ("ok", "warn")
    swapped = both | {"BFF_CLIENT_SECRET": both["BFF_CLIENT_SECRET_NEXT"]}
    found = await findings(swapped | {"BFF_CLIENT_SECRET_NEXT": environ["BFF_CLIENT_SECRET"]})
    assert (found["client_secret"].status, found["client_secret_next"].status) == ("warn", "ok")
    assert "The other secret is accepted" in found["client_secret"].fix
    text = json.dumps([one.as_json() for one in found.values()])
    assert environ["BFF_CLIENT_SECRET"] not in text
    assert both["BFF_CLIENT_SECRET_NEXT"] not in text


async def test_a_private_key_is_tried_like_a_secret(operator: Operator, key_file: Any, other_key_file: Any) -> None:
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    await operator.apply()
    seen = await operator.doctor("--json")
    assert (seen.code, seen.findings["client_private_key"]["status"]) == (0, "ok")
    seen = await operator.doctor("--json", BFF_CLIENT_PRIVATE_KEY_FILE=str(other_key_file))
    assert (seen.code, seen.findings["client_private_key"]["status"]) == (1, "fail")
    assert "Public keys" in seen.findings["client_private_key"]["fix"]


async def test_a_token_endpoint_that_says_nothing_is_not_called_a_wrong_secret(operator: Operator) -> None:
    environ = await well(operator)
    operator.okta.control.fault("server_error", times=10, status=503)
    found = await findings(environ)
    assert found["client_secret"].status == "fail"
    assert "does not show whether it accepts" in found["client_secret"].observed
    assert "BFF_PROVIDER_PROXY" in found["client_secret"].fix


# --- redirect URI


async def test_a_scope_that_the_server_does_not_know_is_told_apart_from_the_uri(operator: Operator) -> None:
    found = await findings(await well(operator) | {"BFF_SCOPES": "openid orders offline_access"})
    assert found["redirect_uri"].status == "fail"
    assert "accepts the redirect URI and rejects the request (invalid_scope)" in found["redirect_uri"].observed
    assert "BFF_SCOPES" in found["redirect_uri"].fix


async def test_no_refresh_tokens_are_worth_a_word(operator: Operator) -> None:
    found = await findings(await well(operator) | {"BFF_SCOPES": "openid email"})
    assert found["rotation"].status == "warn"


async def test_the_orgs_own_server_needs_no_access_policy(operator: Operator) -> None:
    operator.environ["BFF_ISSUER"] = operator.okta.org_issuer
    found = await findings(await well(operator))
    assert found["access_policy"].status == "ok"
    assert "none needed" in found["access_policy"].observed
    assert "the org's own authorization server" in found["metadata"].observed


async def test_discovery_with_a_client_id_answers_for_known_clients_only() -> None:
    async with running_simulator(SimulatorConfig()) as okta, plain_http() as http:
        url = f"{okta.issuer}/.well-known/openid-configuration"
        known = await http.get(url, params={"client_id": okta.control.client.client_id})
        unknown = await http.get(url, params={"client_id": "0oanobody000000000000"})
    assert (known.status_code, known.json()["issuer"]) == (200, okta.issuer)
    assert unknown.status_code == 400


def whole(base: str) -> dict[str, Any]:
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "jwks_uri": f"{base}/keys",
        "response_types_supported": ["code"],
    }


def provider(document: dict[str, Any]) -> Starlette:
    async def discovery(_: Request) -> Response:
        return JSONResponse(document)

    async def keys(_: Request) -> Response:
        return JSONResponse(KEYS)

    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", discovery),
            Route("/oauth2/default/.well-known/openid-configuration", discovery),
            Route("/keys", keys),
        ]
    )


async def test_endpoints_on_another_host_and_published_private_keys_are_findings(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = await well(operator)
    sound = await findings(environ)
    assert (sound["endpoints"].status, sound["keys"].status) == ("ok", "ok")
    leaked = {**jwk(RSA_KEY), "d": "AQAB"}
    with listening() as bound:
        issuer = f"http://127.0.0.1:{bound.getsockname()[1]}/oauth2/default"
        base = issuer.removesuffix("/oauth2/default")
        document = discovery_document(
            issuer, jwks_uri=f"{base}/keys", revocation_endpoint="https://oauth.example/revoke"
        )
        for keys in ([leaked], [leaked, jwk(RSA_KEY)]):
            monkeypatch.setitem(KEYS, "keys", keys)
            async with serving(provider(document), bound.dup()):
                found = await findings(environ | {"BFF_ISSUER": issuer})
            assert found["endpoints"].status == "warn"
            assert "revocation_endpoint at oauth.example" in found["endpoints"].observed
            assert found["keys"].status == "fail"
            assert "publishes 1 private or symmetric key" in found["keys"].observed
