"""Who gets a page and who problem JSON, and what is recorded of an error."""

import logging

import pytest
from starlette.requests import Request

from bff.errors import BffError, CsrfRequired, InvalidRequest, RateLimited, RouteNotFound, SignInExpired, SignInRequired
from bff.telemetry import tracing
from bff.web.error_page import ErrorPages
from bff.web.error_responder import ErrorResponder, wants_page
from bff.web.error_status import status_of
from tests.harness.asgi_call import http_scope
from tests.unit.web.test_problem_details import SENT

Headers = list[tuple[bytes, bytes]]
NAVIGATION: Headers = [(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document"), (b"accept", b"text/html")]
FETCH: Headers = [(b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty"), (b"accept", b"*/*"), (b"x-csrf", b"1")]
CHROME = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def accept(*values: bytes) -> Headers:
    return [(b"accept", value) for value in values]


@pytest.mark.parametrize(
    ("headers", "page"),
    [
        (NAVIGATION, True),
        ([(b"Sec-Fetch-Mode", b"navigate")], True),
        ([(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"iframe"), *accept(CHROME)], True),
        ([(b"sec-fetch-dest", b"document")], True),
        (FETCH, False),
        ([(b"sec-fetch-mode", b"cors"), *accept(CHROME)], False),
        ([(b"sec-fetch-mode", b"no-cors"), (b"sec-fetch-dest", b"image"), *accept(CHROME)], False),
        (accept(CHROME), True),
        ([*accept(CHROME), (b"x-csrf", b"1")], False),
        ([*accept(CHROME), (b"x-requested-with", b"XMLHttpRequest")], False),
        ([], False),
        *((accept(value), False) for value in (b"*/*", b"application/json", b"application/json, text/plain, */*")),
        (accept(b"text/html;q=0.5, application/json"), False),
        (accept(b"text/html;q=0.5, application/problem+json"), False),
        (accept(b"text/html, application/json;q=0.9"), True),
        (accept(b"application/json;q=0.9", b"TEXT/HTML ; q=1.0"), True),
        (accept(b"text/html, application/json"), True),
        (accept(b"text/html;level=1;q=2, application/json"), True),
        *((accept(b"text/html;q=" + quality), False) for quality in (b"0", b"x", b"nan", b"-1")),
        *((accept(value), False) for value in (b"\xff,;;=,q=", b"text/event-stream")),
    ],
)
def test_a_navigation_gets_a_page_and_a_fetch_gets_json(headers: Headers, page: bool) -> None:
    assert wants_page(headers) is page
    for responder, shown in ((ErrorResponder(ErrorPages()), page), (ErrorResponder(), False)):
        content_type = dict(responder.render(InvalidRequest(), headers).headers)[b"content-type"]
        assert content_type.startswith(b"text/html" if shown else b"application/problem+json")


@pytest.mark.case("CK-038")
@pytest.mark.parametrize("error", SENT, ids=lambda error: error.code)
def test_no_error_ends_a_session_or_is_another_origins_to_read(error: type[BffError]) -> None:
    for request in (NAVIGATION, FETCH):
        status, headers, body = ErrorResponder(ErrorPages()).render(error(), request)
        assert status == status_of(error())
        assert error.code.encode() in body
        assert tracing.correlation_id().encode() in body
        fields = dict(headers)
        assert (fields[b"cache-control"], fields[b"content-length"]) == (b"no-store", str(len(body)).encode())
        assert not {b"set-cookie", b"clear-site-data", b"access-control-allow-origin"} & set(fields)


@pytest.mark.parametrize(
    ("error", "level", "event"),
    [
        (InvalidRequest("why"), logging.WARNING, None),
        (SignInRequired(), logging.DEBUG, None),
        (RouteNotFound(), logging.DEBUG, None),
        (CsrfRequired("why"), None, "csrf_refused"),
        (RateLimited(retry_after=1), None, "rate_limited"),
        (SignInExpired(), None, "sign_in_refused"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_recorded_once_by_its_code_and_never_by_its_path(
    caplog: pytest.LogCaptureFixture, error: BffError, level: int | None, event: str | None
) -> None:
    caplog.set_level(logging.DEBUG)
    ErrorResponder().respond(error, Request(http_scope("GET", "/CANARY?code=CANARY")))
    [record] = caplog.records
    assert "CANARY" not in str(vars(record))
    if level is not None:
        assert (record.levelno, vars(record)["error"], record.getMessage()) == (level, error.code, "request failed")
    else:
        assert event in str(vars(record)).replace("-", "_")
