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
from bff.asgi.extensions import HEADERS_FINAL
from bff.base64url import encode_base64url
from bff.components.ports import Ports
from bff.config.settings import load_settings
from bff.session.keyring import new_key
from tests.harness.patience import PATIENT
from tests.harness.world import Upstream, listening, serving
from tests.proof.races.provider import CLIENT_ID, ISSUER, Person, RacingProvider

PUBLIC_URL = "https://app.example.com"
FETCH = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "x-csrf": "1"}
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@dataclass
class Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return next(value.decode() for name, value in self.headers if name == b"location")

    @property
    def cookies(self) -> dict[str, str]:
        set_cookies = (value.decode().split(";")[0] for name, value in self.headers if name == b"set-cookie")
        return dict(pair.split("=", 1) for pair in set_cookies)


async def ask(
    app: Application, method: str, target: str, headers: dict[str, str], *, body: bytes = b"", jar: dict[str, str]
) -> Answer:
    """One request, as the server would hand it over; `jar` is sent, and takes what is set."""
    parts = urlsplit(target)
    fields = {"host": "app.example.com", **headers}
    if body:
        fields["content-length"] = str(len(body))
    if jar:
        fields["cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "client": ("203.0.113.7", 1234),
        "server": ("127.0.0.1", 443),
        HEADERS_FINAL: True,
    }
    asked, answer = False, Answer(0, [], b"")

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    for name, value in answer.cookies.items():
        if value:
            jar[name] = value
        else:
            jar.pop(name, None)
    return answer


@dataclass
class World:
    apps: list[Application]
    provider: RacingProvider
    chance: Random
    pace: float = 0.02  # seconds that a request took lately: what races with it is spread over that time
    _people: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    def person(self) -> Person:
        return Person(next(self._people))

    def any_app(self) -> Application:
        return self.chance.choice(self.apps)

    async def some_time(self) -> None:
        await asyncio.sleep(self.chance.uniform(0, 1.2 * self.pace))

    async def _timed(self, request: Coroutine[Any, Any, Answer]) -> Answer:
        began = time.monotonic()
        answer = await request
        self.pace += (time.monotonic() - began - self.pace) / 20
        return answer

    async def answer_to(self, person: Person, jar: dict[str, str], sid: str) -> str:
        """A sign-in up to the provider's answer: the callback's address, not yet opened."""
        begun = await ask(self.any_app(), "GET", "/auth/login?return_to=/home", NAVIGATION, jar=jar)
        assert begun.status == 303, begun.body
        return self.answer_for(begun.location, person, sid)

    def answer_for(self, authorization_url: str, person: Person, sid: str) -> str:
        asked = parse_qs(urlsplit(authorization_url).query)
        code = self.provider.code_for(person, sid, asked["nonce"][0])
        return f"/authorization-code/callback?{urlencode({'code': code, 'state': asked['state'][0]})}"

    async def arrive(self, target: str, jar: dict[str, str]) -> Answer:
        return await self._timed(ask(self.any_app(), "GET", target, NAVIGATION, jar=jar))

    async def signed_in(self, person: Person, sid: str) -> dict[str, str]:
        """The browser's cookies."""
        jar: dict[str, str] = {}
        answer = await self.arrive(await self.answer_to(person, jar, sid), jar)
        assert (answer.status, answer.location) == (303, "/home"), answer.body
        return jar

    async def call(self, jar: dict[str, str], app: Application | None = None) -> Answer:
        return await ask(app or self.any_app(), "GET", "/api/x", FETCH, jar=dict(jar))

    async def call_with_refresh(self, jar: dict[str, str]) -> Answer:
        return await self._timed(self.call(jar))

    async def sign_out(self, jar: dict[str, str]) -> Answer:
        return await ask(self.any_app(), "POST", "/auth/logout", FETCH, jar=dict(jar))

    async def back_channel(self, **who: str) -> Answer:
        body = urlencode({"logout_token": self.provider.logout_token(**who)}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await ask(self.any_app(), "POST", "/auth/backchannel-logout", headers, body=body, jar={})

    async def universal(self, person: Person) -> Answer:
        endpoint = "/auth/global-token-revocation"
        token = self.provider.revocation_token(PUBLIC_URL + endpoint, f"jti-{person.number}")
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        body = json.dumps({"sub_id": {"format": "email", "email": person.email.upper()}}).encode()
        return await ask(self.any_app(), "POST", endpoint, headers, body=body, jar={})

    async def settled(self) -> None:
        """Whatever was begun in the background has come to its end."""
        for app in self.apps * 2:  # the second time for what the others' tasks have left to it
            assert await app.runtime.tasks.drain(60) == 0


@asynccontextmanager
async def running_world(store: str, seed: int, *, slow: float = 0.01) -> AsyncIterator[World]:
    chance = Random(seed)
    provider = RacingProvider(chance, lifetime=3600, slow=slow)
    ports = Ports(provider, (provider,))
    with listening() as api:
        route = {"prefix": "/api", "upstream": f"http://127.0.0.1:{api.getsockname()[1]}"}
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
        async with serving(Upstream(), api):
            apps = [build_app(load_settings(environ), timeouts=PATIENT, ports=ports) for _ in range(2)]
            async with AsyncExitStack() as running:
                for app in apps:
                    await app.lifespan.start(running)
                yield World(apps, provider, chance)
