"""Which route a path belongs to, that nothing leaves the upstream's base path, and that no spelling evades a route."""

import time

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from bff.config.upstream import Upstream
from bff.errors import InvalidRequest
from bff.proxy.routes import RouteTable
from bff.web.middleware.request_guard import check_request
from tests.harness.path_readers import MORE_READERS, SPELLINGS, by_prefix
from tests.harness.routes import a_route

API = "http://api.internal:8080"
HOST = [(b"host", b"app.example")]
PREFIXES = ("/api", "/api/admin", "/api/admin/audit", "/api/v2.1/x", "/other")


def table(*prefixes: str, ignoring: str = "") -> RouteTable:
    """`ignoring` lists the prefixes whose upstream ignores letter case."""
    return RouteTable(a_route(prefix, API, ignore_case=prefix in ignoring.split()) for prefix in prefixes)


def matched(routes: RouteTable, path: str | bytes) -> str | None:
    route = routes.match(path if isinstance(path, bytes) else path.encode())
    return None if route is None else route.prefix


NESTED = table(*PREFIXES)


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
    assert matched(table("/", "/api", "/api/orders"), path) == prefix


def test_a_path_outside_all_prefixes_has_no_route() -> None:
    for path in ("/apix", "/auth/session", "/%61pi/x"):
        assert matched(table("/api"), path) is None
    with pytest.raises(InvalidRequest):  # nor may an encoded prefix fall to a route around it
        matched(table("/", "/api"), "/%61pi/x")


def test_two_routes_with_one_prefix_are_refused() -> None:
    with pytest.raises(ValueError, match="same prefix"):
        table("/api", "/api")
    with pytest.raises(ValueError, match="letter case"):
        table("/api", "/API", ignoring="/API")
    table("/api", "/API")
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
def test_the_target_is_the_clients_path_except_for_the_prefix(base: str, strip: bool, path: str, target: str) -> None:
    route = a_route("/api", API + base, strip_prefix=strip)
    assert route.target(path.encode(), b"") == target.encode()
    assert route.target(path.encode(), b"a=1&a=2&b=%00") == target.encode() + b"?a=1&a=2&b=%00"


@given(
    path=st.binary(max_size=40), query=st.binary(max_size=20), strip=st.booleans(), base=st.sampled_from(["", "/v1"])
)
def test_whatever_is_forwarded_stays_under_the_base_path(path: bytes, query: bytes, strip: bool, base: str) -> None:
    try:
        target = a_route("/api", API + base, strip_prefix=strip).target(b"/api" + path, query)
    except InvalidRequest:
        return
    way = target.partition(b"?")[0]
    assert not way.startswith(b"//")
    assert way == base.encode() or way.startswith(base.encode() + b"/")
    assert not {b".", b".."} & set(way.split(b"/"))
    assert target.isascii()
    assert not set(target) & {0, 9, 10, 13, 32}


@pytest.mark.parametrize(
    ("url", "authority", "address", "base"),
    [
        ("http://api.internal", "api.internal", "api.internal", ""),
        ("https://API.example:443/v1/", "api.example", "api.example", "/v1"),
        ("https://api.example:8443", "api.example:8443", "api.example", ""),
        ("http://[::1]:8080/x", "[::1]:8080", "::1", "/x"),
    ],
)
def test_the_host_of_a_request_is_the_configured_one(url: str, authority: str, address: str, base: str) -> None:
    upstream = Upstream.parse(url)
    assert (upstream.authority, upstream.address, upstream.base_path) == (authority, address, base)


def test_an_upstream_is_a_scheme_a_host_a_port_and_a_plain_path() -> None:
    for url in (
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
    ):
        with pytest.raises(ValueError):
            Upstream.parse(url)


def test_explain_shows_route_method_and_target() -> None:
    routes = RouteTable([a_route("/api", "http://api.internal/v1", strip_prefix=True)])
    explained = routes.explain("GET", "/api/items?x=1")
    assert explained.route is routes.routes[0]
    assert (explained.method_allowed, explained.target) == (True, "/v1/items?x=1")
    assert not routes.explain("OPTIONS", "/api/items").method_allowed
    assert routes.explain("GET", "/other").route is None
    with pytest.raises(InvalidRequest):
        routes.explain("GET", "/api/../auth")


# --- nested routes


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_evades_a_nested_route(path: str) -> None:
    if check_request("GET", path.encode(), b"", HOST) is None:
        with pytest.raises(InvalidRequest):
            NESTED.match(path.encode())
        assert NESTED.carries_credentials(path.encode())
    assert matched(table("/api", "/apart"), path) == "/api"  # without a nested route, the upstream may read it


def test_the_route_that_a_spelling_would_evade_is_named() -> None:
    bypassed = NESTED.bypassed_route(b"/api/%61dmin/audit/x")
    assert bypassed is not None
    assert bypassed.prefix == "/api/admin/audit"
    assert NESTED.bypassed_route(b"/api/x") is NESTED.bypassed_route(b"/nowhere") is None


def test_an_unambiguous_path_beside_nested_routes_passes() -> None:
    paths = """
        /api/files/a%20b /api/x;v=1 /api/a//b /api/caf%C3%A9/%E6%97%A5 /api/50%25deal /api/100%25 /api/orders:export
        /api/admin:export /api/administrators/%61 /api/x/admin /api/x/%61dmin /api/v2.1/y /api/... /api/a+b /api/
    """
    for path in paths.split():
        assert check_request("GET", path.encode(), b"", HOST) is None
        assert matched(NESTED, path) == "/api", path


def test_below_its_own_prefix_a_nested_route_has_every_spelling() -> None:
    for path in ("/api/admin/a%20b", "/api/admin//x", "/api/admin/x;v=1", "/api/admin/", "/api/admin/."):
        assert matched(NESTED, path) == "/api/admin"


def spelled(character: str, layers: int) -> str:
    code = f"%{ord(character):02x}"
    for _ in range(layers):
        code = code.replace("%", "%25")
    return code


_NOISE = ["", "", ";", ";a=b", "%3b", "%253Bx", "%20", " ", "+", ".", "..", "%c2%a0", "::$DATA", "%3f", "%23", "%00"]
noise = st.sampled_from([*_NOISE, "%2500"])
names = st.sampled_from(["api", "admin", "audit", "v2.1", "x", "", "other", "administrators"])


@st.composite
def segments(draw: st.DrawFn) -> str:
    """A name of the table with some of its characters encoded, and something before or after it."""
    name = draw(names)
    layers = draw(st.lists(st.integers(-6, 3), min_size=len(name), max_size=len(name)))
    body = "".join(char if layer < 0 else spelled(char, layer) for char, layer in zip(name, layers, strict=True))
    return draw(noise) + body + draw(noise)


paths = st.lists(segments() | names, min_size=1, max_size=5).map(lambda parts: "/api/" + "/".join(parts))


@settings(max_examples=200)
@given(paths)
@example("/api/admin/audit")
@example("/api/admin/;/audit/x")
@example("/api/v2%2e1/x")
@example("/api//v2.1/x")
def test_every_reading_of_a_path_selects_the_same_route(path: str) -> None:
    if check_request("GET", path.encode(), b"", HOST) is not None:
        event("refused by the guard")
        return
    try:
        prefix = matched(NESTED, path)
    except InvalidRequest:
        event("refused by the table")
        return
    assert prefix is not None
    event(prefix)
    for reader, read in MORE_READERS.items():
        assert by_prefix(PREFIXES, read(path)) == prefix, reader


# --- letter case


def test_letter_case_counts_unless_the_upstream_of_a_route_ignores_it() -> None:
    assert matched(table("/api", "/api/admin"), "/api/Admin/x") == "/api"
    for routes in (
        table("/api", "/api/admin", ignoring="/api/admin"),
        table("/API", "/Api/Admin", ignoring="/Api/Admin"),
    ):
        for path in (b"/api/admin/x", b"/api/Admin/x", b"/API/ADMIN"):
            found = routes.match(path)
            assert found is not None
            assert found.prefix.lower() == "/api/admin"
            assert found.target(path, b"") == path  # the upstream gets it as it came
    stripped = a_route("/api/admin", "http://api.internal/v1", strip_prefix=True, ignore_case=True)
    assert stripped.target(b"/API/Admin/X", b"") == b"/v1/X"


@pytest.mark.parametrize(
    ("nested", "ignoring", "path"),
    [
        *(("admin", "/api", path) for path in ("/api/Admin/x", "/API/admin", "/api/%41dmin", "/api/ADMIN;x")),
        ("admin", "/api/admin", "/api/%41DMIN"),
        ("kiosk", "/api/kiosk", "/api/%e2%84%aaiosk"),  # the Kelvin sign
    ],
)
def test_no_letter_case_evades_a_nested_route(nested: str, ignoring: str, path: str) -> None:
    with pytest.raises(InvalidRequest):
        matched(table("/api", f"/api/{nested}", ignoring=ignoring), path)
    assert matched(table("/api", f"/api/{nested}", ignoring="/api"), "/API/other") == "/api"


@pytest.mark.parametrize("ignoring", ["/api", "/api/admin /api/access"])
def test_letters_with_an_ascii_letter_in_the_other_case_are_that_letter(ignoring: str) -> None:
    """Java compares `\u0131` (dotless), `\u0130` (dotted) and `i` as equal without case, and has SS for a sharp s."""
    for segment in ("adm%C4%B1n", "adm%C4%B0n", "ADM%C4%B0N", "acce%C3%9F", "%41cce%E1%BA%9E"):
        with pytest.raises(InvalidRequest):
            matched(table("/api", "/api/admin", "/api/access", ignoring=ignoring), f"/api/{segment}/x")
        assert matched(table("/api", "/api/admin", "/api/access"), f"/api/{segment}/x") == "/api"


def test_a_long_path_of_many_layers_costs_no_more_than_it_is_long() -> None:
    """Each layer undone one by one would be quadratic: 8 KiB of `%2525...` took seconds."""
    began = time.process_time()
    for path in (b"/api/%" + b"25" * 4000 + b"61", b"/api/" + b"%25" * 2600, b"/api/" + b"%ef%bc%85" * 900):
        try:
            if check_request("GET", path, b"", HOST) is None:
                NESTED.match(path)
        except InvalidRequest:
            pass
    assert time.process_time() - began < 5
