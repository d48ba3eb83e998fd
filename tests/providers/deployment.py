"""Two replicas of the BFF on one Redis, in front of an API, at a provider of the tests."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from bff.app import Application
from bff.base64url import encode_base64url
from bff.session.keyring import new_key
from tests.harness.http_browser import FETCH
from tests.harness.patience import PATIENT
from tests.harness.plain_http import plain_http
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.harness.world import Upstream, listening, running_app, serving
from tests.harness.world.app_server import application
from tests.harness.world.world import as_environ
from tests.providers.person import Person
from tests.providers.provider import LONG, Client, Provider, Wish

# A provider that starts cold answers late, and a busy machine stands still in between.
TIMES: Final = {"provider_timeout": "60", "refresh_timeout": "20", "refresh_lease": "40", "refresh_grace": "60"}


@dataclass
class Deployment:
    provider: Provider
    client: Client
    public_url: str
    replicas: tuple[str, ...]
    applications: tuple[Application, ...]
    upstream: Upstream
    environ: dict[str, str] = field(repr=False)
    _callers: httpx.AsyncClient = field(repr=False)
    _people: list[Person] = field(default_factory=list)

    def person(self) -> Person:
        person = Person(self.public_url)
        self._people.append(person)
        return person

    async def signed_in(self, login: str = "alice@example.com") -> Person:
        person = self.person()
        page = await person.sign_in(login)
        assert person.cookie("bff-session") is not None, f"{page.status_code} {page.url}\n{page.text[:2000]}"
        return person

    async def signed_in_and_expired(self, login: str = "alice@example.com", again: Person | None = None) -> Person:
        """As `signed_in`, with an access token that has expired; the next one lives for an hour.

        `again`: a person who is signed in, and signs in once more in the same browser.
        """
        person, lifetime = again or self.person(), 2
        before = person.cookie("bff-session")
        while person.cookie("bff-session") == before:  # on a busy machine the token may expire during the sign-in
            assert lifetime <= 64, person.seen[-1].text
            await self.provider.set_lifetime(self.client, lifetime)
            await person.sign_in(login)
            expired_at = time.time() + lifetime
            lifetime *= 2
        await self.provider.set_lifetime(self.client, LONG)
        await until(lambda: time.time() > expired_at)
        return person

    async def call(self, person: Person, replica: int = 0, path: str = "/api/x") -> httpx.Response:
        """Calls one replica with this person's cookie, as a page of ours does."""
        headers = {**FETCH, "x-csrf": "1", "cookie": f"bff-session={person.cookie('bff-session')}"}
        return await self._callers.get(self.replicas[replica] + path, headers=headers)

    async def served(self, person: Person) -> None:
        """Waits until calls are served again; until then 503 is right, and no other status."""

        async def is_served() -> bool:
            answer = await self.call(person)
            assert answer.status_code in (200, 503), answer.text
            return answer.status_code == 200

        await until(is_served)

    async def settled(self) -> None:
        """Returns when nothing is under way that the applications began for themselves."""
        for running in self.applications:
            assert await running.runtime.tasks.drain(60) == 0

    def newest_refresh_token(self) -> str:
        """As the provider gave it to this client last."""
        return self.provider.proxy.given("refresh_token")[-1]

    async def close(self) -> None:
        for person in self._people:
            await person.close()


@asynccontextmanager
async def deployed(
    directory: Path, provider: Provider, wish: Wish | None = None, *, first_is_older: bool = False, **changes: str
) -> AsyncIterator[Deployment]:
    """`changes` are settings without the prefix, in any case.

    With `api_tokens` in the wish there are routes for the provider's `audience_tokens`, and `/own` for one of the BFF
    itself; `first_is_older`: the first replica does not have them yet.
    """
    provider.proxy.forget()
    upstream = Upstream()
    with one_server(directory / "redis") as redis, listening() as public, listening() as api:
        public_url = f"http://localhost:{public.getsockname()[1]}"
        client = await provider.register(public_url, wish or Wish())
        origin = f"http://127.0.0.1:{api.getsockname()[1]}"
        routes: list[dict[str, object]] = [{"prefix": "/api", "upstream": origin}]
        settings = {
            "public_url": public_url,
            "session_keys": encode_base64url(new_key()),
            "store": redis.url,
            "routes": json.dumps(routes),
            **TIMES,
            **client.settings,
            **changes,
        }
        older = as_environ(settings)
        if wish is not None and wish.api_tokens:
            tokens = {prefix: each.token for prefix, each in provider.audience_tokens(client).items()}
            tokens["/own"] = {"client_credentials": {}}
            routes += [{"prefix": prefix, "upstream": origin, "token": token} for prefix, token in tokens.items()]
        environ = as_environ({**settings, "routes": json.dumps(routes)})
        first = application(older if first_is_older else environ, time.time, PATIENT)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=None)
        async with (
            serving(upstream, api),
            serving(first, public, lifespan="on"),
            running_app(environ, time.time, PATIENT) as (second, second_url),
            plain_http(timeout=120, limits=limits) as callers,
        ):
            replicas, applications = (public_url, second_url), (first, second)
            deployment = Deployment(provider, client, public_url, replicas, applications, upstream, environ, callers)
            try:
                yield deployment
            finally:
                await deployment.close()
                await asyncio.gather(*(each.runtime.tasks.drain(60) for each in applications))
