"""An upstream of streams that stay idle, for `bench.streams`: `python -m bench.stream_upstream PORT`.

It accepts every WebSocket and answers its pings, and answers every other request with an endless event stream.
"""

import asyncio
import base64
import hashlib
import re
import sys
from typing import Final, cast

import uvloop

ACCEPTED_BY: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
EVENTS: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def unmasked(frame: bytes) -> bytes:
    """The payload of a short masked frame."""
    mask = frame[2:6]
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(frame[6 : 6 + (frame[1] & 0x7F)]))


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._head, self._opened = b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._opened:
            if data[0] == 0x89:  # a ping
                payload = unmasked(data)
                self._transport.write(bytes([0x8A, len(payload)]) + payload)
            elif data[0] == 0x88:
                self._transport.close()
            return
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        self._opened = True
        if key := re.search(rb"(?i)\r\nsec-websocket-key: (\S+)", self._head):
            accepted = base64.b64encode(hashlib.sha1(key[1] + ACCEPTED_BY).digest())
            upgraded = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            self._transport.write(upgraded + b"sec-websocket-accept: " + accepted + b"\r\n\r\n")
        else:
            self._transport.write(EVENTS + b"e\r\ndata: opened\n\n\r\n")
        self._head = b""


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
