"""Two people behind one proxy with one worker: whatever one of them sends, the other one gets their own answer."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import pytest_asyncio

from tests.harness.certificates import Authority
from tests.harness.framing_shapes import CUT_EVERYWHERE, HOST, LAST, SELECTED, Shape
from tests.harness.nginx import running_nginx, shipped_config
from tests.harness.path_readers import MORE_READERS, SPELLINGS, by_prefix
from tests.harness.ports import free_port
from tests.harness.proxy_server import User, Users, bff_beside
from tests.harness.raw_http import HttpServer, Reader, Request, Response, Writer, read_response
from tests.harness.raw_upstream import raw_upstream, route
from tests.harness.waiting import PATIENCE
from tests.proof.examples.proxies import Places
from tests.proof.examples.proxies import caddy as example_caddy
from tests.proof.examples.proxies import nginx as example_nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")

# They pass nginx's location or Caddy's matcher, which decode, merge slashes and ignore case before.
DECODED = "/%61pi/admin/x //api/admin/x /api/x/../admin/x /api/%2e/admin/x /API/admin/x"
FORGED = "X-User-Sub X_User_Sub X.User.Sub X-User_Sub Remote-User Client-Cert X-Forwarded-User b3"

Front: TypeAlias = Callable[[Path, int], AbstractAsyncContextManager["Address"]]


@dataclass
class Address:
    port: int
    tls: ssl.SSLContext | None = None


@asynccontextmanager
async def directly(folder: Path, behind: int) -> AsyncIterator[Address]:
    yield Address(behind)


@asynccontextmanager
async def deployed_nginx(folder: Path, behind: int) -> AsyncIterator[Address]:
    port = free_port()
    config = shipped_config(folder, port, (behind, behind)).replace("worker_processes auto;", "worker_processes 1;")
    async with running_nginx(folder, config, port):
        yield Address(port)


def example(run: Callable[..., AbstractAsyncContextManager[None]]) -> Front:
    @asynccontextmanager
    async def front(folder: Path, behind: int) -> AsyncIterator[Address]:
        certificate = Authority(folder, "authority").issue(HOST)
        (folder / "spa").mkdir()
        ports = [free_port() for _ in range(4)]
        at = Places(ports[0], ports[1], behind, ports[2], ports[3], certificate=certificate, folder=folder)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        tls.set_alpn_protocols(["http/1.1"])
        async with run("proxy", at):
            yield Address(ports[0], tls)

    return front


FRONTS: dict[str, Front] = {
    "directly": directly,
    "nginx of the compose file": deployed_nginx,
    "nginx of the examples": example(example_nginx),
    "Caddy of the examples": example(example_caddy),
}


async def echo(request: Request, reader: Reader, writer: Writer) -> bool:
    body = f"{request.method} {request.target} {' '.join(request.all('authorization'))}".encode()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
    writer.write(b"" if request.method == "HEAD" else body)
    return True


@dataclass
class World:
    address: Address
    upstream: HttpServer
    fronted: bool
    asked: int = 0

    async def open(self) -> tuple[Reader, Writer]:
        name = HOST if self.address.tls else None
        limit = None if self.address.tls is None else 1
        return await asyncio.open_connection(
            "127.0.0.1", self.address.port, ssl=self.address.tls, server_hostname=name, ssl_shutdown_timeout=limit
        )

    async def attack(self, one: Shape, *segments: bytes) -> None:
        """Sends the segments, each when the one before it has had the time to be read; reads to the end."""
        reader, writer = await self.open()
        received = asyncio.create_task(reader.read())
        try:
            for segment in segments:
                if received.done():
                    break
                writer.write(segment)
                await asyncio.wait([received], timeout=0.003)
            await asyncio.wait_for(received, PATIENCE)
        except ConnectionError:
            return
        finally:
            received.cancel()
            writer.transport.abort()

    async def victim(self, where: str) -> None:
        """Asks twice, on a connection of their own, and gets what they asked for with their own token."""
        reader, writer = await self.open()
        try:
            for _ in range(2):
                self.asked += 1
                target = f"/api/orders/{self.asked}"
                fields = f"Host: {HOST}\r\nsec-fetch-site: same-origin\r\nx-csrf: 1\r\nCookie: user=bob\r\n"
                writer.write(f"GET {target} HTTP/1.1\r\n{fields}\r\n".encode())
                async with asyncio.timeout(PATIENCE):
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 200"), (where, head)
                    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                    body = await reader.readexactly(length)
                assert body == f"GET {target} Bearer token-of-bob".encode(), where
        finally:
            writer.transport.abort()

    async def ask(self, method: str, path: str, *fields: str) -> Response:
        """One request of Alice's."""
        reader, writer = await self.open()
        try:
            ours = [f"Host: {HOST}", "Cookie: user=alice", "Sec-Fetch-Site: same-origin", "X-CSRF: 1", *fields]
            writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *ours, "", ""]).encode())
            return await read_response(reader)
        finally:
            writer.transport.abort()

    def check(self, one: Shape, where: str) -> None:
        """What reached the upstream since the last time."""
        requests, self.upstream.requests[:] = list(self.upstream.requests), []
        of_bob = [request for request in requests if request.all("authorization") == ["Bearer token-of-bob"]]
        assert [(request.method, request.body) for request in of_bob] == [("GET", b"")] * 2, where
        assert all(request.target.startswith("/api/orders/") for request in of_bob), where
        others = [request for request in requests if request not in of_bob]
        hidden = {"/api/hidden"} if self.fronted and one.may_show else set()
        assert {request.target for request in others} <= {"/api/x", "/api/last", *hidden}, where
        assert len({request.target for request in others}) == len(others), where
        for request in others:
            assert request.all("authorization") == ["Bearer token-of-mallory"], where
            # A proxy may have made something plain of what we would refuse; `b""` is a body that broke off.
            plain = one.made_plain if self.fronted else ()
            assert request.body in ({b"", one.body, *plain} if request.target == "/api/x" else {b""}), where


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=FRONTS)
async def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One start of each proxy for all tests. The route `/api/admin` has rules of its own."""
    users = Users(**{name: User(f"token-of-{name}") for name in ("alice", "bob", "mallory")})
    front = FRONTS[request.param]
    async with raw_upstream(echo) as upstream:
        nested = route(upstream, prefix="/api/admin", methods=("GET",))
        async with (
            bff_beside(route(upstream), nested, users=users) as behind,
            front(tmp_path_factory.mktemp("front"), behind) as address,
        ):
            yield World(address, upstream, fronted=front is not directly)


async def test_each_client_gets_the_response_to_its_own_request(world: World) -> None:
    for one in SELECTED:
        for segments in ((one.raw + LAST,), (one.head, one.rest + LAST)):
            where = f"{one.name} in {len(segments)}"
            await world.attack(one, *segments)
            await world.victim(where)
            world.check(one, where)


@pytest.mark.long
async def test_nobody_does_wherever_it_is_cut(world: World) -> None:
    for one in CUT_EVERYWHERE:
        for cut in range(1, len(one.raw)):
            where = f"{one.name} cut at {cut}"
            await world.attack(one, one.raw[:cut], one.raw[cut:] + LAST)
            await world.victim(where)
            world.check(one, where)


async def test_no_proxy_makes_a_spelling_evade_a_nested_route(world: World) -> None:
    for path in (*SPELLINGS, *DECODED.split()):
        response = await world.ask("DELETE", path)
        assert response.status >= 400, path
        assert world.upstream.requests == [], path
    assert (await world.ask("DELETE", "/api/orders/a%20b;v=1//c")).status == 200
    (request,) = world.upstream.requests
    world.upstream.requests.clear()
    assert request.target == "/api/orders/a%20b;v=1//c"
    assert {by_prefix(("/api", "/api/admin"), read(request.target)) for read in MORE_READERS.values()} == {"/api"}


async def test_no_proxy_lets_a_forged_identity_reach_an_api(world: World) -> None:
    response = await world.ask("GET", "/api/x", *(f"{name}: evil" for name in FORGED.split()), "Prefer: mine")
    assert response.status == 200
    (request,) = world.upstream.requests
    world.upstream.requests.clear()
    assert "evil" not in str(request.fields)
    assert request.all("prefer") == ["mine"]
