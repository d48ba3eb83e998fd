"""What the simulated org sends to applications to sign a user out."""

import json
from typing import Any

from demo.simulator.sign_out_orders import EVENT
from demo.simulator.signing_keys import b64url_decode
from tests.harness.plain_http import plain_http
from tests.harness.provider_wire import answer, wire
from tests.unit.demo.simulator.application import Application


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, body, _ = token.split(".")
    return json.loads(b64url_decode(head)), json.loads(b64url_decode(body))


async def test_a_logout_token_is_posted_as_a_form(app: Application) -> None:
    async with wire(there=answer(400)) as receiver:
        assert await app.okta.control.orders.send_logout_token(f"{receiver.issuer}/there", sid="idx1") == 400
        (request,) = receiver.requests
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    header, claims = parts(request.form["logout_token"])
    assert (header["typ"], header["kid"]) == ("logout+jwt", app.okta.control.state()["signing_key"])
    assert (claims["iss"], claims["aud"], claims["sid"]) == (app.okta.issuer, app.client_id, "idx1")
    assert claims["events"] == {EVENT: {}}
    assert not {"sub", "nonce"} & claims.keys()


async def test_a_universal_logout_has_the_shape_that_okta_documents(app: Application) -> None:
    async with wire(there=answer(204)) as receiver:
        url = f"{receiver.issuer}/there"
        send = app.okta.control.orders.send_global_token_revocation
        assert await send(url, email="a@example.com") == 204
        assert await send(url, sub="00u1", endpoint="https://e/") == 204
        by_email, by_sub = receiver.requests
    assert json.loads(by_email.body) == {"sub_id": {"format": "email", "email": "a@example.com"}}
    subject = {"format": "iss_sub", "iss": app.okta.base_url, "sub": "00u1"}
    assert json.loads(by_sub.body) == {"sub_id": subject}
    header, claims = parts(by_email.headers["authorization"].removeprefix("Bearer "))
    assert header == {"alg": "RS256", "typ": "global-token-revocation+jwt"}, "there is no kid"
    assert (claims["iss"], claims["aud"], claims["sub"]) == (app.okta.base_url, url, app.client_id)
    assert (claims["exp"] - claims["iat"], claims["iat"] - claims["nbf"]) == (300, 300)
    _, others = parts(by_sub.headers["authorization"].removeprefix("Bearer "))
    assert (others["aud"], others["jti"] != claims["jti"]) == ("https://e/", True)


async def test_the_control_api_sends_them_and_knows_the_sids(app: Application) -> None:
    await app.tokens()
    assert app.okta.control_url is not None
    async with wire(there=answer(200)) as receiver, plain_http(base_url=app.okta.control_url) as control:
        (sid,) = (await control.get("/users/alice@example.com/sids")).json()["sids"]
        url = f"{receiver.issuer}/there"
        for order, body in (("logout-token", {"sid": sid}), ("global-token-revocation", {"email": "a@example.com"})):
            assert (await control.post(f"/orders/{order}", json={"url": url, **body})).json() == {"status": 200}
        assert parts(receiver.requests[0].form["logout_token"])[1]["sid"] == sid
        assert (await control.post("/orders/nonsense", json={})).status_code == 404
        assert (await control.post("/orders/logout-token", json={"nonsense": 1})).status_code == 400
