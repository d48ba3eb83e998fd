"""A client of `GET /auth/session/events` that calls the application directly."""

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from tests.harness.asgi_call import Header, Response, http_scope
from tests.harness.waiting import until

EVENTS = "/auth/session/events"
# As an EventSource of our own page sends it.
SOURCE = ("accept: text/event-stream", "sec-fetch-mode: cors", "sec-fetch-site: same-origin", "sec-fetch-dest: empty")


class EventStream:
    """Runs the application in a task. `reads` cleared: the client has stopped reading."""

    def __init__(self, app: ASGIApp, cookies: dict[str, str], *lines: str, method: str = "GET", **more: Any) -> None:
        """`lines` are its headers, by default those of an EventSource; `more` is put into the scope."""
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        self.scope: Scope = http_scope(method, EVENTS, *(lines or SOURCE), f"cookie: {cookie}", **more)
        self.status, self.headers, self.text, self.whole = 0, list[Header](), "", False
        self.reads, self._left = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.task = asyncio.get_running_loop().create_task(app(self.scope, self._receive, self._send))

    async def opened(self) -> "EventStream":
        await until(lambda: self.text or self.task.done())
        return self

    async def refused(self) -> Response:
        """The response of a request that opens no stream."""
        await until(lambda: self.whole or self.status == 200)
        assert self.status != 200, "a stream was opened"
        await self.task
        return Response(self.status, self.headers, self.text.encode("ascii"))

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Those that have arrived, by name, with their data."""
        blocks = [block.split("\n") for block in self.text.split("\n\n") if block.startswith("event: ")]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]

    async def hears(self, *names: str) -> None:
        """Returns once exactly these events have arrived."""
        await until(lambda: len(self.events) >= len(names) or self.task.done())
        assert [name for name, _ in self.events] == list(names)

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> Message:
        if self._left.is_set():
            await asyncio.Event().wait()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.text += message["body"].decode("ascii")
            self.whole = not message.get("more_body", False)
