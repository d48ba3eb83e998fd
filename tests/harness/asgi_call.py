"""Calls an ASGI application directly, with a scope: no server and no socket."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.asgi.extensions import HEADERS_FINAL

Header = tuple[bytes, bytes]


@dataclass
class Response:
    status: int = 0
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for found, value in self.headers if found.lower() == name.encode()]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None

    @property
    def problem(self) -> tuple[int, str]:
        """Status and code of a problem JSON."""
        assert self.one("content-type") == "application/problem+json"
        return self.status, json.loads(self.body)["code"]


def fields(lines: Iterable[str]) -> list[Header]:
    """`name: value` lines as ASGI headers."""
    parts = (line.encode("latin-1").partition(b": ") for line in lines)
    return [(name.lower(), value) for name, _, value in parts]


def http_scope(method: str, target: str, *lines: str, client: str | None = "192.0.2.1", **more: Any) -> Scope:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(b"host", b"app.example.com"), *fields(lines)],
        "client": None if client is None else (client, 4711),
        "server": ("127.0.0.1", 80),
        HEADERS_FINAL: True,
        **more,
    }


def websocket_scope(target: str, *lines: str, **more: Any) -> Scope:
    """A handshake under a server that can answer it with a response."""
    scope = http_scope("GET", target, *lines, **more)
    del scope["method"]
    return {**scope, "type": "websocket", "scheme": "ws", "extensions": {"websocket.http.response": {}}}


async def run(app: ASGIApp, scope: Scope, *pieces: bytes) -> Response:
    """The response of `app` to a request whose body arrives in these pieces."""
    response, left = Response(), list(pieces) or [b""]

    async def receive() -> Message:
        if scope["type"] == "websocket":
            return {"type": "websocket.connect"}
        if not left:
            await asyncio.Event().wait()  # the client stays until it has its response
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(message: Message) -> None:
        if message["type"].endswith("response.start"):
            response.status, response.headers = message["status"], list(message["headers"])
        elif message["type"].endswith("response.body"):
            response.body += message.get("body", b"")
        elif message["type"] == "websocket.accept":
            response.status = 101

    await app(scope, receive, send)
    return response


async def call(app: ASGIApp, method: str, target: str, *lines: str, body: bytes = b"", **more: Any) -> Response:
    """`lines` are headers, `name: value`; `more` is put into the scope."""
    return await run(app, http_scope(method, target, *lines, **more), body)


class Reached:
    """The application behind a middleware: remembers the scopes that reached it and responds 200."""

    def __init__(self, status: int = 200, *headers: Header) -> None:
        self.scopes: list[Scope] = []
        self._status, self._headers = status, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": self._status, "headers": list(self._headers)})
            await send({"type": "http.response.body", "body": b"reached"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
