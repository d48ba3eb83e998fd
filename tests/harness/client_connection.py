"""A client's connection in memory: the shipped protocol gets each segment as the test cuts it, on the test's clock."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from bff.asgi.write_batching import WriteBatch
from bff.server.header_sections import HeaderSections
from bff.server.uvicorn_0_54.http_protocol import HttpProtocol
from bff.server.uvicorn_0_54.server import uvicorn_config
from bff.server.uvicorn_0_54.timeouts import Timeouts
from tests.harness.asgi_call import Response
from tests.harness.waiting import loop_turns

# Enough for an application that waits for nothing but its request: to read it, to respond, to see its end.
TURNS = 6


class Wire(asyncio.Transport):
    """A transport that remembers what was written. `half_closes`: it can be closed for writing alone, as TCP can."""

    def __init__(self, *, half_closes: bool = False) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2), "socket": None})
        self.writes: list[bytes] = []
        self.closed = self.aborted = self.paused = self.ended = False
        self.unsent = 0  # bytes in its write buffer
        self._half_closes = half_closes

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: Any) -> None:
        assert not self.closed, data
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def can_write_eof(self) -> bool:
        return self._half_closes

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class ManualTimers:
    """An event loop for a protocol: the running one, whose timers fire when the test advances the clock."""

    def __init__(self) -> None:
        self._loop, self._now = asyncio.get_running_loop(), 0.0
        self._timers: list[_Timer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, delay: float, callback: Callable[..., Any], *arguments: Any) -> "_Timer":
        self._timers.append(_Timer(self._now + delay, lambda: callback(*arguments)))
        return self._timers[-1]

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for timer in list(self._timers):
            if timer.at <= self._now:
                self._timers.remove(timer)
                if not timer.cancelled:
                    timer.callback()


class _Timer:
    def __init__(self, at: float, callback: Callable[[], Any]) -> None:
        self.at, self.callback, self.cancelled = at, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Recorder:
    """An application that reads each request to its end, remembers it and responds once `respond` is set."""

    def __init__(self, *headers: tuple[bytes, bytes], body: bytes = b"") -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.scopes: list[Scope] = []
        self.respond = asyncio.Event()
        self.respond.set()
        self._headers, self._body = [(b"content-length", b"%d" % len(body)), *headers], body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.requests.append((scope["method"], scope["path"], b"(broken off)"))
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.requests.append((scope["method"], scope["path"], body))
        await self.respond.wait()
        await send({"type": "http.response.start", "status": 200, "headers": list(self._headers)})
        await send({"type": "http.response.body", "body": self._body})


class Connection:
    """The shipped HTTP protocol in front of an application."""

    def __init__(
        self,
        app: Any,
        *,
        wire: Wire | None = None,
        timeouts: Timeouts | None = None,
        write_batch: WriteBatch | None = None,
        header_sections: HeaderSections | None = None,
    ) -> None:
        self.wire, self.timers, self.state = wire or Wire(), ManualTimers(), ServerState()
        config = uvicorn_config(app, lifespan="off")
        config.load()
        self.protocol = HttpProtocol(
            config,
            self.state,
            app_state={},
            _loop=self.timers,
            timeouts=timeouts,
            write_batch=write_batch,
            header_sections=header_sections,
        )
        self.wire.set_protocol(self.protocol)
        self.protocol.connection_made(self.wire)

    def feed(self, segment: bytes | str) -> None:
        """One segment, in this turn of the event loop."""
        data = segment.encode("latin-1") if isinstance(segment, str) else segment
        self.wire.protocol.data_received(data)

    async def receives(self, *segments: bytes | str) -> None:
        """Each segment arrives when everything that the one before it caused has happened."""
        for segment in segments:
            if self.wire.closed:
                break
            self.feed(segment)
            await loop_turns(TURNS)

    async def hang_up(self) -> None:
        self.wire.closed = True
        self.wire.protocol.connection_lost(None)  # type: ignore[attr-defined]
        await loop_turns(TURNS)

    @property
    def responses(self) -> list[Response]:
        """The responses with a length; of one without, everything that follows is the body."""
        rest, found = self.wire.written, []
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            status = int(first.split()[1])
            headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
            length = 0 if status == 100 else int(dict(headers).get(b"content-length", len(rest)))
            found.append(Response(status, headers, rest[:length]))
            rest = rest[length:]
        return found

    @property
    def statuses(self) -> list[int]:
        """Of all responses, interim ones too."""
        return [response.status for response in self.responses]
