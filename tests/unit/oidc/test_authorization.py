"""The authorization request, and what browsers bring back to the callback."""

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


def provider(endpoint: str = f"{ISSUER}/v1/authorize", *, says_iss: bool = False) -> ProviderMetadata:
    return ProviderMetadata(
        issuer=ISSUER,
        authorization_endpoint=endpoint,
        token_endpoint=f"{ISSUER}/v1/token",
        jwks_uri=f"{ISSUER}/v1/keys",
        authorization_response_iss_parameter_supported=says_iss,
    )


def url(metadata: ProviderMetadata, **more: object) -> str:
    arguments: dict[str, object] = {
        "client_id": "0oa1",
        "redirect_uri": "https://app.example/authorization-code/callback",
        "scopes": ("openid", "offline_access"),
        "state": "s.t-a_te",
        "nonce": "n",
        "code_challenge": "c",
        **more,
    }
    return authorization_url(metadata, authorization_parameters(**arguments))  # type: ignore[arg-type]


def test_the_request_asks_for_a_code_with_state_nonce_and_s256() -> None:
    parts = urlsplit(url(provider()))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{ISSUER}/v1/authorize"
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
    more = SignInOptions("login", 0, ("a", "b"), "a+b&c=d@e é", "0oa2")
    sent = dict(parse_qsl(urlsplit(url(provider(), options=more)).query))
    assert sent["max_age"] == "0"
    assert sent["acr_values"] == "a b"
    assert sent["login_hint"] == "a+b&c=d@e é"
    assert (sent["prompt"], sent["idp"]) == ("login", "0oa2")
    assert "+" not in url(provider(), options=more)  # a space as %20 is read alike by everybody


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


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("code=C", id="AZ-001 no state"),
        pytest.param("code=C&state=", id="AZ-001 empty state"),
        pytest.param("code=C&state=GOOD&state=BAD", id="AZ-009 state twice"),
        pytest.param("code=C&state=S&st%61te=S", id="AZ-009 state twice, once escaped"),
        pytest.param("code=A&code=B&state=S", id="AZ-010 code twice"),
        pytest.param("code=A&code=&state=S", id="AZ-010 code twice, once empty"),
        pytest.param("code=C&error=access_denied&state=S", id="AZ-011 code and error"),
        pytest.param("code=C&state=S&iss=a&iss=b", id="iss twice"),
        pytest.param("error=a&error=b&state=S", id="error twice"),
        pytest.param("state=S", id="state alone"),
        pytest.param("code=C%00&state=S", id="NUL"),
        pytest.param("code=C%0d%0a&state=S", id="line break"),
        pytest.param("code=C&state=S%7f", id="DEL"),
        pytest.param("code=%C3%A9&state=S", id="not ASCII"),
        pytest.param("code=%ff&state=S", id="not UTF-8"),
        pytest.param("code=%zz&state=S", id="a broken escape"),
        pytest.param("code=%4&state=S", id="a short escape"),
        pytest.param("code=é&state=S", id="raw bytes"),
        pytest.param("code=" + "C" * 4097 + "&state=S", id="a long code"),
        pytest.param("code=C&state=" + "S" * 2049, id="a long state"),
        pytest.param("error=" + "e" * 129, id="a long error"),
        pytest.param("x=" + "x" * 20_000, id="a long query"),
        pytest.param("id_token=a.b.c&state=S", id="an implicit answer"),
        pytest.param("access_token=a&state=S&code=C", id="a hybrid answer"),
        pytest.param("response=a.b.c", id="a JARM answer"),
    ],
)
def test_a_malformed_response_is_not_used_in_any_part(query: str) -> None:
    answer = read_authorization_response(query)
    assert isinstance(answer, Malformed)
    assert isinstance(read_authorization_response(query.encode()), Malformed)


@given(st.one_of(st.text(), st.binary()))
def test_reading_never_raises(query: str | bytes) -> None:
    read_authorization_response(query)


@pytest.mark.parametrize(
    ("says_iss", "iss", "believed"),
    [
        pytest.param(True, ISSUER, True, id="right"),
        pytest.param(True, None, False, id="AZ-027 missing though advertised"),
        pytest.param(False, None, True, id="missing, as Okta does"),
        pytest.param(False, ISSUER, True, id="right though not advertised"),
        pytest.param(True, "https://evil", False, id="AZ-026 wrong"),
        pytest.param(False, "https://evil", False, id="AZ-026 wrong though not advertised"),
        pytest.param(True, ISSUER + "/", False, id="AZ-026 a slash more"),
    ],
)
def test_the_issuer_of_a_response_is_validated(says_iss: bool, iss: str | None, believed: bool) -> None:
    assert (check_issuer(provider(says_iss=says_iss), iss) is None) is believed


def test_codes_and_states_are_not_in_a_repr() -> None:
    assert "SECRET" not in repr(read_authorization_response("code=SECRET&state=SECRET"))
    assert "SECRET" not in repr(read_authorization_response("error=x&state=SECRET"))
