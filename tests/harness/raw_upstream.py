"""An upstream API of which a test determines every byte."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bff.config.routes import Route
from tests.harness.raw_http import HttpServer, Reader, Request, Respond, Writer, listening
from tests.harness.routes import a_route
from tests.harness.waiting import PATIENCE


def ok(body: bytes = b"ok", *fields: str, status: str = "200 OK") -> Respond:
    """The same complete response to every request."""

    async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *fields]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if request.method == "HEAD" else body))
        return True

    return respond


def sends(raw: bytes, *, then_close: bool = True) -> Respond:
    """These bytes, whatever was requested."""

    async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
        writer.write(raw)
        return not then_close

    return respond


@asynccontextmanager
async def raw_upstream(respond: Respond, *, reads_body: bool = True) -> AsyncIterator[HttpServer]:
    upstream = HttpServer()
    async with listening(upstream, respond, reads_body=reads_body):
        yield upstream


def route(upstream: HttpServer, **options: Any) -> Route:
    """By itself a connection is given up after five seconds, and then the response is another one."""
    return a_route(**{"upstream": upstream.url, "connect_timeout": PATIENCE, **options})
