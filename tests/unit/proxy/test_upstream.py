"""The route table: which route a path belongs to, and that nothing leaves the configured host and base path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.config.upstream import Upstream
from bff.errors import InvalidRequest
from bff.proxy.routes import RouteTable
from tests.harness.routes import a_route

API = "http://api.internal:8080"


def table(*prefixes: str) -> RouteTable:
    return RouteTable(a_route(prefix, API) for prefix in prefixes)


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/x", "/api"),
        ("/api/orders", "/api/orders"),
        ("/api/orders/1", "/api/orders"),
        ("/api/orders1", "/api"),
        ("/apix", "/"),
        ("/", "/"),
        ("/API/x", "/"),
    ],
)
def test_the_longest_prefix_wins_on_a_segment_boundary(path: str, prefix: str) -> None:
    route = table("/", "/api", "/api/orders").match(path.encode())
    assert route is not None
    assert route.prefix == prefix


def test_a_path_that_no_prefix_covers_has_no_route() -> None:
    assert table("/api").match(b"/apix") is None
    assert table("/api").match(b"/auth/session") is None


def test_an_encoded_prefix_is_no_prefix() -> None:
    assert table("/api").match(b"/%61pi/x") is None
    with pytest.raises(InvalidRequest):  # nor may it fall to a route around it
        table("/", "/api").match(b"/%61pi/x")


def test_two_routes_with_one_prefix_are_refused() -> None:
    with pytest.raises(ValueError, match="same prefix"):
        table("/api", "/api")
    with pytest.raises(ValueError, match="letter case"):
        RouteTable([a_route("/api", API), a_route("/API", API, ignore_case=True)])
    table("/api", "/API")


def test_a_prefix_that_a_file_system_would_read_as_another_is_refused() -> None:
    with pytest.raises(ValueError, match="dot at the end of a segment"):
        a_route("/api/v1.", API)


@pytest.mark.parametrize(
    ("base", "strip", "path", "target"),
    [
        ("", False, "/api/x", "/api/x"),
        ("", True, "/api/x", "/x"),
        ("", True, "/api", "/"),
        ("", True, "/api/", "/"),
        ("/v1", False, "/api/x", "/v1/api/x"),
        ("/v1", True, "/api/x", "/v1/x"),
        ("/v1", True, "/api", "/v1"),
        ("/v1", True, "/api/a;b=1/~c/%C3%A9", "/v1/a;b=1/~c/%C3%A9"),
    ],
)
def test_the_target_is_the_clients_path_but_for_the_prefix(base: str, strip: bool, path: str, target: str) -> None:
    route = a_route("/api", API + base, strip_prefix=strip)
    assert route.target(path.encode(), b"") == target.encode()
    assert route.target(path.encode(), b"a=1&a=2&b=%00") == target.encode() + b"?a=1&a=2&b=%00"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(b"@evil.test/x", id="PX-024-userinfo"),
        pytest.param(b"\\@evil.test/", id="PX-024-backslash"),
        pytest.param(b".evil.test/x", id="PX-025-host-suffix"),
        pytest.param(b":9/x", id="PX-025-port"),
        b"//evil.test/x",
        b"/api//evil.test/x",
        b"/api/../auth",
        b"/api/..",
        b"/api/..;/admin",
        b"/api/./x",
        b"/api/x y",
        b"/api/x\r\nx: y",
        b"/api/\xc3\xa9",
        b"http://evil.test/api/x",
        b"",
        b"/apix",
    ],
)
def test_what_could_leave_the_base_path_is_not_forwarded(path: bytes) -> None:
    with pytest.raises(InvalidRequest):
        a_route("/api", API, strip_prefix=True).target(path, b"")


@given(
    path=st.binary(max_size=40), query=st.binary(max_size=20), strip=st.booleans(), base=st.sampled_from(["", "/v1"])
)
def test_whatever_is_forwarded_stays_under_the_base_path(path: bytes, query: bytes, strip: bool, base: str) -> None:
    route = a_route("/api", API + base, strip_prefix=strip)
    try:
        target = route.target(b"/api" + path, query)
    except InvalidRequest:
        return
    way = target.partition(b"?")[0]
    assert way.startswith(b"/")
    assert not way.startswith(b"//")
    assert way == base.encode() or way.startswith(base.encode() + b"/")
    assert not {b".", b".."} & set(way.split(b"/"))
    assert target.isascii()
    assert not set(target) & {0, 9, 10, 13, 32}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://api.internal",
        "api.internal",
        "http://",
        "http://user:secret@api.internal",
        "http://api.internal?x=1",
        "http://api.internal#x",
        "http://api.internal/a/../b",
        "http://api.internal/a%2fb",
        "http://api.internal:0",
        "http://api.internal:65536",
        "http://api internal",
        "http://evil.test\\@api.internal",
        "http://[::1",
    ],
)
def test_an_upstream_is_a_scheme_a_host_a_port_and_a_plain_path(url: str) -> None:
    with pytest.raises(ValueError):
        Upstream.parse(url)


@pytest.mark.parametrize(
    ("url", "authority", "address", "base"),
    [
        ("http://api.internal", "api.internal", "api.internal", ""),
        ("https://API.example:443/v1/", "api.example", "api.example", "/v1"),
        ("https://api.example:8443", "api.example:8443", "api.example", ""),
        ("http://[::1]:8080/x", "[::1]:8080", "::1", "/x"),
    ],
)
def test_the_host_that_an_upstream_is_asked_by_is_the_configured_one(
    url: str, authority: str, address: str, base: str
) -> None:
    upstream = Upstream.parse(url)
    assert (upstream.authority, upstream.address, upstream.base_path) == (authority, address, base)


def test_explain_tells_what_would_happen() -> None:
    routes = RouteTable([a_route("/api", "http://api.internal/v1", strip_prefix=True)])
    told = routes.explain("GET", "/api/items?x=1")
    assert told.route is routes.routes[0]
    assert (told.method_allowed, told.target) == (True, "/v1/items?x=1")
    assert not routes.explain("OPTIONS", "/api/items").method_allowed
    assert routes.explain("GET", "/other").route is None
    with pytest.raises(InvalidRequest):
        routes.explain("GET", "/api/../auth")
