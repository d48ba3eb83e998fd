"""nginx.conf of the compose file, run as it is shipped in front of two replicas of which one misbehaves."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness.nginx import running_nginx, shipped_config
from tests.harness.ports import free_port
from tests.harness.raw_http import HttpServer, Reader, Request, Respond, Response, Writer, connected, fetch, read_head
from tests.harness.raw_upstream import ok, raw_upstream
from tests.harness.waiting import PATIENCE, until

EVENTS = "accept: text/event-stream"
# One of two workers may choose a replica before the other has noted the end of the previous one: an exact count needs
# one worker.
ONE_WORKER = {"worker_processes 2;": "worker_processes 1;"}
SHORT = {"proxy_read_timeout 40s;": "proxy_read_timeout 2s;"}  # for those tests that wait for it


async def hangs(request: Request, reader: Reader, writer: Writer) -> bool:
    """Like a process that is stopped: its kernel accepts the connection, and nothing answers."""
    while await reader.read(65536):
        pass
    return False


@dataclass
class Stream:
    """An event stream whose second event comes when the test says so."""

    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Request, reader: Reader, writer: Writer) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await self.goes_on.wait()
        writer.write(b"data: 2\n\n")
        await writer.drain()
        return False


@dataclass
class Behind:
    port: int
    replicas: tuple[HttpServer, HttpServer]
    folder: Path

    def asked(self) -> list[int]:
        return [len(replica.requests) for replica in self.replicas]

    async def get(self, target: str, *fields: str, method: str = "GET", body: bytes | None = None) -> Response:
        return await fetch(self.port, target, *fields, method=method, body=body)


@asynccontextmanager
async def behind_nginx(
    folder: Path, first: Respond, second: Respond, changes: Mapping[str, str] | None = None
) -> AsyncIterator[Behind]:
    port = free_port()
    async with raw_upstream(first) as one, raw_upstream(second) as two:
        config = shipped_config(folder, port, [one.port, two.port])
        for shipped, here in (changes or {}).items():
            assert config.count(shipped) == 1, shipped
            config = config.replace(shipped, here)
        if os.geteuid() == 0:  # its workers would drop to a user that may not read the test's folder
            config = f"user root;\n{config}"
        async with running_nginx(folder, config, port):
            yield Behind(port, (one, two), folder)


async def test_a_replica_that_hangs_gets_no_share_of_the_requests(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, hangs, ok(), ONE_WORKER) as behind:
        async with asyncio.TaskGroup() as group:
            first = [group.create_task(behind.get("/api/x")) for _ in range(2)]
            await until(lambda: behind.asked()[0] == 1)
            for _ in range(40):
                assert (await asyncio.wait_for(behind.get("/api/x"), PATIENCE)).status == 200
            for task in first:
                task.cancel()
        assert behind.asked()[0] == 1


async def test_streams_of_the_other_replica_do_not_attract_requests_to_one_that_hangs(tmp_path: Path) -> None:
    """After an upgrade one replica may have all streams."""

    async def first(request: Request, reader: Reader, writer: Writer) -> bool:
        return False if "events" in request.target else await hangs(request, reader, writer)

    async def second(request: Request, reader: Reader, writer: Writer) -> bool:
        return await (Stream() if "events" in request.target else ok())(request, reader, writer)

    async with behind_nginx(tmp_path, first, second, ONE_WORKER) as behind, AsyncExitStack() as stack:
        raw = f"GET /api/events HTTP/1.1\r\nhost: app.example\r\n{EVENTS}\r\n\r\n"
        for _ in range(6):
            reader, _ = await stack.enter_async_context(connected(behind.port, raw))
            await reader.readuntil(b"data: 1\n\n")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(behind.get("/api/x")) for _ in range(2)]
            await until(lambda: any(request.target == "/api/x" for request in behind.replicas[0].requests))
            for _ in range(20):
                assert (await asyncio.wait_for(behind.get("/api/x"), PATIENCE)).status == 200
            for task in tasks:
                task.cancel()
        assert sum(request.target == "/api/x" for request in behind.replicas[0].requests) == 1


async def test_an_idempotent_request_to_a_replica_that_hangs_is_repeated_at_the_other(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, hangs, ok(), SHORT) as behind:
        statuses = Counter([(await behind.get(target)).status for target in ("/api/x", "/auth/session", "/api/y")])
        assert statuses == {200: 3}
        assert behind.asked()[0] > 0


async def test_what_may_have_been_executed_is_not_repeated(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, hangs, hangs, SHORT) as behind:
        assert (await behind.get("/api/x", method="POST", body=b"{}")).status == 504
        assert sum(behind.asked()) == 1


async def test_a_stream_may_be_silent_for_longer_than_other_responses(tmp_path: Path) -> None:
    stream = Stream()

    async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
        return await (stream if "events" in request.target else hangs)(request, reader, writer)

    async with behind_nginx(tmp_path, respond, respond, SHORT) as behind:
        raw = f"GET /api/events%2Fa?b=%20 HTTP/1.1\r\nhost: app.example\r\n{EVENTS}\r\n\r\n"
        async with connected(behind.port, raw) as (reader, _):
            await read_head(reader)
            assert b"data: 1" in await reader.readuntil(b"\n\n")
            assert (await behind.get("/api/x", method="POST", body=b"{}")).status == 504
            stream.goes_on.set()
            assert b"data: 2" in await asyncio.wait_for(reader.readuntil(b"data: 2\n"), PATIENCE)
        targets = {request.target for replica in behind.replicas for request in replica.requests}
        assert "/api/events%2Fa?b=%20" in targets, "byte for byte"


@pytest.mark.parametrize("fields", [(EVENTS,), ("accept: application/json, text/Event-Stream;q=0.5",)])
async def test_a_stream_may_be_requested_with_a_large_body(tmp_path: Path, fields: tuple[str, ...]) -> None:
    async with behind_nginx(tmp_path, ok(), ok()) as behind:
        assert (await behind.get("/api/x", *fields, method="POST", body=b"x" * 3_000_000)).status == 200
        (request,) = [request for replica in behind.replicas for request in replica.requests]
        assert (request.method, len(request.body)) == ("POST", 3_000_000)


async def test_errors_of_an_api_take_no_replica_out(tmp_path: Path) -> None:
    """A replica that responds is in order, whatever the API behind it does."""
    respond = ok(b"{}", status="502 Bad Gateway")
    async with behind_nginx(tmp_path, respond, respond) as behind:
        for _ in range(12):
            assert (await behind.get("/api/x")).body == b"{}"
        assert sum(behind.asked()) == 12, "and none of them is repeated"


async def test_replicas_that_break_off_every_request_are_tried_again_at_once(tmp_path: Path) -> None:
    """Both are marked as failed; the first one that responds again is found all the same."""
    broken = True

    async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
        return False if broken else await ok()(request, reader, writer)

    async with behind_nginx(tmp_path, respond, respond) as behind:
        for _ in range(8):
            assert (await behind.get("/api/x")).status == 502
        broken = False
        assert (await behind.get("/api/x")).status == 200


async def test_large_response_heads_pass(tmp_path: Path) -> None:
    respond = ok(b"ok", "location: https://okta.example.com/?state=" + "s" * 14_000)
    async with behind_nginx(tmp_path, respond, respond) as behind:
        for target in ("/auth/login", "/authorization-code/callback", "/api/x"):
            assert (await behind.get(target)).status == 200, target
        assert (await behind.get("/api/x", EVENTS)).status == 200


async def test_a_missing_app_is_a_readable_404(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, ok(), ok()) as behind:
        (tmp_path / "spa").mkdir()
        for target in ("/", "/some/page"):
            response = await behind.get(target)
            assert (response.status, b"SPA_DIR" in response.body) == (404, True)
        (tmp_path / "spa" / "index.html").write_text("mine")
        response = await behind.get("/some/page")
        assert (response.status, response.body, response.one("cache-control")) == (200, b"mine", "no-cache")


async def test_open_streams_do_not_delay_the_end(tmp_path: Path) -> None:
    """SIGQUIT is what an engine sends to the official image."""
    async with behind_nginx(tmp_path, Stream(), Stream()) as behind:
        raw = f"GET /api/events HTTP/1.1\r\nhost: app.example\r\n{EVENTS}\r\n\r\n"
        async with connected(behind.port, raw) as (reader, _):
            await reader.readuntil(b"data: 1\n\n")
            pid = int((tmp_path / "nginx.pid").read_text())
            os.kill(pid, signal.SIGQUIT)
            await asyncio.wait_for(reader.read(), PATIENCE)
            await until(lambda: not (tmp_path / "nginx.pid").exists())
