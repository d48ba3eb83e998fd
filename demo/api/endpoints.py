"""The sample API's endpoints: an echo, orders, server-sent events, bytes, delays, statuses and a WebSocket."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from demo.api.access_tokens import fingerprint
from demo.api.orders import ORDERS

CHUNK = bytes(range(256)) * 64
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def echo(request: Request) -> Response:
    """Echoes the request, with secrets replaced by fingerprints. The body is counted while it streams, not stored."""
    length = 0
    async for part in request.stream():
        length += len(part)
    claims = request.state.claims
    return JSONResponse(
        {
            "method": request.method,
            "path": request.scope["raw_path"].decode("latin-1"),
            "query": request.url.query,
            "headers": [list(pair) for pair in _shown(request.headers.items())],
            "body_length": length,
            "access_token": {
                **{name: claims.get(name) for name in ("sub", "uid", "iat", "exp", "jti", "scp")},
                "fingerprint": fingerprint(request.headers["authorization"].partition(" ")[2].strip()),
            },
            "now": time.time(),
        },
        headers={"Cache-Control": "no-store"},
    )


def _shown(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        match name:
            case "authorization":
                scheme, _, secret = value.partition(" ")
                yield name, f"{scheme} {fingerprint(secret.strip())}"
            case "cookie":
                names = [pair.partition("=")[0].strip() for pair in value.split(";")]
                yield name, f"{', '.join(names)} (values not shown)"
            case _:
                yield name, value


async def orders(request: Request) -> Response:
    body = {"orders": [order.as_json() for order in ORDERS], "set_client_address": request.state.claims.get("sub")}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def clock(request: Request) -> Response:
    """Server-sent events, one a second, without end or `?count=` times. `Last-Event-ID` continues the count."""
    count = request.query_params.get("count")
    last = request.headers.get("last-event-id", "0")
    first = int(last) + 1 if last.isdigit() else 1
    events = _ticks(first, first + int(count) if count else None, request.state.claims)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _ticks(n: int, end: int | None, claims: dict[str, Any]) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    while end is None or n < end:
        data = {"n": n, "now": time.time(), "sub": claims.get("sub"), "token_expires_at": claims.get("exp")}
        yield f"id: {n}\nevent: time\ndata: {json.dumps(data)}\n\n"
        n += 1
        if end is None or n < end:
            await asyncio.sleep(1)


async def slow(request: Request) -> Response:
    """Answers after `?seconds=` (by default 3, at most 60)."""
    seconds = min(60.0, max(0.0, float(request.query_params.get("seconds", "3"))))
    await asyncio.sleep(seconds)
    return JSONResponse({"slept": seconds})


async def status(request: Request) -> Response:
    code = request.path_params["code"]
    if not 200 <= code <= 599:
        return JSONResponse({"error": "a status from 200 to 599"}, 400)
    if code in (204, 205, 304):
        return Response(status_code=code)
    return JSONResponse({"status": code}, code)


async def many_bytes(request: Request) -> Response:
    """`n` bytes, each its own offset modulo 256, with their Content-Length."""
    n = request.path_params["n"]
    return StreamingResponse(
        _bytes(n),
        media_type="application/octet-stream",
        headers={"Content-Length": str(n), "Cache-Control": "no-store"},
    )


async def _bytes(n: int) -> AsyncIterator[bytes]:
    while n > 0:
        yield CHUNK[:n]
        n -= len(CHUNK)


async def socket(websocket: WebSocket) -> None:
    """Echoes text as text and bytes as bytes; the first subprotocol offered is taken."""
    offered = websocket.scope.get("subprotocols") or []
    await websocket.accept(subprotocol=offered[0] if offered else None)
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        return
