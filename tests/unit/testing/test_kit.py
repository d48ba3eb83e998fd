"""The test kit for applications of others: `tests/proof/servers` runs the example's own tests with its plugin."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from bff import testing
from bff.base64url import encode_base64url
from bff.components.ports import Ports
from bff.errors import ProviderUnavailable
from bff.fastapi.api_client import api_client
from bff.fastapi.dependencies import current_user
from bff.fastapi.installation import Bff
from bff.fastapi.user import User
from bff.oidc.token import Denied, Granted, NoAnswer, TokenResult
from bff.testing import plugin
from bff.testing.client import BffClient, installed_bff
from bff.testing.provider import CLIENT_ID, FakeProvider
from bff.testing.running_app import RunningApp
from bff.testing.settings import fake_settings
from bff.testing.upstreams import FakeUpstreams

VERIFIER = "v" * 43
CHALLENGE = encode_base64url(hashlib.sha256(VERIFIER.encode()).digest())
ROUTES = """
[[routes]]
prefix = "/api/orders"
upstream = "https://orders.example/v1"
strip_prefix = true

[[routes]]
prefix = "/api/reports"
upstream = "https://reports.example"
token = { exchange = { audience = "reports" } }
"""
REQUEST = {
    "client_id": CLIENT_ID,
    "response_type": "code",
    "redirect_uri": "https://app.test/callback",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "state": "s",
    "nonce": "n",
    "scope": "openid",
}


def an_app() -> FastAPI:
    app = FastAPI()

    @app.get("/me")
    async def me(user: Annotated[User, Depends(current_user)]) -> dict[str, Any]:
        return {"sub": user.sub, "email": user.email}

    @app.get("/orders")
    async def orders(client: Annotated[httpx.AsyncClient, Depends(api_client("orders"))]) -> list[Any]:
        first, second = await client.get("/latest?n=1"), await client.get("/latest")
        return [first.status_code, second.json(), (await client.get("/unknown")).status_code]

    @app.get("/reports")
    async def reports(client: Annotated[httpx.AsyncClient, Depends(api_client("reports"))]) -> Any:
        return (await client.get("/latest")).json()

    return app


@contextmanager
def started(folder: Path, app: FastAPI) -> Iterator[tuple[BffClient, FakeProvider, FakeUpstreams]]:
    config = folder / "bff.toml"
    config.write_text(ROUTES)
    provider = FakeProvider(access_token_lifetime=1000)
    upstreams = FakeUpstreams(provider)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        settings = fake_settings(folder, f"http://127.0.0.1:{listener.getsockname()[1]}", config)
        bff = Bff()
        bff.install(app)
        bff.replace(settings, Ports(provider=provider), provider.now)
        with RunningApp(app, upstreams, listener) as running, BffClient(app, running, provider) as client:
            yield client, provider, upstreams


def test_a_client_signs_in_calls_routes_and_signs_out(tmp_path: Path) -> None:
    with started(tmp_path, an_app()) as (client, provider, upstreams):
        assert client.get("/me").json()["code"] == "sign_in_required"
        client.sign_in(email="bob@example.com")
        assert client.get("/me").json() == {"sub": "user-1", "email": "bob@example.com"}
        upstreams.respond("orders", "/latest", status=202)
        upstreams.respond("orders", "/latest", [1])
        assert client.get("/orders").json() == [202, [1], 404]
        assert client.get("/api/orders/latest").json() == [1], "forwarded ones get there, too"
        received = upstreams.requests("orders")
        assert [(request.path, request.query) for request in received[:2]] == [("/latest", "n=1"), ("/latest", "")]
        assert all(request.user is not None and request.user["sub"] == "user-1" for request in received)
        client.sign_out()
        assert client.get("/me").status_code == 401
        provider.available = False
        with pytest.raises(RuntimeError, match="the sign-in did not begin: 503"):
            client.sign_in()


def test_an_account_that_is_disabled_loses_its_session_at_the_next_refresh(tmp_path: Path) -> None:
    with started(tmp_path, an_app()) as (client, provider, _):
        client.sign_in()
        provider.disable("user-1")
        assert client.get("/me").status_code == 200
        provider.advance(1001)
        refused = client.get("/me")
        assert (refused.status_code, refused.json()["reason"]) == (401, "refresh_token_invalid")


def test_a_route_of_the_host_sends_the_token_that_the_route_of_its_upstream_names(tmp_path: Path) -> None:
    with started(tmp_path, an_app()) as (client, _, upstreams):
        upstreams.respond("reports", "/latest", [7])
        client.sign_in()
        assert [client.get("/reports").json() for _ in range(2)] == [[7], [7]]
        tokens = {request.headers["authorization"] for request in upstreams.requests("reports")}
        assert len(tokens) == 1, "it was exchanged once"
        assert tokens.pop().endswith("-for-reports")
        assert (upstreams.requests("reports")[0].user or {})["sub"] == "user-1"


def test_time_moves_between_two_refreshes_never_in_one(tmp_path: Path) -> None:
    with started(tmp_path, an_app()) as (client, provider, _):
        client.sign_in()
        for _ in range(20):
            provider.advance(950)  # it is due, and refreshed while the old token still serves
            assert client.get("/me").status_code == 200
        assert provider.refreshes == 20


def test_an_application_without_a_bff_says_so() -> None:
    with pytest.raises(LookupError, match="has no Bff"):
        installed_bff(FastAPI())


def test_an_application_that_does_not_start_says_why(tmp_path: Path) -> None:
    app = an_app()
    app.add_api_route("/auth/mine", lambda: None)
    with pytest.raises(RuntimeError, match="is a path of the BFF"), started(tmp_path, app):
        pass


async def outcome(provider: FakeProvider, url: str, **changes: str) -> TokenResult:
    code = httpx.URL(provider.authorize(url)).params["code"]
    given = {"redirect_uri": REQUEST["redirect_uri"], "code_verifier": VERIFIER, **changes}
    return await provider.exchange_code(code, **given)  # type: ignore[arg-type]


async def test_the_provider_refuses_what_a_provider_refuses() -> None:
    provider = FakeProvider()
    url = str(httpx.URL("https://provider.test/authorize", params=REQUEST))
    for name in ("client_id", "response_type", "code_challenge_method"):
        with pytest.raises(ValueError, match=name):
            provider.authorize(str(httpx.URL(url).copy_set_param(name, "other")))
    assert await outcome(provider, url, code_verifier="w" * 43) == Denied(400, "invalid_grant")
    assert await outcome(provider, url, redirect_uri="https://evil.example") == Denied(400, "invalid_grant")
    granted = await outcome(provider, url)
    assert isinstance(granted, Granted)
    first = granted.tokens
    assert (await provider.userinfo(first.access_token or ""))["sub"] == "user-1"
    again = await provider.refresh(first.refresh_token or "", timeout=1)
    assert isinstance(again, Granted)
    assert await provider.refresh(first.refresh_token or "", timeout=1) == Denied(400, "invalid_grant")
    exchanged = await provider.exchange_token(again.tokens.access_token or "", audience="a", scope=["x"], timeout=1)
    assert isinstance(exchanged, Granted)
    assert (provider.user_of(exchanged.tokens.access_token or "") or {})["sub"] == "user-1"
    of_client = await provider.client_token(["x"])
    assert isinstance(of_client, Granted)
    assert provider.user_of(of_client.tokens.access_token or "") is None
    await provider.revoke(again.tokens.refresh_token or "", "refresh_token", within=1)
    assert await provider.refresh(again.tokens.refresh_token or "", timeout=1) == Denied(400, "invalid_grant")
    ended = await provider.exchange_token(again.tokens.access_token or "", audience="a", scope=(), timeout=1)
    assert ended == Denied(400, "invalid_grant")
    provider.available = False
    assert await outcome(provider, url) == NoAnswer(may_have_been_sent=False)
    with pytest.raises(ProviderUnavailable):
        await provider.metadata()


def test_the_plugin_is_loaded_by_its_package_and_has_these_fixtures() -> None:
    assert testing.pytest_plugins == (plugin.__name__,)
    for name in ("host_app", "host_client", "fake_provider", "host_settings", "signed_in_client", "fake_upstreams"):
        assert callable(getattr(plugin, name)), name


def test_settings_of_a_fake_world_are_those_of_the_application_otherwise(tmp_path: Path) -> None:
    config = tmp_path / "bff.toml"
    config.write_text(
        'issuer = "https://real.example"\nuser_claims = "sub groups"\nclient_secret_file = "/nowhere"\n'
        '[[routes]]\nprefix = "/a/orders"\nupstream = "https://orders.example"\ntimeout = 7\n'
    )
    settings = fake_settings(tmp_path, "http://127.0.0.1:8000", config)
    (route,) = settings.routes
    assert (route.upstream, route.timeout) == ("http://127.0.0.1:8000/orders", 7)
    assert settings.session.user_claims == ("sub", "groups")
    assert settings.provider.issuer == "https://provider.test"
