"""A provider on a real loopback socket that answers, stalls, sends wrong data or disconnects as a test configures."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.harness.minting import RSA_KEY, jwk, jwks


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
WITHIN = 60.0  # seconds; where they are to run out, a test lets them pass by `time_passes`


@dataclass
class Wire:
    """`routes` may be changed while it runs. `requests` is all that arrived, `connections` how many there were."""

    issuer: str
    routes: dict[str, Behaviour]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)


def answer(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None, *, close: bool = False
) -> Behaviour:
    async def send(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, {"content-length": str(len(body)), **(headers or {})}) + body)
        if close:
            writer.close()

    return send


def answer_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    return answer(status, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def stall(_: Request, writer: asyncio.StreamWriter) -> None:
    """Never answers, and notices when the other side goes."""
    await writer.wait_closed()


async def some_turns() -> None:
    """In which this loop delivers whatever has been written on loopback."""
    for _ in range(50):
        await asyncio.sleep(0)


async def reset(_: Request, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def discovery_document(issuer: str, **changes: Any) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "revocation_endpoint": f"{issuer}/revoke",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        **changes,
    }


GOOD_TOKENS = {"token_type": "Bearer", "access_token": "at", "refresh_token": "rt2", "expires_in": 3600}
DISCOVERY = "/.well-known/openid-configuration"


@asynccontextmanager
async def wire(**routes: Behaviour) -> AsyncIterator[Wire]:
    """A well-behaved provider, but for the routes given (by their name without the slash)."""
    tasks: set[asyncio.Task[None]] = set()
    world = Wire("", {})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        world.connections += 1
        try:
            while not writer.is_closing():
                request = await _read(reader)
                world.requests.append(request)
                world.arrived.set()
                await world.routes[request.path](request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    world.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    world.routes.update(
        {
            DISCOVERY: answer_json(discovery_document(world.issuer)),
            "/keys": answer(200, jwks(jwk(RSA_KEY))),
            "/token": answer_json(GOOD_TOKENS),
            "/revoke": answer(200),
            "/userinfo": answer_json({"sub": "00u1"}),
            **{f"/{name}": behaviour for name, behaviour in routes.items()},
        }
    )
    try:
        yield world
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))


async def _read(reader: asyncio.StreamReader) -> Request:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


class HandClock:
    """Monotonic seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds
