"""docs/providers.md: each example is valid, and the provider it is for has what the settings ask for."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bff.config.advice import notes
from bff.config.settings import Settings, load_settings
from bff.oidc.logout import end_session_url
from bff.oidc.metadata import ProviderMetadata, discovery_url, parse_metadata
from bff.provider.open import client_auth, open_org_provider, validate_metadata
from tests.harness.places import ROOT
from tests.harness.settings import CLIENT_SECRET, KEY

PAGE = (ROOT / "docs" / "providers.md").read_text("utf-8")
BESIDE = {
    "BFF_PUBLIC_URL": "https://app.example.com",
    "BFF_CLIENT_SECRET": CLIENT_SECRET,
    "BFF_SESSION_KEYS": KEY,
    "BFF_ROUTES": json.dumps([{"prefix": "/api", "upstream": "https://api.internal"}]),
    "BFF_TRUSTED_PROXIES": "10.0.0.0/8",
}
LISTS: dict[str, Any] = {
    "response_types_supported": ["code", "id_token"],
    "grant_types_supported": ["authorization_code", "refresh_token"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
}
ABSENT: dict[str, Any] = dict.fromkeys(["revocation_endpoint", "end_session_endpoint"])

# By section of the page: the endpoints that the provider publishes, and in which way its document differs.
PUBLISHED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "Okta": ({"": "{issuer}/v1/", "jwks_uri": "keys", "end_session_endpoint": "logout"}, {}),
    "Auth0": (
        {"": "{issuer}", "jwks_uri": ".well-known/jwks.json", "end_session_endpoint": "oidc/logout"},
        {"id_token_signing_alg_values_supported": ["HS256", "RS256", "PS256"]},
    ),
    "Keycloak": ({"": "{issuer}/protocol/openid-connect/", "jwks_uri": "certs", "end_session_endpoint": "logout"}, {}),
    "Entra ID": (
        {
            "": "https://login.microsoftonline.com/tenant/",
            "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        },
        {"revocation_endpoint": None, "grant_types_supported": None, "code_challenge_methods_supported": None},
    ),
    "Ory Hydra": ({"": "{issuer}oauth2/", "end_session_endpoint": "sessions/logout"}, {}),
    "dex": ({"": "{issuer}/"}, ABSENT),
    "authentik": ({"": "https://auth.example.com/application/o/"}, {}),
    "Zitadel": ({"": "{issuer}/oauth/v2/", "end_session_endpoint": "end_session"}, {}),
}
ENDPOINTS = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "jwks_uri": "keys",
    "userinfo_endpoint": "userinfo",
    "revocation_endpoint": "revoke",
    "end_session_endpoint": "end-session",
}


def sections() -> dict[str, str]:
    """The text of each section of the second level."""
    _, *parts = re.split(r"(?m)^## (.+)$", PAGE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def block(section: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", sections()[section])


def settings_of(section: str, folder: Path) -> Settings:
    (toml,) = block(section, "toml")
    file = folder / "bff.toml"
    file.write_text(toml)
    return load_settings(BESIDE, file)


def document_of(section: str, issuer: str) -> ProviderMetadata:
    places, changes = PUBLISHED[section]
    base = places[""].format(issuer=issuer)
    urls = {name: places.get(name, path) for name, path in ENDPOINTS.items()}
    full = {name: url if "://" in url else base + url for name, url in urls.items()}
    return parse_metadata(json.dumps({"issuer": issuer, **LISTS, **full, **changes}).encode(), issuer)


def test_every_provider_of_the_overview_has_a_section_with_an_example() -> None:
    examples = {section for section in sections() if block(section, "toml")}
    assert examples == PUBLISHED.keys()
    anchors = re.findall(r"(?m)^\| \[[^\]]+\]\(#([a-z0-9-]+)\)", sections()["What differs"])
    assert anchors == [section.lower().replace(" ", "-") for section in PUBLISHED]


@pytest.mark.parametrize("section", PUBLISHED)
def test_the_example_of_a_provider_starts_there(section: str, tmp_path: Path) -> None:
    settings = settings_of(section, tmp_path)
    metadata = document_of(section, settings.provider.issuer)
    assert metadata.ignored == ()
    validate_metadata(settings.provider, metadata)
    assert settings.provider.client_auth in metadata.token_endpoint_auth_methods_supported
    assert {*settings.provider.id_token_algorithms} & {*metadata.id_token_signing_alg_values_supported}
    assert settings.provider.at_okta is (section == "Okta")
    assert bool(settings.provider.org_issuer) is (section == "Okta")
    assert section == "Okta" or open_org_provider(settings) == ()
    assert client_auth(settings.provider).audiences[0] == ("endpoint" if section == "Okta" else "token_endpoint")
    assert not any("ends with a slash" in note for note in notes(settings))
    assert "//." not in discovery_url(settings.provider.issuer)
    url = end_session_url(
        metadata, id_token_hint=None, post_logout_redirect_uri=None, client_id=settings.provider.client_id
    )
    assert (url is None) is (section == "dex")


@pytest.mark.parametrize("number", [0, 1], ids=["development", "production"])
def test_keycloak_in_a_container_network(number: int) -> None:
    services = yaml.safe_load(block("Keycloak", "yaml")[number])["services"]
    settings = load_settings({**BESIDE, **services["bff"]["environment"]})
    public = services["keycloak"]["environment"]["KC_HOSTNAME"]
    assert settings.provider.issuer == f"{public}/realms/example"
    (entry,) = settings.provider.transport.address_map
    assert public.partition("://")[2].partition(":")[0] == entry.named.host
    assert entry.address.host in services
