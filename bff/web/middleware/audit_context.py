"""Whose request this is, for the audit trail: a line that is written later in its work names the client's address."""

from collections.abc import Awaitable
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.proxy.client_address import TrustedProxies
from bff.telemetry import audit


class Audited:
    """Plain ASGI around everything that decides."""

    def __init__(self, app: ASGIApp, trusted_proxies: TrustedProxies) -> None:
        self._app, self._trusted = app, trusted_proxies

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        peer = scope.get("client")
        audit.asked_by(partial(self._trusted.client_address, peer[0] if peer else None, scope["headers"]))
        return self._app(scope, receive, send)
