"""One HTTP request to the provider: limited in time and size, and exact about whether anything was sent."""

import asyncio
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from bff.oidc.form_fields import FormFields
from bff.oidc.token import NoAnswer
from bff.provider.failure import reason_of
from bff.provider.request_content import request_content
from bff.provider.response import KEEP_ALIVE_SECONDS, USER_AGENT, BodyRefused, BoundedBody, HttpResponse, Outcome
from bff.provider.trust import authorities

MAX_CONNECTIONS: Final = 50


class _TooLateToSend(Exception):
    """`may_send` returned False."""


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
            verify=authorities(ca_file),
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
        form: FormFields | None = None,
        document: Mapping[str, Any] | None = None,
        may_send: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        """Returns within `within` seconds; reads at most `limit` bytes, both compressed and decompressed.

        `document` is sent as JSON. Never raises. `may_send` is called when the first byte is about to be written.
        NoAnswer(False) guarantees that none was.
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

        content = request_content(form, document)
        content_type = {} if content.media_type is None else {"content-type": content.media_type}
        request = self._client.build_request(
            method,
            url,
            headers={**(headers or {}), **content_type},
            content=content.body or None,
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
        except BodyRefused as refused:
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
    body = BoundedBody(response.headers.get("content-encoding", ""), limit)
    async for chunk in response.aiter_raw():
        body.add(chunk)
    return body.end()
