"""`/api/**`: route, method, CSRF, token and forwarding, in this order.

Plain ASGI, in front of the framework. A request without a session gets 401 `sign_in_required` as problem JSON, never a
redirect, which a fetch could not follow.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Final, Protocol, TypeAlias, assert_never
from urllib.parse import quote, urlencode

from starlette.types import Message, Receive, Scope, Send

from bff.asgi.extensions import close_connection
from bff.errors import (
    BffError,
    CsrfRequired,
    InsufficientScope,
    MethodNotAllowed,
    RouteNotFound,
    SignInRequired,
    StepUpRequired,
)
from bff.proxy.dpop import MakeProof
from bff.proxy.exchange import Disconnect
from bff.proxy.http import HttpProxy, ResponseAborted
from bff.proxy.routes import Route, RouteTable
from bff.proxy.websocket import WebSocketProxy
from bff.session.stream_end import StreamEnd
from bff.telemetry import metrics, tracing
from bff.web.middleware.draining import LongLivedStreams
from bff.web.middleware.request_guard import send_error
from bff.web.origin_policy import OriginPolicy

logger = logging.getLogger(__name__)

# Scope key: the route that matches the path.
ROUTE: Final = "bff.route"
# Scope key: set for a request on a route with `background`.
BACKGROUND: Final = "bff.background"


def is_background(scope: Scope) -> bool:
    """Whether the request is made without user activity (`X-Background: 1`, or its route has `background`).

    It is handled like any other and does not extend the idle timeout. A false claim only shortens the client's own
    session.
    """
    return BACKGROUND in scope or (b"x-background", b"1") in scope["headers"]


class Access(Protocol):
    """Access to an API on behalf of the session that a request belongs to."""

    @property
    def access_token(self) -> str: ...

    @property
    def scopes(self) -> Collection[str]:
        """The scopes of the access token."""
        ...

    @property
    def make_proof(self) -> MakeProof | None:
        """Creates the DPoP proof of a request, if the access token is DPoP-bound."""
        ...

    def register(self, interrupt: Disconnect, *, with_token: bool) -> Callable[[], None]:
        """Registers a stream to be closed when the session ends, and with `with_token` when its access token expires.

        Returns the function that unregisters it.
        """
        ...

    async def renewed(self, refused_token: str) -> str:
        """A newer access token than the one an upstream rejected, or the same one if there is none.

        Raises SignInRequired, ProviderUnavailable, StoreUnavailable.
        """
        ...


# a module-level name: annotations of an inner function are evaluated for each request
Unregister: TypeAlias = Callable[[], None]
# Raises SignInRequired, ProviderUnavailable, StoreUnavailable, InvalidRequest.
GetCredentials: TypeAlias = Callable[[Scope], Awaitable[Access]]


class ApiEndpoint:
    """Handles API requests. A path without a route goes to `otherwise`, or gets 404."""

    def __init__(
        self,
        routes: RouteTable,
        proxy: HttpProxy,
        sockets: WebSocketProxy,
        access: GetCredentials,
        *,
        origins: OriginPolicy,
        acr_values: Collection[str] = (),
        long_lived: LongLivedStreams | None = None,
    ) -> None:
        """`acr_values` lists the values that a step-up may request from the provider."""
        self._long_lived = long_lived or LongLivedStreams()
        self._routes, self._proxy, self._sockets, self._access = routes, proxy, sockets, access
        self._origins, self._acr_values = origins, acr_values

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_and_record(message: Message) -> None:
            nonlocal begun
            begun = True
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
            if isinstance(error, CsrfRequired):
                metrics.CSRF_REFUSED.inc()
            elif isinstance(error, StepUpRequired):
                error = self._with_sign_in_url(error)
            await send_error(error, scope, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send, begun: Callable[[], bool]) -> None:
        route = scope.get(ROUTE) or self._routes.match(scope["raw_path"])
        if route is None:
            raise RouteNotFound
        if scope["method"] not in route.methods:
            # The CORS preflight of an origin that is not allowed ends here and reaches no upstream; preflights of
            # allowed origins are answered by the CORS middleware.
            raise MethodNotAllowed(allow=route.methods)
        if route.carries_credentials:  # nor cookies, so the request carries no authority
            self._origins.check_csrf(scope["method"], scope["headers"], route.csrf)
        access = await self._access_for(route, scope)

        def interrupt(disconnect: Disconnect, end: StreamEnd) -> None:
            disconnect(end)
            if begun():
                # A client that does not read blocks `send`; closing its connection is the only way to end the stream.
                close_connection(scope, at_once=True)

        await self._proxy.forward(
            route,
            scope,
            receive,
            send,
            token=access.access_token if access is not None else None,
            renew=access.renewed if access is not None else None,
            make_proof=access.make_proof if access is not None else None,
            on_long_lived=self._on_long_lived(route, access, interrupt),
        )

    def _on_long_lived(
        self, route: Route, access: Access | None, interrupt: Callable[[Disconnect, StreamEnd], None]
    ) -> Callable[[Disconnect, bool], Unregister]:
        """Registers a long-lived exchange with its session and with this process, either of
        which may close it early.
        """

        def register_long_lived(disconnect: Disconnect, stream: bool) -> Unregister:
            registrations = []
            if stream:
                registrations.append(self._long_lived.register(disconnect))
            if access is not None:
                with_token = stream and route.on_token_expiry == "close"
                registrations.append(access.register(partial(interrupt, disconnect), with_token=with_token))

            def unregister_all() -> None:
                for unregister in registrations:
                    unregister()

            return unregister_all

        return register_long_lived

    async def _access_for(self, route: Route, scope: Scope) -> Access | None:
        tracing.set_route(route.prefix)
        access: Access | None
        if route.background:
            scope = {**scope, BACKGROUND: True}
        match route.token:
            case "none":
                return None
            case "user":
                access = await self._access(scope)
            case "user_or_none":
                try:
                    access = await self._access(scope)
                except SignInRequired:
                    return None
            case token_kind:
                assert_never(token_kind)
        if route.scopes and not route.scopes <= set(access.scopes):
            raise InsufficientScope
        return access

    def _with_sign_in_url(self, error: StepUpRequired) -> StepUpRequired:
        """The sign-in URL for the step-up, if the settings allow a link to request it."""
        offered = tuple(value for value in error.acr_values if value in self._acr_values)
        if error.acr_values and not offered:
            logger.warning(
                ("an API requests an acr value that BFF_ACR_VALUES does not list"), extra={"acr": error.acr_values}
            )
            return StepUpRequired(acr_values=error.acr_values, max_age=error.max_age)
        asked = {"acr_values": " ".join(offered)} if offered else {}
        if error.max_age is not None:
            asked["max_age"] = str(error.max_age)
        query = urlencode({**asked, "return_to": ""}, quote_via=quote)
        return StepUpRequired(acr_values=error.acr_values, max_age=error.max_age, sign_in_url=f"/auth/login?{query}")

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope.get(ROUTE) or self._routes.match(scope["raw_path"])
        if route is None:
            raise RouteNotFound
        self._origins.check_websocket(scope["headers"])
        if not route.websocket:
            raise MethodNotAllowed("This route does not allow WebSockets.", allow=route.methods)
        access = await self._access_for(route, scope)
        await self._sockets.forward(
            route,
            scope,
            receive,
            send,
            token=access.access_token if access is not None else None,
            renew=access.renewed if access is not None else None,
            make_proof=access.make_proof if access is not None else None,
            on_long_lived=self._on_long_lived(route, access, lambda disconnect, end: disconnect(end)),
        )
