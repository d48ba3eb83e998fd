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
    "grant_types_supported": ["authorization_code", "refresh_token"],
    "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "none"],
    "code_challenge_methods_supported": ["S256"],
    "dpop_signing_alg_values_supported": ["ES256"],
    "end_session_endpoint": f"{ISSUER}/v1/logout",
    "revocation_endpoint": f"{ISSUER}/v1/revoke",
    "pushed_authorization_request_endpoint": f"{ISSUER}/v1/par",
    "require_pushed_authorization_requests": True,
    "authorization_response_iss_parameter_supported": True,
    "request_parameter_supported": True,
}
ABSENT = object()


def document(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**OKTA, **changes}.items() if v is not ABSENT}).encode()


def test_every_field_that_we_use_is_read() -> None:
    metadata = parse_metadata(document(), ISSUER)
    for name in ProviderMetadata.__dataclass_fields__:
        value = getattr(metadata, name)
        assert (list(value) if isinstance(value, tuple) else value) == OKTA[name], name


@pytest.mark.parametrize("nothing", [ABSENT, None])
def test_optional_fields_may_be_absent_or_null(nothing: object) -> None:
    required = ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported"]
    metadata = parse_metadata(document(**dict.fromkeys(OKTA.keys() - required, nothing)), ISSUER)
    assert metadata == ProviderMetadata(*(OKTA[name] for name in required[:4]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["authorization_response_iss_parameter_supported", "require_pushed_authorization_requests"]
)
def test_a_flag_is_set_by_true_only(name: str) -> None:
    assert not getattr(parse_metadata(document(**{name: "true"}), ISSUER), name)


@pytest.mark.parametrize(
    ("changes", "field"),
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
        pytest.param({"token_endpoint": "https://:a@example.okta.com/"}, "token_endpoint", id="password"),
        pytest.param({"token_endpoint": "https://e/" + "a" * 2039}, "token_endpoint", id="too long"),
        pytest.param({"grant_types_supported": [1]}, "grant_types", id="a list of numbers"),
    ],
)
def test_an_unusable_document_is_refused_naming_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(MetadataRefused, match=field) as caught:
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
def test_a_document_that_is_not_one_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(MetadataRefused, match="The discovery document is"):
        parse_metadata(text, ISSUER)


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:9000", "[::1]:9000", "okta.localhost"])
def test_http_is_allowed_for_an_issuer_on_this_machine_only(host: str) -> None:
    issuer = f"http://{host}"
    local = {k: v.replace(ISSUER, issuer) if isinstance(v, str) else v for k, v in OKTA.items()}
    assert parse_metadata(json.dumps(local).encode(), issuer).token_endpoint == f"{issuer}/v1/token"
    local["token_endpoint"] = "http://example.okta.com/token"
    with pytest.raises(MetadataRefused, match="token_endpoint"):
        parse_metadata(json.dumps(local).encode(), issuer)
    for elsewhere in ("http://192.0.2.1", "http://localhost.example", "http://notlocalhost"):
        remote = json.dumps(OKTA).replace(ISSUER, elsewhere).encode()
        with pytest.raises(MetadataRefused, match="must be https"):
            parse_metadata(remote, elsewhere)


def test_a_long_url_is_accepted() -> None:
    url = "https://e/" + "a" * 2038
    assert parse_metadata(document(token_endpoint=url), ISSUER).token_endpoint == url


def test_endpoints_on_another_host_are_listed_with_their_hosts() -> None:
    same = ProviderMetadata(
        "https://id.example", "https://id.example/a", "https://id.example:8443/t", "https://id.example/k"
    )
    assert endpoints_elsewhere(same) == {}
    apart = replace(same, token_endpoint="https://oauth.example/t", revocation_endpoint="https://id.example.evil/r")
    assert endpoints_elsewhere(apart) == {"token_endpoint": "oauth.example", "revocation_endpoint": "id.example.evil"}
