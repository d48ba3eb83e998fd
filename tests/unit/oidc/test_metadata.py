"""Discovery documents: Okta's shape, and what makes one unusable."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bff.oidc.metadata import MetadataRefused, ProviderMetadata, endpoints_elsewhere, parse_metadata
from tests.harness.minting import ISSUER

OKTA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/v1/authorize",
    "token_endpoint": f"{ISSUER}/v1/token",
    "userinfo_endpoint": f"{ISSUER}/v1/userinfo",
    "registration_endpoint": "https://example.okta.com/oauth2/v1/clients",
    "jwks_uri": f"{ISSUER}/v1/keys",
    "response_types_supported": ["code", "id_token", "code id_token"],
    "response_modes_supported": ["query", "fragment", "form_post", "okta_post_message"],
    "grant_types_supported": ["authorization_code", "refresh_token"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "scopes_supported": ["openid", "profile", "offline_access"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "none"],
    "code_challenge_methods_supported": ["S256"],
    "end_session_endpoint": f"{ISSUER}/v1/logout",
    "revocation_endpoint": f"{ISSUER}/v1/revoke",
    "pushed_authorization_request_endpoint": f"{ISSUER}/v1/par",
    "request_parameter_supported": True,
}
ABSENT = object()


def document(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**OKTA, **changes}.items() if v is not ABSENT}).encode()


def test_oktas_document_is_read() -> None:
    metadata = parse_metadata(document(), ISSUER)
    assert metadata.token_endpoint == f"{ISSUER}/v1/token"
    assert metadata.end_session_endpoint == f"{ISSUER}/v1/logout"
    assert metadata.pushed_authorization_request_endpoint == f"{ISSUER}/v1/par"
    assert metadata.token_endpoint_auth_methods_supported == ("client_secret_basic", "private_key_jwt", "none")
    assert metadata.authorization_response_iss_parameter_supported is False


def test_what_is_optional_may_be_absent_or_null() -> None:
    optional = ["userinfo_endpoint", "end_session_endpoint", "revocation_endpoint", "scopes_supported"]
    optional += ["pushed_authorization_request_endpoint", "grant_types_supported", "response_modes_supported"]
    optional += ["code_challenge_methods_supported", "token_endpoint_auth_methods_supported"]
    for nothing in (ABSENT, None):
        metadata = parse_metadata(document(**dict.fromkeys(optional, nothing)), ISSUER)
        assert metadata.end_session_endpoint is None
        assert metadata.token_endpoint_auth_methods_supported == ("client_secret_basic",)


def test_only_true_advertises_the_iss_parameter() -> None:
    name = "authorization_response_iss_parameter_supported"
    assert parse_metadata(document(**{name: True}), ISSUER).authorization_response_iss_parameter_supported
    assert not parse_metadata(document(**{name: "true"}), ISSUER).authorization_response_iss_parameter_supported


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        pytest.param({"issuer": ISSUER + "/"}, "issuer", id="another issuer by a slash"),
        pytest.param({"issuer": "https://evil"}, "issuer", id="another issuer"),
        pytest.param({"issuer": ABSENT}, "issuer", id="no issuer"),
        pytest.param({"jwks_uri": ABSENT}, "jwks_uri", id="JK-009 no jwks_uri"),
        pytest.param({"token_endpoint": ABSENT}, "token_endpoint", id="JK-009 no token_endpoint"),
        pytest.param({"authorization_endpoint": None}, "authorization_endpoint", id="JK-009 no authorization_endpoint"),
        pytest.param({"response_types_supported": ["id_token"]}, "response_types", id="JK-009 no code flow"),
        pytest.param({"response_types_supported": ABSENT}, "response_types", id="JK-009 no response types"),
        pytest.param({"grant_types_supported": ["implicit"]}, "grant_types", id="JK-009 no authorization_code"),
        pytest.param({"code_challenge_methods_supported": ["plain"]}, "S256", id="JK-009 no S256"),
        pytest.param({"response_types_supported": "code"}, "response_types", id="a string for a list"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, "jwks_uri", id="JK-008 file"),
        pytest.param({"jwks_uri": "data:application/json,{}"}, "jwks_uri", id="JK-008 data"),
        pytest.param({"token_endpoint": "ftp://example.okta.com/token"}, "token_endpoint", id="JK-008 ftp"),
        pytest.param({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint", id="JK-008 js"),
        pytest.param({"token_endpoint": "http://example.okta.com/token"}, "token_endpoint", id="JK-008 http"),
        pytest.param({"token_endpoint": "http://localhost/token"}, "token_endpoint", id="JK-008 http to loopback"),
        pytest.param({"end_session_endpoint": "http://example.okta.com/"}, "end_session", id="JK-008 optional, http"),
        pytest.param({"token_endpoint": "//example.okta.com/token"}, "token_endpoint", id="no scheme"),
        pytest.param({"token_endpoint": "https:///token"}, "token_endpoint", id="no host"),
        pytest.param({"token_endpoint": "https://a:b@example.okta.com/"}, "token_endpoint", id="user and password"),
        pytest.param({"token_endpoint": "https://example.okta.com/#x"}, "token_endpoint", id="fragment"),
        pytest.param({"token_endpoint": "https://example.okta.com\\@evil/"}, "token_endpoint", id="backslash"),
        pytest.param({"token_endpoint": "https://example.okta.com/\n"}, "token_endpoint", id="line break"),
        pytest.param({"token_endpoint": "https://example.okta.com:99999/"}, "token_endpoint", id="port out of range"),
        pytest.param({"token_endpoint": ["https://example.okta.com/"]}, "token_endpoint", id="a list"),
        pytest.param({"token_endpoint": "https://e/" + "a" * 3000}, "token_endpoint", id="too long"),
    ],
)
def test_an_unusable_document_is_refused_with_the_field_that_is_wrong(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(MetadataRefused, match=names) as caught:
        parse_metadata(document(**changes), ISSUER)
    assert caught.value.code == "provider_metadata_invalid"
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *[b"", b"<html>captive portal</html>", b"[]", b"null", b"\xff", b'{"issuer":"a","issuer":"b"}', b'{"x":NaN}'],
        *[b'{"x":1e999}', b"{" + b" " * (1 << 20) + b"}", b"[" * 100_000],
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_is_not_one_clear_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(MetadataRefused, match="The discovery document is"):
        parse_metadata(text, ISSUER)


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:9000", "[::1]:9000", "okta.localhost"])
def test_http_is_for_an_issuer_on_this_machine_only(host: str) -> None:
    issuer = f"http://{host}"
    local = {k: v.replace(ISSUER, issuer) if isinstance(v, str) else v for k, v in OKTA.items()}
    assert parse_metadata(json.dumps(local).encode(), issuer).token_endpoint == f"{issuer}/v1/token"
    local["token_endpoint"] = "http://example.okta.com/token"
    with pytest.raises(MetadataRefused, match="token_endpoint"):
        parse_metadata(json.dumps(local).encode(), issuer)


def test_endpoints_on_another_host_are_listed_with_their_hosts() -> None:
    same = ProviderMetadata(
        "https://id.example", "https://id.example/a", "https://id.example:8443/t", "https://id.example/k"
    )
    assert endpoints_elsewhere(same) == {}
    apart = replace(same, token_endpoint="https://oauth.example/t", revocation_endpoint="https://id.example.evil/r")
    assert endpoints_elsewhere(apart) == {"token_endpoint": "oauth.example", "revocation_endpoint": "id.example.evil"}
