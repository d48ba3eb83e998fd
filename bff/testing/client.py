"""A browser for tests: it keeps cookies, sends what the single-page app sends, and signs in."""

from collections.abc import Mapping
from typing import Any, Final

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.extensions import HEADERS_FINAL
from bff.fastapi.installation import Bff
from bff.testing.provider import USER, FakeProvider
from bff.testing.running_app import RunningApp
from bff.testing.settings import PUBLIC_URL

FETCH: Final = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "sec-fetch-site": "same-origin", "x-csrf": "1"}
NAVIGATION: Final = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"}
SETTLED_WITHIN: Final = 60.0  # seconds


def installed_bff(app: object) -> Bff:
    """Raises LookupError for an application without one."""
    bff = app if isinstance(app, Bff) else getattr(getattr(app, "state", None), "bff", None)
    if not isinstance(bff, Bff):
        raise LookupError("the application has no Bff: call Bff().install(app)")
    return bff


class BffClient(httpx.Client):
    """Sends `X-CSRF: 1` and what browsers add to a fetch; pass other `headers` to leave them out (a value of "")."""

    def __init__(self, app: ASGIApp, running: RunningApp, provider: FakeProvider) -> None:
        transport = _AppTransport(app, running, installed_bff(app))
        super().__init__(transport=transport, base_url=PUBLIC_URL, headers=FETCH, trust_env=False)
        self._provider = provider

    def sign_in(self, **claims: Any) -> None:
        """Signs a user in, by default `bff.testing.provider.USER`; `claims` are added to its claims."""
        begun = self.navigate("/auth/login")
        if begun.status_code != 303:
            raise RuntimeError(f"the sign-in did not begin: {begun.status_code} {begun.text}")
        user: Mapping[str, Any] = {**USER, **claims}
        callback = self._provider.authorize(begun.headers["location"], user)
        done = self.navigate(callback, **{"sec-fetch-site": "cross-site"})
        if done.status_code != 303:
            raise RuntimeError(f"the sign-in failed: {done.status_code} {done.text}")

    def sign_out(self) -> None:
        self.post("/auth/logout").raise_for_status()

    def navigate(self, url: str, **headers: str) -> httpx.Response:
        """Opens a page as from the address bar; `headers` replace those that a browser then sends."""
        request = self.build_request("GET", url, headers={**NAVIGATION, "accept": "text/html", **headers})
        del request.headers["x-csrf"]
        return self.send(request)


class _AppTransport(httpx.BaseTransport):
    """Calls the application in its own event loop, and waits for what a request has started.

    Otherwise a test that moves the time could move it in the middle of a refresh.
    """

    def __init__(self, app: ASGIApp, running: RunningApp, bff: Bff) -> None:
        self._asgi, self._running, self._bff = httpx.ASGITransport(_as_bff_serve(app)), running, bff

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._running.run(self._response(request))

    async def _response(self, request: httpx.Request) -> httpx.Response:
        response = await self._asgi.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in response.stream])
        await self._bff.settle(SETTLED_WITHIN)
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))


def _as_bff_serve(app: ASGIApp) -> ASGIApp:
    """Marks requests as `bff serve` does: no server is on their way, so nothing of their framing is in doubt."""

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, HEADERS_FINAL: True}, receive, send)

    return marked
