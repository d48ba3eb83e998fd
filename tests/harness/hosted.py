"""A FastAPI application with a BFF installed, in memory: a provider without a network, ASGI calls."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from bff.components.ports import Ports
from bff.config.settings import Settings, load_settings
from bff.fastapi.installation import Bff
from tests.harness.settings import with_changes
from tests.harness.web_parts import ISSUER, ORG, Browser, Clock, MemoryProvider


def host_settings(folder: Path, **changes: str) -> Settings:
    routes = json.dumps([{"prefix": "/api", "upstream": "https://api.example.com"}])
    return load_settings(with_changes(**{"store": f"sqlite:///{folder / 'bff.db'}", "routes": routes, **changes}))


class Hosted:
    """`public` is the host application, as `WebParts.public` is the BFF alone."""

    def __init__(self, public: FastAPI, bff: Bff, settings: Settings) -> None:
        self.public, self.bff, self.clock = public, bff, Clock()
        self.provider, self.org = MemoryProvider(self.clock, ISSUER), MemoryProvider(self.clock, ORG)
        bff.replace(settings, Ports(self.provider, (self.org,)), self.clock)

    def browser(self) -> Browser:
        return Browser(self)  # type: ignore[arg-type]  # it needs the application and the provider

    async def signed_in(self) -> Browser:
        browser = self.browser()
        assert (await browser.sign_in()).status == 303
        return browser


@asynccontextmanager
async def hosted(app: FastAPI, settings: Settings, **options: tuple[str, ...]) -> AsyncIterator[Hosted]:
    """Installs a BFF in `app` and runs both; `options` are those of `Bff.install`."""
    bff = Bff()
    bff.install(app, **options)
    parts = Hosted(app, bff, settings)
    async with app.router.lifespan_context(app):
        yield parts
