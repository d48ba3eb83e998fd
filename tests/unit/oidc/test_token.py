"""Answers of the token endpoint: what each means for the refresh token that was sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.token import (
    Denied,
    Granted,
    NoAnswer,
    Postponed,
    TokenResult,
    code_exchange_form,
    parse_token_response,
    refresh_form,
    revocation_form,
)

NOW = 1_790_000_000.0
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"  # NOW


class _Absent:
    """The same text in every process: test ids must not name an address."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


def tokens(**changes: Any) -> bytes:
    answer = {
        "token_type": "Bearer",
        "expires_in": 3600,
        "access_token": "at",
        "refresh_token": "rt",
        "scope": "openid",
    }
    return json.dumps({k: v for k, v in {**answer, **changes}.items() if v is not ABSENT}).encode()


def error(code: Any, **more: Any) -> bytes:
    return json.dumps({"error": code, **more}).encode()


def parse(status: int, body: bytes, **headers: str) -> TokenResult:
    return parse_token_response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW)


def granted(body: bytes) -> Any:
    answer = parse(200, body)
    assert isinstance(answer, Granted), answer
    return answer.tokens


def test_a_full_answer_is_granted() -> None:
    response = granted(tokens(id_token="a.b.c"))
    assert (response.access_token, response.refresh_token, response.id_token) == ("at", "rt", "a.b.c")
    assert (response.expires_in, response.scope) == (3600, "openid")
    assert "rt" not in repr(response).replace("refresh", "")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # Okta's catalogue
        (400, error("invalid_grant", error_description="gone"), Denied(400, "invalid_grant", "gone")),
        (401, error("invalid_client"), Denied(401, "invalid_client")),
        (400, error("access_denied"), Denied(400, "access_denied")),
        (401, error("access_denied"), Denied(401, "access_denied")),
        (403, error("access_denied"), Denied(403, "access_denied")),
        (400, error("unauthorized_client"), Denied(400, "unauthorized_client")),
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
        (504, b"", NoAnswer(True, "status 504")),
        (408, b"", NoAnswer(True, "status 408")),
        (302, b"", NoAnswer(True, "status 302")),
        (307, tokens(), NoAnswer(True, "status 307")),
        (204, b"", NoAnswer(True, "status 204")),
        (201, tokens(), NoAnswer(True, "status 201")),
        # refused by something in between
        (403, b"<html>forbidden</html>", Denied(403, "unreadable")),
        (400, b'{"error":"invalid_grant"', Denied(400, "unreadable")),
        (400, b'{"error":"x","error":"invalid_grant"}', Denied(400, "unreadable")),
        (400, error(["invalid_grant"]), Denied(400, "unreadable")),
        (400, error("invalid\ngrant"), Denied(400, "unreadable")),
        (400, error("e" * 65), Denied(400, "unreadable")),
        (400, error("x", error_description="a\r\nb\x1b[31m"), Denied(400, "x", "a  b [31m")),
        (400, error("x", error_description="d" * 9999), Denied(400, "x", "d" * 500)),
        # both at once
        (200, tokens(error="x"), Denied(200, "x")),
        (200, tokens(error=""), Denied(200, "unreadable")),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_refusal_is_what_its_status_says_first(status: int, body: bytes, expected: TokenResult) -> None:
    assert parse(status, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="RF-008 empty"),
        pytest.param(tokens()[:-5], id="RF-008 truncated"),
        pytest.param(b"<html>", id="RF-008 HTML"),
        pytest.param(tokens().decode().encode("utf-16"), id="RF-008 another charset"),
        pytest.param(b"[]", id="AZ-056 a list"),
        pytest.param(b'"x"', id="AZ-056 a string"),
        pytest.param(b"null", id="AZ-056 null"),
        pytest.param(b"{}", id="nothing in it"),
        pytest.param(b'{"access_token":"a","access_token":"b","token_type":"Bearer"}', id="a name twice"),
        pytest.param(tokens(access_token=ABSENT, refresh_token=ABSENT, id_token="a.b.c"), id="an ID token alone"),
        pytest.param(tokens(token_type="DPoP", refresh_token=ABSENT), id="AZ-058 DPoP"),
        pytest.param(tokens(token_type="MAC", refresh_token=""), id="AZ-058 MAC"),
        pytest.param(tokens(token_type=ABSENT, refresh_token=None), id="AZ-058 no type"),
        pytest.param(tokens(pad="x" * 300_000), id="AZ-061 too long"),
    ],
)
def test_a_200_that_brings_nothing_usable_leaves_the_outcome_unknown(body: bytes) -> None:
    answer = parse(200, body)
    assert isinstance(answer, NoAnswer)
    assert answer.may_have_been_sent


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "bEaReR"])
def test_bearer_is_bearer_in_any_case(token_type: str) -> None:
    assert granted(tokens(token_type=token_type)).access_token == "at"


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": ABSENT},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "a\r\nX-Evil: 1"},
        {"access_token": "a b"},
        {"access_token": "tökn"},
        {"access_token": "a\n"},
        {"access_token": "a" * (16 * 1024 + 1)},
        {"token_type": "DPoP"},
        {"token_type": None},
        {"token_type": ["Bearer"]},
    ],
    ids=lambda changes: repr(changes)[:40],
)
def test_an_unusable_access_token_does_not_lose_the_refresh_token_beside_it(changes: dict[str, Any]) -> None:
    response = granted(tokens(**changes))
    assert response.access_token is None
    assert response.refresh_token == "rt"


@pytest.mark.parametrize("nothing", [ABSENT, None, "", 7, ["rt"], "r\nt"])
def test_no_refresh_token_means_that_the_old_one_stays(nothing: Any) -> None:
    assert granted(tokens(refresh_token=nothing)).refresh_token is None  # RF-009


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (0, 0),
        (1, 1),
        (3600.7, 3600),
        (1e12, 315_360_000),
        (10**400, 315_360_000),
        ("9" * 400, None),
        ("1e3", None),
        ("-1", None),
        ("٣", None),
        (-1, None),
        (True, None),
        (None, None),
        ([3600], None),
        (ABSENT, None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_expires_in_is_seconds_or_nothing(value: Any, seconds: int | None) -> None:
    assert granted(tokens(expires_in=value)).expires_in == seconds  # RF-013


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "5"}, 5.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "999999999"}, 86400.0),
        ({"retry_after": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60.0),
        ({"retry_after": "Mon, 21 Sep 2026 14:14:20 GMT", "date": "Mon, 21 Sep 2026 14:14:10 GMT"}, 10.0),
        ({"retry_after": "Mon, 21 Sep 2026 14:00:00 GMT"}, 0.0),
        ({"retry_after": "Mon, 99 Sep 2026 14:00:00 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "1.5"}, None),
        ({"retry_after": "1e9"}, None),
        ({"retry_after": "٣"}, None),
        ({}, None),
        ({"x_rate_limit_reset": str(int(NOW) + 20)}, 21.0),
        ({"x_rate_limit_reset": str(int(NOW) + 20), "date": "Mon, 21 Sep 2026 14:13:30 GMT"}, 11.0),
        ({"x_rate_limit_reset": str(int(NOW) + 20), "retry_after": "5"}, 5.0),
        ({"x_rate_limit_reset": str(int(NOW) + 20), "retry_after": "garbage"}, 21.0),
        ({"x_rate_limit_reset": str(int(NOW) - 20)}, 0.0),
        ({"x_rate_limit_reset": "never"}, None),
        ({"date": "yesterday", "x_rate_limit_reset": str(int(NOW) + 20)}, 21.0),
    ],
    ids=repr,
)
def test_a_throttled_answer_says_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    assert parse(429, error("invalid_grant"), **headers) == Postponed(seconds)  # RF-038


def test_the_rate_limit_headers_of_other_answers_are_no_request_to_wait() -> None:
    headers = {"x_rate_limit_reset": str(int(NOW) + 20)}
    assert parse(503, b"", **headers) == NoAnswer(True, "status 503", None)
    assert parse(503, b"", retry_after="7", **headers) == NoAnswer(True, "status 503", 7.0)
    assert parse(400, error("temporarily_unavailable"), retry_after="7", **headers) == Postponed(7.0)


@given(
    status=st.integers(100, 599),
    body=st.one_of(st.binary(max_size=200), st.dictionaries(st.text(), st.none() | st.text()).map(json.dumps)),
    wait=st.text(max_size=30),
)
def test_no_answer_whatever_it_holds_makes_us_stumble(status: int, body: bytes | str, wait: str) -> None:
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    answer = parse_token_response(status, {"retry-after": wait, "date": wait}, data, NOW)
    if status == 429:
        assert isinstance(answer, Postponed)
    if status >= 500:
        assert isinstance(answer, NoAnswer)
        assert answer.may_have_been_sent


def test_the_forms_say_what_the_specifications_ask_for() -> None:
    assert code_exchange_form("c", redirect_uri="https://app.example/cb", code_verifier="v") == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": "https://app.example/cb",
        "code_verifier": "v",
    }
    assert refresh_form("rt") == {"grant_type": "refresh_token", "refresh_token": "rt"}
    assert revocation_form("rt", "refresh_token") == {"token": "rt", "token_type_hint": "refresh_token"}
