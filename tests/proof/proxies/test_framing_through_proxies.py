"""Two clients behind one proxy: whatever one of them sends, the other gets the responses to its own requests.

nginx and Caddy as they are shipped, one worker each so that everybody shares its connections to the BFF, and the BFF
alone. The upstream records what reaches it, with whose token.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.harness.certificates import Authority
from tests.harness.framing_shapes import CUT_EVERYWHERE, HOST, LAST, SELECTED, Shape
from tests.harness.nginx import running_nginx, shipped_config
from tests.harness.ports import free_port
from tests.harness.upstream_wire import (
    PATIENCE,
    Heard,
    RawUpstream,
    TokenOfUser,
    Users,
    bff_beside,
    raw_upstream,
    route,
)
from tests.proof.examples.proxies import Places
from tests.proof.examples.proxies import caddy as example_caddy
from tests.proof.examples.proxies import nginx as example_nginx

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


async def echo(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    body = f"{heard.method} {heard.target} {' '.join(heard.all('authorization'))}".encode()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
    writer.write(b"" if heard.method == "HEAD" else body)
    return True


@dataclass
class World:
    address: Address
    upstream: RawUpstream
    fronted: bool
    asked: int = 0
    statuses: dict[str, list[int]] = field(default_factory=dict)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = HOST if self.address.tls else None
        return await asyncio.open_connection(
            "127.0.0.1",
            self.address.port,
            ssl=self.address.tls,
            server_hostname=name,
            ssl_shutdown_timeout=None if self.address.tls is None else 1,
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
            async with asyncio.timeout(PATIENCE):
                answer = await received
        except ConnectionError:
            return
        finally:
            received.cancel()
            writer.transport.abort()
        self.statuses[one.name] = [int(a.split()[1]) for a in answer.split(b"\n") if a.startswith(b"HTTP/1.1 ")]

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

    def check(self, one: Shape, where: str) -> None:
        """Of what reached the upstream since the last time."""
        heard, self.upstream.heard[:] = list(self.upstream.heard), []
        theirs = [request for request in heard if request.all("authorization") == ["Bearer token-of-bob"]]
        assert [(request.method, request.body) for request in theirs] == [("GET", b"")] * 2, where
        assert all(request.target.startswith("/api/orders/") for request in theirs), where
        attackers = [request for request in heard if request not in theirs]
        fronted = self.fronted and one.may_show
        assert {request.target for request in attackers} <= {
            "/api/x",
            "/api/last",
            *(["/api/hidden"] if fronted else []),
        }, where
        assert len({request.target for request in attackers}) == len(attackers), where
        for request in attackers:
            assert request.all("authorization") == ["Bearer token-of-mallory"], where
            if request.target == "/api/x":
                # A proxy may have made something plain of what we would refuse; `b""` is a body that broke off.
                assert request.body in {b"", one.body, *(one.made_plain if self.fronted else ())}, where
            else:
                assert request.body == b"", where


@asynccontextmanager
async def world(front: Front, folder: Path) -> AsyncIterator[World]:
    users = Users(mallory=TokenOfUser("token-of-mallory"), bob=TokenOfUser("token-of-bob"))
    async with (
        raw_upstream(echo) as upstream,
        bff_beside(route(upstream), users=users) as behind,
        front(folder, behind) as address,
    ):
        yield World(address, upstream, fronted=front is not directly)


@pytest.mark.parametrize("name", FRONTS)
async def test_each_client_gets_the_response_to_its_own_request(name: str, tmp_path: Path) -> None:
    async with world(FRONTS[name], tmp_path) as home:
        for one in SELECTED:
            for segments in ((one.raw + LAST,), (one.head, one.rest + LAST)):
                where = f"{name}: {one.name} in {len(segments)}"
                await home.attack(one, *segments)
                await home.victim(where)
                home.check(one, where)


@pytest.mark.long
@pytest.mark.parametrize("name", FRONTS)
async def test_no_boundary_between_segments_changes_that(name: str, tmp_path: Path) -> None:
    async with world(FRONTS[name], tmp_path) as home:
        for one in CUT_EVERYWHERE:
            for cut in range(1, len(one.raw)):
                where = f"{name}: {one.name} cut at {cut}"
                await home.attack(one, one.raw[:cut], one.raw[cut:] + LAST)
                await home.victim(where)
                home.check(one, where)
