"""The provider's settings: client keys, DPoP, and the ID token at sign-out."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bff.config.provider import is_okta
from bff.config.settings import load_settings
from bff.errors import ConfigurationError
from bff.oidc.metadata import ProviderMetadata
from bff.provider.open import client_auth, validate_metadata
from tests.harness.minting import EC_KEY, ED25519_KEY, RSA_KEY, AsymmetricKey, private_jwk
from tests.harness.settings import RIGHT, problems, with_changes


def pem(key: AsymmetricKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def provider(*algorithms: str) -> ProviderMetadata:
    issuer = RIGHT["BFF_ISSUER"]
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/v1/authorize",
        token_endpoint=f"{issuer}/v1/token",
        jwks_uri=f"{issuer}/v1/keys",
        dpop_signing_alg_values_supported=algorithms,
    )


def test_forward_auth_excludes_dpop() -> None:
    assert load_settings(RIGHT).provider.dpop == "off"
    assert load_settings(with_changes(dpop="on")).provider.dpop == "on"
    assert "BFF_DPOP" in problems(with_changes(dpop="perhaps"))
    listening = {"forward_auth_listen": "127.0.0.1:8081", "trusted_proxies": "127.0.0.1"}
    problem = problems(with_changes(dpop="on", **listening))["BFF_FORWARD_AUTH_LISTEN"]
    assert "dpop" in problem.lower()
    assert "off" in problem
    assert load_settings(with_changes(dpop="off", **listening)).forward_auth.listen == "127.0.0.1:8081"


@pytest.mark.parametrize("algorithms", [(), ("RS256",), ("ES384", "RS512"), ("RS256", "ES256")])
def test_dpop_needs_a_provider_that_verifies_es256(algorithms: tuple[str, ...]) -> None:
    settings = load_settings(with_changes(dpop="on")).provider
    if "ES256" in algorithms:
        validate_metadata(settings, provider(*algorithms))
    else:
        with pytest.raises(ConfigurationError) as refused:
            validate_metadata(settings, provider(*algorithms))
        assert refused.value.setting == "BFF_DPOP"
    validate_metadata(load_settings(RIGHT).provider, provider(*algorithms))


def test_userinfo_that_is_always_asked_needs_an_endpoint() -> None:
    assert load_settings(RIGHT).provider.userinfo == "auto"
    assert "BFF_USERINFO" in problems(with_changes(userinfo="perhaps"))
    always = load_settings(with_changes(userinfo="always")).provider
    with pytest.raises(ConfigurationError) as refused:
        validate_metadata(always, provider())
    assert refused.value.setting == "BFF_USERINFO"
    validate_metadata(always, replace(provider(), userinfo_endpoint="https://example.okta.com/userinfo"))


def test_endpoints_of_the_settings_are_urls_with_tls() -> None:
    revocation = "https://id.example.com/o/revoke_token/"
    settings = load_settings(with_changes(provider_revocation_endpoint=revocation)).provider
    assert settings.transport.endpoints.urls == {"revocation_endpoint": revocation}
    for url in ("http://id.example.com/revoke", "/revoke", "https://a:b@id.example.com/", "https://id.example.com/#x"):
        assert list(problems(with_changes(provider_userinfo_endpoint=url))) == ["BFF_PROVIDER_USERINFO_ENDPOINT"]


@pytest.mark.parametrize(
    ("issuer", "others"),
    [
        ("https://example.okta.com/oauth2/default", ["https://example.okta.com"]),
        ("https://login.example.com/oauth2/default", ["https://login.example.com"]),  # an org's custom domain
        ("https://login.example.com/oauth2/aus1abcdefghijklmno2", ["https://login.example.com"]),
        ("https://is.example.com/oauth2/token", []),  # WSO2
        *[("https://example.okta.com", []), ("https://tenant.eu.auth0.com/", [])],
        ("https://auth.example.com/application/o/app/", []),
        ("https://kc.example.com/realms/one", []),
    ],
)
def test_logout_requests_name_the_issuer_exactly_or_its_okta_org(issuer: str, others: list[str]) -> None:
    settings = load_settings(with_changes(issuer=issuer)).provider
    assert list(settings.logout_issuers) == [issuer, *others]


VALID_KEYS = [pem(RSA_KEY), pem(EC_KEY), pem(ED25519_KEY)]


@pytest.mark.parametrize("key", [*VALID_KEYS, json.dumps(private_jwk(EC_KEY)), json.dumps(private_jwk(RSA_KEY))])
def test_private_key_jwt_takes_a_key_instead_of_a_secret(key: str) -> None:
    environ = with_changes(client_auth="private_key_jwt", client_private_key=key, client_secret=None)
    assert load_settings(environ).provider.client_secret is None


@pytest.mark.parametrize(
    "key",
    [
        "canary",
        pem(rsa.generate_private_key(65537, 1024)),
        json.dumps({"kty": "RSA", "n": "canary", "e": "AQAB"}),
        json.dumps({"kty": "oct", "k": "canary", "d": "x"}),
        json.dumps({"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "canary"}),
        "{canary",
        "[]",
    ],
    ids=["text", "RSA-1024", "public-jwk", "symmetric-jwk", "broken-jwk", "broken-json", "list"],
)
def test_an_unsuitable_private_key_is_refused_and_not_printed(key: str) -> None:
    reported = problems(with_changes(client_auth="private_key_jwt", client_private_key=key))
    assert list(reported) == ["BFF_CLIENT_PRIVATE_KEY"]
    assert "canary" not in str(reported)


@pytest.mark.parametrize(
    ("key", "algorithm", "accepted"),
    [
        (pem(RSA_KEY), "PS256", True),
        (pem(ED25519_KEY), "Ed25519", True),
        (json.dumps(private_jwk(RSA_KEY, alg="PS384")), "PS384", True),
        (json.dumps(private_jwk(RSA_KEY, alg="PS384")), "PS256", False),
        (pem(EC_KEY), "PS256", False),
        (pem(RSA_KEY), "HS256", False),
        (None, "PS256", False),
    ],
)
def test_the_algorithm_of_the_client_key_fits_the_key(key: str | None, algorithm: str, accepted: bool) -> None:
    method = {"client_auth": "private_key_jwt", "client_secret": None} if key else {}
    environ = with_changes(client_private_key=key, client_key_algorithm=algorithm, **method)
    if accepted:
        assert client_auth(load_settings(environ).provider).candidates[0].alg == algorithm
    else:
        assert list(problems(environ)) == ["BFF_CLIENT_KEY_ALGORITHM"]


@pytest.mark.parametrize(
    ("configured", "accepted"),
    [
        ("RS256", ("RS256",)),
        ("EdDSA", ("EdDSA", "Ed25519")),
        ("PS256 Ed25519 PS256", ("PS256", "Ed25519", "EdDSA")),
    ],
)
def test_either_name_of_ed25519_accepts_both(configured: str, accepted: tuple[str, ...]) -> None:
    assert load_settings(with_changes(id_token_algorithms=configured)).provider.id_token_algorithms == accepted


def key_set(*members: dict[str, Any]) -> str:
    return json.dumps({"keys": list(members)})


def test_decryption_keys_are_a_ring() -> None:
    assert load_settings(RIGHT).provider.encryption.decryption is None
    keys = key_set(private_jwk(RSA_KEY, "new"), private_jwk(EC_KEY, "old"))
    for text, kids in ((keys, ["new", "old"]), (json.dumps(private_jwk(EC_KEY, "one")), ["one"])):
        settings = load_settings(with_changes(decryption_keys=text)).provider
        decryption = settings.encryption.decryption
        assert decryption is not None
        assert [key.kid for key in decryption.keys.keys] == kids
        assert decryption.required
        assert private_jwk(EC_KEY)["d"] not in repr(settings)
    optional = load_settings(with_changes(decryption_keys=keys, id_token_encryption="optional")).provider
    assert optional.encryption.decryption is not None
    assert not optional.encryption.decryption.required
    for value in ("required", "optional"):
        assert list(problems(with_changes(id_token_encryption=value))) == ["BFF_ID_TOKEN_ENCRYPTION"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("canary", "neither a valid PEM"),
        ('{"keys":[]}', "no list of keys"),
        (json.dumps(private_jwk(ED25519_KEY)), "neither RSA nor EC"),
        (key_set(private_jwk(RSA_KEY), private_jwk(EC_KEY)), "one kid"),
        (json.dumps({**private_jwk(EC_KEY), "d": "canary"}), "neither a valid PEM"),
    ],
)
def test_unusable_decryption_keys_are_refused_and_not_printed(text: str, reason: str) -> None:
    reported = problems(with_changes(decryption_keys=text))
    assert list(reported) == ["BFF_DECRYPTION_KEYS"]
    assert reason in reported["BFF_DECRYPTION_KEYS"]
    assert "canary" not in str(reported)


def test_a_key_has_one_purpose() -> None:
    method = {"client_auth": "private_key_jwt", "client_secret": None}
    environ = with_changes(client_private_key=pem(RSA_KEY), decryption_keys=key_set(private_jwk(RSA_KEY)), **method)
    assert list(problems(environ)) == ["BFF_DECRYPTION_KEYS"]


def test_a_private_key_with_a_secret_method_is_refused() -> None:
    assert list(problems(with_changes(client_private_key=VALID_KEYS[0]))) == ["BFF_CLIENT_PRIVATE_KEY"]


@pytest.mark.parametrize(
    ("host", "okta"),
    [
        *(
            (host, True)
            for host in ("a.okta.com", "a.oktapreview.com", "a.okta-emea.com", "a.okta-gov.com", "a.okta.mil")
        ),
        *((host, False) for host in ("id.example.com", "okta.com.example.org", "notokta.com")),
    ],
)
def test_only_okta_requires_an_id_token_at_sign_out(host: str, okta: bool) -> None:
    issuer = f"https://{host}/oauth2/default"
    assert is_okta(issuer) is okta
    for hint in ("optional", "never"):
        environ = with_changes(issuer=issuer, sign_out_hint=hint)
        if okta:
            assert list(problems(environ)) == ["BFF_SIGN_OUT_HINT"]
        else:
            assert load_settings(environ).provider.sign_out_hint == hint
    assert load_settings(with_changes(issuer=issuer)).provider.sign_out_hint == "required"
