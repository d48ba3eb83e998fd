"""How much a stranger may upload through the proxies that we ship: little, but to the API, where it is streamed."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness.certificates import Authority
from tests.harness.nginx import running_nginx, shipped_config
from tests.harness.ports import free_port
from tests.proof.examples.deployment import Front
from tests.proof.examples.proxies import Places, caddy, nginx

PATIENCE = 60.0  # seconds; a limit that fails a test, not something to wait for
LIMIT = 32 * 1024
LARGE = 2 * 1024 * 1024
SIGN_IN = ("/auth/logout", "/auth/backchannel-logout", "/authorization-code/callback")


@dataclass
class Behind:
    """A server behind the proxy that reads each request to its end. `refuses`: it does not, and answers 401 at once."""

    refuses: bool = False
    bodies: list[int] = field(default_factory=list)  # of requests that came whole

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            if not self.refuses and not head.startswith("get /auth/session "):  # of the proxy's health check
                self.bodies.append(await length_of_body(head, reader))
            status = "401 Unauthorized" if self.refuses else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwords".encode())
            await writer.drain()
            if self.refuses:  # as a server does that does not want the rest: a reset would take the answer away
                writer.write_eof()
                while await reader.read(65536):
                    pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def length_of_body(head: str, reader: asyncio.StreamReader) -> int:
    for line in head.splitlines():
        if line.startswith("content-length:"):
            return len(await reader.readexactly(int(line.partition(":")[2])))
    length = 0
    if "transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            length += len(await reader.readexactly(size + 2)) - 2
    return length


@asynccontextmanager
async def listening(behind: Behind, port: int) -> AsyncIterator[None]:
    async with await asyncio.start_server(behind.serve, "127.0.0.1", port):
        yield


async def upload(port: int, path: str, size: int, *, chunked: bool, tls: bool = True) -> tuple[int, bytes]:
    """Status and body of the answer, which may come before all is sent."""
    context = ssl.create_default_context() if tls else None
    if context:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{framing}\r\n\r\n".encode())
    sending = asyncio.create_task(send(writer, size, chunked))
    try:
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read(100)
        return int(head.split()[1]), body
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()


async def send(writer: asyncio.StreamWriter, size: int, chunked: bool) -> None:
    piece = b"x" * 16384
    for start in range(0, size, len(piece)):
        part = piece[: size - start]
        writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        await writer.drain()
    if chunked:
        writer.write(b"0\r\n\r\n")


async def the_sign_in_takes_little(port: int, bff: Behind, *, tls: bool = True) -> None:
    for path in SIGN_IN:
        bff.bodies.clear()
        for chunked in (False, True):
            assert (await upload(port, path, 1000, chunked=chunked, tls=tls))[0] == 200
            # Caddy has begun to pass the body on when it sees that it is too long.
            assert (await upload(port, path, LIMIT + 20_000, chunked=chunked, tls=tls))[0] in (413, 502)
        assert bff.bodies == [1000, 1000], "nothing of the others came whole"


async def the_api_takes_any(port: int, api: Behind, *, tls: bool = True) -> None:
    api.bodies.clear()
    for chunked in (False, True):
        assert (await upload(port, "/api/x", LARGE, chunked=chunked, tls=tls))[0] == 200
    assert api.bodies == [LARGE, LARGE]


@asynccontextmanager
async def places(folder: Path) -> AsyncIterator[Places]:
    certificate = Authority(folder, "authority").issue("localhost")
    for name in ("spa", "protected"):
        (folder / name).mkdir()
    yield Places(*(free_port() for _ in range(5)), certificate=certificate, folder=folder)


@pytest.mark.parametrize("front", [nginx, caddy])
async def test_in_proxy_mode(tmp_path: Path, front: Front) -> None:
    bff = Behind()
    async with places(tmp_path) as at, listening(bff, at.bff), front("proxy", at):
        await the_sign_in_takes_little(at.port, bff)
        await the_api_takes_any(at.port, bff)


@dataclass
class Guarded:
    """Forward-auth mode: the proxy asks `verify`, and the BFF for the words of a refusal."""

    port: int
    bff: Behind
    verify: Behind
    api: Behind


@asynccontextmanager
async def guarded(folder: Path, front: Front, *, refuses: bool) -> AsyncIterator[Guarded]:
    bff, verify, api = Behind(refuses), Behind(refuses), Behind()
    async with (
        places(folder) as at,
        listening(bff, at.bff),
        listening(verify, at.verify),
        listening(api, at.api),
        front("forward-auth", at),
    ):
        yield Guarded(at.port, bff, verify, api)


@pytest.mark.parametrize("front", [nginx, caddy])
async def test_in_forward_auth_mode(tmp_path: Path, front: Front) -> None:
    async with guarded(tmp_path, front, refuses=False) as each:
        await the_sign_in_takes_little(each.port, each.bff)
        await the_api_takes_any(each.port, each.api)
        assert each.verify.bodies == [0, 0], "the question goes without the body"


@pytest.mark.parametrize("front", [nginx, caddy])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_without_a_session_is_refused_and_not_stored(
    tmp_path: Path, front: Front, chunked: bool
) -> None:
    """nginx fetches the words of the refusal with a second request, and must not collect the body for it."""
    async with guarded(tmp_path, front, refuses=True) as each:
        assert await upload(each.port, "/api/x", 16 * LARGE, chunked=chunked) == (401, b"words")
    assert each.api.bodies == []
    if front is nginx:
        assert "temporary file" not in (tmp_path / "nginx.log").read_text()


async def test_the_nginx_of_compose(tmp_path: Path) -> None:
    bff, port, replica = Behind(), free_port(), free_port()
    config = shipped_config(tmp_path, port, [replica, replica])
    if os.geteuid() == 0:  # its workers would drop to a user that may not read the test's folder
        config = f"user root;\n{config}"
    async with listening(bff, replica), running_nginx(tmp_path, config, port):
        await the_api_takes_any(port, bff, tls=False)
        assert "temporary file" not in (tmp_path / "out.log").read_text()
        await the_sign_in_takes_little(port, bff, tls=False)
        assert (await upload(port, "/simulator/x", LIMIT + 20_000, chunked=True, tls=False))[0] == 413
