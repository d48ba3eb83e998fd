"""CORS: with credentials for exactly the allowed origins, on the paths that scripts call; nothing for any other."""

from pathlib import Path

import pytest

from bff.proxy.routes import RouteTable
from bff.web.middleware.cors import REQUESTED_LIMIT, CorsMiddleware
from bff.web.origin_policy import OriginPolicy
from tests.harness.asgi_call import Reached, Response, call, run, websocket_scope
from tests.harness.routes import a_route
from tests.harness.web_parts import FETCH, web_parts

ADMIN, OURS = "https://admin.example.com", "https://app.example.com"
ROUTES = RouteTable([a_route("/api"), a_route("/api/admin"), a_route("/files", methods=("GET", "HEAD"))])
SCRIPTS = (
    *("/api/x", "/auth/session", "/auth/session/extend", "/auth/session/events"),
    *("/auth/sessions", "/auth/logout"),
)
ELSEWHERE = (
    "/auth/login",
    "/authorization-code/callback",
    "/elsewhere",
    "/auth",
    "/auth/sessionx",
    "/api//admin/x",
    "/apix",
)


def cors(reached: Reached) -> CorsMiddleware:
    return CorsMiddleware(reached, ROUTES, OriginPolicy(OURS, [ADMIN]))


def preflight(origin: str = ADMIN, headers: str | None = "x-csrf, content-type") -> list[str]:
    lines = [f"origin: {origin}", "access-control-request-method: DELETE"]
    return lines if headers is None else [*lines, f"access-control-request-headers: {headers}"]


def grants(response: Response) -> dict[str, str]:
    fields = {name.decode(): value.decode() for name, value in response.headers}
    return {name: value for name, value in fields.items() if name.startswith("access-control-")}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/x", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("/files/x", "GET, HEAD"),
        *((path, "GET, HEAD, POST, DELETE") for path in SCRIPTS[1:]),
    ],
)
async def test_a_preflight_of_an_allowed_origin_is_answered_here(path: str, methods: str) -> None:
    reached = Reached()
    response = await call(cors(reached), "OPTIONS", path, *preflight())
    assert (response.status, response.body, reached.scopes) == (204, b"", [])
    assert grants(response) == {
        "access-control-allow-origin": ADMIN,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": methods,
        "access-control-allow-headers": "x-csrf, content-type",
        "access-control-max-age": "600",
    }
    assert response.one("vary") == "origin, access-control-request-headers"
    assert response.one("cache-control") == "no-store"


@pytest.mark.parametrize(
    ("headers", "echoed"),
    [
        (None, False),
        ("", False),
        ("a" * REQUESTED_LIMIT, True),
        ("a" * (REQUESTED_LIMIT + 1), False),
        *((wrong, False) for wrong in ("x-csrf\x7f", "x;y", "x\u00e9", "x:y")),
    ],
)
async def test_requested_headers_are_echoed_if_they_are_names(headers: str | None, echoed: bool) -> None:
    response = await call(cors(Reached()), "OPTIONS", "/api/x", *preflight(headers=headers))
    assert response.status == 204
    assert response.all("access-control-allow-headers") == ([headers] if echoed else [])


@pytest.mark.case("CS-024")
@pytest.mark.parametrize(
    "origins",
    [
        *(
            (origin,)
            for origin in (
                *("https://evil.test", "null", "", OURS, "https://admin.example.com.evil.test"),
                *("https://ADMIN.example.com", "http://admin.example.com", "https://admin.example.com:444"),
            )
        ),
        (),
        (ADMIN, "https://evil.test"),
        (ADMIN, ADMIN),
    ],
)
async def test_any_other_origin_is_granted_nothing(origins: tuple[str, ...]) -> None:
    lines = [f"origin: {origin}" for origin in origins]
    for path in SCRIPTS:
        for method in ("OPTIONS", "GET", "POST"):
            reached = Reached()
            response = await call(cors(reached), method, path, *lines, *preflight()[1:])
            assert (grants(response), response.one("vary"), len(reached.scopes)) == ({}, "origin", 1)


@pytest.mark.parametrize("path", ELSEWHERE)
async def test_what_no_script_calls_is_open_to_no_origin(path: str) -> None:
    for method in ("OPTIONS", "GET"):
        reached = Reached()
        response = await call(cors(reached), method, path, *preflight())
        assert (grants(response), response.all("vary"), len(reached.scopes)) == ({}, [], 1)


@pytest.mark.parametrize(("method", "lines"), [("GET", preflight()), ("OPTIONS", preflight()[:1]), ("POST", [])])
async def test_a_response_to_an_allowed_origin_may_be_read_by_it(method: str, lines: list[str]) -> None:
    """An error too, or the SPA could not tell a sign-out from a network failure."""
    reached = Reached(401, (b"vary", b"accept"))
    response = await call(cors(reached), method, "/api/x", *(lines or preflight()[:1]))
    assert (response.status, response.body, response.all("vary")) == (401, b"reached", ["accept", "origin"])
    assert grants(response) == {
        "access-control-allow-origin": ADMIN,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": (
            "content-disposition, etag, link, location, retry-after, x-bff-forwarded, x-request-id"
        ),
    }


async def test_a_websocket_passes() -> None:
    reached = Reached()
    assert (await run(cors(reached), websocket_scope("/api/x", f"origin: {ADMIN}"))).status == 101


@pytest.mark.parametrize("allowed", [ADMIN, None])
async def test_it_is_installed_only_with_allowed_origins(tmp_path: Path, allowed: str | None) -> None:
    async with web_parts(tmp_path, **({} if allowed is None else {"allowed_origins": allowed})) as parts:
        browser = parts.browser()
        await browser.sign_in()
        session = await browser.send(
            "GET", "/auth/session", *FETCH[::2], f"origin: {ADMIN}", "sec-fetch-site: same-site"
        )
        assert session.all("access-control-allow-origin") == ([] if allowed is None else [ADMIN])
        asked = await call(parts.public, "OPTIONS", "/api/x", *preflight())
        assert asked.status == (405 if allowed is None else 204)
        signed_out = await browser.send(
            "POST", "/auth/logout", f"origin: {ADMIN}", "x-csrf: 1", "sec-fetch-site: same-site"
        )
        assert signed_out.status == (403 if allowed is None else 200)
