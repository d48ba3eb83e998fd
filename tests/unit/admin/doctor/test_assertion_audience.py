"""The audiences of client assertions, tried at a provider that accepts some of them."""

import json

import pytest

from bff.admin.doctor.assertion_audience import NAME, check_assertion_audience
from bff.admin.doctor.check_result import CheckResult
from bff.config.settings import load_settings
from bff.oidc.metadata import parse_metadata
from tests.harness.provider_server import Behaviour, answer, answer_json, discovery_document, provider_server
from tests.harness.settings import with_changes
from tests.unit.provider.test_client_requests import only_for

TOKEN_REFUSED = answer_json({"error": "invalid_grant"}, 400)
HYDRA = {"token": only_for("/token", TOKEN_REFUSED), "revoke": only_for("/token", answer(200))}
FAPI = {"token": only_for("", TOKEN_REFUSED), "revoke": only_for("", answer(200))}
OKTA = {"token": only_for("/token", TOKEN_REFUSED), "revoke": only_for("/revoke", answer(200))}
SPLIT = {"token": only_for("/token", TOKEN_REFUSED), "revoke": only_for("", answer(200))}
# A mismatch is an error of the server, as in zitadel/oidc: it is not repeated, because its outcome is unknown.
ZITADEL = {"token": only_for("", TOKEN_REFUSED, otherwise=answer(500)), "revoke": only_for("", answer(200))}
NEITHER = {"token": only_for("/x", TOKEN_REFUSED), "revoke": only_for("/x", answer(200))}


async def checked(routes: dict[str, Behaviour], **changes: str) -> list[CheckResult]:
    client = {"client_auth": "client_secret_jwt", "client_secret": "s" * 32, "provider_timeout": "60", **changes}
    async with provider_server(**routes) as provider:
        document = json.dumps(discovery_document(provider.issuer)).encode()
        settings = load_settings(with_changes(issuer=provider.issuer, **client))
        return await check_assertion_audience(settings, parse_metadata(document, provider.issuer))


@pytest.mark.parametrize(
    ("routes", "setting", "status", "words"),
    [
        (HYDRA, "auto", "ok", "revocation endpoint accepts token_endpoint"),
        (HYDRA, "endpoint", "fail", "Set BFF_CLIENT_ASSERTION_AUDIENCE to token_endpoint."),
        (HYDRA, "issuer", "fail", "which fails at the token endpoint and the revocation endpoint"),
        (FAPI, "auto", "warn", "Set BFF_CLIENT_ASSERTION_AUDIENCE to issuer."),
        (FAPI, "issuer", "ok", "token endpoint accepts issuer"),
        (OKTA, "endpoint", "ok", "revocation endpoint accepts endpoint"),
        (OKTA, "token_endpoint", "fail", "Set BFF_CLIENT_ASSERTION_AUDIENCE to endpoint."),
        (SPLIT, "auto", "warn", "Nothing else works at both."),
        (SPLIT, "token_endpoint", "fail", "Set it to auto."),
        (ZITADEL, "auto", "fail", "Set BFF_CLIENT_ASSERTION_AUDIENCE to issuer."),
        (ZITADEL, "issuer", "ok", "token endpoint accepts issuer"),
        (NEITHER, "auto", "skipped", "no endpoint shows that it accepts any audience"),
    ],
)
async def test_which_audience_works(routes: dict[str, Behaviour], setting: str, status: str, words: str) -> None:
    (result,) = await checked(routes, client_assertion_audience=setting)
    assert (result.name, result.status) == (NAME, status)
    assert words in f"{result.observed} {result.fix}"


async def test_a_secret_without_assertions_has_no_audience() -> None:
    assert await checked(HYDRA, client_auth="client_secret_basic") == []
