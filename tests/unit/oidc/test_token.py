"""Responses of the token and revocation endpoints: what each means for the refresh token that was sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.token import (
    Denied,
    Granted,
    NoAnswer,
    NotRevoked,
    Postponed,
    RevocationResult,
    Revoked,
    TokenResponse,
    TokenResult,
    TokenType,
    code_exchange_form,
    parse_revocation_response,
    parse_token_response,
    refresh_form,
    revocation_form,
)

NOW = 1_790_000_000.0
ABSENT = ...  # not a value of JSON
RESET = {"x-rate-limit-reset": str(int(NOW) + 20)}


def tokens(**changes: Any) -> bytes:
    fields = {
        "token_type": "Bearer",
        "expires_in": 3600,
        "access_token": "at",
        "refresh_token": "rt",
        "scope": "openid",
        **changes,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not ABSENT}).encode()


def error(code: Any, **more: Any) -> bytes:
    return json.dumps({"error": code, **more}).encode()


def parse(
    status: int, body: bytes | None, headers: dict[str, str] | None = None, kind: TokenType = "Bearer"
) -> TokenResult:
    return parse_token_response(status, headers or {}, body, NOW, token_type=kind)


def granted(body: bytes, kind: TokenType = "Bearer") -> TokenResponse:
    result = parse(200, body, kind=kind)
    assert isinstance(result, Granted), result
    return result.tokens


UNREADABLE_ERRORS = [
    *[b'{"error":"invalid_grant"', b'{"error":"x","error":"invalid_grant"}', b'["invalid_grant"]'],
    *[b"<html>error=invalid_grant</html>", b" <!doctype html>", b"invalid_grant", b"null", b"\x00"],
]
UNSPECIFIED_ERRORS = [
    *[error(code) for code in (["invalid_grant"], "invalid\ngrant", "invalid_grant\n", "e" * 65, "", None)],
    *[b"", b" \r\n", b"{}", b'{"message":"invalid_grant"}', error("unreadable")],
]


def test_a_complete_response_is_granted() -> None:
    response = granted(tokens(id_token="a.b.c"))
    assert response == TokenResponse("at", 3600, "rt", "a.b.c", "openid")
    shown = repr(TokenResponse("SECRET", 3600, "SECRET", "SECRET"))
    assert "SECRET" not in shown


@pytest.mark.case("AZ-060")
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # Okta's catalogue
        (400, error("invalid_grant", error_description="gone"), Denied(400, "invalid_grant", "gone")),
        (401, error("invalid_client"), Denied(401, "invalid_client")),
        (400, error("access_denied"), Denied(400, "access_denied")),
        (403, error("access_denied"), Denied(403, "access_denied")),
        (400, error("server_error"), Denied(400, "server_error")),
        (404, b'{"errorCode":"E0000007","errorSummary":"Not found"}', Denied(404, "E0000007", "Not found")),
        # throttled: the status first, whatever the code says
        (429, error("invalid_grant"), Postponed()),
        (429, b'{"errorCode":"E0000047"}', Postponed(client_wide=True)),
        (429, b"<html>", Postponed(client_wide=True)),
        (400, error("temporarily_unavailable"), Postponed()),
        (401, error("temporarily_unavailable"), Denied(401, "temporarily_unavailable")),
        # the outcome is unknown
        (500, error("invalid_grant"), NoAnswer(True, "status 500")),
        (502, b"<html>", NoAnswer(True, "status 502")),
        (503, error("temporarily_unavailable"), NoAnswer(True, "status 503")),
        (408, error("invalid_grant"), NoAnswer(True, "status 408")),
        (302, b"", NoAnswer(True, "status 302")),
        (307, tokens(), NoAnswer(True, "status 307")),
        (204, b"", NoAnswer(True, "status 204")),
        (201, tokens(), NoAnswer(True, "status 201")),
        # refused by an intermediary, or unreadable
        (403, b"<html>forbidden</html>", Denied(403, "unreadable")),
        *[(400, body, Denied(400, "unreadable")) for body in (None, *UNREADABLE_ERRORS)],
        *[(status, body, Denied(status, "unspecified")) for body in UNSPECIFIED_ERRORS for status in (400, 403)],
        (429, None, Postponed(client_wide=True)),
        (200, None, NoAnswer(True, "the body is not JSON")),
        (400, error("e" * 64), Denied(400, "e" * 64)),
        (400, error("x", error_description=["y"]), Denied(400, "x")),
        (400, error("x", error_description="a\r\nb\x1b[31m"), Denied(400, "x", "a  b [31m")),
        (400, error("x", error_description="d" * 9999), Denied(400, "x", "d" * 500)),
        # tokens and an error together
        (200, tokens(error="x", error_description="y"), Denied(200, "x", "y")),
        (200, tokens(error=""), Denied(200, "unreadable")),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_status_decides_before_the_error_code(status: int, body: bytes | None, expected: TokenResult) -> None:
    assert parse(status, body) == expected


@pytest.mark.case("RF-038")
def test_the_wait_that_a_response_asks_for_is_kept() -> None:
    assert parse(429, error("invalid_grant"), RESET) == Postponed(21.0)
    assert parse(429, b"", RESET) == Postponed(21.0, client_wide=True)
    assert parse(503, b"", RESET) == NoAnswer(True, "status 503", None)
    assert parse(503, b"", {"retry-after": "7", **RESET}) == NoAnswer(True, "status 503", 7.0)
    assert parse(400, error("temporarily_unavailable"), {"retry-after": "7", **RESET}) == Postponed(7.0)


UNUSABLE = {  # why: bodies
    "the body is": [
        *[b"", tokens()[:-5], b"<html>", tokens().decode().encode("utf-16"), b"[]", b'"x"', b"null"],
        *[b'{"access_token":"a","access_token":"b","token_type":"Bearer"}', tokens(pad="x" * 300_000)],
    ],
    "token_type": [
        *[b"{}", tokens(token_type="DPoP", refresh_token=ABSENT), tokens(token_type="MAC", refresh_token="")],
        tokens(token_type=ABSENT, refresh_token=None),
    ],
    "no access": [tokens(access_token=ABSENT, refresh_token=ABSENT, id_token="a.b.c")],
}


@pytest.mark.case("RF-008", "AZ-056", "AZ-058", "AZ-061")
@pytest.mark.parametrize(
    ("body", "why"),
    [(body, why) for why, bodies in UNUSABLE.items() for body in bodies],
    ids=lambda value: repr(value)[:20],
)
def test_a_200_without_a_usable_token_leaves_the_outcome_unknown(body: bytes, why: str) -> None:
    result = parse(200, body)
    assert isinstance(result, NoAnswer)
    assert result.may_have_been_sent
    assert why in result.why


@pytest.mark.parametrize(
    ("kind", "token_type", "problem"),
    [
        ("Bearer", "bEaReR", ""),
        ("DPoP", "dpop", ""),
        ("DPoP", "Bearer", "RFC 9449"),
        ("Bearer", "DPoP", "not Bearer"),
        ("Bearer", None, "not Bearer"),
        ("Bearer", ["Bearer"], "not Bearer"),
    ],
)
def test_the_token_type_is_the_one_that_was_asked_for(kind: TokenType, token_type: Any, problem: str) -> None:
    response = granted(tokens(token_type=token_type), kind)
    assert response.refresh_token == "rt"
    assert (response.access_token == "at") is not bool(problem)
    assert problem in response.problem


@pytest.mark.case("PX-074", "PX-075")
@pytest.mark.parametrize(
    "access_token",
    [ABSENT, "", 7, "a\r\nX-Evil: 1", "a b", "tökn", "a\n", "a" * (16 * 1024 + 1)],
    ids=lambda value: repr(value)[:20],
)
def test_an_unusable_access_token_does_not_lose_the_refresh_token_beside_it(access_token: Any) -> None:
    response = granted(tokens(access_token=access_token))
    assert (response.access_token, response.refresh_token) == (None, "rt")
    assert "access token" in response.problem


def test_optional_fields_are_text_or_absent() -> None:
    assert granted(tokens(access_token="a" * (16 * 1024))).access_token
    for absent in (ABSENT, None, "", 7, ["rt"], "r\nt"):
        assert granted(tokens(refresh_token=absent)).refresh_token is None  # RF-009
    for absent in (ABSENT, None, "", 7):
        assert granted(tokens(id_token=absent)).id_token is None
    assert granted(tokens(scope=["openid"])).scope is None


@pytest.mark.case("RF-009", "RF-013")
def test_expires_in_is_seconds_or_absent() -> None:
    for value, seconds in ((3600, 3600), ("3600", 3600), (0, 0), (3600.7, 3600)):
        assert granted(tokens(expires_in=value)).expires_in == seconds
    for huge in (1e12, 10**400, "9" * 15):
        assert granted(tokens(expires_in=huge)).expires_in == 315_360_000
    for invalid in ("9" * 16, "1e3", "-1", "٣", -1, True, None, [3600], ABSENT):
        assert granted(tokens(expires_in=invalid)).expires_in is None


@given(
    status=st.integers(100, 599),
    body=st.one_of(st.binary(max_size=200), st.dictionaries(st.text(), st.none() | st.text()).map(json.dumps)),
    wait=st.text(max_size=30),
)
def test_no_response_makes_parsing_raise(status: int, body: bytes | str, wait: str) -> None:
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    result = parse(status, data, {"retry-after": wait, "date": wait})
    if status == 429:
        assert isinstance(result, Postponed)
    if status >= 500:
        assert isinstance(result, NoAnswer)
        assert result.may_have_been_sent
    parse_revocation_response(status, {"retry-after": wait}, data, NOW)


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (200, b"<html>", {}, Revoked()),
        (400, error("unsupported_token_type"), {}, NotRevoked("unsupported_token_type", final=True)),
        (400, error("invalid_request"), {"retry-after": "7"}, NotRevoked("invalid_request", final=True, retry_after=7)),
        (400, error("invalid_client"), {}, NotRevoked("status 400", client_refused=True)),
        (400, error("canary"), {}, NotRevoked("status 400")),
        (400, b"<html>", {}, NotRevoked("status 400")),
        (401, error("invalid_client"), {}, NotRevoked("status 401", client_refused=True)),
        (401, b"", {}, NotRevoked("status 401", client_refused=True)),
        (429, b"", RESET, NotRevoked("status 429", retry_after=21)),
        (503, b"", RESET, NotRevoked("status 503")),
        (503, error("invalid_request"), {"retry-after": "7"}, NotRevoked("status 503", retry_after=7)),
        (302, b"", {}, NotRevoked("status 302")),
    ],
)
def test_only_a_refusal_of_the_revocation_itself_is_final(
    status: int, body: bytes, headers: dict[str, str], expected: RevocationResult
) -> None:
    assert parse_revocation_response(status, headers, body, NOW) == expected


def test_the_forms_have_the_parameters_of_the_specifications() -> None:
    assert code_exchange_form("c", redirect_uri="https://app.example/cb", code_verifier="v") == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": "https://app.example/cb",
        "code_verifier": "v",
    }
    assert refresh_form("rt") == {"grant_type": "refresh_token", "refresh_token": "rt"}
    assert revocation_form("rt", "refresh_token") == {"token": "rt", "token_type_hint": "refresh_token"}
