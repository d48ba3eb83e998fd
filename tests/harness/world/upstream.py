"""The API behind the BFF."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send


@dataclass
class ReceivedRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """Answers 200, or the next status of `answers`; paths that end in /events or /slow wait for a word of the test."""

    heard: list[ReceivedRequest] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)  # the last path segments of what is being answered
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)  # /events sends its second and last event
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)  # /slow answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        name = scope["path"].rpartition("/")[2]
        self.open.append(name)
        try:
            await (self._echo(receive, send) if scope["type"] == "websocket" else self._answer(scope, receive, send))
        finally:
            self.open.remove(name)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = dict(await receive())
            body += message.get("body", b"")
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.heard.append(ReceivedRequest(scope["method"], scope["raw_path"].decode(), headers, body))
        if scope["path"].endswith("/events"):
            await self._events(receive, send)
            return
        if scope["path"].endswith("/slow"):
            gone = asyncio.ensure_future(receive())
            may_answer = await _happens(self.may_answer, gone)
            gone.cancel()
            if not may_answer:
                return
        status = self.answers.pop(0) if self.answers else 200
        answer = json.dumps({"path": scope["path"], "heard": len(body)}).encode()
        fields = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": [*fields, *self.fields]})
        await send({"type": "http.response.body", "body": answer})

    async def _events(self, receive: Receive, send: Send) -> None:
        fields = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"data: open\n\n", "more_body": True})
        gone = asyncio.ensure_future(receive())
        if await _happens(self.goes_on, gone):
            await send({"type": "http.response.body", "body": b"data: more\n\n", "more_body": True})
        await gone

    async def _echo(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text") or ""})

    @property
    def tokens(self) -> list[str]:
        """The access token of each request."""
        return [heard.headers.get("authorization", "").removeprefix("Bearer ") for heard in self.heard]


async def _happens(event: asyncio.Event, gone: asyncio.Future[Any]) -> bool:
    """Whether the event comes before the caller goes."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return event.is_set()
