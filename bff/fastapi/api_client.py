"""`Depends(api_client("orders"))`: an httpx client for a configured upstream, with the token of the session."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.requests import HTTPConnection

from bff.config.routes import Route
from bff.config.settings import Settings
from bff.errors import ConfigurationError, InvalidRequest
from bff.fastapi.dependencies import requests_of
from bff.fastapi.upstream_transport import UpstreamTransport


@dataclass(frozen=True, slots=True)
class ApiClient:
    """The dependency that `api_client` returns. Equal ones are one to FastAPI's `dependency_overrides`."""

    upstream: str

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[httpx.AsyncClient]:
        requests = requests_of(connection)
        route = self.route(requests.settings)
        async with UpstreamClient(route, UpstreamTransport(requests, route, connection.scope)) as client:
            yield client

    def check(self, settings: Settings) -> None:
        """Raises ConfigurationError unless exactly one route is meant."""
        self.route(settings)

    def route(self, settings: Settings) -> Route:
        """The route with that prefix, or the only one whose prefix ends in it. Raises ConfigurationError."""
        meant = [route for route in settings.routes if route.prefix == self.upstream]
        meant = meant or [route for route in settings.routes if route.prefix.endswith(f"/{self.upstream}")]
        if len(meant) == 1:
            return meant[0]
        problem = "several routes whose prefix ends in" if meant else "no route whose prefix ends in"
        prefixes = ", ".join(route.prefix for route in meant or settings.routes) or "none"
        raise ConfigurationError(
            "BFF_ROUTES",
            f"contain {problem} /{self.upstream.lstrip('/')}, which an api_client() needs.",
            f"Add one, or give the whole prefix; there are: {prefixes}.",
        )


class UpstreamClient(httpx.AsyncClient):
    """Its URLs are paths at the upstream, below the path of the upstream's own URL. It keeps no cookies, follows no
    redirects and reads no variables for proxies.

    A response that the API proxy would have made itself is raised as a BffError: UpstreamUnreachable, UpstreamTimeout,
    SignInRequired, StepUpRequired and others; unhandled, it becomes the response of the route.
    """

    def __init__(self, route: Route, transport: UpstreamTransport) -> None:
        super().__init__(
            transport=transport,
            base_url=route.upstream,
            timeout=None,  # the route has timeouts of its own, for the head and between two reads
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """Raises InvalidRequest for a URL of another server, and for dot segments, which httpx would resolve."""
        text = str(url)
        parts = urlsplit(text)
        if parts.scheme or parts.netloc:
            raise InvalidRequest("A client of an upstream takes paths, not URLs.")
        if any(segment in (".", "..") for segment in parts.path.split("/")):
            raise InvalidRequest("The path holds a dot segment.")
        return super().build_request(method, url, **options)


def api_client(upstream: str) -> ApiClient:
    """A dependency that gives an `httpx.AsyncClient` for the upstream of a route: `/api/orders`, or `orders` if no
    other prefix ends in it.

    Each request of it has what a forwarded request of that route has: the session's token, refreshed when due, or
    another token that the route names; one replay after a 401 if the request is safe and has no body; the route's
    scopes, access rules, headers, timeouts and trust; the trace of the browser's request. The client ends with the
    request. Without a session, and where the route needs one, a request raises SignInRequired.
    """
    return ApiClient(upstream)
