"""The sample API accepts tokens of its issuer only, and shows none."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from demo.api.server import ApiConfig, RunningApi, running_api
from demo.simulator.grants import RotationPolicy
from demo.simulator.server import RunningSimulator, SimulatorConfig, running_simulator
from tests.harness.plain_http import plain_http


@dataclass
class World:
    okta: RunningSimulator
    api: RunningApi
    client: httpx.AsyncClient

    def token(self) -> str:
        return str(self.okta.control.sign_in("alice@example.com")["access_token"])

    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token()}"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with (
        running_simulator(SimulatorConfig(rotation=RotationPolicy(access_token_lifetime=300))) as okta,
        running_api(ApiConfig(issuer=okta.issuer)) as api,
        plain_http(base_url=api.base_url) as client,
    ):
        yield World(okta, api, client)


async def test_the_echo_shows_what_arrived_and_names_secrets_by_fingerprint(world: World) -> None:
    token = world.token()
    headers = {"Authorization": f"Bearer {token}", "Cookie": "session=secret-value", "X-Thing": "one"}
    answer = await world.client.post("/api/echo?a=1&b=%2F", content=b"x" * 1000, headers=headers)
    body = answer.json()
    assert (body["method"], body["path"], body["query"], body["body_length"]) == (
        "POST",
        "/api/echo",
        "a=1&b=%2F",
        1000,
    )
    assert ["x-thing", "one"] in body["headers"]
    assert body["access_token"]["sub"] == "alice@example.com"
    assert body["access_token"]["jti"].startswith("AT.")
    assert body["access_token"]["exp"] - body["access_token"]["iat"] == 300
    assert token not in answer.text
    assert "secret-value" not in answer.text
    assert f"Bearer {body['access_token']['fingerprint']}" in dict(body["headers"])["authorization"]


async def test_tokens_that_are_not_the_issuers_are_refused(world: World) -> None:
    head, payload, signature = world.token().split(".")
    now = int(time.time())
    good = {"iss": world.okta.issuer, "aud": "api://default", "sub": "x", "exp": now + 60}
    sign = world.okta.control.sign
    bad = {
        "not a JWT": "abc",
        "no signature": f"{head}.{payload}.",
        "another payload": f"{head}.{payload[:-4]}AAAA.{signature}",
        "expired": sign({**good, "exp": now - 6}),
        "without exp": sign({name: good[name] for name in ("iss", "aud", "sub")}),
        "another audience": sign({**good, "aud": "api://other"}),
        "another issuer": sign({**good, "iss": "http://elsewhere"}),
        "without kid": sign(good, kid=None),
        "alg none": sign(good, alg="none"),
    }
    for name, token in bad.items():
        answer = await world.client.get("/api/orders", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, name
        assert 'error="invalid_token"' in answer.headers["www-authenticate"], name
    good_one = await world.client.get("/api/orders", headers={"Authorization": f"Bearer {sign(good)}"})
    assert good_one.status_code == 200
    assert sum(seen.refused is not None for seen in world.api.seen) == len(bad)


async def test_keys_are_read_when_needed_and_outlive_the_issuer(world: World) -> None:
    async def status() -> int:
        return (await world.client.get("/api/orders", headers=world.bearer())).status_code

    await world.okta.control.down()
    assert await status() == 503
    await world.okta.control.up()
    assert await status() == 200
    world.okta.control.rotate_keys(emergency=True)
    assert await status() == 200
    await world.okta.control.down()
    assert await status() == 200
