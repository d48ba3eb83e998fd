"""The application that the BFF is installed in: it gets every path that is not ours, with the session at hand.

Its unsafe requests are protected from CSRF like our own, and a response with data of the user is stored by no cache
unless it says otherwise.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from bff.config.routes import Route
from bff.config.settings import Settings
from bff.errors import BffError, CsrfRequired, ForbiddenByRule, StepUpRequired
from bff.session.access_rules import AccessRules
from bff.session.session_view import SessionView
from bff.web.api import ApiEndpoint
from bff.web.error_responder import ErrorResponder
from bff.web.origin_policy import OriginPolicy
from bff.web.return_path import return_path
from bff.web.step_up import step_up_url
from bff.web.upstream_credentials import SessionCredentials

# Scope key: the `HostRequests` of the application that handles the request.
HOST: Final = "bff.host"
# Scope key: set once the session of the request was read.
_PERSONAL: Final = "bff.personal"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Host:
    """`app` is the host application. `csrf_exempt`: paths that other sites may call, with everything below them."""

    app: ASGIApp
    csrf_exempt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestRules:
    """Who may send a request, and what a refused one gets."""

    origins: OriginPolicy
    errors: ErrorResponder


class HostRequests:
    """What the host's own code may ask about a request. One per application."""

    def __init__(
        self,
        sessions: SessionCredentials,
        api: ApiEndpoint,
        rules: RequestRules,
        settings: Settings,
        not_found: ASGIApp | None,
    ) -> None:
        """`not_found` serves the single-page application, for paths without a route of the host; None without one."""
        self._sessions, self._api, self._rules = sessions, api, rules
        self.settings, self.not_found = settings, not_found

    async def session(self, scope: Scope) -> SessionView:
        """The live session of the request, which counts as activity of the user.

        Raises SignInRequired, StepUpRequired, InvalidRequest, ProviderUnavailable, StoreUnavailable.
        """
        scope[_PERSONAL] = True
        return await self._sessions.session(scope)

    def check_access(self, session: SessionView, rules: AccessRules, scope: Scope) -> None:
        """Raises ForbiddenByRule if none of the rules holds for the session."""
        self._sessions.check_rules(session, rules, place=route_of(scope))

    def check_csrf(self, scope: Scope) -> None:
        """Raises CsrfRequired unless a page of this application sent the request, whatever its method.

        A script sends the header `X-CSRF: 1`. A form of this origin needs none: the browser says where it comes from.
        """
        origins, headers = self._rules.origins, scope["headers"]
        if scope["type"] == "websocket":
            origins.check_websocket(headers)
        elif (b"sec-fetch-mode", b"navigate") in headers and scope["method"] not in _SAFE:
            origins.check_form(headers)
        else:
            origins.check_csrf(scope["method"], headers)

    async def call(self, route: Route, asked: Scope, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends a request to the upstream of a route, with the credentials of the request `asked`."""
        asked[_PERSONAL] = True
        await self._api.call(route, asked, scope, receive, send)

    async def send(self, error: BffError, scope: Scope, send: Send) -> None:
        await self._rules.errors.send(error, scope, send)

    async def respond(self, connection: HTTPConnection, error: BffError) -> Response | None:
        """The response to an error of ours in the host's code; None for a WebSocket, whose handshake is refused."""
        if isinstance(error, StepUpRequired | ForbiddenByRule):
            error.sign_in_url = step_up_url(error, self.settings.sign_in.acr_values)
        if isinstance(connection, WebSocket):
            await self._rules.errors.send(error, connection.scope, connection.send)
            return None
        request = Request(connection.scope)
        query = request.url.query
        wanted = request.url.path + (f"?{query}" if query else "") if request.method in ("GET", "HEAD") else None
        back = return_path(wanted, self.settings.browser)
        return self._rules.errors.respond(error, request, return_to=back, scope=request.scope)


class HostRoutes:
    """ASGI application in front of the host's."""

    def __init__(self, host: Host, requests: HostRequests) -> None:
        self._app, self._requests = host.app, requests
        self._exempt = tuple(path.rstrip("/") for path in host.csrf_exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[HOST] = self._requests
        scope["headers"] = list(scope["headers"])  # middleware of the host may change them, and others share ours
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if unsafe and not _is_below(scope["path"], self._exempt):
            try:
                self._requests.check_csrf(scope)
            except CsrfRequired as error:
                await self._requests.send(error, scope, send)
                return

        async def send_private(message: Message) -> None:
            if message["type"] == "http.response.start" and _PERSONAL in scope:
                headers = message.get("headers", ())
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    message = {**message, "headers": [*headers, (b"cache-control", b"no-store")]}
            await send(message)

        await self._app(scope, receive, send_private)


def route_of(scope: Scope) -> str:
    """The template of the host's route, never the client's path."""
    return str(getattr(scope.get("route"), "path", "host"))


def _is_below(path: str, prefixes: Collection[str]) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)
