"""Two replicas of the whole application on one store, asked without a network: thousands of races need no sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from bff.app import Application, build_app
from bff.base64url import encode_base64url
from bff.components.ports import Ports
from bff.config.settings import load_settings
from bff.session.keyring import new_key
from tests.harness.asgi_call import Response, call
from tests.harness.patience import PATIENT
from tests.harness.web_parts import FETCH, FORM, NAVIGATION
from tests.harness.world import Upstream, listening, serving
from tests.proof.races.provider import CLIENT_ID, ISSUER, Person, RacingProvider

PUBLIC_URL = "https://app.example.com"


async def ask(
    app: Application, method: str, target: str, lines: tuple[str, ...], *, body: bytes = b"", jar: dict[str, str]
) -> Response:
    """`jar` is sent, and takes what is set."""
    cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
    sent = (*lines, f"cookie: {cookies}") if jar else lines
    response = await call(app, method, target, *sent, body=body, client="203.0.113.7")
    for line in response.all("set-cookie"):
        name, _, value = line.split(";")[0].partition("=")
        if value:
            jar[name] = value
        else:
            jar.pop(name, None)
    return response


@dataclass
class World:
    apps: list[Application]
    provider: RacingProvider
    chance: Random
    upstream: Upstream
    pace: float = 0.02  # seconds that a request took lately: what races with it is spread over that time
    _people: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    def person(self) -> Person:
        return Person(next(self._people))

    def any_app(self) -> Application:
        return self.chance.choice(self.apps)

    async def some_time(self) -> None:
        await asyncio.sleep(self.chance.uniform(0, 1.2 * self.pace))

    async def _timed(self, request: Coroutine[Any, Any, Response]) -> Response:
        began = time.monotonic()
        answer = await request
        self.pace += (time.monotonic() - began - self.pace) / 20
        return answer

    async def answer_to(self, person: Person, jar: dict[str, str], sid: str) -> str:
        """A sign-in up to the provider's answer: the callback's address, not yet opened."""
        begun = await ask(self.any_app(), "GET", "/auth/login?return_to=/home", NAVIGATION, jar=jar)
        assert begun.status == 303, begun.body
        asked = parse_qs(urlsplit(begun.one("location") or "").query)
        code = self.provider.code_for(person, sid, asked["nonce"][0])
        return f"/authorization-code/callback?{urlencode({'code': code, 'state': asked['state'][0]})}"

    async def arrive(self, target: str, jar: dict[str, str]) -> Response:
        return await self._timed(ask(self.any_app(), "GET", target, NAVIGATION, jar=jar))

    async def signed_in(self, person: Person, sid: str) -> dict[str, str]:
        """The browser's cookies."""
        jar: dict[str, str] = {}
        answer = await self.arrive(await self.answer_to(person, jar, sid), jar)
        assert (answer.status, answer.one("location")) == (303, "/home"), answer.body
        return jar

    async def call(self, jar: dict[str, str], app: Application | None = None) -> Response:
        return await self._timed(ask(app or self.any_app(), "GET", "/api/x", FETCH, jar=dict(jar)))

    async def sign_out(self, jar: dict[str, str]) -> Response:
        return await ask(self.any_app(), "POST", "/auth/logout", FETCH, jar=dict(jar))

    async def back_channel(self, **who: str) -> Response:
        body = urlencode({"logout_token": self.provider.logout_token(**who)}).encode()
        return await ask(self.any_app(), "POST", "/auth/backchannel-logout", (FORM,), body=body, jar={})

    async def universal(self, person: Person) -> Response:
        endpoint = "/auth/global-token-revocation"
        token = self.provider.revocation_token(PUBLIC_URL + endpoint, f"jti-{person.number}")
        lines = (f"authorization: Bearer {token}", "content-type: application/json")
        body = json.dumps({"sub_id": {"format": "email", "email": person.email.upper()}}).encode()
        return await ask(self.any_app(), "POST", endpoint, lines, body=body, jar={})

    async def settled(self) -> None:
        """Whatever was begun in the background has come to its end."""
        for app in self.apps * 2:  # the second time for what the others' tasks have left to it
            assert await app.runtime.tasks.drain(60) == 0


@asynccontextmanager
async def running_world(
    store: str, seed: int, *, slow: float = 0.01, replicas: int = 2, token: object = "user"
) -> AsyncIterator[World]:
    """`token` of the one route."""
    chance = Random(seed)
    provider = RacingProvider(chance, lifetime=3600, slow=slow)
    ports = Ports(provider, (provider,))
    with listening() as api:
        route = {"prefix": "/api", "upstream": f"http://127.0.0.1:{api.getsockname()[1]}", "token": token}
        environ = {
            "BFF_ISSUER": ISSUER,
            "BFF_CLIENT_ID": CLIENT_ID,
            "BFF_CLIENT_SECRET": "races-client-secret-0123456789abcdef",
            "BFF_PUBLIC_URL": PUBLIC_URL,
            "BFF_SESSION_KEYS": encode_base64url(new_key()),
            "BFF_STORE": store,
            "BFF_USER_CLAIMS": "sub email",
            "BFF_ROUTES": json.dumps([route]),
            "BFF_REFRESH_CONCURRENCY": "500",
            # Sixty people in one loop on a busy machine: a reservation may take seconds, and is no outage.
            "BFF_REFRESH_TIMEOUT": "20",
            "BFF_REFRESH_LEASE": "60",
        }
        upstream = Upstream()
        async with serving(upstream, api):
            apps = [build_app(load_settings(environ), timeouts=PATIENT, ports=ports) for _ in range(replicas)]
            async with AsyncExitStack() as running:
                for app in apps:
                    await app.lifespan.start(running)
                yield World(apps, provider, chance, upstream)
