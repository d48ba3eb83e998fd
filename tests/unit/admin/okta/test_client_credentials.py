"""A service app, which has OAuth access tokens, in place of an API token."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bff.admin.okta.client_credentials import ServiceApp
from bff.base64url import encode_base64url
from bff.oidc.client_auth import client_authentication
from bff.oidc.public_jwk import thumbprint
from demo.simulator.config import Client
from tests.harness.okta_org import Operator, empty_org

SCOPES = frozenset({"okta.apps.manage", "okta.groups.read", "okta.authorizationServers.manage"})


def service_app(key_file: Path, **more: Any) -> Client:
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.public_key().public_numbers()
    members = {"kty": "RSA", "n": encode_base64url(numbers.n.to_bytes(256)), "e": "AQAB"}
    return Client(
        **{
            "client_id": "0oaserviceapp0000001",
            "jwks": ({**members, "kid": thumbprint(members)},),
            "auth_methods": frozenset({"private_key_jwt"}),
            "grant_types": frozenset({"client_credentials"}),
            "granted_scopes": SCOPES,
            "has_admin_role": True,
            **more,
        }
    )


def as_service_app(operator: Operator, key_file: Path) -> None:
    del operator.environ["BFF_OKTA_API_TOKEN"]
    operator.environ |= {
        "BFF_OKTA_SERVICE_CLIENT_ID": "0oaserviceapp0000001",
        "BFF_OKTA_SERVICE_PRIVATE_KEY_FILE": str(key_file),
    }


async def test_a_service_app_applies_everything_with_one_access_token(tmp_path: Path, key_file: Path) -> None:
    async with empty_org(tmp_path, service_apps=(service_app(key_file),)) as operator:
        as_service_app(operator, key_file)
        assert (await operator.bff_okta("apply")).code == 0
        assert operator.okta.control.token_requests == 1
        assert (await operator.bff_okta("plan")).code == 0


async def test_without_the_scope_for_servers_the_rest_is_applied_and_noted(tmp_path: Path, key_file: Path) -> None:
    fewer = SCOPES - {"okta.authorizationServers.manage"}
    async with empty_org(tmp_path, service_apps=(service_app(key_file, granted_scopes=fewer),)) as operator:
        as_service_app(operator, key_file)
        applied = await operator.bff_okta("apply")
        assert applied.code == 0
        assert "access policy could not be read" in applied.stdout
        assert len(list(operator.okta.control.apps)) == 1


@pytest.mark.parametrize(
    ("changes", "words", "fix"),
    [
        ({"granted_scopes": frozenset()}, "invalid_scope", "Okta API Scopes"),
        ({"has_admin_role": False}, "lack permission", "Admin roles"),
        ({"jwks": ()}, "invalid_client", "Public keys"),
        ({"grant_types": frozenset({"authorization_code"})}, "unauthorized_client", "API Services"),
    ],
)
async def test_what_a_service_app_lacks_is_named_with_its_fix(
    tmp_path: Path, key_file: Path, changes: dict[str, Any], words: str, fix: str
) -> None:
    async with empty_org(tmp_path, service_apps=(service_app(key_file, **changes),)) as operator:
        as_service_app(operator, key_file)
        done = await operator.bff_okta("plan")
        assert done.code == 1
        assert words in done.stderr
        assert fix in done.stderr


async def test_a_service_app_that_requires_dpop_is_an_error_with_its_fix(operator: Operator, key_file: Path) -> None:
    as_service_app(operator, key_file)
    operator.okta.control.fault("edit_answer", set={"error": "invalid_dpop_proof", "error_description": None})
    done = await operator.bff_okta("plan")
    assert done.code == 1
    assert "DPoP" in done.stderr


def test_an_access_token_is_used_until_a_minute_before_it_expires(key_file: Path) -> None:
    issued = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal issued
        issued += 1
        return httpx.Response(200, json={"access_token": f"t{issued}", "token_type": "Bearer", "expires_in": 300})

    now = 1000.0
    key = client_authentication("private_key_jwt", "0oax", private_key=key_file.read_text())
    app = ServiceApp(key, scopes=("okta.apps.manage",), clock=lambda: now)
    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        used = [app.authorization(http, "https://x.okta.com")]
        now += 239
        used.append(app.authorization(http, "https://x.okta.com"))
        now += 1
        used.append(app.authorization(http, "https://x.okta.com"))
    assert used == ["Bearer t1", "Bearer t1", "Bearer t2"]
