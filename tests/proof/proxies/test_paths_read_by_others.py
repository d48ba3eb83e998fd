"""No request leaves its prefix, by any reading of its path: a browser, a WHATWG parser, an upstream, a proxy."""

from urllib.parse import unquote_to_bytes, urlsplit

import ada_url
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from bff.config.routes import Route
from bff.errors import InvalidRequest
from bff.proxy.routes import RouteTable
from bff.web.middleware.request_guard import check_request
from tests.harness.path_readers import READERS, resolved
from tests.harness.routes import a_route

HOST = [(b"host", b"app.example")]
ROUTES = RouteTable(
    [
        a_route("/api", "http://api.internal:8080"),
        a_route("/api/v2", "http://v2.internal/base", strip_prefix=True),
        a_route("/stripped", "http://bare.internal", strip_prefix=True),
    ]
)

_DOTS = """
    . .. ... %2e %2E %2e%2e .%2e %2e. %252e%252e %c0%ae %ef%bc%8e %e2%80%a5 %e2%80%a4
"""
_SLASHES = r"""
    / // \ %2f %2F %5c %5C %252f %255c %c0%af %ef%bc%8f %ef%bc%bc %e2%88%95 /;/
"""
_ODD = [";", ";a=b", "..;", ".;x", "%3b", "%00", "%0a", "%09", "\t", "\n", "%20", " ", "%", "%u002e", "?", "#", "%23"]
_HOSTS = ["@", ":", ":9", "@evil.test", "evil.test", "http:", "https://evil.test", "%40", "[::1]", "localhost"]
_PLAIN = ["api", "api/v2", "stripped", "v2", "base", "admin", "auth", "x", "a%20b", "caf%C3%A9", "A", "%61pi", "~", ""]
piece = st.sampled_from(_DOTS.split() + _SLASHES.split() + _ODD + _HOSTS + _PLAIN) | st.text(max_size=2)
hostile = st.lists(piece, max_size=8).map("".join)
# Mostly below a prefix, or hardly anything would get as far as a target.
paths = st.tuples(st.sampled_from(["/api/", "/api/v2/", "/stripped/", "/api", "/stripped", "/", ""]), hostile).map(
    "".join
)


def forwarded(path: str) -> tuple[Route, str] | None:
    """The route that a path takes and the target that its upstream is asked for; None if it is refused."""
    raw = path.encode("utf-8", "surrogatepass")
    if check_request("GET", raw, b"", HOST) is not None:
        return None
    try:
        route = ROUTES.match(raw)
        if route is None:
            return None
        return route, route.target(raw, b"").decode("ascii")
    except InvalidRequest:
        return None


def home(route: Route) -> str:
    """The path below which everything of this route stays at its upstream."""
    return route.server.base_path + ("" if route.strip_prefix else route.prefix)


def below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/") or prefix == ""


@settings(max_examples=500)
@given(paths)
@example("/api/..;/admin")
@example("/api/%2e%2e%2fadmin")
@example("/api/x/..%5c..%5cadmin")
@example("/stripped//evil.test/x")
@example("/api/;/../../x")
@example("/api/%20../x")
@example("/api/%ef%bc%8e%ef%bc%8e/admin")
@example("/api/%e2%80%a5/admin")
@example("/api/x%ef%bc%8f..%ef%bc%8f..%ef%bc%8fadmin")
@example("/api/%ef%bc%bc%e2%80%a5%ef%bc%bcadmin")
def test_an_upstream_that_reads_otherwise_stays_below_the_prefix(path: str) -> None:
    found = forwarded(path)
    event("refused" if found is None else "forwarded")
    if found is not None:
        route, target = found
        for reader, read in READERS.items():
            assert below(read(target), resolved(home(route)) if home(route) else ""), reader


@settings(max_examples=300)
@given(paths)
@example("/api/@evil.test/x")
@example("/stripped/@evil.test")
@example("/stripped/:9/x")
@example("/api/http://evil.test/")
def test_a_whatwg_parser_finds_the_same_upstream_and_the_same_path(path: str) -> None:
    found = forwarded(path)
    if found is None:
        return
    route, target = found
    url = ada_url.URL(f"http://{route.server.authority}{target}")
    assert (url.host, url.username, url.password, url.search, url.hash) == (route.server.authority, "", "", "", "")
    assert below(url.pathname, home(route))
    # It only writes some characters as escapes: segment for segment it is what we send.
    assert [unquote_to_bytes(part) for part in url.pathname.split("/")] == [
        unquote_to_bytes(part) for part in target.split("/")
    ]
    # Resolved against the upstream's base, as a careless client library would: no other place either.
    relative = ada_url.URL(target, base=f"http://{route.server.authority}{route.server.base_path}/")
    assert (relative.host, below(relative.pathname, home(route))) == (route.server.authority, True)
    assert urlsplit(f"http://{route.server.authority}{target}").netloc == route.server.authority


@settings(max_examples=300)
@given(paths)
@example("/api/../auth/logout")
@example("/api/%2e%2e/auth/logout")
@example("/api\\..\\auth")
def test_a_browser_that_is_given_the_path_asks_for_the_same_route(path: str) -> None:
    """What a page builds as a URL and what we are asked for are one path, or we refuse it."""
    found = forwarded(path)
    if found is None:
        return
    asked = ada_url.URL(f"https://app.example{path}")
    assert asked.host == "app.example"
    again = forwarded(asked.pathname)
    assert again is not None
    assert again[0] is found[0]
    assert unquote_to_bytes(again[1]) == unquote_to_bytes(found[1])
