"""How clients authenticate: by secrets and by assertions."""

import base64
import hmac
import json
import time
import uuid
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from demo.simulator.config import SimulatorConfig
from demo.simulator.signing_keys import SigningKey, b64url
from tests.unit.demo.simulator.application import Application, application

SECRET = "a-secret-that-is-long-enough-0123456789"
OTHER = "p%c+t:signs and äöü 0123456789"
INVALID_CLIENT = (401, "invalid_client")


def claims(app: Application, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    all_claims = {"iss": app.client_id, "sub": app.client_id, "aud": f"{app.endpoints}/token", "exp": now + 300}
    return {name: value for name, value in {**all_claims, "jti": str(uuid.uuid4()), **changes}.items() if value}


def signed_input(header: dict[str, Any], content: dict[str, Any]) -> str:
    return ".".join(b64url(json.dumps(part).encode()) for part in (header, content))


def by_secret(content: dict[str, Any], algorithm: str = "HS256", secret: str = SECRET) -> str:
    signed = signed_input({"alg": algorithm}, content)
    return f"{signed}.{b64url(hmac.digest(secret.encode(), signed.encode(), f'sha{algorithm[2:]}'))}"


async def refresh(app: Application, *, headers: dict[str, str] | None = None, **form: str) -> tuple[int, str | None]:
    token = app.okta.control.sign_in("alice@example.com")["refresh_token"]
    data = {"grant_type": "refresh_token", "refresh_token": token, **form}
    answer: httpx.Response = await app.backend.post(f"{app.endpoints}/token", data=data, headers=headers)
    return answer.status_code, answer.json().get("error")


async def by_assertion(app: Application, assertion: str) -> tuple[int, str | None]:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return await refresh(app, client_assertion_type=kind, client_assertion=assertion)


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


async def test_both_secrets_work_until_one_is_removed() -> None:
    async with application(SimulatorConfig(client_secrets=(SECRET, OTHER))) as app:
        encoded = "p%25c%2Bt%3Asigns+and+%C3%A4%C3%B6%C3%BC+0123456789"
        for secret in (SECRET, encoded):
            assert await refresh(app, headers=basic(app.client_id, secret)) == (200, None)
        assert await refresh(app, headers=basic(app.client_id, OTHER)) == INVALID_CLIENT, "it is form-encoded first"
        app.okta.control.settings(secrets=[OTHER])
        assert await refresh(app, headers=basic(app.client_id, SECRET)) == INVALID_CLIENT
        assert await refresh(app, client_id=app.client_id, client_secret=OTHER) == (200, None)


async def test_a_client_secret_jwt_is_valid_once_with_the_right_claims() -> None:
    async with application(SimulatorConfig(client_secrets=(SECRET,))) as app:
        for algorithm in ("HS256", "HS384", "HS512"):
            assert await by_assertion(app, by_secret(claims(app), algorithm)) == (200, None)
        assertion = by_secret(claims(app))
        assert [await by_assertion(app, assertion) for _ in range(2)] == [(200, None), INVALID_CLIENT]
        wrong: list[dict[str, Any]] = [
            {"aud": "http://elsewhere/token"},
            {"iss": "0oasomebodyelse"},
            {"sub": "0oasomebodyelse"},
            {"exp": None},
            {"exp": 1},
            {"exp": int(time.time()) + 90_000},
        ]
        for changes in wrong:
            assert await by_assertion(app, by_secret(claims(app, **changes))) == INVALID_CLIENT, changes
        for garbage in ("", "a.b.c", "e30.e30.e30", by_secret(claims(app), secret=OTHER)):
            assert (await by_assertion(app, garbage))[0] == 401


async def test_a_private_key_jwt_works_with_rsa_and_with_ec() -> None:
    rsa_key, ec_key = SigningKey.generate(), ec.generate_private_key(ec.SECP256R1())
    point = ec_key.public_key().public_numbers()
    coordinates = {"x": b64url(point.x.to_bytes(32)), "y": b64url(point.y.to_bytes(32))}
    ec_jwk = {"kty": "EC", "crv": "P-256", "kid": "ec", **coordinates}
    async with application(SimulatorConfig(client_secrets=(), client_jwks=(rsa_key.jwk(), ec_jwk))) as app:
        assert await by_assertion(app, rsa_key.sign(claims(app))) == (200, None)
        signed = signed_input({"alg": "ES256", "kid": "ec"}, claims(app))
        r, s = utils.decode_dss_signature(ec_key.sign(signed.encode(), ec.ECDSA(SHA256())))
        assert await by_assertion(app, f"{signed}.{b64url(r.to_bytes(32) + s.to_bytes(32))}") == (200, None)
        stranger = SigningKey.generate().sign(claims(app), {"kid": rsa_key.kid})
        assert await by_assertion(app, stranger) == INVALID_CLIENT
        assert (await refresh(app, client_id=app.client_id, client_secret=SECRET))[0] == 401


async def test_a_refused_client_has_consumed_nothing(app: Application) -> None:
    for headers in ({}, basic("0oanobody", "x"), {"Authorization": "Basic !!!"}):
        assert await refresh(app, headers=headers) == INVALID_CLIENT
    two_methods = await refresh(app, headers=basic(app.client_id, app.secret), client_secret=app.secret)
    assert two_methods == (401, "invalid_request")
    body = app.okta.control.sign_in("alice@example.com")
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    await app.backend.post(f"{app.endpoints}/token", data=form, headers=basic(app.client_id, "wrong"))
    assert (await app.refresh(body["refresh_token"])).status_code == 200
    assert app.okta.control.state()["families"][-1]["resends"] == 0
