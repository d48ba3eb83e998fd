"""What the simulated org sends to applications when somebody is to be signed out, read by hand."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Receive, Scope, Send

from demo.simulator.sign_out_orders import EVENT
from tests.harness.plain_http import plain_http
from tests.harness.world import listening, serving
from tests.unit.demo.simulator.application import Application


class Receiver:
    """An application's endpoint: remembers what came, answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.body = (await receive())["body"]
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    with listening() as bound:
        async with serving(receiver, bound):
            yield receiver, f"http://127.0.0.1:{bound.getsockname()[1]}/there"


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, body, _ = token.split(".")
    read = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (head, body)]
    return read[0], read[1]


async def test_a_logout_token_is_posted_as_a_form(app: Application) -> None:
    async with receiving() as (receiver, url):
        receiver.status = 400
        assert await app.okta.control.orders.send_logout_token(url, sid="idx1") == 400
    assert receiver.headers["content-type"] == "application/x-www-form-urlencoded"
    name, _, token = receiver.body.decode().partition("=")
    header, claims = parts(token)
    assert name == "logout_token"
    assert header["typ"] == "logout+jwt"
    assert (claims["iss"], claims["aud"]) == (app.okta.issuer, app.client_id)
    assert claims["events"] == {EVENT: {}}
    assert claims["sid"] == "idx1"
    assert "sub" not in claims
    assert "nonce" not in claims
    assert app.okta.control.state()["signing_key"] == header["kid"]


async def test_a_universal_logout_has_the_shape_that_okta_documents(app: Application) -> None:
    async with receiving() as (receiver, url):
        receiver.status = 204
        assert await app.okta.control.orders.send_global_token_revocation(url, email="a@example.com") == 204
        by_email = json.loads(receiver.body)
        header, claims = parts(receiver.headers["authorization"].removeprefix("Bearer "))
        assert await app.okta.control.orders.send_global_token_revocation(url, sub="00u1", endpoint="https://e/") == 204
        by_sub = json.loads(receiver.body)
        _, others = parts(receiver.headers["authorization"].removeprefix("Bearer "))
    assert by_email == {"sub_id": {"format": "email", "email": "a@example.com"}}
    assert by_sub == {"sub_id": {"format": "iss_sub", "iss": app.okta.base_url, "sub": "00u1"}}
    assert header == {"alg": "RS256", "typ": "global-token-revocation+jwt"}, "there is no kid"
    assert (claims["iss"], claims["aud"], claims["sub"]) == (app.okta.base_url, url, app.client_id)
    assert (claims["exp"] - claims["iat"], claims["iat"] - claims["nbf"]) == (300, 300)
    assert others["aud"] == "https://e/"
    assert others["jti"] != claims["jti"]


async def test_the_control_api_sends_them_and_knows_the_sids(app: Application) -> None:
    await app.tokens()
    assert app.okta.control_url is not None
    async with (
        receiving() as (receiver, url),
        plain_http(base_url=app.okta.control_url) as control,
    ):
        (sid,) = (await control.get("/users/alice@example.com/sids")).json()["sids"]
        sent = await control.post("/orders/logout-token", json={"url": url, "sid": sid})
        assert sent.json() == {"status": 200}
        assert parts(receiver.body.decode().partition("=")[2])[1]["sid"] == sid
        sent = await control.post("/orders/global-token-revocation", json={"url": url, "email": "alice@example.com"})
        assert sent.json() == {"status": 200}
        assert (await control.post("/orders/nonsense", json={})).status_code == 404
        assert (await control.post("/orders/logout-token", json={"nonsense": 1})).status_code == 400
