"""The rules of a nested route hold however its path is spelled: such a request is refused, or meets the same rules.

`/api/admin` inside `/api` has rules of its own. An upstream reads paths in its own way, and what it takes for
`/api/admin` must never have passed by the rules of `/api`.
"""

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from bff.errors import InvalidRequest
from bff.proxy.routes import RouteTable
from bff.web.middleware.request_guard import check_request
from tests.harness.routes import a_route
from tests.harness.upstream_wire import bff, fetch, ok, raw_upstream, route
from tests.proof.proxies.test_paths_read_by_others import READERS, once, resolved

HOST = [(b"host", b"app.example")]
API = "http://api.internal"
PREFIXES = ("/api", "/api/admin", "/api/admin/audit", "/api/v2.1/x", "/other")
ROUTES = RouteTable(a_route(prefix, API) for prefix in PREFIXES)

# What an upstream may take for /api/admin.
SPELLINGS = [
    "/api//admin/x",
    "/api/%61dmin/x",
    "/api/%2561dmin/x",
    "/api/%25%36%31dmin/x",
    "/api/%25u0061dmin/x",
    "/api/adm%69n/x",
    "/api/admin;x/y",
    "/api/admin;/y",
    "/api/admin%3bx/y",
    "/api/admin%253bx/y",
    "/api/;/admin/x",
    "/api/;a=b/admin/x",
    "/api/admin%20/x",
    "/api/admin%2520/x",
    "/api/%20admin/x",
    "/api/%20/admin",
    "/api/admin+/x",
    "/api/admin%c2%a0/x",
    "/api/admin./x",
    "/api/admin.",
    "/api/admin..../x",
    "/api/.../admin/x",
    "/api/admin::$DATA/x",
    "/api/admin:$i30:$INDEX_ALLOCATION/x",
    "/api/admin%3f/x",
    "/api/admin%23/x",
    "/api/%ef%bd%81dmin/x",
    "/api/%ef%bc%8fadmin/x",
    "/api/%ef%bc%85%36%31dmin/x",
]


@pytest.mark.parametrize("path", SPELLINGS)
async def test_a_nested_route_is_not_passed_by_another_spelling(path: str) -> None:
    async with raw_upstream(ok()) as upstream:
        nested = route(upstream, prefix="/api/admin", methods=("GET",))
        with bff(route(upstream), nested) as port:
            refused = await fetch(port, path, method="DELETE")
            plainly = await fetch(port, "/api/admin/x", method="DELETE")
            beside = await fetch(port, "/api/administrators", method="DELETE")
    assert (refused.status, json.loads(refused.body)["code"]) == (400, "invalid_request")
    assert (plainly.status, beside.status) == (405, 200)
    assert [heard.target for heard in upstream.heard] == ["/api/administrators"]


@pytest.mark.parametrize("path", SPELLINGS)
def test_without_a_nested_route_a_spelling_is_the_upstreams_to_read(path: str) -> None:
    only = RouteTable([a_route("/api", API), a_route("/apart", API)])
    assert only.match(path.encode()) is only.routes[1]


@pytest.mark.parametrize(
    "path",
    [
        "/api/files/a%20b",
        "/api/x;v=1",
        "/api/a//b",
        "/api/caf%C3%A9/%E6%97%A5",
        "/api/50%25deal",
        "/api/100%25",
        "/api/orders:export",
        "/api/admin:export",  # a custom method of Google's style is no NTFS stream
        "/api/administrators/%61",
        "/api/x/admin",
        "/api/x/%61dmin",
        "/api/v2.1/y",
        "/api/...",
        "/api/a+b",
        "/api/",
    ],
)
def test_an_honest_path_beside_nested_routes_passes(path: str) -> None:
    assert check_request("GET", path.encode(), b"", HOST) is None
    found = ROUTES.match(path.encode())
    assert found is not None
    assert found.prefix == "/api"


@pytest.mark.parametrize(
    "path", ["/api/admin/a%20b", "/api/admin//x", "/api/admin/x;v=1", "/api/admin/", "/api/admin/."]
)
def test_behind_its_own_prefix_a_nested_route_has_every_spelling(path: str) -> None:
    found = ROUTES.match(path.encode())
    assert found is not None
    assert found.prefix == "/api/admin"


def by_prefix(path: str) -> str | None:
    """The longest prefix on a boundary of segments: the table read naively."""
    covering = [prefix for prefix in PREFIXES if path == prefix or path.startswith(prefix + "/")]
    return max(covering, key=len, default=None)


MORE_READERS: dict[str, Callable[[str], str]] = {
    **READERS,
    "trailing dots and blanks cut off": lambda path: resolved(
        "/".join(segment.rstrip(". ") for segment in once(path).split("/"))
    ),
    "decoded twice, without parameters": lambda path: resolved(
        "/".join(segment.partition(";")[0] for segment in once(once(path)).split("/"))
    ),
}


def spelled(character: str, layers: int) -> str:
    code = f"%{ord(character):02x}"
    for _ in range(layers):
        code = code.replace("%", "%25")
    return code


character = st.sampled_from("adminuv21x")
encoded = st.builds(spelled, character, st.integers(0, 3))
noise = st.sampled_from(
    [
        "",
        "",
        ";",
        ";a=b",
        "%3b",
        "%253Bx",
        "%20",
        " ",
        "+",
        ".",
        "..",
        "%c2%a0",
        "::$DATA",
        "%3f",
        "%23",
        "%00",
        "%2500",
    ]
)
names = st.sampled_from(["api", "admin", "audit", "v2.1", "x", "", "other", "administrators"])


@st.composite
def segments(draw: st.DrawFn) -> str:
    """A name of the table with some of its characters spelled otherwise, and something before or after it."""
    name = draw(names)
    layers = draw(st.lists(st.integers(-6, 3), min_size=len(name), max_size=len(name)))
    body = "".join(char if layer < 0 else spelled(char, layer) for char, layer in zip(name, layers, strict=True))
    return draw(noise) + body + draw(noise)


paths = st.lists(segments() | names, min_size=1, max_size=5).map(lambda parts: "/api/" + "/".join(parts))


@settings(max_examples=1500, deadline=None)
@given(paths)
@example("/api/admin/audit")
@example("/api/admin/;/audit/x")
@example("/api/v2%2e1/x")
@example("/api//v2.1/x")
def test_the_chosen_route_is_the_one_of_every_reading(path: str) -> None:
    raw = path.encode()
    if check_request("GET", raw, b"", HOST) is not None:
        event("refused by the guard")
        return
    try:
        chosen = ROUTES.match(raw)
    except InvalidRequest:
        event("refused by the table")
        return
    assert chosen is not None
    event(chosen.prefix)
    for reader, read in MORE_READERS.items():
        assert by_prefix(read(path)) == chosen.prefix, reader


# --- letter case


def cased(*prefixes: str, ignoring: str = "") -> RouteTable:
    return RouteTable(a_route(prefix, API, ignore_case=prefix in ignoring.split()) for prefix in prefixes)


def test_letter_case_counts_unless_a_route_says_that_its_upstream_ignores_it() -> None:
    strict = cased("/api", "/api/admin").match(b"/api/Admin/x")
    assert strict is not None
    assert strict.prefix == "/api"
    for table in (
        cased("/api", "/api/admin", ignoring="/api/admin"),
        cased("/API", "/Api/Admin", ignoring="/Api/Admin"),
    ):
        for path in (b"/api/admin/x", b"/api/Admin/x", b"/API/ADMIN"):
            found = table.match(path)
            assert found is not None
            assert found.prefix.lower() == "/api/admin"
            assert found.target(path, b"") == path  # the upstream gets it as it came


def test_an_outer_route_that_ignores_case_gives_nothing_away_that_a_nested_one_holds() -> None:
    table = cased("/api", "/api/admin", ignoring="/api")
    for path in (b"/api/Admin/x", b"/API/admin", b"/api/%41dmin", b"/api/ADMIN;x"):
        with pytest.raises(InvalidRequest):
            table.match(path)
    found = table.match(b"/API/other")
    assert found is not None
    assert found.prefix == "/api"
    with pytest.raises(InvalidRequest):
        cased("/api", "/api/admin", ignoring="/api/admin").match(b"/api/%41DMIN")
    with pytest.raises(InvalidRequest):
        cased("/api", "/api/kiosk", ignoring="/api/kiosk").match(b"/api/%e2%84%aaiosk")  # the Kelvin sign


@pytest.mark.parametrize("segment", ["adm%C4%B1n", "adm%C4%B0n", "ADM%C4%B0N", "acce%C3%9F", "%41cce%E1%BA%9E"])
@pytest.mark.parametrize("ignoring", ["/api", "/api/admin /api/access"])
def test_letters_that_have_an_ascii_letter_in_the_other_case_are_that_letter(segment: str, ignoring: str) -> None:
    """Java compares `\u0131` (dotless), `\u0130` (dotted) and `i` as equal without case, and has SS for a sharp s."""
    table = cased("/api", "/api/admin", "/api/access", ignoring=ignoring)
    with pytest.raises(InvalidRequest):
        table.match(f"/api/{segment}/x".encode())
    found = cased("/api", "/api/admin", "/api/access").match(f"/api/{segment}/x".encode())
    assert found is not None
    assert found.prefix == "/api"  # letter case counts


def test_a_prefix_is_taken_off_in_whatever_case_it_came() -> None:
    stripped = a_route("/api/admin", "http://api.internal/v1", strip_prefix=True, ignore_case=True)
    assert stripped.target(b"/API/Admin/X", b"") == b"/v1/X"


def test_a_long_path_of_many_layers_costs_no_more_than_it_is_long() -> None:
    """Each layer undone one by one would be quadratic: 8 KiB of `%2525...` took seconds."""
    table = cased("/api", "/api/admin")
    began = time.process_time()
    for path in (b"/api/%" + b"25" * 4000 + b"61", b"/api/" + b"%25" * 2600, b"/api/" + b"%ef%bc%85" * 900):
        try:
            if check_request("GET", path, b"", HOST) is None:
                table.match(path)
        except InvalidRequest:
            pass
    assert time.process_time() - began < 5
