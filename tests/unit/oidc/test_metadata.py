"""Discovery documents: Okta's shape, and what makes one unusable."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bff.oidc.metadata import (
    MetadataRefused,
    NoDiscoveryDocument,
    ProviderMetadata,
    discovery_url,
    endpoints_elsewhere,
    parse_metadata,
)
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
    for name in ProviderMetadata.__dataclass_fields__.keys() - {"ignored"}:
        value = getattr(metadata, name)
        assert (list(value) if isinstance(value, tuple) else value) == OKTA[name], name


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://id.example", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/o/app/", "https://id.example/o/app/.well-known/openid-configuration"),
        ("https://id.example//", "https://id.example//.well-known/openid-configuration"),
    ],
)
def test_the_well_known_path_follows_the_issuer_without_its_terminating_slash(issuer: str, url: str) -> None:
    assert discovery_url(issuer) == url


def test_the_trailing_slash_is_part_of_the_issuer() -> None:
    with_slash = ISSUER + "/"
    assert parse_metadata(document(issuer=with_slash), with_slash).issuer == with_slash
    for ours, theirs in ((with_slash, ISSUER), (ISSUER, with_slash), (with_slash, with_slash + "/")):
        with pytest.raises(MetadataRefused, match="trailing slash included"):
            parse_metadata(document(issuer=theirs), ours)


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


BAD_FIELDS: dict[str, list[Any]] = {
    "issuer": [ISSUER + "/", "https://evil"],
    "jwks_uri": [ABSENT, "file:///etc/passwd", "data:application/json,{}"],
    "authorization_endpoint": [None, "javascript:alert(1)"],
    "response_types_supported": [ABSENT, ["id_token"], "code"],
    "grant_types_supported": [["implicit"]],
    "code_challenge_methods_supported": [["plain"]],
    "token_endpoint": [
        *[ABSENT, ["https://example.okta.com/"], "https://e/" + "a" * 2039],
        *["http://example.okta.com/token", "http://localhost/token", "ftp://example.okta.com/", "//example.okta.com/"],
        *["https:///token", "https://a:b@evil/", "https://evil/#x", "https://evil/\n", "https://evil:99999/"],
        "https://example.okta.com\\@evil/",
    ],
}


@pytest.mark.case("JK-008", "JK-009")
@pytest.mark.parametrize(("field", "value"), [(field, value) for field, bad in BAD_FIELDS.items() for value in bad])
def test_an_unusable_document_is_refused_naming_the_field(field: str, value: Any) -> None:
    with pytest.raises(MetadataRefused, match=f"^{field}: ") as caught:
        parse_metadata(document(**{field: value}), ISSUER)
    assert caught.value.code == "provider_metadata_invalid"
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *[b"", b"<html>captive portal</html>", b"[]", b"null", b"\xff", b'{"issuer":"a","issuer":"b"}', b'{"x":NaN}'],
        *[
            b'{"maintenance":true}',
            b'{"issuer":null}',
            b'{"issuer":["a"]}',
            b'{"x":1e999}',
            b"{" + b" " * (1 << 20) + b"}",
            b"[" * 100_000,
        ],
    ],
    ids=lambda text: repr(text[:24]),
)
def test_a_document_that_is_not_one_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(NoDiscoveryDocument, match="The discovery document ") as caught:
        parse_metadata(text, ISSUER)
    assert caught.value.code == "provider_unavailable"


USELESS: dict[str, list[Any]] = {
    "revocation_endpoint": ["", "none", 1, ["https://example.okta.com/revoke"]],
    "end_session_endpoint": ["http://example.okta.com/", "javascript:alert(1)"],
    "userinfo_endpoint": ["https://a:b@evil/"],
    "pushed_authorization_request_endpoint": [False],
    "grant_types_supported": [[1], "authorization_code"],
    "code_challenge_methods_supported": ["S256"],
    "id_token_signing_alg_values_supported": ["RS256", [1], {}],
    "token_endpoint_auth_methods_supported": [""],
    "dpop_signing_alg_values_supported": ["ES256"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, bad in USELESS.items() for value in bad])
def test_a_useless_optional_member_counts_as_absent_and_is_named(field: str, value: Any) -> None:
    metadata = parse_metadata(document(**{field: value}), ISSUER)
    assert replace(metadata, ignored=()) == parse_metadata(document(**{field: ABSENT}), ISSUER)
    (reason,) = metadata.ignored
    assert reason.startswith(f"{field}: ")
    assert "evil" not in reason


def test_a_member_that_is_not_used_may_be_anything() -> None:
    assert parse_metadata(document(scopes_supported="openid", claims_supported={}), ISSUER).ignored == ()


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
