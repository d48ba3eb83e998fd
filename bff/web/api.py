"""`/api/**`: route, method, CSRF, token and forwarding, in this order.

Plain ASGI, in front of the framework. A request without a session gets 401 `sign_in_required` as problem JSON, never a
redirect, which a fetch could not follow.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, assert_never

from starlette.types import Message, Receive, Scope, Send

from bff.asgi.access import set_route
from bff.asgi.extensions import close_connection
from bff.asgi.header_section import facts_of, keep_headers
from bff.config.api_tokens import ClientCredentialsToken, ExchangeToken, ResourceToken
from bff.config.identity_assertion import IdentityToken
from bff.config.routes import Route
from bff.errors import (
    BffError,
    ForbiddenByRule,
    InsufficientScope,
    MethodNotAllowed,
    RouteNotFound,
    SignInRequired,
    StepUpRequired,
)
from bff.flows.streams import OpenStreams
from bff.proxy.credentials import CloseStream, Unregister, UpstreamCredentials
from bff.proxy.exchange import OnLongLived
from bff.proxy.http import HttpProxy, ResponseAborted
from bff.proxy.routes import RouteTable
from bff.proxy.websocket import WebSocketProxy
from bff.session.stream_end import ServerStopping, StreamEnd
from bff.telemetry import metrics, tracing
from bff.web.error_responder import ErrorResponder
from bff.web.error_status import status_of
from bff.web.origin_policy import OriginPolicy
from bff.web.step_up import step_up_url

logger = logging.getLogger(__name__)

_KEPT: Final = frozenset({b"cookie", b"x-forwarded-for"})

# Scope key: the route that matches the path.
ROUTE: Final = "bff.route"
# Scope key: set for a request on a route with `background`.
BACKGROUND: Final = "bff.background"
_BACKGROUND: Final = (b"x-background", b"1")


def is_background(scope: Scope) -> bool:
    """Whether the request is made without user activity (`X-Background: 1`, or its route has `background`).

    It is handled like any other and does not extend the idle timeout. A false claim only shortens the client's own
    session.
    """
    if BACKGROUND in scope:
        return True
    headers = scope["headers"]
    facts = facts_of(headers)
    if facts is None:
        return _BACKGROUND in headers
    background = facts.get(_BACKGROUND)
    if background is None:
        background = facts[_BACKGROUND] = _BACKGROUND in headers
    return bool(background)


# Raises SignInRequired, StepUpRequired, ProviderUnavailable, StoreUnavailable, InvalidRequest.
GetCredentials: TypeAlias = Callable[[Scope], Awaitable[UpstreamCredentials]]


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Which upstream serves a path, how a request gets there, and which of its streams are open."""

    routes: RouteTable
    http: HttpProxy
    websocket: WebSocketProxy
    streams: OpenStreams


class ApiEndpoint:
    """Handles API requests; a path without a route gets 404."""

    def __init__(
        self,
        upstreams: Upstreams,
        get_credentials: GetCredentials,
        *,
        origins: OriginPolicy,
        errors: ErrorResponder,
        acr_values: Collection[str] = (),
    ) -> None:
        """`acr_values` lists the values that a step-up may request from the provider."""
        self._upstreams, self._get_credentials = upstreams, get_credentials
        self._origins, self._errors, self._acr_values = origins, errors, acr_values

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_and_record(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "websocket.accept":
                # For logs. The others would take memory as long as the WebSocket is open.
                keep_headers(scope, _KEPT)
            await send(message)

        try:
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send_and_record)
            else:
                await self._forward(scope, receive, send_and_record, lambda: begun)
        except ResponseAborted as broke:
            if broke.end is None:
                logger.warning("an upstream response ended early", extra={"path": scope["path"]})
            if not close_connection(scope, at_once=broke.end is not None):
                raise
        except BffError as error:
            if begun:
                raise
            if isinstance(error, StepUpRequired | ForbiddenByRule):
                error.sign_in_url = step_up_url(error, self._acr_values)
            await self._errors.send(error, scope, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send, begun: Callable[[], bool]) -> None:
        route = scope.get(ROUTE) or self._upstreams.routes.match(scope["raw_path"])
        if route is None:
            raise RouteNotFound
        set_route(scope, route.prefix)
        if scope["method"] not in route.methods:
            # The CORS preflight of an origin that is not allowed ends here and reaches no upstream; the CORS middleware
            # responds to those of allowed origins.
            raise MethodNotAllowed(allow=route.methods)
        if route.carries_credentials:  # nor cookies, so the request carries no authority
            self._origins.check_csrf(scope["method"], scope["headers"], route.csrf)
        tracing.set_route(route.prefix)
        credentials = await self._credentials_for(route, scope)

        def close_exchange(close: CloseStream, end: StreamEnd) -> None:
            close(end)
            if begun() and not isinstance(end, ServerStopping):
                # A client that does not read blocks `send`; closing its connection is the only way to end the stream.
                close_connection(scope, at_once=True)

        try:
            await self._upstreams.http.forward(
                route,
                scope,
                receive,
                send,
                credentials=credentials,
                on_long_lived=self._on_long_lived(route, credentials, close_exchange),
            )
        except BffError as error:
            _count_failure(route, error)
            raise

    def _on_long_lived(
        self,
        route: Route,
        credentials: UpstreamCredentials | None,
        close_exchange: Callable[[CloseStream, StreamEnd], None],
    ) -> OnLongLived:
        """Registers a long-lived exchange of one request with the open streams, which may close it early."""

        def register(close: CloseStream, endless: bool) -> Unregister:
            close_it = partial(close_exchange, close)
            if credentials is not None:
                with_token = endless and route.on_token_expiry == "close"
                return credentials.register_stream(close_it, endless=endless, with_token=with_token)
            return self._upstreams.streams.register(None, close_it, endless=endless)

        return register

    async def call(self, route: Route, asked: Scope, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends a request of the host's code (`bff.proxy.own_request`), with the credentials of the request `asked`.

        Raises as `HttpProxy.forward`, and what the route's token and rules raise.
        """
        credentials = await self._credentials_for(route, asked)
        try:
            await self._upstreams.http.forward(route, scope, receive, send, credentials=credentials)
        except BffError as error:
            _count_failure(route, error)
            raise

    async def _credentials_for(self, route: Route, scope: Scope) -> UpstreamCredentials | None:
        credentials: UpstreamCredentials
        if route.background:
            scope = {**scope, BACKGROUND: True}
        match route.token:
            case "none":
                return None
            case "user" | IdentityToken() | ExchangeToken() | ResourceToken() | ClientCredentialsToken():
                credentials = await self._get_credentials(scope)
            case "user_or_none":
                try:
                    credentials = await self._get_credentials(scope)
                except SignInRequired:
                    return None
            case token_kind:
                assert_never(token_kind)
        if route.device_bound is not None:
            credentials.require_device(scope["headers"])
        if route.scopes and not route.required_scopes <= set(credentials.scopes):
            raise InsufficientScope
        if route.access_rules is not None:
            credentials.authorize(route)
        if route.api_token is not None:
            await credentials.request_token(route.api_token)
        return credentials

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope.get(ROUTE) or self._upstreams.routes.match(scope["raw_path"])
        if route is None:
            raise RouteNotFound
        set_route(scope, route.prefix)
        self._origins.check_websocket(scope["headers"])
        if not route.websocket:
            raise MethodNotAllowed("This route does not allow WebSockets.", allow=route.methods)
        tracing.set_route(route.prefix)
        credentials = await self._credentials_for(route, scope)
        try:
            await self._upstreams.websocket.forward(
                route,
                scope,
                receive,
                send,
                credentials=credentials,
                on_long_lived=self._on_long_lived(route, credentials, lambda close, end: close(end)),
            )
        except BffError as error:
            _count_failure(route, error)
            raise


def _count_failure(route: Route, error: BffError) -> None:
    """Counts a request that got no response from its upstream; the proxies count the others."""
    metrics.PROXY_REQUESTS.labels(route.prefix, f"{status_of(error) // 100}xx").inc()
