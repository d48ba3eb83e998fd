"""Errors on the wire: problem JSON for a fetch, a page for a navigation, and nothing in either that is not ours."""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.errors import (
    BffError,
    InvalidRequest,
    MethodNotAllowed,
    NotAssigned,
    ProviderUnavailable,
    RouteNotFound,
    SignInExpired,
    SignInRequired,
    SignInStateInvalid,
    StoreUnavailable,
)
from bff.telemetry import tracing
from bff.web.error_page import ErrorPages
from bff.web.error_responder import ErrorResponder, wants_page
from bff.web.error_status import STATUS, status_of
from bff.web.problem_details import ErrorResponse, render_problem

NAVIGATION = [(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document"), (b"accept", b"text/html,*/*;q=0.8")]
FETCH = [(b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty"), (b"accept", b"*/*"), (b"x-csrf", b"1")]


def every_error(root: type[BffError] = BffError) -> Iterator[type[BffError]]:
    yield root
    for leaf in root.__subclasses__():
        # A subclass without a code of its own is a finer word for us, the same one for the caller.
        yield from (error for error in every_error(leaf) if "code" in vars(error))


ANSWERED = [error for error in every_error() if error.code != "configuration_error"]


def respond(error: BffError, headers: list[tuple[bytes, bytes]]) -> ErrorResponse:
    return ErrorResponder(ErrorPages()).render(error, headers)


class Page(HTMLParser):
    """What a browser or a screen reader would find."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.text[self._open[-1]] = self.text.get(self._open[-1], "") + data

    @property
    def links(self) -> list[str]:
        return [attrs["href"] or "" for tag, attrs in self.tags if tag == "a"]


# --- problem JSON ----------------------------------------------------------------------------------------------------


def test_a_problem_says_what_a_program_needs_to_know() -> None:
    error = SignInRequired("The session has ended.", reason="idle_timeout")
    status, headers, body = render_problem(error, correlation_id="c-1")
    assert status == 401
    assert json.loads(body) == {
        "type": "urn:okta-bff:problem:sign_in_required",
        "title": "Sign-in is required",
        "status": 401,
        "detail": "The session has ended.",
        "code": "sign_in_required",
        "correlation_id": "c-1",
        "reason": "idle_timeout",
    }
    assert dict(headers) == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(body)).encode(),
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
        b"cross-origin-resource-policy": b"same-origin",
        b"www-authenticate": b'Cookie realm="session"',
    }


def test_retry_after_and_allow_are_headers_too() -> None:
    status, headers, body = render_problem(StoreUnavailable(retry_after=3), correlation_id="c-1")
    assert (status, dict(headers)[b"retry-after"], json.loads(body)["retry_after"]) == (503, b"3", 3)
    status, headers, _ = render_problem(MethodNotAllowed(allow=("GET", "HEAD")), correlation_id="c-1")
    assert (status, dict(headers)[b"allow"]) == (405, b"GET, HEAD")


@pytest.mark.parametrize("error", ANSWERED, ids=lambda error: error.code)
def test_every_error_has_one_code_and_one_status_in_both_forms(error: type[BffError]) -> None:
    for request in (NAVIGATION, FETCH):
        status, headers, body = respond(error(), request)
        assert status == status_of(error())
        assert error.code.encode() in body
        assert tracing.correlation_id().encode() in body
        fields = dict(headers)
        assert fields[b"cache-control"] == b"no-store"
        assert fields[b"content-length"] == str(len(body)).encode()
        # An error ends nobody's session, and is no other origin's to read.
        assert b"set-cookie" not in fields
        assert b"clear-site-data" not in fields
        assert b"access-control-allow-origin" not in fields


def test_the_table_has_a_status_for_every_code_that_a_client_can_receive_and_no_other() -> None:
    assert set(STATUS) == {error.code for error in ANSWERED}


def test_only_the_table_has_a_status() -> None:
    for error in every_error():
        assert not [name for name in vars(error) if "status" in name], error.__name__


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in every_error()]
    assert len(codes) == len(set(codes))


# --- which of the two ------------------------------------------------------------------------------------------------

CHROME = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("headers", "page"),
    [
        (NAVIGATION, True),
        ([(b"Sec-Fetch-Mode", b"navigate")], True),
        ([(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"iframe"), (b"accept", CHROME)], True),
        ([(b"sec-fetch-dest", b"document")], True),
        (FETCH, False),
        ([(b"sec-fetch-mode", b"cors"), (b"accept", CHROME)], False),
        ([(b"sec-fetch-mode", b"no-cors"), (b"sec-fetch-dest", b"image"), (b"accept", CHROME)], False),
        ([(b"accept", CHROME)], True),
        ([(b"accept", CHROME), (b"x-csrf", b"1")], False),
        ([(b"accept", CHROME), (b"x-requested-with", b"XMLHttpRequest")], False),
        ([], False),
        ([(b"accept", b"*/*")], False),
        ([(b"accept", b"application/json")], False),
        ([(b"accept", b"application/json, text/plain, */*")], False),
        ([(b"accept", b"text/html;q=0.5, application/json")], False),
        ([(b"accept", b"text/html, application/json;q=0.9")], True),
        ([(b"accept", b"application/json;q=0.9"), (b"accept", b"TEXT/HTML ; q=1.0")], True),
        ([(b"accept", b"text/html;q=0")], False),
        ([(b"accept", b"text/html;q=x")], False),
        ([(b"accept", b"text/html;q=nan")], False),
        ([(b"accept", b"\xff,;;=,q=")], False),
        ([(b"accept", b"text/event-stream")], False),
    ],
)
def test_a_navigation_gets_a_page_and_a_fetch_gets_json(headers: list[tuple[bytes, bytes]], page: bool) -> None:
    assert wants_page(headers) is page
    _, answer, _ = respond(InvalidRequest(), headers)
    assert dict(answer)[b"content-type"].startswith(b"text/html" if page else b"application/problem+json")


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ANSWERED, ids=lambda error: error.code)
def test_the_page_says_what_happened_and_where_to_go(error: type[BffError]) -> None:
    _, _, body = ErrorPages("/home").render(error(), correlation_id="c-1", return_to="/orders")
    page = Page(body.decode())
    assert ("html", {"lang": "en"}) in page.tags
    assert page.text["title"] == page.text["h1"] == error.title
    assert [tag for tag, _ in page.tags].count("h1") == [tag for tag, _ in page.tags].count("main") == 1
    assert page.text["p"].strip()
    assert page.links[-1] == "/home"
    assert error.code in page.text["dd"]
    assert any(attrs.get("name") == "viewport" for tag, attrs in page.tags if tag == "meta")
    assert "prefers-color-scheme: dark" in page.text["style"]


@pytest.mark.parametrize("error", [SignInExpired, SignInStateInvalid, ProviderUnavailable, NotAssigned, SignInRequired])
def test_trying_again_leads_back_to_where_the_person_was_going(error: type[BffError]) -> None:
    going = "/orders/17?tab=a&x=%20b'\"#row"
    _, _, body = ErrorPages().render(error(), correlation_id="c-1", return_to=going)
    again = urlsplit(Page(body.decode()).links[0])
    assert again.path == "/auth/login"
    assert parse_qs(again.query) == {"return_to": [going]}


def test_an_error_that_signing_in_would_not_fix_does_not_offer_it() -> None:
    _, _, body = ErrorPages().render(RouteNotFound(), correlation_id="c-1", return_to="/x")
    assert Page(body.decode()).links == ["/"]


def test_the_page_runs_nothing_and_loads_nothing() -> None:
    _, headers, body = ErrorPages().render(SignInExpired(), correlation_id="c-1", return_to="/")
    html = body.decode()
    policy = dict(headers)[b"content-security-policy"].decode()
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page = Page(html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "link", "iframe", "form", "object", "base"})
    assert not [name for _, attrs in page.tags for name in attrs if name == "style" or name.startswith("on")]
    assert dict(headers)[b"referrer-policy"] == b"no-referrer"


def test_nothing_from_outside_reaches_the_page_unescaped() -> None:
    class Odd(BffError):
        code = "<b>code"
        title = "<b>title & \"'"

    bad = '"><script>alert(1)</script>'
    _, _, body = ErrorPages(bad).render(Odd(bad), correlation_id=bad, return_to=bad)
    _, _, again = ErrorPages(bad).render(SignInExpired(bad), correlation_id=bad, return_to=bad)
    for html in (body, again):
        assert b"<script" not in html
        assert b"<b>" not in html
        assert b'=""' not in html
    assert len(Page(again.decode()).links) == 2
