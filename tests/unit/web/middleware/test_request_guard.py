"""The request guard: the rules as tables, and what a client gets of a refusal on a connection of the shipped server."""

import pytest

from bff.asgi.extensions import HEADERS_FINAL
from bff.asgi.header_section import HeaderSection
from bff.errors import BffError, HeadersTooLarge, InvalidRequest, MethodNotAllowed, TargetTooLong
from bff.web.cookies import CookieNames
from bff.web.error_page import ErrorPages
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import (
    HEADER_COUNT,
    HEADERS_LIMIT,
    METHODS,
    TARGET_LIMIT,
    RequestGuard,
    check_request,
)
from tests.harness.asgi_call import Reached, call, http_scope, run, websocket_scope

HOST = (b"host", b"app.example")


def check(
    method: str = "GET", path: bytes = b"/api", query: bytes = b"", *headers: tuple[bytes, bytes]
) -> BffError | None:
    """Also of headers that are shared, and of those that were checked before."""
    fields = headers or (HOST,)
    section = HeaderSection(fields)
    found, *others = [check_request(method, path, query, carried) for carried in (fields, section, section)]
    assert [(type(other), str(other)) for other in others] == [(type(found), str(found))] * 2
    return found


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/api", "/api/", "/api/items/1", "/api/a..b/..c/d..", "/api/...", "/api/.well-known/x", "/api/a;b=1/c"),
        *("/api/a%20b/%C3%A9", "/api//x", "/api/@me:1/(a)!$&'*+,=~[x]|^`{}", "/api/100%25", "/api/%2525"),
        *("/api/50%25deal", "/api/%25ff", "/api/~x_-./"),
    ],
)
def test_a_path_that_every_implementation_reads_alike_passes(path: str) -> None:
    assert check(path=path.encode()) is None


def _named(case: str, *paths: bytes) -> list[object]:
    return [pytest.param(path, id=f"{case}-{path!r}") for path in paths]


@pytest.mark.parametrize(
    "path",
    [
        *_named("PX-022", b"http://evil.test/api/x", b"file:///etc/passwd", b"gopher://x/", b"*", b""),
        *_named("PX-024", b"@evil.test/x", b"\\@evil.test/", b"/\\x"),
        *_named("PX-025", b".evil.test/x", b":9/x", b"//evil.test/x"),
        *_named(
            "PX-027",
            b"/api/..",
            *(
                b"/api/" + segment + b"x"
                for segment in (
                    b"../ ./ %2e%2e/ .%2e/ %2e./ %2E%2E/ ..%2f ..%5c %2e%2e%2f ..%252f %252e%252e%252f %25252e/ %2e/ "
                    b"a%5Cb/ %c0%ae%c0%ae/ ..%20/ ..%3b/"
                ).split()
            ),
        ),
        *_named("PX-028", b"/api/..;/admin", b"/api/.;x/", b"/api/x;/../y", b"/api/..;a=1"),
        *_named("PX-031", b"/api/items/a%2Fb", b"/api/items/a%2fb"),
        *_named("PX-032", b"/api/%00", b"/api/%0d%0aX:1", b"/api/%09", b"/api/%7f", b"/api/%c2%85", b"/api/\x00"),
        *_named("PX-035", *(b"/api/" + bad for bad in (b"%", b"%zz", b"%1", b"%%20", b"%a", b"%u002e"))),
        *_named("PX-036", b"/api/\xc3\xa9", b"/api/x y", b"/api/x\ty", b"/api/\xff", b"/api/x\x7f"),
        *_named(
            "layers",
            *(
                b"/api/" + layers + b"x"
                for layers in (
                    b"%250d %25250a %2500 %25%30%61 %25c2%2585 %25%32%66 %25%32%65%25%32%65/ %25c0%25ae %25c1%259c "
                    b"%25e0%2580%25af %25u002e%25u002e/ %25u2025/ %25u000a %ef%bc%8525u000a %ef%bc%852e%ef%bc%852e/"
                ).split()
            ),
        ),
        *(b"/api/x#y", b"/api/x?y", b"/api/%ff", b"api"),
    ],
)
def test_a_path_that_two_implementations_could_read_differently_is_refused(path: bytes) -> None:
    assert isinstance(check(path=path), InvalidRequest)


@pytest.mark.parametrize(
    ("query", "passes"),
    [
        *(
            (query, True)
            for query in (b"", b"a=1&a=2&b=%00&c=+%2B;d=1", b"u=http://x/../%2e%2e\\", b"%", b"q='\"<>`{}|^[]")
        ),
        *((query, False) for query in (b"a=\r\nb", b"a=\x00", b"a=\t", b"a= b", b"a=\x7f", b"a=\xc3\xa9", b"a=#x")),
    ],
)
@pytest.mark.case("PX-039")
def test_a_query_is_the_upstreams_to_check_but_ends_no_line(query: bytes, passes: bool) -> None:
    assert (check(query=query) is None) is passes


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "FOO", "__init__", "POST\x00", "", "PROPFIND"])
@pytest.mark.case("PX-057")
def test_other_methods_are_not_allowed(method: str) -> None:
    refusal = check(method)
    assert isinstance(refusal, MethodNotAllowed)
    assert refusal.allow == METHODS
    assert [check(allowed) for allowed in METHODS] == [None] * 7


def length(value: bytes) -> tuple[bytes, bytes]:
    return b"content-length", value


CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    "headers",
    [
        *(
            pytest.param([HOST, length(value)], id=f"PX-047-{value!r}")
            for value in (b"3, 3", b"+3", b"-1", b"0x3", b"3_0", "３".encode(), b"1e1", b"9" * 19, b"", b" 3")
        ),
        pytest.param([HOST, length(b"3"), length(b"3")], id="PX-047-twice"),
        [],
        [HOST, HOST],
        [HOST, (b"host", b"evil.test")],
        *(
            [(b"host", value)]
            for value in (b"", b"a, b", b"user@a", b"a/b", b"a:123456", b"a:", b"[::1", b"[g]", b"a b")
        ),
        [HOST, length(b"3"), CHUNKED],
        [HOST, CHUNKED, CHUNKED],
        *([HOST, (b"transfer-encoding", value)] for value in (b"gzip, chunked", b"xchunked", b"")),
        *([HOST, (name, b"x")] for name in (b"bad name", b"", b"X", b"x:", b"x\xe9", b"x\x00")),
        *([HOST, (b"x", value)] for value in (b"a\r\nb: c", b"a\x00", b"a\x7f", b"\x1f")),
    ],
)
def test_ambiguous_headers_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    assert isinstance(check_request("POST", b"/api", b"", headers), InvalidRequest)


@pytest.mark.parametrize(
    "headers",
    [
        *([(b"host", value)] for value in (b"a", b"a_b.example:65535", b"[::1]:80", b"[2001:db8::1]", b"192.0.2.1")),
        [HOST, length(b"0")],
        [HOST, length(b"9" * 18)],
        [HOST, (b"transfer-encoding", b"Chunked")],
        [HOST, (b"x-a!#$%&'*+.^_`|~9", b"\ta \x80\xff~")],
        [HOST, (b"x", b"1"), (b"x", b"2")],
    ],
)
def test_unambiguous_headers_pass(headers: list[tuple[bytes, bytes]]) -> None:
    assert check_request("POST", b"/api", b"", headers) is None


@pytest.mark.case("PX-073")
def test_everything_has_a_bound() -> None:
    path = b"/" + b"a" * (TARGET_LIMIT - 2)
    assert check(path=path, query=b"q") is None
    assert isinstance(check(path=path, query=b"qq"), TargetTooLong)
    room = HEADERS_LIMIT - len(HOST[0] + HOST[1]) - 1
    assert check("GET", b"/", b"", HOST, (b"x", b"a" * room)) is None
    assert isinstance(check("GET", b"/", b"", HOST, (b"x", b"a" * (room + 1))), HeadersTooLarge)
    fields = [HOST, *[(b"x", b"a")] * (HEADER_COUNT - 1)]
    assert check("GET", b"/", b"", *fields) is None
    assert isinstance(check("GET", b"/", b"", *fields, (b"x", b"a")), HeadersTooLarge)


# --- the middleware


@pytest.mark.parametrize(
    ("final", "lines", "version", "status"),
    [
        (True, ["transfer-encoding: chunked"], "1.1", 200),
        (False, ["transfer-encoding: chunked"], "1.1", 411),  # its trailers could become headers
        (False, ["content-length: 1"], "1.1", 200),
        (False, [], "1.1", 200),
        *((True, [], version, 200) for version in ("1.0", "2", "3")),
        *((True, [], version, 400) for version in ("0.9", "1.2", "2.0", "")),
    ],
)
@pytest.mark.case("PX-049")
async def test_a_chunked_body_needs_a_server_that_keeps_trailers_apart(
    final: bool, lines: list[str], version: str, status: int
) -> None:
    reached = Reached()
    scope = http_scope("POST", "/api", *lines, http_version=version)
    if not final:
        del scope[HEADERS_FINAL]
    response = await run(RequestGuard(reached, ErrorResponder()), scope)
    assert (response.status, len(reached.scopes)) == (status, int(status == 200))
    if reached.scopes and not final:
        assert reached.scopes[0]["headers"] is not scope["headers"], "a trailer that the server appends stays outside"
        assert reached.scopes[0]["headers"] == scope["headers"]


@pytest.mark.parametrize("path", ["/api/..%2fx", "/api/..;/x"])
async def test_a_websocket_handshake_is_checked_alike(path: str) -> None:
    guard = RequestGuard(Reached(), ErrorResponder())
    assert (await run(guard, websocket_scope(path))).problem == (400, "invalid_request")
    assert (await run(guard, websocket_scope("/api/x"))).status == 101


async def test_too_large_headers_delete_the_cookies_of_sign_ins_and_no_session() -> None:
    names = CookieNames()
    cookies = f"cookie: {names.session}=s; {names.login('3')}=x; {names.browser}=b"
    large = "x: " + "a" * HEADERS_LIMIT
    guard = RequestGuard(Reached(), ErrorResponder(), names=names)
    response = await call(guard, "GET", "/", cookies, large)
    assert (response.problem, response.one("connection")) == ((431, "headers_too_large"), "close")
    assert (response.one("set-cookie") or "").startswith(f"{names.login('3')}=;")
    assert b"were deleted" in response.body
    without = await call(guard, "GET", "/", large)
    assert (without.all("set-cookie"), b"were deleted" in without.body) == ([], False)
    assert (await call(guard, "GET", "/api/..", cookies)).all("set-cookie") == []


async def test_a_refused_navigation_gets_a_page_and_a_program_problem_json() -> None:
    target = "/orders/%2e%2e/secret?code=CANARY-code"
    navigation = ("sec-fetch-mode: navigate", "accept: text/html")
    guard = RequestGuard(Reached(), ErrorResponder(ErrorPages("/start")))
    page = await call(guard, "GET", target, *navigation)
    assert (page.status, page.one("content-type"), page.one("connection")) == (400, "text/html; charset=utf-8", "close")
    assert b'href="/start"' in page.body
    for part in (b"CANARY", b"secret"):
        assert part not in page.body, "nothing of the address comes back"
    assert (await call(guard, "GET", target)).problem == (400, "invalid_request")
    inside = RequestGuard(Reached(), ErrorResponder())
    assert (await call(inside, "GET", target, *navigation)).problem == (400, "invalid_request")
    head = await call(inside, "HEAD", target)
    assert (head.status, head.body) == (400, b"")


# --- on a connection of the shipped server
