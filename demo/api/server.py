"""A running sample API: every route requires an access token of the issuer."""

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from demo.api import endpoints
from demo.api.access_tokens import AccessTokens, KeysUnavailable, Refused
from demo.simulator.listener import Listener


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """`port` 0 means any free port. `dpop_nonce`: the nonce that DPoP proofs must carry; None if none is required."""

    issuer: str
    audience: str = "api://default"
    host: str = "127.0.0.1"
    port: int = 0
    dpop_nonce: str | None = None
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Seen:
    """A received request: `jti` and `sub` of its token, or why the token was rejected."""

    method: str
    path: str
    sub: str | None
    jti: str | None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class RunningApi:
    base_url: str
    seen: deque[Seen]
    settings: dict[str, str | None]  # `dpop_nonce`, changeable at run time


class TokenCheck:
    """Authenticates a request: passes its claims on, or responds 401 with a challenge, 503 while the keys are
    unavailable.
    """

    def __init__(self, tokens: AccessTokens, seen: deque[Seen], settings: dict[str, str | None]) -> None:
        self._tokens, self._seen, self._settings = tokens, seen, settings

    async def _refusal(self, connection: Request | WebSocket, method: str) -> Response | None:
        path = connection.url.path
        try:
            verified = await self._tokens.verify(
                connection.headers.get("authorization"),
                connection.headers.getlist("dpop"),
                method="GET" if method == "WEBSOCKET" else method,
                url=str(connection.url.replace(scheme="http", query="", fragment="")),
            )
        except KeysUnavailable:
            return JSONResponse({"error": "keys_unavailable"}, 503, {"Retry-After": "2"})
        if isinstance(verified, Refused):
            self._seen.append(Seen(method, path, None, None, verified.description))
            body = {"error": verified.error or "token_required", "error_description": verified.description}
            headers = {"WWW-Authenticate": verified.challenge(), "Cache-Control": "no-store"}
            if verified.error == "use_dpop_nonce":
                headers["DPoP-Nonce"] = self._settings["dpop_nonce"] or ""
            return JSONResponse(body, 401, headers)
        self._seen.append(Seen(method, path, verified.get("sub"), verified.get("jti")))
        connection.state.claims = verified
        return None

    def http(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await self._refusal(request, request.method) or await endpoint(request)

        return answer

    def websocket(self, endpoint: Callable[[WebSocket], Awaitable[None]]) -> Callable[[WebSocket], Awaitable[None]]:
        async def answer(websocket: WebSocket) -> None:
            refusal = await self._refusal(websocket, "WEBSOCKET")
            if refusal is not None:
                await websocket.send_denial_response(refusal)
                return
            await endpoint(websocket)

        return answer


def build_api(tokens: AccessTokens, seen: deque[Seen], settings: dict[str, str | None]) -> Starlette:
    check, every = TokenCheck(tokens, seen, settings), endpoints.METHODS
    return Starlette(
        routes=[
            Route("/api/echo", check.http(endpoints.echo), methods=every),
            Route("/api/echo/{rest:path}", check.http(endpoints.echo), methods=every),
            Route("/api/orders", check.http(endpoints.orders)),
            Route("/api/time", check.http(endpoints.clock)),
            Route("/api/slow", check.http(endpoints.slow), methods=every),
            Route("/api/status/{code:int}", check.http(endpoints.status), methods=every),
            Route("/api/bytes/{n:int}", check.http(endpoints.many_bytes)),
            WebSocketRoute("/api/socket", check.websocket(endpoints.socket)),
        ]
    )


@asynccontextmanager
async def running_api(config: ApiConfig) -> AsyncIterator[RunningApi]:
    """The sample API on a real socket in the running loop. Raises OSError where the port is taken."""
    seen: deque[Seen] = deque(maxlen=10_000)
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        settings = {"dpop_nonce": config.dpop_nonce}
        tokens = AccessTokens(
            config.issuer,
            config.audience,
            client,
            dpop_nonce=lambda: settings["dpop_nonce"],
            clock=config.clock,
        )
        app = build_api(tokens, seen, settings)
        listener = Listener(app, host=config.host, port=config.port, websockets=True)
        try:
            await listener.start()
            yield RunningApi(f"http://{config.host}:{listener.port}", seen, settings)
        finally:
            await listener.close()
