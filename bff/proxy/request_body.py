"""The client's body as ASGI messages, counted: one reader, and the news that the client hung up."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from bff.errors import InvalidRequest, RequestTooLarge

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_BODY_EXPECTED: Final = frozenset({"POST", "PUT", "PATCH"})
_NO_BODY: Final = -1


class ClientDisconnected(Exception):
    """The client hung up: nobody is left to answer."""


class RequestBody:
    """The only reader of `receive` until it is at its end."""

    def __init__(self, scope: Scope, receive: Receive, *, limit: int | None) -> None:
        """Raises RequestTooLarge if the announced length is over the limit (bytes): not one byte is read then."""
        self.receive, self._limit = receive, limit
        self.declared: int | None = None
        chunked = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                self.declared = int(value)
            elif name == b"transfer-encoding":
                chunked = True
        self.present = chunked or bool(self.declared)
        self.ended = not self.present
        self.awaited = False  # it is the client we wait for
        self.first = b""
        self._received = 0
        # -1: say nothing of a length where the method expects none (RFC 9110 section 8.6).
        self.length: int | None = 0 if scope["method"] in _BODY_EXPECTED else _NO_BODY
        if limit is not None and self.declared is not None and self.declared > limit:
            raise RequestTooLarge

    async def begin(self, *, within: float) -> None:
        """Takes the first piece, so that a body that came whole is sent whole and needs no task."""
        if not self.present:
            return
        try:
            async with asyncio.timeout(within):
                self.first = await self.next()
        except TimeoutError:
            raise InvalidRequest("The request body did not arrive.") from None
        self.length = len(self.first) if self.ended else self.declared

    async def next(self) -> bytes:
        """Raises ClientDisconnected, or RequestTooLarge as soon as the limit is passed."""
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
