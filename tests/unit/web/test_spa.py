"""The single-page app: its files, its index for client-side routes, and nothing outside its directory."""

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from bff.errors import BffError
from bff.web.error_responder import ErrorResponder
from bff.web.spa import SinglePageApp
from tests.harness.asgi_call import Response, call

NAVIGATE, FETCH, HTML = "sec-fetch-mode: navigate", "sec-fetch-mode: cors", "accept: text/html"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    spa = tmp_path / "spa"
    (spa / "assets").mkdir(parents=True)
    (spa / "index.html").write_text("INDEX")
    (spa / "assets" / "app.js").write_text("SCRIPT")
    (spa / ".env").write_text("SECRET")
    (tmp_path / "outside.txt").write_text("SECRET")
    (spa / "link.txt").symlink_to(tmp_path / "outside.txt")
    return spa


async def get(directory: Path, target: str, *lines: str, method: str = "GET", removed: str = "") -> Response:
    """`removed`: a file that is deleted after the start."""
    spa = SinglePageApp(directory)
    if removed:
        (directory / removed).unlink()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await spa.serve(request)
        except BffError as error:
            response = ErrorResponder().respond(error, request)
        await response(scope, receive, send)

    return await call(app, method, target, *lines)


@pytest.mark.parametrize("target", ["/", "/orders/7", "/index.html"])
async def test_an_index_that_was_removed_is_not_found(directory: Path, target: str) -> None:
    response = await get(directory, target, NAVIGATE, HTML, removed="index.html")
    assert (response.status, bool(response.body)) == (404, True)


@pytest.mark.case("CA-015", "CK-039")
@pytest.mark.parametrize(
    ("target", "lines", "status", "body"),
    [
        ("/", (), 200, b"INDEX"),
        ("/index.html", (FETCH,), 200, b"INDEX"),
        ("/assets/app.js", (FETCH,), 200, b"SCRIPT"),
        ("/orders/7", (NAVIGATE,), 200, b"INDEX"),
        ("/orders/7", (HTML,), 200, b"INDEX"),
        ("/orders/7", (HTML, FETCH), 404, None),
        ("/orders/7", (), 404, None),
        ("/assets", (FETCH,), 404, None),
        ("/assets/missing.js", (FETCH,), 404, None),
        *((target, (FETCH,), 404, None) for target in ("/.env", "/assets/../.env", "/link.txt", "/a\\b", "/%00")),
        *((target, (NAVIGATE,), 200, b"INDEX") for target in ("/.env", "/link.txt")),
        *((target, (NAVIGATE,), 404, None) for target in ("/auth", "/auth/", "/auth/nothing")),
        ("/" + "a" * 5000, (FETCH,), 404, None),
    ],
)
async def test_a_file_or_the_index_is_served(
    directory: Path, target: str, lines: tuple[str, ...], status: int, body: bytes | None
) -> None:
    response = await get(directory, target, *lines)
    assert response.status == status
    if body is None:
        assert response.problem[1] == "route_not_found"
    else:
        assert response.body == body
        assert "frame-ancestors 'none'" in (response.one("content-security-policy") or "")
        assert response.one("x-content-type-options") == "nosniff"
        caching = "no-cache" if body == b"INDEX" else "public, max-age=0, must-revalidate"
        assert response.one("cache-control") == caching
        assert response.all("set-cookie") == []


async def test_other_methods_are_not_allowed(directory: Path) -> None:
    assert (await get(directory, "/", method="HEAD")).body == b""
    response = await get(directory, "/", method="POST")
    assert (response.problem, response.one("allow")) == ((405, "method_not_allowed"), "GET, HEAD")


def test_a_directory_without_an_index_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError):
            SinglePageApp(folder)


@pytest.mark.case("CA-011")
async def test_a_file_never_grows_by_being_requested_in_many_ranges(directory: Path) -> None:
    (directory / "assets" / "app.js").write_bytes(b"x" * 100_000)
    many = "range: bytes=" + ",".join(["0-"] * 5000)
    assert len((await get(directory, "/assets/app.js", FETCH, many)).body) <= 200_000
    part = await get(directory, "/assets/app.js", FETCH, "range: bytes=10-19")
    assert (part.status, part.body) == (206, b"x" * 10)
