"""Dispatches each request to the BFF's endpoints, the API proxy or the SPA.

FastAPI serves the endpoints that a session uses rarely; the hot paths are plain ASGI in front of it.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.access import ACCESS, set_route
from bff.errors import BffError, InvalidRequest, MethodNotAllowed, RouteNotFound
from bff.telemetry import tracing
from bff.web.api import ROUTE
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import METHODS
from bff.web.spa import SinglePageApp

logger = logging.getLogger(__name__)

SPA_ROUTE: Final = "/{path:path}"  # for traces

# FastAPI's own spans contain the query of a request, for the callback the code, as soon as the process has a tracer
# provider or FASTAPI_OTEL_AUTO_CONFIGURE. Our spans are in `bff.telemetry.tracing`.
NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


@dataclass(frozen=True, slots=True)
class OwnEndpoints:
    """`paths`: those of our own endpoints that are not below /auth. `plain` handles its paths and everything below."""

    app: ASGIApp
    paths: Collection[str]
    plain: Mapping[bytes, ASGIApp]


class Dispatcher:
    """First come our own endpoints, then the API proxy, then `rest`: the SPA, or a host application."""

    def __init__(
        self, own: OwnEndpoints, api: ASGIApp, forwarded: Callable[[bytes], object], rest: ASGIApp | None = None
    ) -> None:
        """Without `rest` our own endpoints get every path, and serve the SPA."""
        self._auth_app, self._api, self._forwarded, self._rest = own.app, api, forwarded, rest or own.app
        self._own = frozenset({b"/auth", *(path.encode("ascii") for path in own.paths)})
        self._plain = tuple((path, path + b"/", app) for path, app in own.plain.items())

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._select(scope)
        named = tracing.recording() or ACCESS in scope
        return self._with_route(app, scope, receive, send) if named else app(scope, receive, send)

    async def _with_route(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        if app is not self._api and (route := getattr(scope.get("route"), "path", None)) is not None:
            tracing.set_route(route)  # FastAPI stores the matched route in the scope
            set_route(scope, route)

    def _select(self, scope: Scope) -> ASGIApp:
        path = scope["raw_path"]
        if path.startswith(b"/auth/") or path in self._own:
            for exact, below, app in self._plain:
                if path == exact or path.startswith(below):
                    return app
            return self._auth_app
        try:
            route = self._forwarded(path)
        except InvalidRequest:
            return self._api  # it matches again, and refuses as the API proxy does
        if route is None:
            return self._rest
        scope[ROUTE] = route
        return self._api


def build_auth_app(errors: ErrorResponder) -> FastAPI:
    """The FastAPI application for our own endpoints: no public OpenAPI document, and our own error responses.

    An endpoint has one address: FastAPI's redirect from `/auth/login/` would use the client's Host header.
    """
    auth_app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, telemetry=NO_TELEMETRY)

    @auth_app.exception_handler(BffError)
    async def handle_bff_error(request: Request, error: BffError) -> Response:
        return errors.respond(error, request)

    @auth_app.exception_handler(HTTPException)
    async def handle_http_exception(request: Request, error: HTTPException) -> Response:
        error_to_send: BffError = RouteNotFound()
        if error.status_code == 405:
            error_to_send = MethodNotAllowed(allow=_allowed(auth_app, request.scope))
        return errors.respond(error_to_send, request)

    @auth_app.exception_handler(Exception)
    async def handle_unexpected(request: Request, error: Exception) -> Response:
        logger.error("unexpected error", exc_info=error)
        return errors.respond(BffError(), request)

    return auth_app


def _allowed(auth_app: FastAPI, scope: Scope) -> tuple[str, ...]:
    """The methods of all endpoints at that path (RFC 9110 section 10.2.1); the router knows those of the first."""

    def allows(method: str) -> bool:
        return any(route.matches({**scope, "method": method})[0] is Match.FULL for route in auth_app.routes)

    return tuple(method for method in METHODS if allows(method))


def serve_spa(auth_app: FastAPI, directory: Path | None) -> None:
    """Serves the SPA for every path without another handler.

    It is not a route: a route for every path would also match our own endpoints' paths with methods that they do not
    support.
    """
    if directory is None:
        return
    spa, not_found = request_response(SinglePageApp(directory).serve), auth_app.router.default

    async def serve_path(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await not_found(scope, receive, send)
            return
        tracing.set_route(SPA_ROUTE)
        set_route(scope, SPA_ROUTE)
        await spa(scope, receive, send)

    auth_app.router.default = serve_path
