import json

import pytest

from bff.config.settings import load_settings
from bff.errors import ConfigurationError
from bff.provider.open import client_auth, open_org_provider, open_provider, open_token_issuers, service_client_auth
from tests.harness.settings import CLIENT_SECRET, RIGHT, with_changes


def test_both_client_secrets_are_candidates() -> None:
    settings = load_settings(with_changes(client_secret_next="the-next-secret-0815-canary"))
    assert len(client_auth(settings.provider).candidates) == 2
    assert len(client_auth(load_settings(RIGHT).provider).candidates) == 1


def test_an_unusable_private_key_names_the_setting_and_not_the_key() -> None:
    settings = load_settings(RIGHT)
    broken = settings.provider.model_copy(update={"client_auth": "private_key_jwt", "client_private_key": None})
    with pytest.raises(ConfigurationError, match="BFF_CLIENT_AUTH") as refused:
        client_auth(broken)
    assert CLIENT_SECRET not in str(refused.value)


async def test_the_org_server_is_opened_only_beside_a_custom_one() -> None:
    custom = load_settings(RIGHT)
    (org,) = open_org_provider(custom)
    await org.close()
    await open_provider(custom).close()
    for issuer in ("https://example.okta.com", "https://tenant.eu.auth0.com/", "https://kc.example.com/realms/one"):
        assert open_org_provider(load_settings(with_changes(issuer=issuer))) == ()


async def test_an_issuer_is_opened_once_for_each_client_and_not_for_that_of_the_sign_ins() -> None:
    other = "https://example.okta.com/oauth2/aus2"
    tokens = [
        {"exchange": {"audience": "a"}},
        {"exchange": {"audience": "a", "issuer": other, "client": "service"}},
        {"client_credentials": {"issuer": other, "client": "service"}},
        {"client_credentials": {"client": "service"}},
        {"resource": "urn:a"},
        "user",
    ]
    routes = [
        {"prefix": f"/{number}", "upstream": "https://api.internal", "token": token}
        for number, token in enumerate(tokens)
    ]
    service = {"service_client_id": "0oa2service", "service_client_secret": "canary-service-secret"}
    settings = load_settings(with_changes(routes=json.dumps(routes), **service))
    opened = open_token_issuers(settings)
    assert [*opened] == [(other, "service"), (settings.provider.issuer, "service")]
    for issuer in opened.values():
        await issuer.close()
    assert service_client_auth(settings).client_id == "0oa2service"
    with pytest.raises(ConfigurationError, match="BFF_SERVICE_CLIENT_ID"):
        service_client_auth(load_settings(RIGHT))
