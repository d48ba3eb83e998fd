"""A browser for tests: it keeps cookies, sends what the single-page app sends, and signs in."""

from collections.abc import Mapping
from typing import Any, Final

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.extensions import HEADERS_FINAL
from bff.testing.provider import USER, FakeProvider
from bff.testing.running_app import RunningApp
from bff.testing.settings import PUBLIC_URL

FETCH: Final = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "sec-fetch-site": "same-origin", "x-csrf": "1"}
NAVIGATION: Final = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"}


class BffClient(httpx.Client):
    """Sends `X-CSRF: 1` and what browsers add to a fetch; pass other `headers` to leave them out (a value of "")."""

    def __init__(self, app: ASGIApp, running: RunningApp, provider: FakeProvider) -> None:
        super().__init__(transport=_AppTransport(app, running), base_url=PUBLIC_URL, headers=FETCH, trust_env=False)
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
    """Calls the application in its own event loop."""

    def __init__(self, app: ASGIApp, running: RunningApp) -> None:
        self._asgi, self._running = httpx.ASGITransport(_as_bff_serve(app)), running

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._running.run(self._response(request))

    async def _response(self, request: httpx.Request) -> httpx.Response:
        response = await self._asgi.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in response.stream])
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))


def _as_bff_serve(app: ASGIApp) -> ASGIApp:
    """Marks requests as `bff serve` does: no server is on their way, so nothing of their framing is in doubt."""

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, HEADERS_FINAL: True}, receive, send)

    return marked
