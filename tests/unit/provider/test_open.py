import pytest

from bff.config.settings import load_settings
from bff.errors import ConfigurationError
from bff.provider.open import client_auth, open_org_provider, open_provider
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
