"""Bytes that no honest client sends, through nginx: each is refused, or forwarded as `check_forwarded` says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.harness.nginx import nginx
from tests.harness.proxy_server import bff_beside
from tests.harness.raw_http import (
    HttpServer,
    Reader,
    Request,
    Respond,
    Writer,
    connected,
    fetch,
    read_response,
    send,
)
from tests.harness.raw_upstream import ok, raw_upstream, route
from tests.harness.waiting import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = "Sec-Fetch-Site: same-origin\r\nX-CSRF: 1\r\nCookie: user=alice; theme=dark\r\n"
END = "Connection: close\r\n\r\n"
NEVER_FORWARDED = frozenset(
    b"""
    cookie forwarded x-forwarded-user x-user x-auth-request-email remote-user x-original-url x-http-method-override
    x-csrf origin proxy-authorization te trailer upgrade via x-real-ip
    """.decode().split()
)


@dataclass(frozen=True)
class Case:
    """`statuses` are the right ones; 0: closed without one."""

    raw: str | bytes
    statuses: frozenset[int]
    target: str | None = "/api/x"  # of what is forwarded, None if nothing may be


def refused(raw: str | bytes, *also: int) -> Case:
    return Case(raw, frozenset({400, *also}), target=None)


def fixed(raw: str | bytes, *also: int) -> Case:
    """We refuse it; nginx makes something plain of it first."""
    return Case(raw, frozenset({200, 400, *also}))


def passes(raw: str | bytes, target: str = "/api/x") -> Case:
    return Case(raw, frozenset({200}), target)


def get(target: str = "/api/x", *fields: str, version: str = "HTTP/1.1", method: str = "GET") -> str:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"{method} {target} {version}\r\nHost: app.example\r\n{OURS}{lines}{END}"


def post(framing: str, body: str = "abc") -> str:
    return f"POST /api/x HTTP/1.1\r\nHost: app.example\r\n{OURS}{framing}{END}{body}"


CHUNKED = "Transfer-Encoding: chunked\r\n"

CLIMBING = "../ ./ %2e%2e/ .%2e/ %2E%2e/ ..%2f ..%5c %2e%2e%2f ..%252f %252e%252e%252f"

CASES: dict[str, Case] = {
    # --- Connection and identity headers
    "PX-001": passes(get("/api/x", "Connection: close, Authorization, Cookie, X-Forwarded-For")),
    "PX-002": passes(get("/api/x", "connection: x-real-ip, X-FORWARDED-PROTO, host")),
    "PX-003": passes(get("/api/x", "Connection: x-csrf")),
    "PX-005": passes(get("/api/x", "Authorization: Bearer evil")),
    "PX-007": passes(get().replace("theme=dark", "bff-session=x; other=1")),
    "PX-014": passes(get("/api/x", "Forwarded: for=1.1.1.1;host=evil;proto=http", "X-Forwarded-Host: evil")),
    "PX-016": Case(
        "GET /api/x HTTP/1.1\r\nHost: a\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nUser-Agent: kube-probe/1\r\n"
        + END,
        frozenset({401}),
        target=None,
    ),
    "identity": passes(
        get("/api/x", "X-User: root", "Remote-User: root", "X-Auth-Request-Email: root@a", "X-Forwarded-User: root")
    ),
    "override": passes(get("/api/x", "X-HTTP-Method-Override: DELETE", "X-Original-URL: /admin")),
    # --- the target
    "PX-021": fixed(get("http://evil.test/api/x")),
    "PX-022-file": refused(get("file:///etc/passwd"), 404),
    "PX-022-gopher": refused(get("gopher://evil.test/"), 404),
    "PX-022-star": refused(get("*")),
    "PX-024": refused(get("@evil.test/x")),
    "PX-024-backslash": refused(get("\\@evil.test/")),
    "PX-025-suffix": refused(get(".evil.test/x")),
    "PX-025-port": refused(get(":9/x")),
    "PX-025-slashes": refused(get("//evil.test/x"), 404),
    **{f"PX-027-{segment}": refused(get(f"/api/{segment}x"), 404) for segment in CLIMBING.split()},
    "PX-027-escapes": refused(get("/api/../../etc/passwd")),
    **{f"PX-028-{path}": refused(get(path)) for path in ("/api/..;/admin", "/api/.;x/", "/api/x;/../y")},
    "PX-031": refused(get("/api/items/a%2Fb")),
    **{f"PX-032-{octet}": refused(get(f"/api/{octet}x")) for octet in ("%00", "%0d%0aX:1", "%09", "%7f", "%c2%85")},
    **{f"PX-035-{bad}": refused(get(f"/api/{bad}")) for bad in ("%", "%zz", "%1")},
    "PX-036-utf8": refused(get("/api/x").replace("/api/x", "/api/\xe9", 1).encode("utf-8")),
    "PX-036-space": refused(get("/api/x y")),
    "PX-036-tab": refused(get("/api/x\ty")),
    "PX-039": passes(get("/api/x?a=1&a=2&b=%00&c=+%2B;d=1"), "/api/x?a=1&a=2&b=%00&c=+%2B;d=1"),
    "PX-041": passes(get("/api/x").replace("app.example", "evil.test")),
    "two-hosts": refused(get("/api/x", "Host: evil.test")),
    "no-host": refused(get("/api/x").replace("Host: app.example\r\n", "")),
    # --- the length of the body
    "PX-047-same": refused(post("Content-Length: 3\r\nContent-Length: 3\r\n")),
    "PX-047-different": refused(post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd")),
    **{
        f"PX-047-{length}": refused(post(f"Content-Length: {length}\r\n"), 413)
        for length in ("3, 3", "+3", "-1", "0x3", "3_0", "1e1", "9" * 20)
    },
    "PX-047-both": refused(post(f"Content-Length: 3\r\n{CHUNKED}", "3\r\nabc\r\n0\r\n\r\n")),
    "PX-047-fullwidth": refused(post("Content-Length: 3\r\n").replace(": 3", ": \uff13").encode()),
    "PX-048-extension": refused(post(CHUNKED, "3;a\nb\r\nabc\r\n0\r\n\r\n")),
    "PX-048-bare-lf": fixed(post(CHUNKED, "3\nabc\n0\n\n"), 0),
    "PX-048-hex": refused(post(CHUNKED, "0x3\r\nabc\r\n0\r\n\r\n"), 0),
    "PX-048-underscore": refused(post(CHUNKED, "1_0\r\nabc\r\n0\r\n\r\n"), 0),
    "PX-048-terminator": refused(post(CHUNKED, "3\r\nabcX0\r\n\r\n"), 0),
    "PX-049": passes(
        post(CHUNKED, "3\r\nabc\r\n0\r\nCookie: evil\r\nAuthorization: Bearer evil\r\nX-Forwarded-User: root\r\n\r\n")
    ),
    "PX-049-csrf": Case(
        f"POST /api/x HTTP/1.1\r\nHost: a\r\nCookie: user=alice\r\n{CHUNKED}{END}3\r\nabc\r\n0\r\nX-CSRF: 1\r\n\r\n",
        frozenset({403}),
        target=None,
    ),
    "TE-gzip": refused(post("Transfer-Encoding: gzip, chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), 411, 501),
    "TE-x": refused(post("Transfer-Encoding: xchunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), 411, 501),
    # --- headers and lines
    "PX-052": fixed(get("/api/x", "X-Folded: a\r\n Authorization: Bearer evil")),
    "bare-cr": refused(get("/api/x", "X-A: b\rX-Forwarded-User: root")),
    "nul": refused(get("/api/x", "X-A: b\x00c")),
    "space-before-colon": fixed(get("/api/x", "X-Forwarded-User : root")),
    "underscore": passes(get("/api/x", "X_Forwarded_User: root")),
    "PX-054-0.9": refused("GET /api/x\r\n\r\n", 0),
    "PX-054-1.2": fixed(get(version="HTTP/1.2"), 505),
    "PX-054-2.0": refused(get(version="HTTP/2.0"), 505),
    "PX-054-preface": refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 405, 505),
    "PX-057-connect": refused(get("evil:443", method="CONNECT"), 405),
    "PX-057-trace": refused(get(method="TRACE"), 405),
    "PX-057-lower": refused(get(method="get"), 405),
    "PX-057-foo": refused(get(method="FOO"), 405),
    "PX-057-dunder": refused(get(method="__init__"), 405),
    "PX-057-nul": refused(get(method="POST\x00")),
    "PX-073-many": Case(get("/api/x", *(f"X-{number}: a" for number in range(200))), frozenset({431}), None),
    "PX-073-large": refused(get("/api/x", "X-A: " + "a" * 70_000), 431),
    "PX-073-target": Case(get("/api/" + "a" * 70_000), frozenset({414}), None),
}


@dataclass
class Front:
    port: int
    upstream: HttpServer
    respond: Respond


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async def respond(heard: Request, reader: Reader, writer: Writer) -> bool:
        return await running.respond(heard, reader, writer)

    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(raw_upstream(respond))
        behind = await stack.enter_async_context(bff_beside(route(upstream)))
        port = await stack.enter_async_context(nginx(tmp_path_factory.mktemp("nginx"), behind))
        running = Front(port, upstream, ok())
        yield running


@pytest.fixture
def front(shared: Front) -> Front:
    """One nginx for all tests; what the upstream remembers is cleared before each."""
    shared.upstream.requests.clear()
    shared.respond = ok()
    return shared


def check_forwarded(request: Request, upstream: HttpServer) -> None:
    """Holds for everything that reaches an upstream, whatever was sent."""
    assert request.target.startswith("/api/")
    assert request.all("host") == [f"127.0.0.1:{upstream.port}"]
    assert request.all("authorization") == ["Bearer token-of-alice"]
    assert request.all("x-forwarded-host") == ["app.example"]
    assert request.all("x-forwarded-proto") == ["https"]
    assert len(request.all("x-forwarded-for")) == 1
    assert not NEVER_FORWARDED & {name for name, _ in request.fields}
    assert not [value for _, value in request.fields if "evil" in value or "root" in value]
    assert not [name for name, _ in request.fields if "_" in name or name != name.strip()]


@pytest.mark.parametrize("name", CASES)
async def test_a_raw_request_is_refused_or_forwarded_safely(name: str, front: Front) -> None:
    case = CASES[name]
    try:
        status = (await send(front.port, case.raw)).status
    except (asyncio.IncompleteReadError, ConnectionError):
        status = 0
    assert status in case.statuses
    for request in front.upstream.requests:
        check_forwarded(request, front.upstream)
    assert [request.target for request in front.upstream.requests] == ([case.target] if status == 200 else [])
    assert (await fetch(front.port, "/api/after")).status == 200  # the next client does not notice


@pytest.mark.case("PX-050")
async def test_a_request_inside_a_body_is_a_body(front: Front) -> None:
    inner = "GET /api/inner HTTP/1.1\r\nHost: a\r\nX-CSRF: 1\r\nCookie: user=alice\r\n\r\n"
    outer = f"GET /api/outer HTTP/1.1\r\nHost: a\r\n{OURS}Content-Length: {len(inner)}\r\n\r\n{inner}"
    async with connected(front.port, outer + get("/api/next")) as (reader, _):
        assert [(await read_response(reader)).status for _ in range(2)] == [200, 200]
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    assert [(request.target, request.body) for request in front.upstream.requests] == [
        ("/api/outer", inner.encode()),
        ("/api/next", b""),
    ]


@pytest.mark.case("PX-056")
async def test_a_hundred_pipelined_requests_are_answered_in_order(front: Front) -> None:
    async def by_target(request: Request, reader: Reader, writer: Writer) -> bool:
        body = request.target.encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        return True

    front.respond = by_target
    targets = [f"/api/{number}" for number in range(100)]
    raw = "".join(f"GET {target} HTTP/1.1\r\nHost: a\r\n{OURS}\r\n" for target in targets)
    async with connected(front.port, raw) as (reader, _):
        assert [(await read_response(reader)).body.decode() for _ in targets] == targets
    assert [request.target for request in front.upstream.requests] == targets
