"""An ASGI application that runs in a thread with an event loop of its own, so that tests need none."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

import uvicorn
from starlette.types import ASGIApp, Message

from bff.server.uvicorn_0_54.server import uvicorn_config

T = TypeVar("T")


class RunningApp:
    """A context manager: the lifespan of `app` runs in it. Raises RuntimeError where the application does not start."""

    def __init__(self, app: ASGIApp, upstreams: ASGIApp, listener: socket.socket) -> None:
        """`upstreams` are served on `listener`, which is bound, and closed at the end."""
        self._app, self._listener = app, listener
        self._uvicorn = uvicorn.Server(uvicorn_config(upstreams, lifespan="off"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="application under test", daemon=True)
        self._stop: asyncio.Event | None = None
        self._lifespan: asyncio.Task[None] | None = None
        self._server: asyncio.Task[None] | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, in the event loop of the application."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.run(self._start())
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.run(self._end())
        finally:
            self._close()

    def _close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()

    async def _start(self) -> None:
        self._listener.listen()
        self._server = asyncio.create_task(self._uvicorn._serve([self._listener]))
        self._stop, started = asyncio.Event(), asyncio.get_running_loop().create_future()
        self._lifespan = asyncio.create_task(self._run_lifespan(self._stop, started))
        await started

    async def _run_lifespan(self, stop: asyncio.Event, started: "asyncio.Future[None]") -> None:
        messages = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> Message:
            message = next(messages)
            if message == "lifespan.shutdown":
                await stop.wait()
            return {"type": message}

        async def send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                started.set_result(None)
            elif message["type"] == "lifespan.startup.failed":
                started.set_exception(RuntimeError(message.get("message", "the application did not start")))

        try:
            await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
        except Exception:
            if not started.done() or started.exception() is None:
                raise

    async def _end(self) -> None:
        assert self._stop is not None
        assert self._lifespan is not None
        assert self._server is not None
        self._stop.set()
        await self._lifespan
        self._uvicorn.should_exit = self._uvicorn.force_exit = True
        await self._server
