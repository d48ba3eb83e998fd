"""The page of a failed navigation: what happened, where to go, nothing that runs or loads, nothing that is not ours."""

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.errors import BffError, ProviderUnavailable, RouteNotFound, SignInExpired, SignInFailed
from bff.oidc.authorization import SignInOptions
from bff.web.error_page import ErrorPages
from tests.harness.settings import problems, with_changes
from tests.unit.web.test_problem_details import SENT


class Page(HTMLParser):
    """What a browser or a screen reader would find."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html.decode())

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


def render(error: BffError, pages: ErrorPages | None = None, **more: object) -> tuple[dict[bytes, bytes], bytes]:
    status, headers, body = (pages or ErrorPages()).render(error, correlation_id="c-1", **more)  # type: ignore[arg-type]
    assert status >= 400
    return dict(headers), body


@pytest.mark.parametrize("error", SENT, ids=lambda error: error.code)
def test_the_page_says_what_happened_and_where_to_go(error: type[BffError]) -> None:
    page = Page(render(error(), ErrorPages("/home"), return_to="/orders")[1])
    assert ("html", {"lang": "en"}) in page.tags
    assert page.text["title"] == page.text["h1"] == error.title
    assert [tag for tag, _ in page.tags].count("h1") == [tag for tag, _ in page.tags].count("main") == 1
    assert page.text["p"].strip()
    assert page.links[-1] == "/home"
    assert error.code in page.text["dd"]
    assert "c-1" in page.text["dd"]


GOING = "/orders/17?tab=a&x=%20b'\"#row"


@pytest.mark.parametrize(
    ("error", "options", "query"),
    [
        (SignInExpired(), SignInOptions(), {"return_to": [GOING]}),
        (ProviderUnavailable(), SignInOptions(prompt="login", idp="a b"), {"prompt": ["login"], "idp": ["a b"]}),
        (SignInFailed(), SignInOptions(prompt="none", login_hint="ann@example.com"), {"return_to": [GOING]}),
        (SignInFailed(), SignInOptions(acr_values=("gold",)), {"acr_values": ["gold"]}),
        (SignInFailed(), SignInOptions(max_age=0), {"max_age": ["0"]}),
        (RouteNotFound(), SignInOptions(), None),
    ],
)
def test_trying_again_repeats_the_sign_in_and_leads_back(
    error: BffError, options: SignInOptions, query: dict[str, list[str]] | None
) -> None:
    links = Page(render(error, return_to=GOING, options=options)[1]).links
    if query is None:
        assert links == ["/"], "signing in would not help"
        return
    again = urlsplit(links[0])
    assert (again.path, parse_qs(again.query)) == ("/auth/login", {"return_to": [GOING], **query})
    stepping_up = bool(options.acr_values or options.max_age is not None)
    assert links[1:] == ([GOING, "/"] if stepping_up else ["/"])


def test_the_page_runs_nothing_and_loads_nothing() -> None:
    headers, body = render(SignInExpired(), return_to="/")
    page = Page(body)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "link", "iframe", "form", "object", "base"})
    assert not [name for _, attrs in page.tags for name in attrs if name == "style" or name.startswith("on")]
    assert (headers[b"referrer-policy"], headers[b"x-frame-options"]) == (b"no-referrer", b"DENY")


def test_nothing_from_outside_reaches_the_page_unescaped() -> None:
    class Odd(BffError):
        code = "<b>code"
        title = "<b>title & \"'"

    bad = '"><script>alert(1)</script>'
    for error in (Odd(bad), SignInExpired(bad)):
        html = ErrorPages(bad).render(error, correlation_id=bad, return_to=bad).body
        for wrong in (b"<script", b"<b>", b'=""'):
            assert wrong not in html
    assert len(Page(html).links) == 2


@pytest.mark.parametrize("own", [None, ":root { --link: #b00020; }", "a { color: red }\r\nb { }\r", "/* {braces} é */"])
def test_the_policy_allows_exactly_the_style_on_the_page(own: str | None) -> None:
    headers, body = render(SignInFailed(), ErrorPages(stylesheet=own))
    found = re.search(r"<style>(.*)</style>", body.decode(), re.DOTALL)
    assert found is not None
    css = found[1]
    digest = b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert headers[b"content-security-policy"].decode() == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert "\r" not in css
    assert own is None or css.endswith(own.replace("\r\n", "\n").replace("\r", "\n"))


@pytest.mark.parametrize("wrong", [b"</style><script>", b"\xff", b"a" * 65537, b"\0"], ids=lambda text: repr(text)[:20])
def test_what_is_no_style_sheet_stops_the_start(tmp_path: Path, wrong: bytes) -> None:
    path = tmp_path / "pages.css"
    path.write_bytes(wrong)
    assert "BFF_PAGE_STYLE_FILE" in problems(with_changes(page_style_file=str(path)))
