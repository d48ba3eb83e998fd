"""Responses of the BFF's own endpoints: never cached, no referrer, cookies as raw headers."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Scope, Send

from bff.web.cookies import Header

PRIVATE: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
# Other sites must not load it, not even as an image, because its bytes would be in that page's process (Spectre). This
# does not affect fetches with CORS or navigations.
SAME_ORIGIN: Header = (b"cross-origin-resource-policy", b"same-origin")


def raw_response(status: int, headers: Iterable[Header], body: bytes = b"") -> Response:
    """A response with exactly these headers."""
    response = Response(status_code=status)
    response.body = body
    response.raw_headers = list(headers)
    return response


def json_response(content: Mapping[str, Any], cookies: Iterable[Header] = (), extra: Iterable[Header] = ()) -> Response:
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    entity_headers = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii")))
    return raw_response(200, (*entity_headers, *PRIVATE, SAME_ORIGIN, *extra, *cookies), body)


def see_other(location: str, cookies: Iterable[Header] = ()) -> Response:
    """303: the next request is a GET without a body, whatever the method was (RFC 9700 section 4.12)."""
    entity_headers = ((b"location", location.encode("ascii")), (b"content-length", b"0"))
    return raw_response(303, (*entity_headers, *PRIVATE, *cookies))


async def send_response(scope: Scope, send: Send, status: int, headers: Iterable[Header], body: bytes) -> None:
    """Sends a response from plain ASGI, also to a WebSocket handshake. No body for HEAD (RFC 9110 section 9.3.2)."""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "websocket.http.response.body", "body": body})
        return
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
