"""The one place in which tests start the application: on the shipped server, in this process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import uvicorn

from bff.app import Application, build_app
from bff.components.timeouts import Timeouts
from bff.config.settings import load_settings
from bff.server.uvicorn_0_54.server import uvicorn_config
from tests.harness.waiting import until
from tests.harness.world.clock import Clock

PRODUCTION: Final = Timeouts()


def application(environ: Mapping[str, str], clock: Callable[[], float], timeouts: Timeouts = PRODUCTION) -> Application:
    return build_app(load_settings(dict(environ)), clock=clock, timeouts=timeouts)


@asynccontextmanager
async def running_app(
    environ: Mapping[str, str], clock: Callable[[], float] | None = None, timeouts: Timeouts = PRODUCTION
) -> AsyncIterator[tuple[Application, str]]:
    """The BFF with these settings on a free port, and its URL. To a browser a port is no other site."""
    app = application(environ, clock or Clock(), timeouts)
    with listening() as bound:
        async with serving(app, bound, lifespan="on"):
            yield app, f"http://localhost:{bound.getsockname()[1]}"


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A bound socket on a free port."""
    # Without the protocol asyncio does not switch Nagle off, and every answer would take 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound


class _Server(uvicorn.Server):
    """Ends when `over` is set: uvicorn looks only every tenth of a second, and hundreds of journeys end it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.over = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)  # writes the Date header
        await self.over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """What uvicorn does, in its order, without its pauses of a tenth of a second."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            within = self.config.timeout_graceful_shutdown or 0
            await until(lambda: not (self.server_state.connections or self.server_state.tasks), within=within)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()
        for bound in sockets or []:
            bound.close()
        await self.lifespan.shutdown()


@asynccontextmanager
async def serving(app: Any, bound: socket.socket, *, lifespan: str = "off", http: Any = None) -> AsyncIterator[None]:
    """`app` on the shipped server, in this loop, on a bound socket. `http`: another protocol class."""
    config = uvicorn_config(app, write_batch=getattr(app, "write_batch", None), lifespan=lifespan)
    config.timeout_graceful_shutdown, config.http = 2, http or config.http
    server = _Server(config)
    task = asyncio.create_task(server._serve([bound]))
    try:
        await until(lambda: server.started or task.done())
        if task.done():
            task.result()
            raise RuntimeError("the server did not start")
        yield
    finally:
        server.over.set()
        await task
