"""Relays messages between two open WebSockets: one task per direction; when one ends, both are closed.

Back-pressure: each task holds one message, and reads the next after sending it.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bff.asgi.extensions import close_connection, limit_messages
from bff.http1.response_parser import Header
from bff.proxy.request_body import Receive, Scope, Send
from bff.proxy.websocket_close import CLOSE_TIMEOUT, CloseFrame, close_frame_for, for_browser, for_upstream
from bff.session.stream_end import StreamEnd

# Why a relay ended: the close frames for the browser and for the upstream, None for a side that is already closed.
_Endings: TypeAlias = tuple[CloseFrame | None, CloseFrame | None]


class Relay:
    def __init__(self, upstream: ClientConnection, scope: Scope, receive: Receive, send: Send, *, limit: int) -> None:
        self._upstream, self._scope, self._receive, self._send = upstream, scope, receive, send
        self._limit = limit
        self._ended: asyncio.Future[_Endings] = asyncio.get_running_loop().create_future()

    def interrupt(self, end: StreamEnd) -> None:
        if not self._ended.done():
            self._ended.set_result((close_frame_for(end), CloseFrame(1001)))

    async def run(self, headers: Sequence[Header]) -> None:
        pumps: list[asyncio.Task[_Endings]] = []
        to_browser: CloseFrame | None = CloseFrame(1011)
        to_upstream: CloseFrame | None = CloseFrame(1001)
        try:
            await self._receive()  # websocket.connect
            limit_messages(self._scope, self._limit)
            accept = {"type": "websocket.accept", "subprotocol": self._upstream.subprotocol, "headers": list(headers)}
            await self._send(accept)
            pumps = [asyncio.create_task(self._up()), asyncio.create_task(self._down())]
            for pump in pumps:
                pump.add_done_callback(self._pump_ended)
            to_browser, to_upstream = await self._ended
        except OSError:
            pass  # the browser disconnected before its WebSocket was open
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await asyncio.gather(self._close_browser(to_browser), self._close_upstream(to_upstream))

    def _pump_ended(self, pump: "asyncio.Task[_Endings]") -> None:
        if self._ended.done() or pump.cancelled():
            return
        if (error := pump.exception()) is not None:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(pump.result())

    async def _up(self) -> _Endings:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                # Without a reason the connection was lost; with one a close frame was received, possibly an empty one.
                return None, for_upstream(message.get("code") if "reason" in message else None, message.get("reason"))
            text = message.get("text")
            data = message["bytes"] if text is None else text.encode()
            if len(data) > self._limit:
                return CloseFrame(1009, "message too big"), CloseFrame(1009)
            try:
                await self._upstream.send(data, text=text is not None)
            except ConnectionClosed:
                return for_browser(self._upstream.protocol), None

    async def _down(self) -> _Endings:
        while True:
            try:
                message = await self._upstream.recv()
            except ConnectionClosed:
                return for_browser(self._upstream.protocol), None
            payload_type = "text" if isinstance(message, str) else "bytes"
            try:
                await self._send({"type": "websocket.send", payload_type: message})
            except OSError:
                return None, CloseFrame(1001)

    async def _close_browser(self, frame: CloseFrame | None) -> None:
        if frame is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT / 2):
                await self._send({"type": "websocket.close", "code": frame.code, "reason": frame.reason})
        except TimeoutError:
            close_connection(self._scope, at_once=True)  # a blocked connection cannot accept a close frame either
        except (OSError, RuntimeError):
            return  # it is already closed

    async def _close_upstream(self, frame: CloseFrame | None) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if frame is None:
                    await self._upstream.wait_closed()
                else:
                    await self._upstream.close(frame.code, frame.reason)
        except TimeoutError:
            return
        finally:
            self._upstream.transport.abort()  # nothing else will be sent, whatever ended the wait
