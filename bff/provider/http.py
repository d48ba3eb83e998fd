"""One HTTP request to the provider: limited in time and size, and exact about whether anything was sent."""

import asyncio
import ssl
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlencode

import httpx

from bff import __version__
from bff.oidc.token import NoAnswer
from bff.provider.failure import reason_of

USER_AGENT: Final = f"okta-bff/{__version__}"
MAX_CONNECTIONS: Final = 50
# Short: a refresh sent on a connection that the provider is closing has an unknown outcome.
KEEP_ALIVE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """`complete` is False when the status arrived but the body was invalid, too large or late; then `body` is empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    complete: bool = True
    why: str = ""


Outcome: TypeAlias = HttpResponse | NoAnswer


@cache
def _public_authorities() -> ssl.SSLContext:
    """Loaded once per process: it takes 20 ms and more than a megabyte."""
    return httpx.create_ssl_context(trust_env=False)


class _TooLateToSend(Exception):
    """`may_send` returned False."""


class _BodyRefused(Exception):
    pass


class HttpClient:
    """The provider's HTTP client: no environment, no redirects, no cookies, no headers of a browser's request.

    Okta treats a token request with an `Origin` header as a browser's and rejects it.
    """

    def __init__(
        self, *, proxy: str | None = None, ca_file: Path | None = None, connections: int = MAX_CONNECTIONS
    ) -> None:
        """`connections` is the maximum number of open connections; a request without a free one waits, within its own
        deadline.
        """
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            proxy=proxy,
            verify=_public_authorities() if ca_file is None else ssl.create_default_context(cafile=str(ca_file)),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
            ),
            # Each exchange has one overall deadline: httpx's timeouts apply to each read, and do not limit the sum.
            timeout=None,  # noqa: S113
            headers={"user-agent": USER_AGENT, "accept": "application/json", "accept-encoding": "gzip"},
        )

    async def send(
        self,
        method: Literal["GET", "POST"],
        url: str,
        *,
        within: float,
        limit: int,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        may_send: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        """Returns within `within` seconds; reads at most `limit` bytes, both compressed and decompressed.

        Never raises. `may_send` is called when the first byte is about to be written. NoAnswer(False) guarantees that
        none was.
        """
        sent = False
        answered: HttpResponse | None = None
        connecting: Any = None

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            # Name resolution, connecting, TLS and a proxy's CONNECT come before this event; the request itself comes
            # after it.
            nonlocal sent, connecting
            if event == "connection.connect_tcp.complete":
                connecting = info["return_value"]
            if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
                if not may_send():
                    raise _TooLateToSend
                sent, connecting = True, None

        request = self._client.build_request(
            method,
            url,
            headers={**(headers or {}), **({"content-type": "application/x-www-form-urlencoded"} if form else {})},
            content=urlencode(form).encode() if form else None,
            extensions={"trace": trace},
        )
        try:
            async with asyncio.timeout(within):
                response = await self._client.send(request, stream=True)
                try:
                    answered = HttpResponse(response.status_code, response.headers, b"", complete=False)
                    body = await _read(response, limit)
                finally:
                    await response.aclose()
            return HttpResponse(response.status_code, response.headers, body)
        except _TooLateToSend:
            return NoAnswer(False, "the time to send had passed")
        except TimeoutError:
            why = f"no answer within {within:.1f} s"
        except _BodyRefused as refused:
            why = str(refused)
        except Exception as error:  # any exception of httpx, httpcore, anyio, ssl or h11
            why = reason_of(error)
        finally:
            if connecting is not None:  # httpcore 1.0 leaks the socket when it is cancelled during a TLS handshake
                await connecting.aclose()
        if answered is not None:
            return HttpResponse(answered.status, answered.headers, b"", complete=False, why=why)
        return NoAnswer(sent, why)

    async def close(self) -> None:
        await self._client.aclose()


async def _read(response: httpx.Response, limit: int) -> bytes:
    """Decompresses in bounded steps: httpx would expand one chunk of a gzip bomb to gigabytes before it could be
    counted.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise _BodyRefused("the body has an encoding that was not requested")
    unpack = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    received, body = 0, bytearray()
    async for chunk in response.aiter_raw():
        received += len(chunk)
        try:
            body += chunk if unpack is None else unpack.decompress(chunk, limit + 1 - len(body))
        except zlib.error:
            raise _BodyRefused("the body is not valid gzip") from None
        if max(received, len(body)) > limit:
            raise _BodyRefused(f"the body is longer than {limit} bytes")
    if unpack is not None and received and not unpack.eof:
        raise _BodyRefused("the body is truncated")
    return bytes(body)
