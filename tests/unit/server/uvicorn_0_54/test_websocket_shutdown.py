"""The server's end of a WebSocket, towards a browser that does not read."""

import asyncio
from typing import Any

from uvicorn.server import ServerState

from bff.server.uvicorn_0_54.server import uvicorn_config
from bff.server.uvicorn_0_54.websocket_protocol import WebSocketProtocol
from tests.harness.recording_transport import RecordingTransport
from tests.harness.waiting import loop_turns


async def test_a_server_that_stops_sends_nothing_to_a_browser_whose_close_was_answered_and_not_read() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    config = uvicorn_config(app, lifespan="off")
    config.load()
    state = ServerState()
    transport = RecordingTransport(sockname=("127.0.0.1", 1), peername=("127.0.0.1", 2), socket=None)
    protocol = WebSocketProtocol(config, state, app_state={})
    protocol.connection_made(transport)
    fields = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    protocol.data_received(f"GET / HTTP/1.1\r\n{fields}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
    await loop_turns()
    transport.written = b""
    protocol.data_received(b"\x88\x80\0\0\0\0")
    assert transport.written == b"\x88\0"
    assert state.connections == {protocol}
    protocol.shutdown()  # raised InvalidState, and the server's end with it
    assert transport.written == b"\x88\0"
    await asyncio.gather(*state.tasks)
    protocol.connection_lost(None)
