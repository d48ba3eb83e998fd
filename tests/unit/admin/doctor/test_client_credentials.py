"""Every configured secret or key is tried at the token endpoint of a simulated Okta."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.admin.doctor.client_credentials import CredentialsCheck, check_credentials
from bff.config.settings import load_settings
from bff.oidc.metadata import ProviderMetadata, parse_metadata
from demo.simulator.server import RunningSimulator, running_simulator
from tests.harness.okta_org import Operator
from tests.harness.provider_server import answer_json, discovery_document, provider_server
from tests.harness.settings import with_changes

WRONG = "a-secret-that-was-never-created-0123456789"


@pytest.fixture
async def okta() -> AsyncIterator[RunningSimulator]:
    async with running_simulator() as running:
        yield running


def secret_of(okta: RunningSimulator) -> str:
    return okta.control.client.secrets[0]


async def checked(okta: RunningSimulator, methods: tuple[str, ...] = (), **changes: str) -> CredentialsCheck:
    metadata = ProviderMetadata(
        okta.issuer,
        *(f"{okta.issuer}/v1/{name}" for name in ("authorize", "token", "keys")),
        token_endpoint_auth_methods_supported=methods or ("client_secret_basic",),
    )
    client = {"client_id": okta.control.client.client_id, "client_secret": secret_of(okta), "provider_timeout": "60"}
    environ = with_changes(issuer=okta.issuer, **{**client, **changes})
    check = await check_credentials(load_settings(environ), metadata)
    assert secret_of(okta) not in str(check.findings)
    assert WRONG not in str(check.findings)
    return check


def statuses(check: CredentialsCheck) -> dict[str, str]:
    return {result.name: result.status for result in check.findings}


async def test_both_secrets_are_tried(okta: RunningSimulator) -> None:
    check = await checked(okta, client_secret_next=WRONG)
    assert (statuses(check), check.accepted) == ({"client_secret": "ok", "client_secret_next": "warn"}, True)
    check = await checked(okta, client_secret=WRONG, client_secret_next=secret_of(okta))
    assert (statuses(check), check.accepted) == ({"client_secret": "warn", "client_secret_next": "ok"}, True)
    assert "The other secret is accepted" in check.findings[0].fix


async def test_a_wrong_secret_and_a_method_that_is_not_offered(okta: RunningSimulator) -> None:
    check = await checked(okta, client_secret=WRONG)
    assert (statuses(check), check.accepted) == ({"client_secret": "fail"}, False)
    assert "is the secret active" in check.findings[0].fix
    check = await checked(okta, ("private_key_jwt",), client_secret=WRONG)
    assert "The provider offers private_key_jwt: set BFF_CLIENT_AUTH" in check.findings[0].fix


@pytest.mark.parametrize(
    ("error", "dpop", "finding"),
    [
        ("unauthorized_client", "off", "grant_types"),
        ("use_dpop_nonce", "off", "proof_of_possession"),
        ("invalid_dpop_proof", "on", None),
    ],
)
async def test_other_errors_mean_that_the_secret_is_accepted(
    okta: RunningSimulator, error: str, dpop: str, finding: str | None
) -> None:
    okta.control.fault("edit_answer", set={"error": error})
    expected = {"client_secret": "ok"} | ({finding: "fail"} if finding else {})
    assert statuses(await checked(okta, dpop=dpop)) == expected


@pytest.mark.parametrize(
    ("status", "error", "finding", "accepted"),
    [
        (400, "invalid_grant", "ok", True),
        (401, "unauthorized_client", "fail", False),  # Keycloak, for a wrong secret
        (401, "access_denied", "fail", False),  # Auth0, for a wrong secret
        (400, "invalid_request", "warn", None),
    ],
)
async def test_other_providers_refuse_a_client_by_the_status(
    status: int, error: str, finding: str, accepted: bool | None
) -> None:
    async with provider_server(token=answer_json({"error": error}, status)) as provider:
        document = json.dumps(discovery_document(provider.issuer)).encode()
        settings = load_settings(with_changes(issuer=provider.issuer, provider_timeout="60"))
        check = await check_credentials(settings, parse_metadata(document, provider.issuer))
    assert (statuses(check)["client_secret"], check.accepted) == (finding, accepted)
    assert finding == "ok" or error in check.findings[0].observed


async def test_an_outage_says_nothing_about_the_secret(okta: RunningSimulator) -> None:
    okta.control.fault("server_error", times=10, status=503)
    check = await checked(okta)
    assert (statuses(check), check.accepted) == ({"client_secret": "fail"}, None)
    assert "does not show whether it accepts" in check.findings[0].observed
    assert "BFF_PROVIDER_PROXY" in check.findings[0].fix


async def test_a_private_key_is_tried_like_a_secret(operator: Operator, key_file: Path, other_key_file: Path) -> None:
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    await operator.apply()
    seen = await operator.doctor("--json")
    assert (seen.code, seen.findings["client_private_key"]["status"]) == (0, "ok")
    seen = await operator.doctor("--json", BFF_CLIENT_PRIVATE_KEY_FILE=str(other_key_file))
    assert (seen.code, seen.findings["client_private_key"]["status"]) == (1, "fail")
    assert "Public keys" in seen.findings["client_private_key"]["fix"]
