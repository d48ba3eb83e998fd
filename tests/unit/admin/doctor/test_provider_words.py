"""What `bff doctor` says of a provider that is not Okta: nothing of Okta's console, commands or status page."""

import json
from typing import Any

import pytest

from bff.admin.doctor import app_integration, capabilities
from bff.admin.doctor.check_result import CheckResult
from bff.admin.doctor.client_credentials import check_credentials
from bff.admin.doctor.provider_words import fix_at
from bff.admin.doctor.redirect_uri import check_redirect_uri
from bff.config.settings import Settings, load_settings
from bff.oidc.metadata import ProviderMetadata, parse_metadata
from bff.provider.http import HttpClient
from tests.harness.provider_server import (
    Behaviour,
    ProviderServer,
    answer,
    answer_json,
    discovery_document,
    provider_server,
    reset,
)
from tests.harness.settings import RIGHT, with_changes
from tests.unit.provider.test_client_requests import SECRET


def settings_for(provider: ProviderServer, **changes: str) -> Settings:
    return load_settings(with_changes(issuer=provider.issuer, provider_timeout="60", **changes))


def metadata_of(provider: ProviderServer, **changes: Any) -> ProviderMetadata:
    document = json.dumps(discovery_document(provider.issuer, **changes)).encode()
    return parse_metadata(document, provider.issuer)


def assert_in_general_terms(results: list[CheckResult]) -> None:
    assert results
    for result in results:
        text = f"{result.observed} {result.fix}"
        for word in ("Okta", "okta", "Applications >", "General >", "Security >", "app integration"):
            assert word not in text, text


def test_a_fix_is_chosen_by_the_provider() -> None:
    assert fix_at(load_settings(RIGHT), okta="a", elsewhere="b") == "a"
    other = load_settings(with_changes(issuer="https://kc.example.com/realms/one"))
    assert fix_at(other, okta="a", elsewhere="b") == "b"


@pytest.mark.parametrize(
    "token",
    [
        answer_json({"error": "invalid_client"}, 401),
        answer_json({"error": "invalid_grant"}, 400),
        answer_json({"error": "unauthorized_client"}, 400),
        answer_json({"error": "use_dpop_nonce"}, 400),
        answer(503),
        answer(400, b"<html>"),
        reset,
    ],
)
async def test_client_credentials(token: Behaviour) -> None:
    for client in ({}, {"client_auth": "client_secret_jwt", "client_secret": SECRET}, {"client_secret_next": "b"}):
        async with provider_server(token=token) as provider:
            settings = settings_for(provider, **client)
            check = await check_credentials(settings, metadata_of(provider))
        assert_in_general_terms(list(check.findings))


@pytest.mark.parametrize(
    "authorize",
    [
        *[(302, f"?error={error}&state=s") for error in ("login_required", "access_denied", "invalid_scope", "x")],
        *[(302, f"?error={error}") for error in ("unauthorized_client", "unsupported_response_type")],
        *[(302, None), (400, None), (503, None), (200, None)],
    ],
)
async def test_redirect_uri(authorize: tuple[int, str | None]) -> None:
    status, query = authorize
    async with provider_server() as provider:
        settings = settings_for(provider)
        location = f"{settings.browser.redirect_uri}{query}" if query else "https://elsewhere.example/"

        class AnyTarget(dict[str, Behaviour]):
            def __missing__(self, _: str) -> Behaviour:
                return answer(status, headers={"location": location})

        provider.routes = AnyTarget(provider.routes)
        http = HttpClient()
        results = await check_redirect_uri(http, settings, metadata_of(provider), accepted=True)
        await http.close()
    assert_in_general_terms(results)


async def test_capabilities_and_what_cannot_be_seen() -> None:
    async with provider_server() as provider:
        settings = settings_for(provider, par="required", id_token_algorithms="ES256")
        metadata = metadata_of(provider)
        http = HttpClient()
        results = [await capabilities.keys(http, settings, metadata), capabilities.pkce({})]
        await http.close()
    results += [capabilities.pushed_requests(settings, metadata), capabilities.access_tokens(settings, metadata)]
    unseen = app_integration.elsewhere(settings)
    assert_in_general_terms([*results, *unseen])
    assert [result.name for result in unseen] == ["rotation", "client_registration"]
    assert "/auth/backchannel-logout" in unseen[1].fix
