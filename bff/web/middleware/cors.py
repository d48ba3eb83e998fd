"""CORS with credentials for `allowed_origins`; every other origin gets no CORS headers (Fetch section 3.2).

Preflights are answered here and reach neither a session nor an upstream. CORS headers of an upstream are dropped
(`bff.proxy.headers`). The session cookie is SameSite=Strict, so a cross-*site* origin may call but has no session:
listing an origin helps same-site hosts, such as admin.example.com.
"""

import re
from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.errors import InvalidRequest
from bff.proxy.routes import RouteTable
from bff.web.cookies import Header
from bff.web.origin_policy import OriginPolicy

PREFLIGHT_MAX_AGE: Final = 600  # seconds; Chromium caches none longer than two hours
REQUESTED_LIMIT: Final = 1024  # bytes of Access-Control-Request-Headers

# What a script of another origin may read beyond the safelisted headers.
EXPOSED: Final = b"content-disposition, etag, link, location, retry-after, x-bff-forwarded, x-request-id"
# Our own endpoints that scripts call. Sign-in is a navigation, and the provider's endpoints are not called by browsers.
_OWN: Final = ("/auth/session", "/auth/sessions", "/auth/logout")
_OWN_METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
_HEADER_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]*")


class CorsMiddleware:
    """ASGI middleware between the request guard and everything else; installed only if there are allowed origins."""

    def __init__(self, app: ASGIApp, routes: RouteTable, origins: OriginPolicy) -> None:
        self._app, self._routes, self._origins = app, routes, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self._methods(scope["raw_path"]) if scope["type"] == "http" else None
        if methods is None:
            await self._app(scope, receive, send)
            return
        origin = self._origins.cors_origin(scope["headers"])
        if origin is not None and scope["method"] == "OPTIONS":
            requested = {name: value for name, value in scope["headers"] if name.startswith(b"access-control-request-")}
            if b"access-control-request-method" in requested:
                await _preflight(origin, methods, requested.get(b"access-control-request-headers", b""), send)
                return
        await self._app(scope, receive, _with_grant(origin, send))

    def _methods(self, path: bytes) -> Collection[str] | None:
        """The methods allowed across origins on that path; None if there are none."""
        text = path.decode("latin-1")
        if any(text == own or text.startswith(own + "/") for own in _OWN):
            return _OWN_METHODS
        if text == "/auth" or text.startswith("/auth/"):
            return None
        try:
            route = self._routes.match(path)
        except InvalidRequest:
            return None  # refused later; other sites' pages need not read why
        return None if route is None else route.methods


def _grant(origin: bytes) -> list[Header]:
    return [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]


async def _preflight(origin: bytes, methods: Collection[str], requested: bytes, send: Send) -> None:
    headers = [
        *_grant(origin),
        (b"access-control-allow-methods", ", ".join(methods).encode("ascii")),
        (b"access-control-max-age", str(PREFLIGHT_MAX_AGE).encode("ascii")),
        (b"vary", b"origin, access-control-request-headers"),
        (b"cache-control", b"no-store"),
    ]
    if requested and len(requested) <= REQUESTED_LIMIT and _HEADER_NAMES.fullmatch(requested):
        # With credentials the wildcard has no effect, so the requested headers are echoed; the origin is trusted.
        headers.append((b"access-control-allow-headers", requested))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _with_grant(origin: bytes | None, send: Send) -> Send:
    """Adds `Vary: Origin` to every response, so that no cache serves one origin's response to another, and the grant
    for an allowed origin.
    """

    async def send_with_grant(message: Message) -> None:
        if message["type"] == "http.response.start":
            extra: list[Header] = [(b"vary", b"origin")]
            if origin is not None:
                extra += [*_grant(origin), (b"access-control-expose-headers", EXPOSED)]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return send_with_grant
