"""The API behind the BFF."""

import asyncio
import json
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send


@dataclass
class ReceivedRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """Answers 200, or the next status of `answers`; adds `fields` to every answer, and keeps requests in `heard`."""

    heard: list[ReceivedRequest] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._echo(receive, send)
            return
        if scope["type"] != "http":
            return
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = dict(await receive())
            body += message.get("body", b"")
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.heard.append(ReceivedRequest(scope["method"], scope["raw_path"].decode(), headers, body))
        if scope["path"].endswith("/events"):
            await self._events(receive, send)
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
        more = asyncio.create_task(self.goes_on.wait())
        gone = asyncio.ensure_future(receive())
        await asyncio.wait([gone, more], return_when=asyncio.FIRST_COMPLETED)
        if more.done():
            await send({"type": "http.response.body", "body": b"data: more\n\n", "more_body": True})
        await gone
        more.cancel()

    async def _echo(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text") or ""})

    @property
    def tokens(self) -> list[str]:
        """The access token of each request."""
        return [heard.headers.get("authorization", "").removeprefix("Bearer ") for heard in self.heard]
