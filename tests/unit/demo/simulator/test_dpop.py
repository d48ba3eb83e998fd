"""DPoP (RFC 9449) at the simulated org, with proofs made by hand."""

import json
import secrets
import time
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from demo.simulator.server import SimulatorConfig
from demo.simulator.signing_keys import b64url, b64url_decode
from tests.unit.demo.simulator.application import CALLBACK, VERIFIER, Application, application

BOUND = SimulatorConfig(dpop_bound=True)
KEY, OTHER_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def made(key: ec.EllipticCurvePrivateKey, claims: dict[str, Any], **header: Any) -> str:
    point = key.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": b64url(point.x.to_bytes(32)), "y": b64url(point.y.to_bytes(32))}
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk, **header}
    signed = ".".join(b64url(json.dumps(part).encode()) for part in (head, claims))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"{signed}.{b64url(r.to_bytes(32) + s.to_bytes(32))}"


def proof(app: Application, key: ec.EllipticCurvePrivateKey = KEY, nonce: str = "n1", **changes: Any) -> str:
    claims = {"htm": "POST", "htu": f"{app.endpoints}/token", "iat": int(time.time()), "jti": secrets.token_hex(8)}
    return made(key, {**claims, "nonce": nonce, **changes})


async def ask(app: Application, form: dict[str, str], *proofs: str) -> httpx.Response:
    headers = [("dpop", value) for value in proofs]
    auth = (app.client_id, app.secret)
    return await app.backend.post(f"{app.endpoints}/token", data=form, auth=auth, headers=headers)


async def code_form(app: Application) -> dict[str, str]:
    code = (await app.sign_in())["code"]
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}


def refresh_form(tokens: httpx.Response) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": tokens.json()["refresh_token"]}


async def test_a_proof_without_the_nonce_consumes_nothing() -> None:
    async with application(BOUND) as app:
        form = await code_form(app)
        first = await ask(app, form, proof(app, nonce="none"))
        assert (first.status_code, first.json()["error"]) == (400, "use_dpop_nonce")
        tokens = await ask(app, form, proof(app, nonce=first.headers["dpop-nonce"]))
        assert tokens.json()["token_type"] == "DPoP"
        claims = json.loads(b64url_decode(tokens.json()["access_token"].split(".")[1]))
        assert claims["cnf"]["jkt"]


async def test_a_refresh_token_is_bound_to_the_key_it_was_given_for() -> None:
    async with application(BOUND) as app:
        app.okta.control.settings(dpop_nonce="n1")
        form = refresh_form(await ask(app, await code_form(app), proof(app)))
        for wrong in ((), (proof(app, OTHER_KEY),)):
            refused = await ask(app, form, *wrong)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_dpop_proof")
        assert (await ask(app, form, proof(app))).json()["token_type"] == "DPoP"


async def test_without_the_flag_a_client_need_not_prove_but_may(app: Application) -> None:
    app.okta.control.settings(dpop_nonce="n1")
    assert (await app.tokens())["token_type"] == "Bearer"
    assert (await ask(app, await code_form(app), proof(app))).json()["token_type"] == "DPoP"


async def test_forged_and_repeated_proofs_are_refused() -> None:
    async with application(BOUND) as app:
        app.okta.control.settings(dpop_nonce="n1")
        form, good = await code_form(app), proof(app)
        head, payload, signature = good.split(".")
        claims = json.loads(b64url_decode(payload))
        for proofs in (
            (),
            (good, proof(app)),
            ("abc",),
            (f"{head}.{payload}.",),
            (f"{head}.{payload}.{'A' * len(signature)}",),
            (made(KEY, claims, typ="JWT"),),
            (made(KEY, claims, alg="none"),),
            (proof(app, OTHER_KEY).rpartition(".")[0] + "." + signature,),
            (proof(app, htm="GET"),),
            (proof(app, htu="https://elsewhere.example/token"),),
            (proof(app, iat=1),),
            (proof(app, iat=9_999_999_999),),
            (proof(app, jti=None),),
            (proof(app, ath="x"),),
        ):
            assert (await ask(app, form, *proofs)).json()["error"] == "invalid_dpop_proof", proofs
        assert (await ask(app, form, good)).status_code == 200
        again = await ask(app, await code_form(app), good)
        assert again.json()["error"] == "invalid_dpop_proof", "a proof is good once"


async def test_userinfo_requires_a_proof_with_the_key_of_the_token() -> None:
    async with application(BOUND) as app:
        app.okta.control.settings(dpop_nonce="n1")
        token = (await ask(app, await code_form(app), proof(app))).json()["access_token"]
        url = f"{app.endpoints}/userinfo"
        assert (await app.backend.get(url, headers={"authorization": f"Bearer {token}"})).status_code == 401
        assert (await app.backend.get(url, headers={"authorization": f"DPoP {token}"})).status_code == 401
