"""A provider on a loopback socket that responds, stalls, sends wrong data or disconnects as a test configures."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bff.config.provider import TransportSettings
from bff.oidc.client_auth import ClientAuthentication, client_authentication
from bff.provider.client import HttpProvider
from bff.provider.connections import ProviderConnections
from tests.harness.minting import RSA_KEY, jwk, jwks
from tests.harness.raw_http import HttpServer, Reader, Request, Writer, listening

Behaviour: TypeAlias = Callable[[Request, Writer], Awaitable[None]]
WITHIN = 60.0  # seconds; a test that needs a timeout to expire advances the loop's clock

GOOD_TOKENS = {"token_type": "Bearer", "access_token": "at", "refresh_token": "rt2", "expires_in": 3600}
DISCOVERY = "/.well-known/openid-configuration"
BASIC = client_authentication("client_secret_basic", "0oa1", secrets=["one"])
TWO_SECRETS = client_authentication("client_secret_basic", "0oa1", secrets=["one", "two"])


@dataclass
class ProviderServer(HttpServer):
    """`routes` (by request target) may be changed while it runs."""

    routes: dict[str, Behaviour] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return self.url

    def to(self, path: str) -> list[Request]:
        """The requests to this path so far."""
        return [request for request in self.requests if request.target == path]

    def count(self, path: str) -> int:
        return len(self.to(path))


def answer(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None, *, close: bool = False
) -> Behaviour:
    async def send(_: Request, writer: Writer) -> None:
        writer.write(head(status, {"content-length": str(len(body)), **(headers or {})}) + body)
        if close:
            writer.close()

    return send


def answer_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    return answer(status, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def stall(_: Request, writer: Writer) -> None:
    """Never responds, and notices when the other side goes."""
    await writer.wait_closed()


async def reset(_: Request, writer: Writer) -> None:
    writer.transport.abort()


async def endless(_: Request, writer: Writer) -> None:
    """A body without end."""
    writer.write(head(200, {"transfer-encoding": "chunked"}))
    while True:
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()


def gated(behaviour: Behaviour) -> tuple[Behaviour, asyncio.Event]:
    """Behaves so once the event is set."""
    gate = asyncio.Event()

    async def send(request: Request, writer: Writer) -> None:
        await gate.wait()
        await behaviour(request, writer)

    return send, gate


def late(behaviour: Behaviour, advance_clock: Callable[[float], None], seconds: float = WITHIN) -> Behaviour:
    """Behaves so when that much time has passed since the request arrived."""

    async def send(request: Request, writer: Writer) -> None:
        advance_clock(seconds)
        await behaviour(request, writer)

    return send


def secret_of(request: Request) -> str:
    return base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode().partition(":")[2]


def only_with(secret: str, then: Behaviour) -> Behaviour:
    """Refuses every other client secret."""

    async def send(request: Request, writer: Writer) -> None:
        refused = answer_json({"error": "invalid_client"}, 401)
        await (then if secret_of(request) == secret else refused)(request, writer)

    return send


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


@asynccontextmanager
async def provider_server(
    metadata: Mapping[str, Any] | None = None, **routes: Behaviour
) -> AsyncIterator[ProviderServer]:
    """Well-behaved, except for the routes given (by their path without the slash) and these changes of its metadata."""
    provider = ProviderServer()

    async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
        await provider.routes[request.target](request, writer)
        return True

    async with listening(provider, respond):
        provider.routes |= {
            DISCOVERY: answer_json(discovery_document(provider.issuer, **(metadata or {}))),
            "/keys": answer(200, jwks(jwk(RSA_KEY))),
            "/token": answer_json(GOOD_TOKENS),
            "/revoke": answer(200),
            "/userinfo": answer_json({"sub": "00u1"}),
            **{f"/{name}": behaviour for name, behaviour in routes.items()},
        }
        yield provider


@asynccontextmanager
async def client_of(
    server: ProviderServer,
    auth: ClientAuthentication = BASIC,
    *,
    refreshes: int = 20,
    monotonic: Callable[[], float] | None = None,
    timeout: float = WITHIN,
) -> AsyncIterator[HttpProvider]:
    """The BFF's client of this provider; `monotonic` is the clock of its documents."""
    connections = ProviderConnections(TransportSettings(timeout=timeout), refreshes=refreshes)
    clocks = {} if monotonic is None else {"monotonic": monotonic}
    provider = HttpProvider(server.issuer, auth, connections, **clocks)
    try:
        yield provider
    finally:
        await provider.close()


class ManualClock:
    """Monotonic seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds
