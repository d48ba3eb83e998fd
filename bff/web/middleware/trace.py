"""The outermost middleware: determines the trace of a request, and records its server span.

A trace is continued from trusted proxies only. With another client's `traceparent` a stranger could write into the
traces of our upstreams, join requests of different users, and force sampling at our expense; `tracestate` and `baggage`
would carry its text to upstreams. Such headers are dropped and a new trace begins (W3C Trace Context section 4.3).
"""

from collections.abc import Awaitable, Collection
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.proxy.client_address import TrustedProxies
from bff.telemetry import audit, tracing
from bff.telemetry.application import ApplicationTelemetry


class AuditContext:
    """ASGI middleware that binds the client's address to the request, for the lines of the audit trail."""

    def __init__(self, app: ASGIApp, trusted_proxies: TrustedProxies) -> None:
        self._app, self._trusted = app, trusted_proxies

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        peer = scope.get("client")
        audit.set_client_address(partial(self._trusted.client_address, peer[0] if peer else None, scope["headers"]))
        return self._app(scope, receive, send)


# Any other method becomes `_OTHER` in span names.
METHODS: Final[Collection[str]] = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class TraceMiddleware:
    """ASGI middleware around everything; the lifespan passes through.

    `__call__` is a coroutine function, by which uvicorn recognises ASGI 3.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: TrustedProxies, telemetry: ApplicationTelemetry) -> None:
        self._app, self._trusted, self._telemetry = app, trusted_proxies, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._telemetry.bind()
        client = scope.get("client")
        trusted = self._trusted.trusts(client[0] if client else None)
        incoming = tracing.extract(scope["headers"]) if trusted else None
        if self._telemetry.tracer is None:
            tracing.begin(incoming)
            await self._app(scope, receive, send)
            return
        await self._recorded(incoming, scope, receive, send)

    async def _recorded(
        self, incoming: tracing.TraceContext | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        method = scope.get("method", "GET") if scope["type"] == "http" else "GET"
        if method not in METHODS:
            method = "_OTHER"
        with tracing.server_span(method, incoming) as span:
            span.set("http.request.method", method)

            async def send_and_record(message: Message) -> None:
                if message["type"] == "websocket.accept":
                    span.set("http.response.status_code", 101)
                elif message["type"] in ("http.response.start", "websocket.http.response.start"):
                    status = int(message["status"])
                    span.set("http.response.status_code", status)
                    if status >= 500:
                        span.fail(str(status))
                await send(message)

            await self._app(scope, receive, send_and_record)
