"""The four ways a client proves who it is, and two live secrets."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from demo.simulator.config import SimulatorConfig
from demo.simulator.signing_keys import SigningKey, b64url
from tests.unit.demo.simulator.application import Application
from tests.unit.demo.simulator.conftest import Begin

SECRET = "a-secret-that-is-long-enough-0123456789"
OTHER = "another-secret-that-is-long-enough-0123"


def assertion_claims(app: Application, **changes: Any) -> dict[str, Any]:
    claims = {
        "iss": app.client_id,
        "sub": app.client_id,
        "aud": f"{app.endpoints}/token",
        "exp": int(time.time()) + 300,
        "iat": int(time.time()),
        "jti": str(uuid.uuid4()),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def signed_input(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(b64url(json.dumps(part).encode()) for part in (header, claims))


def by_secret(secret: str, claims: dict[str, Any], algorithm: str = "HS256") -> str:
    signed = signed_input({"alg": algorithm}, claims)
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    return f"{signed}.{b64url(hmac.digest(secret.encode(), signed.encode(), digest))}"


async def refresh(app: Application, *, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
    body = app.okta.control.sign_in("alice@example.com")
    data = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], **form}
    return await app.backend.post(f"{app.endpoints}/token", data=data, headers=headers)


async def refresh_by_assertion(app: Application, assertion: str) -> httpx.Response:
    return await refresh(
        app,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion=assertion,
    )


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


async def test_both_live_secrets_work_until_one_is_taken_away(begin: Begin) -> None:
    async with begin(SimulatorConfig(client_secrets=(SECRET, OTHER))) as app:
        for secret in (SECRET, OTHER):
            assert (await refresh(app, headers=basic(app.client_id, secret))).status_code == 200
        app.okta.control.settings(secrets=[OTHER])
        refused = await refresh(app, headers=basic(app.client_id, SECRET))
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        assert (await refresh(app, client_id=app.client_id, client_secret=OTHER)).status_code == 200


async def test_basic_credentials_are_form_encoded_first(begin: Begin) -> None:
    secret = "p%c+t:signs and äöü 0123456789"
    async with begin(SimulatorConfig(client_secrets=(secret,))) as app:
        encoded = "p%25c%2Bt%3Asigns+and+%C3%A4%C3%B6%C3%BC+0123456789"
        assert (await refresh(app, headers=basic(app.client_id, encoded))).status_code == 200
        assert (await refresh(app, headers=basic(app.client_id, secret))).status_code == 401


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_client_secret_jwt_works(begin: Begin, algorithm: str) -> None:
    async with begin(SimulatorConfig(client_secrets=(SECRET, OTHER))) as app:
        for secret in (SECRET, OTHER):
            answer = await refresh_by_assertion(app, by_secret(secret, assertion_claims(app), algorithm))
            assert answer.status_code == 200, answer.text


async def test_a_private_key_jwt_works_with_rsa_and_with_ec(begin: Begin) -> None:
    rsa_key, ec_key = SigningKey.generate(), ec.generate_private_key(ec.SECP256R1())
    numbers = ec_key.public_key().public_numbers()
    ec_jwk = {
        "kty": "EC",
        "crv": "P-256",
        "kid": "ec",
        "x": b64url(numbers.x.to_bytes(32, "big")),
        "y": b64url(numbers.y.to_bytes(32, "big")),
    }
    async with begin(SimulatorConfig(client_secrets=(), client_jwks=(rsa_key.jwk(), ec_jwk))) as app:
        assert (await refresh_by_assertion(app, rsa_key.sign(assertion_claims(app)))).status_code == 200
        signed = signed_input({"alg": "ES256", "kid": "ec"}, assertion_claims(app))
        r, s = utils.decode_dss_signature(ec_key.sign(signed.encode(), ec.ECDSA(SHA256())))
        signature = b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        assert (await refresh_by_assertion(app, f"{signed}.{signature}")).status_code == 200
        stranger = SigningKey.generate().sign(assertion_claims(app), {"kid": rsa_key.kid})
        assert (await refresh_by_assertion(app, stranger)).status_code == 401
        assert (await refresh(app, client_id=app.client_id, client_secret=SECRET)).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "http://elsewhere/token"},
        {"iss": "0oasomebodyelse"},
        {"sub": "0oasomebodyelse"},
        {"exp": None},
        {"exp": 1},
        {"exp": int(time.time()) + 90_000},
        {"iat": int(time.time()) + 90_000},
    ],
)
async def test_an_assertion_with_wrong_claims_is_invalid_client(begin: Begin, changes: dict[str, Any]) -> None:
    async with begin(SimulatorConfig(client_secrets=(SECRET,))) as app:
        answer = await refresh_by_assertion(app, by_secret(SECRET, assertion_claims(app, **changes)))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_an_assertion_works_once(begin: Begin) -> None:
    async with begin(SimulatorConfig(client_secrets=(SECRET,))) as app:
        assertion = by_secret(SECRET, assertion_claims(app))
        assert (await refresh_by_assertion(app, assertion)).status_code == 200
        assert (await refresh_by_assertion(app, assertion)).json()["error"] == "invalid_client"


async def test_an_assertion_that_is_no_jwt_is_invalid_client(app: Application) -> None:
    for garbage in ("", "a.b", "a.b.c", "e30.e30.e30"):
        assert (await refresh_by_assertion(app, garbage)).status_code == 401


async def test_two_ways_at_once_are_refused(app: Application) -> None:
    answer = await refresh(app, headers=basic(app.client_id, app.secret), client_secret=app.secret)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_request")


async def test_no_credentials_and_unknown_clients_are_invalid_client(app: Application) -> None:
    for answer in (
        await refresh(app),
        await refresh(app, headers=basic("0oanobody", "x")),
        await refresh(app, headers={"Authorization": "Basic !!!"}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_refused_client_has_consumed_nothing(app: Application) -> None:
    body = app.okta.control.sign_in("alice@example.com")
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    await app.backend.post(f"{app.endpoints}/token", data=form, headers=basic(app.client_id, "wrong"))
    assert (await app.refresh(body["refresh_token"])).status_code == 200
    assert app.okta.control.state()["families"][0]["resends"] == 0
