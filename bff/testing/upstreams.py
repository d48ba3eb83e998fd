"""Fake upstreams on a port of this machine: each route of the settings leads to one, by the last part of its prefix."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from bff.testing.provider import FakeProvider


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """`path` is the one at the upstream. `user`: the claims of the user whose access token it has, None without."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    user: Mapping[str, Any] | None

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class FakeUpstreams:
    """ASGI application. A request without an answer gets 404."""

    provider: FakeProvider
    _received: dict[str, list[ReceivedRequest]] = field(default_factory=dict)
    _answers: dict[tuple[str, str, str], list[_Answer]] = field(default_factory=dict)

    def respond(
        self,
        upstream: str,
        path: str,
        json: Any = None,
        *,
        method: str = "GET",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """What an upstream responds at a path. After several calls: one after another, then the last one again."""
        answer = _Answer(status, {"content-type": "application/json", **(headers or {})}, _encoded(json))
        self._answers.setdefault((upstream, method, path), []).append(answer)

    def requests(self, upstream: str) -> list[ReceivedRequest]:
        """Those that an upstream has received, in order."""
        return list(self._received.get(upstream, ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        upstream, _, rest = scope["path"].lstrip("/").partition("/")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        scheme, _, token = headers.get("authorization", "").partition(" ")
        user = self.provider.user_of(token) if scheme.lower() in ("bearer", "dpop") else None
        path, query = f"/{rest}", scope["query_string"].decode("ascii")
        request = ReceivedRequest(scope["method"], path, query, headers, body, user)
        self._received.setdefault(upstream, []).append(request)
        answer = self._answer(upstream, scope["method"], path)
        fields = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
        length = (b"content-length", str(len(answer.body)).encode())
        await send({"type": "http.response.start", "status": answer.status, "headers": [*fields, length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    def _answer(self, upstream: str, method: str, path: str) -> _Answer:
        answers = self._answers.get((upstream, method, path))
        if answers is None:
            return _Answer(404, {"content-type": "application/json"}, b'{"error":"the test has no answer for it"}')
        return answers.pop(0) if len(answers) > 1 else answers[0]


def _encoded(content: Any) -> bytes:
    return json.dumps(content).encode()
