"""The access log: one line per request, when it is over. Off by default.

It names the route and never the path or the query, which may hold a code, a state or a name.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.asgi.access import ACCESS, Access
from bff.session.session import fingerprint
from bff.web.session_cookies import SessionCookies, SignedIn

logger = logging.getLogger("bff.access")

# Any other method is logged as `_OTHER`: it is the client's text.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class AccessLog:
    """ASGI middleware inside `TraceMiddleware`, which provides the correlation id."""

    def __init__(self, app: ASGIApp, cookies: SessionCookies, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is monotonic, in seconds."""
        self._app, self._cookies, self._clock = app, cookies, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        access, status, began = Access(), None, self._clock()
        scope[ACCESS] = access

        async def send_and_record(message: Message) -> None:
            nonlocal status
            match message["type"]:
                case "http.response.start" | "websocket.http.response.start":
                    status = message["status"]
                case "websocket.accept":
                    status = 101
                case _:
                    pass
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        finally:
            method = scope.get("method", "GET")
            logger.info(
                "request",
                extra={
                    "method": method if method in METHODS else "_OTHER",
                    "route": access.route,
                    "status": status,  # None: the client left before the response began
                    "duration_ms": _milliseconds(self._clock() - began),
                    "upstream_ms": None if access.upstream is None else _milliseconds(access.upstream),
                    "session": self._session(scope),
                },
            )

    def _session(self, scope: Scope) -> str | None:
        """The fingerprint of the session that the cookie names, whether or not it still exists."""
        session = self._cookies.read(scope["headers"])
        return fingerprint(session.session_id.key) if isinstance(session, SignedIn) else None


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
