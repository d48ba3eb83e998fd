"""BFF_DPOP: what it may stand beside, and what the provider must be able to do."""

import pytest

from bff.config.settings import load_settings
from bff.errors import ConfigurationError
from bff.oidc.metadata import ProviderMetadata
from bff.provider.open import validate_metadata
from tests.harness.settings import RIGHT, problems, with_changes


def provider(*algorithms: str) -> ProviderMetadata:
    issuer = RIGHT["BFF_ISSUER"]
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/v1/authorize",
        token_endpoint=f"{issuer}/v1/token",
        jwks_uri=f"{issuer}/v1/keys",
        dpop_signing_alg_values_supported=algorithms,
    )


def test_it_is_off_unless_somebody_turns_it_on() -> None:
    assert load_settings(RIGHT).provider.dpop == "off"
    assert load_settings(with_changes(dpop="on")).provider.dpop == "on"
    assert "BFF_DPOP" in problems(with_changes(dpop="perhaps"))


def test_a_proxy_is_not_told_tokens_that_it_cannot_use() -> None:
    beside = {"forward_auth_listen": "127.0.0.1:8081", "trusted_proxies": "127.0.0.1"}
    told = problems(with_changes(dpop="on", **beside))
    assert "BFF_DPOP" in told["BFF_FORWARD_AUTH_LISTEN"] or "dpop" in told["BFF_FORWARD_AUTH_LISTEN"]
    assert "off" in told["BFF_FORWARD_AUTH_LISTEN"], "and how to fix it"
    assert load_settings(with_changes(dpop="off", **beside)).forward_auth.listen == "127.0.0.1:8081"


@pytest.mark.parametrize("algorithms", [(), ("RS256",), ("ES384", "RS512")])
def test_a_provider_that_cannot_do_it_stops_the_start(algorithms: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as told:
        validate_metadata(load_settings(with_changes(dpop="on")).provider, provider(*algorithms))
    assert told.value.setting == "BFF_DPOP"
    validate_metadata(load_settings(RIGHT).provider, provider(*algorithms))


def test_a_provider_that_can_is_taken() -> None:
    validate_metadata(load_settings(with_changes(dpop="on")).provider, provider("RS256", "ES256"))
