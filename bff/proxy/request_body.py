"""The client's body as ASGI messages, counted, with disconnect detection: the only reader of `receive`."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from bff.asgi.header_section import facts_of
from bff.errors import InvalidRequest, RequestTooLarge

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_BODY_EXPECTED: Final = frozenset({"POST", "PUT", "PATCH"})
_NO_BODY: Final = -1


class ClientDisconnected(Exception):
    """The client disconnected, so no response can be sent."""


class RequestBody:
    """The only reader of `receive` until the end of the body."""

    def __init__(self, scope: Scope, receive: Receive, *, limit: int | None) -> None:
        """Raises RequestTooLarge if the announced length exceeds the limit (bytes), before reading anything."""
        self.receive, self._limit = receive, limit
        self.declared: int | None = None
        chunked = False
        if facts_of(scope["headers"]) is None:  # a shared header section announces no body
            for name, value in scope["headers"]:
                if name == b"content-length":
                    self.declared = int(value)
                elif name == b"transfer-encoding":
                    chunked = True
        self.present = chunked or bool(self.declared)
        self.ended = not self.present
        self.awaited = False  # whether we are waiting for the client
        self.first = b""
        self._received = 0
        # -1: send no length where the method expects no body (RFC 9110 section 8.6).
        self.length: int | None = 0 if scope["method"] in _BODY_EXPECTED else _NO_BODY
        if limit is not None and self.declared is not None and self.declared > limit:
            raise RequestTooLarge

    async def begin(self, *, within: float) -> None:
        """Reads the first chunk, so that a body that is already complete is sent in one piece without a task."""
        if not self.present:
            return
        try:
            async with asyncio.timeout(within):
                self.first = await self.next()
        except TimeoutError:
            raise InvalidRequest("The request body did not arrive.") from None
        self.length = len(self.first) if self.ended else self.declared

    async def next(self) -> bytes:
        """Raises ClientDisconnected, or RequestTooLarge as soon as the limit is exceeded."""
        self.awaited = True
        message = await self.receive()
        self.awaited = False
        if message["type"] == "http.disconnect":
            self.ended = True
            raise ClientDisconnected
        chunk: bytes = message.get("body", b"")
        self.ended = not message.get("more_body", False)
        self._received += len(chunk)
        if self._limit is not None and self._received > self._limit:
            raise RequestTooLarge
        return chunk
