"""The servers of one process: their start, their signals and their order at the end. Loopback sockets, no process."""

import asyncio
import gc
import resource
import socket
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from bff.asgi.write_batching import WriteBatch
from bff.config.settings import load_settings
from bff.errors import ConfigurationError
from bff.server.run import run
from bff.server.serve import serve
from tests.harness.settings import with_changes


class App:
    """Responds to each request on each port, and records what the server tells it."""

    def __init__(self) -> None:
        self.management = self.forward_auth = self
        self.write_batch = WriteBatch()
        self.events: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    def begin_to_stop(self) -> None:
        self.events.append("begin to stop")

    def end_streams(self) -> None:
        self.events.append("end streams")

    def reload(self) -> None:
        self.events.append("reload")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
                self.events.append(phase)
            return
        self.events.append(scope["path"])
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    yield opened
    for each in opened:
        each.close()


async def test_the_public_address_is_required() -> None:
    with pytest.raises(ValueError, match="public"):
        await serve(App(), [None, None, None], drain_delay=0)


@pytest.fixture
def _own_gc_settings() -> Iterator[None]:
    """`run` tunes the garbage collection of its process."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.mark.usefixtures("_own_gc_settings")
def test_an_occupied_address_is_refused_by_the_name_of_its_setting(sockets: list[socket.socket]) -> None:
    port = sockets[0].getsockname()[1]
    settings = load_settings(with_changes(listen=f"127.0.0.1:{port}"))
    with pytest.raises(ConfigurationError, match=f"BFF_LISTEN: 127.0.0.1:{port} cannot be listened on"):
        run(App(), settings)
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0), "a core dump would hold every token"
