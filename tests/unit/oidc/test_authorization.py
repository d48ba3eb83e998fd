"""The authorization request, and the response that a browser brings back to the callback."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.authorization import (
    AuthorizationError,
    Code,
    Malformed,
    NoParameters,
    SignInOptions,
    authorization_parameters,
    authorization_url,
    check_issuer,
    read_authorization_response,
)
from bff.oidc.metadata import ProviderMetadata
from tests.harness.minting import ISSUER


def provider(endpoint: str = f"{ISSUER}/v1/authorize", *, advertised: bool = False) -> ProviderMetadata:
    return ProviderMetadata(
        issuer=ISSUER,
        authorization_endpoint=endpoint,
        token_endpoint=f"{ISSUER}/v1/token",
        jwks_uri=f"{ISSUER}/v1/keys",
        authorization_response_iss_parameter_supported=advertised,
    )


def url(metadata: ProviderMetadata, **changes: object) -> str:
    arguments: dict[str, object] = {
        "client_id": "0oa1",
        "redirect_uri": "https://app.example/authorization-code/callback",
        "scopes": ("openid", "offline_access"),
        "state": "s.t-a_te",
        "nonce": "n",
        "code_challenge": "c",
        **changes,
    }
    return authorization_url(metadata, authorization_parameters(**arguments))  # type: ignore[arg-type]


def test_the_request_asks_for_a_code_with_state_nonce_and_s256() -> None:
    parts = urlsplit(url(provider()))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{ISSUER}/v1/authorize"
    assert "redirect_uri=https%3A%2F%2Fapp.example%2F" in parts.query
    assert parse_qsl(parts.query) == [
        ("response_type", "code"),
        ("response_mode", "query"),
        ("client_id", "0oa1"),
        ("redirect_uri", "https://app.example/authorization-code/callback"),
        ("scope", "openid offline_access"),
        ("state", "s.t-a_te"),
        ("nonce", "n"),
        ("code_challenge", "c"),
        ("code_challenge_method", "S256"),
    ]


def test_optional_parameters_are_sent_when_given_and_encoded() -> None:
    options = SignInOptions("login", 0, ("a", "b"), "a+b&c=d@e é", "0oa2")
    sent = dict(parse_qsl(urlsplit(url(provider(), options=options, response_mode="form_post")).query))
    assert (sent["max_age"], sent["acr_values"], sent["login_hint"]) == ("0", "a b", "a+b&c=d@e é")
    assert (sent["prompt"], sent["idp"], sent["response_mode"]) == ("login", "0oa2", "form_post")
    assert "+" not in url(provider(), options=options)  # every parser reads %20 as a space
    assert "a+b" not in repr(options)
    assert (SignInOptions("none").silent, options.silent) == (True, False)


@pytest.mark.parametrize(
    ("endpoint", "start"),
    [
        ("https://op.example/a?tenant=1", "https://op.example/a?tenant=1&response_type=code&"),
        ("https://op.example/a?", "https://op.example/a?response_type=code&"),
        ("https://op.example/a", "https://op.example/a?response_type=code&"),
    ],
)
def test_a_query_of_the_endpoint_is_kept(endpoint: str, start: str) -> None:
    assert url(provider(endpoint)).startswith(start)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code=C&state=S", Code("C", "S")),
        ("state=S&code=C&iss=https%3A%2F%2Fop", Code("C", "S", "https://op")),
        ("code=C&state=S&session_state=1&unknown=2&unknown=3", Code("C", "S")),
        ("code=C%2Bd&state=S", Code("C+d", "S")),
        ("code=C==&state=S", Code("C==", "S")),
        ("c%6fde=C&state=S", Code("C", "S")),
        ("error=access_denied&state=S", AuthorizationError("access_denied", "", "S")),
        ("error=access_denied", AuthorizationError("access_denied")),
        (
            "error=x&error_description=User+is+not%20assigned%0d%0a&state=S&iss=i",
            AuthorizationError("x", "User is not assigned  ", "S", "i"),
        ),
        ("error=x&code=&state=S", AuthorizationError("x", "", "S")),
        ("error=x&error_uri=https://evil&state=S", AuthorizationError("x", "", "S")),
        ("error=x&error_description=" + "d" * 9999, AuthorizationError("x", "d" * 500)),
        (f"code={'C' * 4096}&state={'S' * 2048}", Code("C" * 4096, "S" * 2048)),
        (f"error={'e' * 128}&iss={'i' * 2048}", AuthorizationError("e" * 128, iss="i" * 2048)),
        ("x=" + "x" * 16_382, NoParameters()),
        ("", NoParameters()),
        ("iss=https%3A%2F%2Fexample.okta.com", NoParameters("https://example.okta.com")),
        ("iss=", NoParameters()),
        ("utm_source=mail", NoParameters()),
        ("&&", NoParameters()),
    ],
)
def test_a_response_is_read(query: str, expected: object) -> None:
    assert read_authorization_response(query) == expected
    assert read_authorization_response(query.encode()) == expected


MALFORMED = {  # reason: queries
    "state is missing": ["code=C", "code=C&state="],
    "state appears twice": ["code=C&state=GOOD&state=BAD", "code=C&state=S&st%61te=S"],
    "code appears twice": ["code=A&code=B&state=S", "code=A&code=&state=S"],
    "code and error appear together": ["code=C&error=access_denied&state=S"],
    **{f"{name} appears twice": [f"state=S&{name}=a&{name}=b"] for name in ("iss", "error", "error_description")},
    "error_uri appears twice": ["state=S&error_uri=a&error_uri=b"],
    "both code and error are missing": ["state=S"],
    "printable": ["code=C%00&state=S", "code=C%0d%0a&state=S", "code=C&state=S%7f", "code=%C3%A9&state=S"],
    "not UTF-8": ["code=%ff&state=S", "code=%zz&state=S", "code=%4&state=S", "code=é&state=S"],
    "code is too long": [f"code={'C' * 4097}&state=S"],
    "state is too long": [f"code=C&state={'S' * 2049}"],
    "iss is too long": [f"code=C&state=S&iss={'i' * 2049}"],
    "error is too long": [f"error={'e' * 129}"],
    "it is too long": ["x=" + "x" * 16_383],
    "a flow": ["id_token=a.b.c&state=S", "access_token=a&state=S&code=C", "response=a.b.c"],
}


@pytest.mark.case("AZ-001", "AZ-009", "AZ-010", "AZ-011")
@pytest.mark.parametrize("reason", MALFORMED)
def test_no_part_of_a_malformed_response_is_used(reason: str) -> None:
    for query in MALFORMED[reason]:
        for encoded in (query, query.encode()):
            result = read_authorization_response(encoded)
            assert isinstance(result, Malformed), query
            assert reason in result.reason


@pytest.mark.parametrize(
    ("query", "error", "description"),
    [
        ("error=access_denied&error_description=Zugriff+verweigert:+%C3%BC&state=S", "access_denied", "verweigert: ü"),
        ("error=access_denied&error_description=Zugriff+verweigert:+%FC&state=S", "access_denied", "\ufffd"),
        ("error=access_denied&error_description=ü&state=S", "access_denied", "\ufffd"),
        ("error=acc%C3%A8s&state=S", "unreadable", ""),
        ("error=%FF&error_uri=%FF&state=S", "unreadable", ""),
        ("error=a%0d%0ab&state=S", "unreadable", ""),
    ],
)
def test_an_error_outside_the_alphabet_of_rfc_6749_is_still_an_error_response(
    query: str, error: str, description: str
) -> None:
    result = read_authorization_response(query)
    assert isinstance(result, AuthorizationError)
    assert (result.error, result.state) == (error, "S")
    assert description in result.description


@given(st.text(max_size=100) | st.binary(max_size=100))
def test_no_response_makes_reading_raise(query: str | bytes) -> None:
    read_authorization_response(query)


@pytest.mark.case("AZ-026", "AZ-027")
@pytest.mark.parametrize(
    ("iss", "advertised", "not_advertised"),
    [
        (ISSUER, True, True),
        (None, False, True),  # as Okta does
        ("https://evil", False, False),
        (ISSUER + "/", False, False),
    ],
)
def test_the_issuer_of_a_response_is_checked(iss: str | None, advertised: bool, not_advertised: bool) -> None:
    assert (check_issuer(provider(advertised=True), iss) is None) is advertised
    assert (check_issuer(provider(advertised=False), iss) is None) is not_advertised


def test_codes_and_states_are_not_in_a_repr() -> None:
    assert "SECRET" not in repr(read_authorization_response("code=SECRET&state=SECRET"))
    assert "SECRET" not in repr(read_authorization_response("error=x&state=SECRET"))
