"""Which application gets a request: our own endpoints at exactly their addresses, the API, or the single-page app."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.errors import InvalidRequest
from bff.web.api import ROUTE
from bff.web.dispatch import Dispatcher, OwnEndpoints, build_auth_app
from bff.web.error_responder import ErrorResponder
from tests.harness.asgi_call import Reached, call
from tests.harness.routes import a_route
from tests.harness.web_parts import NAVIGATION, WebParts, web_parts

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ENDPOINTS = {
    "/authorization-code/callback": ("GET",),
    "/auth/login": ("GET", "POST"),
    "/auth/landing": ("GET",),
    "/auth/session": ("GET", "HEAD"),
    "/auth/session/extend": ("POST",),
    "/auth/sessions": ("GET",),
    "/auth/sessions/end": ("POST",),
    "/auth/logout": ("GET", "POST"),
    "/auth/backchannel-logout": ("POST",),
    "/auth/frontchannel-logout": ("GET", "HEAD", "POST"),
    "/auth/global-token-revocation": ("POST",),
}


@pytest.fixture(params=["with SPA", "without SPA"])
async def parts(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[WebParts]:
    spa: dict[str, str] = {}
    if request.param == "with SPA":
        (tmp_path / "spa").mkdir()
        (tmp_path / "spa" / "index.html").write_text("<title>SPA-INDEX</title>")
        spa = {"spa_dir": str(tmp_path / "spa")}
    async with web_parts(tmp_path, **spa) as parts:
        yield parts


@pytest.mark.case("AZ-036")
async def test_an_endpoint_has_its_methods_and_no_other(parts: WebParts) -> None:
    for path, methods in ENDPOINTS.items():
        for method in METHODS:
            response = await call(parts.public, method, path, *NAVIGATION)
            if method in methods:
                assert response.status not in (404, 405), (method, path)
            else:
                assert (response.status, response.one("allow")) == (405, ", ".join(methods)), (method, path)
            assert b"SPA-INDEX" not in response.body
    assert (await call(parts.public, "PUT", "/auth/login")).problem == (405, "method_not_allowed")


async def test_an_endpoint_has_one_address_and_no_redirect_leads_to_it(parts: WebParts) -> None:
    """A redirect that adds or removes a slash would lead to whatever Host the client sent."""
    for path in ("/auth", "/auth/", "/auth/nothing", "/auth/login/", "/auth//login", "/auth/sessions/7"):
        for method in METHODS:
            response = await call(parts.public, method, path, *NAVIGATION)
            assert (response.status, response.all("location")) == (404, []), (method, path)
    assert b"openapi" not in (await call(parts.public, "GET", "/openapi.json", "accept: text/html")).body


@pytest.mark.parametrize(
    ("path", "selected"),
    [
        ("/auth/verify", "plain"),
        ("/auth/verify/x", "plain"),
        ("/auth/verifyx", "auth"),
        ("/auth/session", "auth"),
        ("/auth", "auth"),
        ("/callback", "auth"),
        ("/callback/x", "api"),
        ("/authx", "auth"),
        ("/api/x", "api"),
        ("/api/ambiguous", "api"),
        ("/", "auth"),
    ],
)
async def test_the_raw_path_selects_the_application(path: str, selected: str) -> None:
    apps, route = {name: Reached() for name in ("auth", "api", "plain")}, a_route()

    def match(raw_path: bytes) -> object:
        if raw_path == b"/api/ambiguous":
            raise InvalidRequest
        return route if raw_path.startswith((b"/api", b"/auth", b"/callback/")) and raw_path != b"/authx" else None

    own = OwnEndpoints(apps["auth"], ("/callback",), {b"/auth/verify": apps["plain"]})
    dispatcher = Dispatcher(own, apps["api"], match)
    await call(dispatcher, "GET", path)
    assert [name for name, app in apps.items() if app.scopes] == [selected]
    assert apps["api"].scopes == [] or apps["api"].scopes[0].get(ROUTE) is (route if path != "/api/ambiguous" else None)


async def test_an_unexpected_error_is_a_500_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    app = build_auth_app(ErrorResponder())

    @app.get("/x")
    async def fails() -> None:
        raise RuntimeError("CANARY")

    with pytest.raises(RuntimeError):  # Starlette raises it again, for the server's log
        await call(app, "GET", "/x")
    assert "unexpected error" in caplog.text
