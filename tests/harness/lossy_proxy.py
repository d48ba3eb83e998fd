"""A TCP proxy that lets Redis carry a command out and then loses the reply, as a network does."""

import asyncio
import contextlib

from tests.harness.waiting import loop_turns


class LossyProxy:
    def __init__(self, port: int) -> None:
        self._upstream_port, self.port, self.lost = port, 0, 0
        self._lose: bytes | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def lose_next_reply_to(self, word: bytes) -> None:
        """The next command that contains `word` is carried out, and its connection closed before the reply."""
        self._lose = word

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await loop_turns(20)  # who was let in this very moment begins, and can be ended with the others
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        try:
            while request := await reader.read(1 << 20):
                up_writer.write(request)
                reply = await up_reader.read(1 << 20)
                # A script asked for by its digest alone may have to be sent again: that reply is not lost.
                if self._lose is not None and self._lose in request and not reply.startswith(b"-NOSCRIPT"):
                    self._lose, self.lost = None, self.lost + 1
                    return
                writer.write(reply)
                await writer.drain()
        finally:
            for each in (writer, up_writer):
                each.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await each.wait_closed()
