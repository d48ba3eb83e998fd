"""The guard: what is judged as a table, and what only shows on a real socket with the shipped server."""

import asyncio
import json
from typing import Any

import pytest

from bff.errors import HeadersTooLarge, InvalidRequest, MethodNotAllowed, TargetTooLong
from bff.web.error_page import ErrorPages
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import RequestGuard, check_request
from tests.harness.upstream_wire import ask, read_answer, serve

HOST = (b"host", b"app.example")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/",
        "/api/items/1",
        "/api/a..b/..c/d..",
        "/api/...",
        "/api/.well-known/x",
        "/api/a;b=1/c",
        "/api/a%20b/%C3%A9",
        "/api//x",
        "/api/@me:1/(a)!$&'*+,=~[x]|^`{}",
        "/api/100%25",
        "/api/%2525",
        "/api/50%25deal",
        "/api/%25ff",
    ],
)
def test_a_path_that_everybody_reads_alike_passes(path: str) -> None:
    assert check_request("GET", path.encode(), b"", [HOST]) is None


@pytest.mark.parametrize(
    "path",
    [
        *(
            pytest.param(target.encode(), id=f"PX-022-{target}")
            for target in ("http://evil.test/api/x", "file:///etc/passwd", "gopher://x/", "*", "")
        ),
        *(pytest.param(target.encode(), id=f"PX-024-{target}") for target in ("@evil.test/x", "\\@evil.test/", "/\\x")),
        *(pytest.param(target.encode(), id=f"PX-025-{target}") for target in (".evil.test/x", ":9/x", "//evil.test/x")),
        *(
            pytest.param(b"/api/" + segment + b"x", id=f"PX-027-{segment.decode()}")
            for segment in (
                b"../ ./ %2e%2e/ .%2e/ %2e./ %2E%2E/ ..%2f ..%5c %2e%2e%2f ..%252f %252e%252e%252f %25252e/ %2e/ "
                b"a%5Cb/ %c0%ae%c0%ae/ ..%20/ ..%3b/"
            ).split()
        ),
        pytest.param(b"/api/..", id="PX-027-last"),
        *(
            pytest.param(path.encode(), id=f"PX-028-{path}")
            for path in ("/api/..;/admin", "/api/.;x/", "/api/x;/../y", "/api/..;a=1")
        ),
        *(pytest.param(path.encode(), id=f"PX-031-{path}") for path in ("/api/items/a%2Fb", "/api/items/a%2fb")),
        *(
            pytest.param(path, id=f"PX-032-{path!r}")
            for path in (b"/api/%00", b"/api/%0d%0aX:1", b"/api/%09", b"/api/%7f", b"/api/%c2%85", b"/api/\x00")
        ),
        *(
            pytest.param(f"/api/{bad}".encode(), id=f"PX-035-{bad}")
            for bad in ("%", "%zz", "%1", "%%20", "%a", "%u002e")
        ),
        *(
            pytest.param(path, id=f"PX-036-{path!r}")
            for path in (b"/api/\xc3\xa9", b"/api/x y", b"/api/x\ty", b"/api/\xff", b"/api/x\x7f")
        ),
        *(
            pytest.param(f"/api/{layered}x".encode(), id=f"layers-{layered}")
            for layered in [
                "%250d",
                "%25250a",
                "%2500",
                "%25%30%61",
                "%25c2%2585",
                "%25%32%66",
                "%25%32%65%25%32%65/",
                "%25c0%25ae",
                "%25c1%259c",
                "%25e0%2580%25af",
                "%25u002e%25u002e/",
                "%25u2025/",
                "%25u000a",
                "%ef%bc%8525u000a",
                "%ef%bc%852e%ef%bc%852e/",
            ]
        ),
        b"/api/x#y",
        b"/api/x?y",
        b"/api/%ff",
    ],
)
def test_a_path_that_two_programs_could_read_differently_is_refused(path: bytes) -> None:
    assert isinstance(check_request("GET", path, b"", [HOST]), InvalidRequest)


@pytest.mark.parametrize(
    "query", [b"", b"a=1&a=2&b=%00&c=+%2B;d=1", b"u=http://x/../%2e%2e\\", b"%", b"q='\"<>`{}|^[]"]
)
@pytest.mark.case("PX-039")
def test_a_query_is_the_upstreams_to_judge(query: bytes) -> None:
    assert check_request("GET", b"/api", query, [HOST]) is None


@pytest.mark.parametrize("query", [b"a=\r\nb", b"a=\x00", b"a=\t", b"a= b", b"a=\x7f", b"a=\xc3\xa9", b"a=#x"])
def test_a_raw_control_in_a_query_is_refused(query: bytes) -> None:
    assert isinstance(check_request("GET", b"/api", query, [HOST]), InvalidRequest)


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "FOO", "__init__", "POST\x00", "", "PROPFIND"])
@pytest.mark.case("PX-057")
def test_a_method_that_nobody_needs_is_not_allowed(method: str) -> None:
    refusal = check_request(method, b"/api", b"", [HOST])
    assert isinstance(refusal, MethodNotAllowed)
    assert "GET" in refusal.allow


@pytest.mark.parametrize(
    "lengths",
    [
        pytest.param([value], id=f"PX-047-{value!r}")
        for value in (b"3, 3", b"+3", b"-1", b"0x3", b"3_0", "３".encode(), b"1e1", b"9" * 20, b"", b" 3")
    ]
    + [pytest.param([b"3", b"3"], id="PX-047-same"), pytest.param([b"3", b"4"], id="PX-047-different")],
)
def test_a_length_is_one_plain_number(lengths: list[bytes]) -> None:
    headers = [HOST, *((b"content-length", length) for length in lengths)]
    assert isinstance(check_request("POST", b"/api", b"", headers), InvalidRequest)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [HOST, HOST],
        [HOST, (b"host", b"evil.test")],
        [(b"host", b"")],
        [(b"host", b"a, b")],
        [(b"host", b"user@a")],
        [(b"host", b"a/b")],
        [HOST, (b"content-length", b"3"), (b"transfer-encoding", b"chunked")],
        [HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [HOST, (b"transfer-encoding", b"gzip, chunked")],
        [HOST, (b"transfer-encoding", b"xchunked")],
        [HOST, (b"bad name", b"x")],
        [HOST, (b"", b"x")],
        [HOST, (b"x", b"a\r\nb: c")],
        [HOST, (b"x", b"a\x00")],
    ],
)
def test_headers_that_leave_a_doubt_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    assert isinstance(check_request("POST", b"/api", b"", headers), InvalidRequest)


@pytest.mark.case("PX-073")
def test_there_is_a_bound_to_everything() -> None:
    assert isinstance(check_request("GET", b"/" + b"a" * 70_000, b"", [HOST]), TargetTooLong)
    assert isinstance(check_request("GET", b"/", b"a" * 70_000, [HOST]), TargetTooLong)
    assert isinstance(check_request("GET", b"/", b"", [HOST, (b"x", b"a" * 70_000)]), HeadersTooLarge)
    assert isinstance(check_request("GET", b"/", b"", [HOST, *[(b"x", b"a")] * 200]), HeadersTooLarge)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it was handed, after the body was read to its end."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    told = {
        "method": scope["method"],
        "path": scope["raw_path"].decode(),
        "names": [name.decode() for name, _ in scope["headers"]],
        "body": body.decode(),
    }
    content = json.dumps(told).encode()
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": content})


@pytest.mark.case("PX-049")
async def test_trailers_are_no_headers() -> None:
    raw = (
        "POST /api/x HTTP/1.1\r\nhost: a\r\ncookie: mine\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
        "Cookie: evil\r\nAuthorization: Bearer evil\r\nX-Forwarded-User: root\r\nX-CSRF: 1\r\n\r\n"
    )
    with serve(echo, http="httptools") as bare, serve(RequestGuard(echo, ErrorResponder())) as guarded:
        without, with_guard = await ask(bare, raw), await ask(guarded, raw)
    assert "x-csrf" in json.loads(without.body)["names"]  # what the server does by itself, before anybody can look
    told = json.loads(with_guard.body)
    assert told["names"] == ["host", "cookie", "transfer-encoding"]
    assert told["body"] == "abc"


@pytest.mark.case("PX-049")
async def test_under_a_server_that_mixes_trailers_in_a_chunked_body_is_refused() -> None:
    with serve(RequestGuard(echo, ErrorResponder()), http="httptools") as port:
        chunked = await ask(port, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n")
        plain = await ask(port, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx")
    assert (chunked.status, json.loads(chunked.body)["code"], plain.status) == (411, "length_required", 200)


@pytest.mark.parametrize(
    ("raw", "statuses"),
    [
        pytest.param("GET /api/x HTTP/1.1\r\n\r\n", {400}, id="no-host"),
        pytest.param("GET /api/x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", {400}, id="two-hosts"),
        pytest.param("GET file:///etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", {400}, id="PX-022-server"),
        pytest.param("GET /api/..%2fauth HTTP/1.1\r\nhost: a\r\n\r\n", {400}, id="PX-027-server"),
        pytest.param("GET /api/\xe9 HTTP/1.1\r\nhost: a\r\n\r\n", {400}, id="PX-036-server"),
        pytest.param("GET /api/x y HTTP/1.1\r\nhost: a\r\n\r\n", {400}, id="PX-036-space"),
        pytest.param(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", {400}, id="PX-047-wire"
        ),
        pytest.param("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc", {400}, id="PX-047-plus"),
        *(
            pytest.param(
                f"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk}", {400}, id=f"PX-048-{number}"
            )
            for number, chunk in enumerate(
                [
                    "3;a\nb\r\nabc\r\n0\r\n\r\n",
                    "3\nabc\n0\n\n",
                    "0x3\r\nabc\r\n0\r\n\r\n",
                    "1_0\r\nabc\r\n0\r\n\r\n",
                    "3\r\nabcXX0\r\n\r\n",
                ]
            )
        ),
        pytest.param("GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n authorization: b\r\n\r\n", {400}, id="PX-052"),
        *(
            pytest.param(f"GET / HTTP/{version}\r\nhost: a\r\n\r\n", {400, 505}, id=f"PX-054-{version}")
            for version in ("0.9", "1.2", "2.0")
        ),
        *(
            pytest.param(f"{method} / HTTP/1.1\r\nhost: a\r\n\r\n", {400, 405}, id=f"PX-057-{method}")
            for method in ("TRACE", "get", "FOO", "__init__", "POST\x00", "PROPFIND")
        ),
        pytest.param("CONNECT evil:443 HTTP/1.1\r\nhost: a\r\n\r\n", {400, 405}, id="PX-057-CONNECT"),
        pytest.param(f"GET / HTTP/1.1\r\nhost: a\r\nx: {'a' * 70_000}\r\n\r\n", {431}, id="PX-073-header"),
        pytest.param(f"GET /{'a' * 70_000} HTTP/1.1\r\nhost: a\r\n\r\n", {400, 414}, id="PX-073-target"),
    ],
)
async def test_a_request_that_is_refused_on_the_wire(raw: str, statuses: set[int]) -> None:
    with serve(RequestGuard(echo, ErrorResponder())) as port:
        answer = await ask(port, raw)
    assert answer.status in statuses
    assert answer.one("connection") == "close"


@pytest.mark.parametrize("target", ["http://evil.test/api/x", "http://app.example/api/x", "HTTPS://evil.test/", "*"])
@pytest.mark.case("PX-021")
async def test_an_absolute_target_is_refused(target: str) -> None:
    with serve(RequestGuard(echo, ErrorResponder())) as port:
        answer = await ask(port, f"OPTIONS {target} HTTP/1.1\r\nhost: app.example\r\n\r\n")
    assert answer.status == 400


async def test_a_refusal_is_problem_json_and_to_head_without_a_body() -> None:
    with serve(RequestGuard(echo, ErrorResponder())) as port:
        got = await ask(port, "GET /api/..;/x HTTP/1.1\r\nhost: a\r\n\r\n")
        head = await ask(port, "HEAD /api/..;/x HTTP/1.1\r\nhost: a\r\n\r\n", to_head=True)
    assert got.one("content-type") == "application/problem+json"
    assert json.loads(got.body)["code"] == "invalid_request"
    assert (head.status, head.body) == (400, b"")


@pytest.mark.case("PX-050")
async def test_a_body_that_came_with_a_get_is_no_next_request() -> None:
    inner = "GET /inner HTTP/1.1\r\nhost: a\r\n\r\n"
    with serve(RequestGuard(echo, ErrorResponder())) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET /outer HTTP/1.1\r\nhost: a\r\ncontent-length: {len(inner)}\r\n\r\n{inner}"
        writer.write(f"{head}GET /next HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        first, second = json.loads((await read_answer(reader)).body), json.loads((await read_answer(reader)).body)
        writer.close()
    assert (first["path"], first["body"], second["path"]) == ("/outer", inner, "/next")


@pytest.mark.case("PX-056")
async def test_pipelined_requests_are_answered_in_order() -> None:
    with serve(RequestGuard(echo, ErrorResponder())) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("".join(f"GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n" for number in range(100)).encode())
        paths = [json.loads((await asyncio.wait_for(read_answer(reader), 60)).body)["path"] for _ in range(100)]
        writer.close()
    assert paths == [f"/{number}" for number in range(100)]


@pytest.mark.parametrize("path", ["/api/..%2fx", "/api/..;/x"])
async def test_a_websocket_handshake_is_judged_alike(path: str) -> None:
    with serve(RequestGuard(echo, ErrorResponder())) as port:
        answer = await ask(
            port,
            f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        )
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")


async def test_a_person_whose_address_is_refused_reads_a_page_and_a_program_problem_json() -> None:
    target = "GET /orders/%2e%2e/secret?code=CANARY-code HTTP/1.1\r\nhost: a\r\n"
    navigating = "sec-fetch-mode: navigate\r\naccept: text/html\r\n\r\n"
    with (
        serve(RequestGuard(echo, ErrorResponder(ErrorPages("/start")))) as port,
        serve(RequestGuard(echo, ErrorResponder())) as without_pages,
    ):
        page = await ask(port, target + navigating)
        told = await ask(port, target + "\r\n")
        inside = await ask(without_pages, target + navigating)
    assert (page.status, page.one("content-type"), page.one("connection")) == (
        400,
        "text/html; charset=utf-8",
        "close",
    )
    assert b"invalid_request" in page.body
    assert b'href="/start"' in page.body
    assert b"CANARY" not in page.body, "nothing of the address comes back"
    assert b"secret" not in page.body
    for answer in (told, inside):
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")
