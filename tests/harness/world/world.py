"""A whole world: a simulated Okta, an upstream that remembers, the BFF on the shipped server, browsers."""

import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from bff.app import Application
from bff.base64url import encode_base64url
from bff.components.timeouts import Timeouts
from bff.session.keyring import new_key
from bff.session.session import Session
from demo.simulator.grants import RotationPolicy
from demo.simulator.server import RunningSimulator, running_simulator
from tests.harness.http_browser import Browser
from tests.harness.world.app_server import PRODUCTION, application, listening, running_app, serving
from tests.harness.world.clock import Clock
from tests.harness.world.provider import CLIENT_ID, CLIENT_SECRET, provider_config
from tests.harness.world.upstream import Upstream


@dataclass
class World:
    okta: RunningSimulator
    bff: Application
    public_url: str
    upstream: Upstream
    clock: Clock
    environ: dict[str, str]
    timeouts: Timeouts
    _public: socket.socket
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)
    _browsers: list[Browser] = field(default_factory=list)

    def browser(self) -> Browser:
        browser = Browser(self.public_url)
        self._browsers.append(browser)
        return browser

    async def signed_in(self, login: str = "alice@example.com") -> Browser:
        browser = self.browser()
        await browser.sign_in(login)
        return browser

    def advance(self, seconds: float) -> None:
        """Moves the BFF's wall clock and Okta's, as if that time had passed."""
        self.clock.ahead += seconds
        self.okta.control.advance(seconds)

    @property
    def callback(self) -> str:
        return f"{self.public_url}/authorization-code/callback"

    @property
    def revoked(self) -> list[str | None]:
        """How each family of refresh tokens ended at Okta, oldest first; None for one that is alive."""
        return [family["revoked"] for family in self.okta.control.state()["families"]]

    def sub(self, login: str = "alice@example.com") -> str:
        return self.okta.control.person(login).sub

    async def stored(self, login: str = "alice@example.com") -> Session:
        """The person's only session, as the store has it."""
        (session,) = await self.bff.stores.sessions.find("sub", self.sub(login))
        return session

    def session_keys(self, *keys: bytes) -> str:
        """`keys` as the setting says them, newest first."""
        return " ".join(encode_base64url(key) for key in keys)

    async def settled(self) -> None:
        """Returns when nothing is under way that the application began for itself: revocations, refreshes."""
        assert await self.bff.runtime.tasks.drain(60) == 0

    async def start(self) -> None:
        # A socket of its own for each server: uvicorn closes what it served, and the port must stay ours.
        await self._running.enter_async_context(serving(self.bff, self._public.dup(), lifespan="on"))

    async def restart(self, **changes: str) -> None:
        """Stops the BFF in good order and starts it again on its port, with its store and with changed settings."""
        await self._running.aclose()
        self.environ |= as_environ(changes)
        self.bff = application(self.environ, self.clock, self.timeouts)
        await self.start()

    @asynccontextmanager
    async def replica(self) -> AsyncIterator[str]:
        """A second BFF with the same settings and store; its base URL."""
        async with running_app(self.environ, self.clock, self.timeouts) as (_, url):
            yield url

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.close()
        await self._running.aclose()


def as_environ(changes: Mapping[str, str]) -> dict[str, str]:
    return {f"BFF_{name.upper()}": value for name, value in changes.items()}


@asynccontextmanager
async def small_world(
    directory: Path,
    *,
    rotation: RotationPolicy | None = None,
    okta: Mapping[str, Any] | None = None,
    org_server: bool = False,
    prepare: Callable[[RunningSimulator], object] | None = None,
    api: ASGIApp | None = None,
    route: Mapping[str, Any] | None = None,
    timeouts: Timeouts = PRODUCTION,
    **changes: str,
) -> AsyncIterator[World]:
    """`changes` are settings as environment variables, without the prefix and in any case."""
    clock, upstream = Clock(), Upstream()
    with listening() as public, listening() as behind:
        # To a browser `localhost` and 127.0.0.1 are two sites, as the app and Okta are in production.
        public_url = f"http://localhost:{public.getsockname()[1]}"
        async with (
            running_simulator(provider_config(public_url, rotation, okta)) as provider,
            serving(api or upstream, behind),
        ):
            if prepare is not None:
                prepare(provider)
            routes = [{"prefix": "/api", "upstream": f"http://127.0.0.1:{behind.getsockname()[1]}", **(route or {})}]
            environ = {
                "BFF_ISSUER": provider.org_issuer if org_server else provider.issuer,
                "BFF_CLIENT_ID": CLIENT_ID,
                "BFF_CLIENT_SECRET": CLIENT_SECRET,
                "BFF_PUBLIC_URL": public_url,
                "BFF_SESSION_KEYS": encode_base64url(new_key()),
                "BFF_STORE": f"sqlite:///{directory / 'bff.db'}",
                "BFF_ROUTES": json.dumps(routes),
                # 12 s from a reservation to its sending, not 2 s: a busy machine may stand still in between.
                "BFF_REFRESH_LEASE": "20",
                **as_environ(changes),
            }
            bff = application(environ, clock, timeouts)
            world = World(provider, bff, public_url, upstream, clock, environ, timeouts, public)
            try:
                await world.start()
                yield world
            finally:
                await world.close()
