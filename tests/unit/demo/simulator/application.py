"""A minimal application of the simulated org, which builds requests and sends forms by hand."""

import base64
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from demo.simulator.server import RunningSimulator, SimulatorConfig, running_simulator
from demo.simulator.visitor import sign_in
from tests.harness.plain_http import plain_http

CALLBACK = "http://127.0.0.1:8080/authorization-code/callback"
VERIFIER = "v" * 64


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


CHALLENGE = challenge(VERIFIER)


class Application:
    def __init__(self, okta: RunningSimulator, browser: httpx.AsyncClient, backend: httpx.AsyncClient) -> None:
        self.okta, self.browser, self.backend = okta, browser, backend
        self.client_id = okta.control.client.client_id
        self.secret = okta.control.client.secrets[0] if okta.control.client.secrets else ""
        self.endpoints = f"{okta.issuer}/v1"

    def use_org_server(self) -> None:
        self.endpoints = f"{self.okta.base_url}/oauth2/v1"

    def authorization_url(self, **changes: str | list[str] | None) -> str:
        """`None` leaves a parameter out."""
        parameters: dict[str, str | list[str] | None] = {
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile email offline_access",
            "state": secrets.token_urlsafe(16),
            "nonce": "n-0S6_WzA2Mj",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        kept = {name: value for name, value in parameters.items() if value is not None}
        return f"{self.endpoints}/authorize?{urlencode(kept, doseq=True)}"

    async def sign_in(self, login: str = "alice@example.com", **changes: str | list[str] | None) -> dict[str, str]:
        """The parameters that came back to the callback."""
        answer = await sign_in(self.browser, self.authorization_url(**changes), login)
        return returned(answer)

    async def token(self, **form: str | list[str]) -> httpx.Response:
        return await self.backend.post(f"{self.endpoints}/token", data=form, auth=(self.client_id, self.secret))

    async def exchange(self, code: str, /, **changes: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.token(**(form | changes))

    async def refresh(self, refresh_token: str, /, **changes: str | list[str]) -> httpx.Response:
        return await self.token(**({"grant_type": "refresh_token", "refresh_token": refresh_token} | changes))

    async def tokens(self, login: str = "alice@example.com", **changes: str | list[str] | None) -> dict[str, Any]:
        """A whole sign-in: the token answer."""
        answer = await self.exchange((await self.sign_in(login, **changes))["code"])
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


def returned(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 302, answer.text
    location = urlsplit(answer.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == CALLBACK
    return dict(parse_qsl(location.query or location.fragment))


@contextlib.asynccontextmanager
async def application(config: SimulatorConfig) -> AsyncIterator[Application]:
    async with running_simulator(config) as okta, plain_http() as browser, plain_http() as backend:
        yield Application(okta, browser, backend)
