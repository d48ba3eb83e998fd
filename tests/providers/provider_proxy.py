"""The network between the BFF and a provider: counts token requests, loses answers, and goes away."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.harness.raw_http import Reader, Request, Writer, read_body, read_chunks, read_head
from tests.harness.waiting import loop_turns


@dataclass(frozen=True)
class Exchange:
    """One request with a form and the provider's answer, whether or not the answer was delivered."""

    form: dict[str, str] = field(repr=False)
    answer: dict[str, Any] = field(repr=False)


class ProviderProxy:
    """Stands where the provider's issuer points to. One connection carries one request."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port, self._target = port, target_port
        self.exchanges: list[Exchange] = []
        self.media_types: set[str] = set()  # of all responses
        self.lost = 0  # answers that the provider gave and nobody got
        self._lose_next: str | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refreshes(self) -> list[Exchange]:
        return self.requests_of("refresh_token")

    def requests_of(self, grant_type: str) -> list[Exchange]:
        """The token requests with this grant_type."""
        return [each for each in self.exchanges if each.form.get("grant_type") == grant_type]

    def given(self, name: str) -> list[str]:
        """The tokens of this name (`refresh_token`, `id_token`) that the provider gave, oldest first."""
        return [str(each.answer[name]) for each in self.exchanges if each.answer.get(name)]

    def forget(self) -> None:
        """Forgets what was recorded: another test begins."""
        self.exchanges.clear()
        self.media_types.clear()

    def lose_next_answer(self, grant_type: str) -> None:
        """The provider carries out the next token request of this grant, and its answer is lost."""
        self._lose_next = grant_type

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Connections are refused until `start`."""
        assert self._server is not None
        self._server.close()
        await loop_turns(20)  # a connection that was just accepted begins, and can be ended with the others
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            first, fields = await read_head(reader)
            method, target, _ = first.split(" ")
            request = Request(fields, method, target, await read_body(reader, fields))
            raw = await self._forward(request)
            if self._lose(await self._record(request, raw)):
                writer.transport.abort()
            else:
                writer.write(raw)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _forward(self, request: Request) -> bytes:
        """The provider's response, byte for byte."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        dropped = ("connection", "keep-alive", "transfer-encoding", "content-length", "expect")
        fields = [(name, value) for name, value in request.fields if name not in dropped]
        fields += [("connection", "close"), ("content-length", str(len(request.body)))]
        lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + request.body)
            return await reader.read()
        finally:
            writer.close()

    async def _record(self, request: Request, raw: bytes) -> Exchange | None:
        replay = asyncio.StreamReader()
        replay.feed_data(raw)
        replay.feed_eof()
        _, fields = await read_head(replay)
        headers = dict(fields)
        self.media_types.add(headers.get("content-type", "").partition(";")[0])
        media_type = request.headers.get("content-type", "")
        if request.method != "POST" or not media_type.startswith("application/x-www-form-urlencoded"):
            return None
        chunked = headers.get("transfer-encoding") == "chunked"
        body = b"".join([chunk async for chunk in read_chunks(replay)]) if chunked else await replay.read()
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        exchange = Exchange(form, answer if isinstance(answer, dict) else {})
        self.exchanges.append(exchange)
        return exchange

    def _lose(self, exchange: Exchange | None) -> bool:
        if exchange is None or self._lose_next is None or exchange.form.get("grant_type") != self._lose_next:
            return False
        self._lose_next = None
        self.lost += 1
        return True
