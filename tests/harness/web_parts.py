"""The whole web layer in memory: real flows and a real store file, a provider without a network, ASGI calls."""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bff.app import build_app
from bff.components.ports import Ports
from bff.config.settings import load_settings
from bff.errors import ProviderUnavailable
from bff.oidc.client_auth import ClientAuthentication
from bff.oidc.jwks import KeySet, parse_key_set
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.pushed_authorization import PushResult
from bff.oidc.token import Granted, RevocationResult, Revoked, TokenResponse, TokenResult, TokenTypeHint
from bff.session.session import Session
from tests.harness.asgi_call import Response, http_scope, run
from tests.harness.minting import NOW, RSA_KEY, jwk, jwks, mint
from tests.harness.patience import PATIENT
from tests.harness.security_events import MemoryTransmitter
from tests.harness.settings import RIGHT, with_changes

ISSUER, CLIENT_ID, PUBLIC_URL = RIGHT["BFF_ISSUER"], RIGHT["BFF_CLIENT_ID"], RIGHT["BFF_PUBLIC_URL"]
ORG = "https://example.okta.com"
CALLBACK = "/authorization-code/callback"
FETCH = ("sec-fetch-mode: cors", "sec-fetch-site: same-origin", "x-csrf: 1")
NAVIGATION = ("sec-fetch-mode: navigate", "sec-fetch-dest: document", "sec-fetch-site: none")
CROSS_SITE = (*NAVIGATION[:2], "sec-fetch-site: cross-site")
FORM = "content-type: application/x-www-form-urlencoded"
LOGOUT_EVENT = {"http://schemas.openid.net/event/backchannel-logout": {}}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class MemoryProvider:
    """Implements `bff.oidc.provider.OpenIDProvider`: every code is good for `claims`, every refresh token for more."""

    def __init__(self, clock: Clock, issuer: str) -> None:
        self.available = True
        self.claims: dict[str, Any] = {"sub": "00u1", "sid": "sid-1", "email": "ann@example.com"}
        self.refreshed: dict[str, Any] | None = (
            None  # what an ID token of a refresh has beyond `claims`; None: no token
        )
        self.nonce = ""
        self._clock, self._issuer, self._granted = clock, issuer, 0
        self._exchanged = 0
        self.exchange_answers: list[TokenResult] = []

    async def metadata(self) -> ProviderMetadata:
        if not self.available:
            raise ProviderUnavailable(retry_after=5)
        endpoints = {
            f"{name}_endpoint": f"{self._issuer}/v1/{path}"
            for name, path in {"authorization": "authorize", "token": "token", "end_session": "logout"}.items()
        }
        return ProviderMetadata(issuer=self._issuer, jwks_uri=f"{self._issuer}/v1/keys", **endpoints)  # type: ignore[arg-type]

    async def keys(self, kid: str | None = None) -> KeySet:
        return parse_key_set(jwks(jwk(RSA_KEY)))

    async def exchange_code(self, code: str, **_: Any) -> TokenResult:
        now = int(self._clock())
        return self._grant(self._id_token({"auth_time": now, "nonce": self.nonce, **self.claims}))

    def _id_token(self, claims: Mapping[str, Any]) -> str:
        now = int(self._clock())
        return mint({"iss": self._issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 3600, **claims})

    async def refresh(self, refresh_token: str, **_: Any) -> TokenResult:
        return self._grant(None if self.refreshed is None else self._id_token({**self.claims, **self.refreshed}))

    async def revoke(self, token: str, hint: TokenTypeHint, *, within: float) -> RevocationResult:
        return Revoked()

    def _grant(self, id_token: str | None) -> Granted:
        self._granted += 1
        return Granted(
            TokenResponse(
                access_token=f"access-canary-{self._granted}",
                expires_in=3600,
                refresh_token=f"refresh-canary-{self._granted}",
                id_token=id_token,
                scope="openid email offline_access",
            )
        )

    async def push(self, parameters: Mapping[str, str]) -> PushResult:
        raise NotImplementedError

    async def userinfo(self, access_token: str, *, dpop_key: str | None = None) -> Mapping[str, Any]:
        raise NotImplementedError

    async def exchange_token(self, subject_token: str, *, audience: str, **_: Any) -> TokenResult:
        self._exchanged += 1
        if self.exchange_answers:
            return self.exchange_answers.pop(0)
        return Granted(TokenResponse(f"for-{audience}-{self._exchanged}", 600))

    async def client_token(self, scopes: Collection[str], **_: Any) -> TokenResult:
        self._exchanged += 1
        return Granted(TokenResponse(f"own-{self._exchanged}", 600))

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None: ...

    async def close(self) -> None: ...

    def sign(self, typ: str, **claims: Any) -> str:
        now = int(self._clock())
        return mint(
            {"iss": self._issuer, "iat": now, "exp": now + 120, **claims}, {"alg": "RS256", "kid": "k1", "typ": typ}
        )


class Browser:
    """Keeps cookies, as the browser does on every kind of request but those that withhold a Strict cookie."""

    def __init__(self, parts: "WebParts") -> None:
        self._parts = parts
        self.cookies: dict[str, str] = {}

    async def send(
        self, method: str, target: str, *lines: str, body: bytes | Mapping[str, Any] = b"", without: str = ""
    ) -> Response:
        """`without`: cookies with this in their name are withheld."""
        if not isinstance(body, bytes):
            body, lines = json.dumps(body).encode(), (*lines, "content-type: application/json")
        carried = [f"{name}={value}" for name, value in self.cookies.items() if not without or without not in name]
        lines = (*lines, *([f"cookie: {'; '.join(carried)}"] if carried else []))
        lines = (*lines, *([f"content-length: {len(body)}"] if body else []))
        response = await run(self._parts.public, http_scope(method, target, *lines), body)
        for header in response.all("set-cookie"):
            for name, morsel in SimpleCookie(header).items():
                self.cookies.pop(name, None)
                if morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
        return response

    async def navigate(self, target: str, *lines: str, **more: Any) -> Response:
        return await self.send("GET", target, *(lines or NAVIGATION), **more)

    async def fetch(self, method: str, target: str, **more: Any) -> Response:
        return await self.send(method, target, *FETCH, **more)

    async def begin(self, query: str = "") -> dict[str, str]:
        """Starts a sign-in; the parameters with which the browser arrives at the provider."""
        response = await self.navigate(f"/auth/login{query}")
        assert response.status == 303, response
        asked = {name: values[0] for name, values in parse_qs(urlsplit(response.one("location") or "").query).items()}
        self._parts.provider.nonce = asked["nonce"]
        return asked

    async def finish(self, asked: Mapping[str, str], *lines: str, **more: Any) -> Response:
        return await self.navigate(f"{CALLBACK}?code=c-1&state={asked['state']}", *(lines or CROSS_SITE), **more)

    async def sign_in(self, query: str = "") -> Response:
        return await self.finish(await self.begin(query))

    async def session(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((await self.fetch("GET", "/auth/session")).body)
        return content


class WebParts:
    def __init__(self, folder: Path, **changes: str) -> None:
        self.clock = Clock()
        routes = json.dumps([{"prefix": "/api", "upstream": "https://api.example.com"}])
        self.settings = load_settings(
            with_changes(**{"store": f"sqlite:///{folder / 'bff.db'}", "routes": routes, **changes})
        )
        self.provider, self.org = MemoryProvider(self.clock, ISSUER), MemoryProvider(self.clock, ORG)
        self.transmitter = MemoryTransmitter(ORG)
        ports = Ports(self.provider, (self.org,), self.transmitter)
        app = build_app(self.settings, clock=self.clock, timeouts=PATIENT, ports=ports)
        self.public, self.forward_auth, self.upstreams = app.public, app.forward_auth, app.upstreams
        self.stores, self.flows, self.tasks = app.stores, app.flows, app.runtime.tasks

    def browser(self) -> Browser:
        return Browser(self)

    async def sessions(self, sub: str = "00u1") -> list[Session]:
        return list(await self.stores.sessions.find("sub", sub))

    async def close(self) -> None:
        assert await self.tasks.drain(60) == 0
        await self.stores.sessions.close()
        self.upstreams.http.close()


@asynccontextmanager
async def web_parts(folder: Path, **changes: str) -> AsyncIterator[WebParts]:
    parts = WebParts(folder, **changes)
    try:
        yield parts
    finally:
        await parts.close()
