"""Ory Hydra of the Go module proxy."""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx

from tests.harness.http_browser import Browser
from tests.harness.plain_http import plain_http
from tests.harness.world import listening, serving
from tests.providers.hydra.pages import HydraPages
from tests.providers.installing import install, run
from tests.providers.person import Person
from tests.providers.process import ProviderProcess
from tests.providers.provider import Client, Provider, Wish, client_metadata

HERE: Final = Path(__file__).parent
MANIFEST: Final = (HERE / "go.mod", HERE / "go.sum")
MODULE: Final = "github.com/ory/hydra/v2"
SIGNING_KEYS: Final = "/admin/keys/hydra.openid.id-token"


def pinned_version() -> str:
    found = re.search(rf"{re.escape(MODULE)} v(\S+)", MANIFEST[0].read_text())
    assert found is not None
    return found[1]


def _install(folder: Path) -> None:
    """SQLite is C, so this needs a C compiler; not optimized, it is built in a tenth of the time."""
    build = ("go", "build", "-mod=readonly", "-tags", "sqlite,json1", "-ldflags", "-s -w", "-o", str(folder / "hydra"))
    run(*build, MODULE, cwd=HERE, environ={"CGO_ENABLED": "1", "CGO_CFLAGS": "-O0"})


class Hydra(Provider):
    name = "Ory Hydra"
    version = pinned_version()
    client_key_algorithms = ("RS256", "PS256", "ES256")
    keeps_refresh_tokens = False  # every refresh rotates, and the grace period is the setting below

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._stack = AsyncExitStack()
        self._clients: dict[str, dict[str, Any]] = {}  # their metadata by client_id
        self._admin = plain_http(base_url=f"http://127.0.0.1:{self.control_port}")

    def issuer_of(self, wish: Wish) -> str:
        return self.proxy.origin

    async def start(self) -> None:
        folder = await asyncio.to_thread(install, "hydra", MANIFEST, _install)
        bound = self._stack.enter_context(listening())
        await self._stack.enter_async_context(self._admin)
        await self._stack.enter_async_context(serving(HydraPages(self._admin).application, bound))
        settings = self.directory / "hydra.json"
        settings.write_text(json.dumps(self._settings(f"http://127.0.0.1:{bound.getsockname()[1]}")))
        command = [str(folder / "hydra"), "serve", "all", "--dev", "--sqa-opt-out", "-c", str(settings)]
        ready = f"http://127.0.0.1:{self.port}/.well-known/openid-configuration"
        environ = {"DSN": "memory"}
        process = ProviderProcess(command, cwd=self.directory, log=self.directory / "log", ready=ready, environ=environ)
        await process.start()
        self._stack.push_async_callback(process.stop)
        await self.proxy.start()
        self._stack.push_async_callback(self.proxy.stop)

    async def stop(self) -> None:
        await self._stack.aclose()

    def _settings(self, pages: str) -> dict[str, Any]:
        return {
            "serve": {
                "public": {"host": "127.0.0.1", "port": self.port},
                "admin": {"host": "127.0.0.1", "port": self.control_port},
            },
            "urls": {
                "self": {"issuer": self.proxy.origin},
                "login": f"{pages}/login",
                "consent": f"{pages}/consent",
                "logout": f"{pages}/logout",
            },
            "secrets": {"system": ["a-secret-of-the-tests-0123456789"]},
            "oauth2": {"grant": {"refresh_token": {"rotation_grace_period": "5m"}}},
            "log": {"level": "warn"},
        }

    async def add_client(self, client_id: str, secret: str, public_url: str, wish: Wish) -> None:
        self._clients[client_id] = client_metadata(client_id, secret, public_url, wish)
        await self._ask("POST", "/admin/clients", json=self._clients[client_id])

    async def set_lifetime(self, client: Client, seconds: int) -> None:
        names = ("authorization_code_grant_access_token_lifespan", "refresh_token_grant_access_token_lifespan")
        # Not by the resource of lifespans: it refuses every client that has a jwks_uri.
        changed = self._clients[client.client_id] | dict.fromkeys(names, f"{seconds}s")
        await self._ask("PUT", f"/admin/clients/{client.client_id}", json=changed)

    async def is_alive(self, client: Client, login: str, refresh_token: str) -> bool:
        return bool((await self._ask("POST", "/admin/oauth2/introspect", data={"token": refresh_token}))["active"])

    async def sign_out_at_provider(self, client: Client, login: str, browser: Browser) -> None:
        assert isinstance(browser, Person)
        await browser.fill_in(await browser.navigate(f"{self.proxy.origin}/oauth2/sessions/logout"), login)

    async def end_grant(self, client: Client, login: str, refresh_token: str) -> None:
        query = {"subject": login, "client": client.client_id}
        await self._ask("DELETE", "/admin/oauth2/auth/sessions/consent", params=query)

    async def rotate_keys(self) -> None:
        await self._ask("POST", SIGNING_KEYS, json={"alg": "RS256", "use": "sig"})

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer: httpx.Response = await self._admin.request(method, path, **more)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None
