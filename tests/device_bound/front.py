"""What stands between the browser and the BFF in these tests: it sees every request, and may answer some itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.harness.device import REFRESH, REGISTRATION

Header = tuple[bytes, bytes]


@dataclass
class Seen:
    """One request of the browser, and the status of its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0
    answer: dict[str, str] = field(default_factory=dict)

    @property
    def is_bound(self) -> bool:
        return "bff-bound=" in self.headers.get("cookie", "")

    @property
    def skipped(self) -> str | None:
        value = self.headers.get("secure-session-skipped")
        return None if value is None else value.partition(";")[0]


class Front:
    """An ASGI application in front of one or more others, which take turns."""

    def __init__(self, *apps: ASGIApp) -> None:
        self.apps, self._turns = apps, cycle(apps)
        self.seen: list[Seen] = []
        # By path: the status of the answer, which the BFF does not give.
        self.answers: dict[str, int] = {}
        # Changes the headers and the body of an answer of the BFF, by path.
        self.rewrites: dict[str, Callable[[list[Header], bytes], tuple[list[Header], bytes]]] = {}

    def replace(self, *apps: ASGIApp) -> None:
        self.apps, self._turns = apps, cycle(apps)

    def of(self, path: str) -> Sequence[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    @property
    def registrations(self) -> Sequence[Seen]:
        return self.of(REGISTRATION)

    @property
    def refreshes(self) -> Sequence[Seen]:
        return self.of(REFRESH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        seen = Seen(scope.get("method", scope["type"]), scope["path"], headers)
        self.seen.append(seen)
        if (status := self.answers.get(scope["path"])) is not None:
            seen.status = status
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        rewrite, start, body = self.rewrites.get(scope["path"]), dict[str, Any](), b""

        async def note(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                seen.answer = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
                if rewrite is not None:
                    start = dict(message)
                    return
            if message["type"] == "http.response.body" and rewrite is not None:
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                fields, body = rewrite(list(start["headers"]), body)
                fields = [entry for entry in fields if entry[0] != b"content-length"]
                length = (b"content-length", str(len(body)).encode())
                await send({**start, "headers": [*fields, length]})
                await send({"type": "http.response.body", "body": body})
                return
            await send(message)

        async def receive_and_note() -> Message:
            message = await receive()
            seen.body += message.get("body", b"") or b""
            return message

        await next(self._turns)(scope, receive_and_note, note)
