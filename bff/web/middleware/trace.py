"""The outermost room of a request: which trace it belongs to, and its span where spans are recorded.

A trace is continued from trusted hops only. Anybody else's `traceparent` would let a stranger write into the traces of
our upstreams, join requests of different people into one, and have everything recorded at our expense; `tracestate` and
`baggage` would carry their text past us. Theirs are dropped and a new trace begins (W3C Trace Context, section 4.3).
"""

from collections.abc import Awaitable, Collection
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.proxy.client_address import TrustedProxies
from bff.telemetry import audit, tracing

# Whose request this is, for the audit trail: a line that is written later in its work names the client's address.


class AuditContext:
    """Plain ASGI around everything that decides."""

    def __init__(self, app: ASGIApp, trusted_proxies: TrustedProxies) -> None:
        self._app, self._trusted = app, trusted_proxies

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        peer = scope.get("client")
        audit.set_client_address(partial(self._trusted.client_address, peer[0] if peer else None, scope["headers"]))
        return self._app(scope, receive, send)


# Anything else that a client calls a method is no name for a span.
METHODS: Final[Collection[str]] = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class TraceMiddleware:
    """Plain ASGI around everything; the lifespan passes through. A coroutine function: uvicorn tells ASGI 3 by that."""

    def __init__(self, app: ASGIApp, trusted_proxies: TrustedProxies) -> None:
        self._app, self._trusted = app, trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        trusted = self._trusted.trusts(client[0] if client else None)
        incoming = tracing.extract(scope["headers"]) if trusted else None
        if not tracing.recording():
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
