"""Client authentication with secrets and with private keys."""

import json
from base64 import b64decode, urlsafe_b64decode
from typing import Any
from urllib.parse import unquote_plus

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bff.oidc.client_auth import ASSERTION_TYPE, Candidate, ClientAuthentication, Credentials, client_authentication
from tests.harness.minting import (
    EC_KEY,
    EC_KEY_384,
    EC_KEY_521,
    ED25519_KEY,
    NOW,
    RSA_KEY,
    WEAK_RSA_KEY,
    AsymmetricKey,
    b64_number,
    jwk,
    private_jwk,
)

ENDPOINT = "https://example.okta.com/oauth2/v1/token"
SECRET = "x" * 30 + ":%+é"
RSA = RSA_KEY.private_numbers()
RSA_JWK = {**jwk(RSA_KEY, "from-jwk"), "d": b64_number(RSA.d)}


def credentials(authentication: ClientAuthentication, jti: str = "j1", number: int = 0) -> Credentials:
    return authentication.credentials(authentication.candidates[number], audience=ENDPOINT, now=NOW, jti=jti)


def pem(key: AsymmetricKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def ec_jwk(key: ec.EllipticCurvePrivateKey) -> str:
    octets = (key.key_size + 7) // 8
    return json.dumps({**jwk(key, None), "d": b64_number(key.private_numbers().private_value, octets)})


def assertion_of(authentication: ClientAuthentication) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    form = credentials(authentication).form
    assert (form["client_id"], form["client_assertion_type"]) == (authentication.client_id, ASSERTION_TYPE)
    header, payload, signature = form["client_assertion"].split(".")
    signed = f"{header}.{payload}".encode()
    header, payload, decoded = (urlsafe_b64decode(segment + "==") for segment in (header, payload, signature))
    return json.loads(header), json.loads(payload), signed, decoded


def test_basic_encodes_both_halves_before_base64() -> None:
    sent = credentials(client_authentication("client_secret_basic", "id:with colon", secrets=[SECRET]))
    scheme, _, value = sent.headers["authorization"].partition(" ")
    client_id, _, secret = b64decode(value).decode().partition(":")
    assert scheme == "Basic"
    assert (unquote_plus(client_id), unquote_plus(secret)) == ("id:with colon", SECRET)
    assert sent.form == {}


def test_post_sends_both_in_the_form_and_two_secrets_are_candidates_in_order() -> None:
    authentication = client_authentication("client_secret_post", "0oa1", secrets=["one", "two"])
    for number, secret in enumerate(("one", "two")):
        sent = credentials(authentication, number=number)
        assert (sent.headers, sent.form) == ({}, {"client_id": "0oa1", "client_secret": secret})


def test_a_secret_signs_an_assertion_for_one_request_to_one_endpoint() -> None:
    secret = "a secret of at least 32 characters"
    authentication = client_authentication("client_secret_jwt", "0oa1", secrets=[secret])
    header, claims, signed, signature = assertion_of(authentication)
    assert header == {"alg": "HS256", "typ": "JWT"}
    times = {"iat": int(NOW) - 30, "exp": int(NOW) + 300}
    assert claims == {"iss": "0oa1", "sub": "0oa1", "aud": ENDPOINT, "jti": "j1", **times}
    mac = hmac.HMAC(secret.encode(), hashes.SHA256())
    mac.update(signed)
    mac.verify(signature)
    assert credentials(authentication, "j2").form != credentials(authentication, "j1").form


@pytest.mark.parametrize(
    ("text", "key_id", "alg", "kid"),
    [
        pytest.param(pem(RSA_KEY), "set", "RS256", "set", id="PEM"),
        pytest.param(json.dumps(RSA_JWK), None, "RS256", "from-jwk", id="JWK"),
        pytest.param("\n " + json.dumps(RSA_JWK), "set", "RS256", "set", id="JWK and a configured kid"),
        pytest.param(
            json.dumps({**RSA_JWK, "p": b64_number(RSA.p), "q": b64_number(RSA.q), "alg": "RS384"}),
            *(None, "RS384", "from-jwk"),
            id="JWK with p, q and alg",
        ),
    ],
)
def test_an_rsa_key_signs(text: str, key_id: str | None, alg: str, kid: str) -> None:
    authentication = client_authentication("private_key_jwt", "0oa1", private_key=text, key_id=key_id)
    header, _, signed, signature = assertion_of(authentication)
    assert header == {"alg": alg, "typ": "JWT", "kid": kid}
    digest = {"RS256": hashes.SHA256(), "RS384": hashes.SHA384()}[alg]
    RSA_KEY.public_key().verify(signature, signed, padding.PKCS1v15(), digest)


@pytest.mark.parametrize("form", [pem, ec_jwk])
@pytest.mark.parametrize(
    ("key", "alg", "digest"),
    [
        (EC_KEY, "ES256", hashes.SHA256()),
        (EC_KEY_384, "ES384", hashes.SHA384()),
        (EC_KEY_521, "ES512", hashes.SHA512()),
    ],
    ids=["P-256", "P-384", "P-521"],
)
def test_an_ec_key_signs_with_the_algorithm_of_its_curve(
    key: ec.EllipticCurvePrivateKey, alg: str, digest: hashes.HashAlgorithm, form: Any
) -> None:
    authentication = client_authentication("private_key_jwt", "0oa1", private_key=form(key))
    header, _, signed, signature = assertion_of(authentication)
    assert header == {"alg": alg, "typ": "JWT"}
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    key.public_key().verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))


@pytest.mark.parametrize(
    ("key", "algorithm", "alg"),
    [
        *[(RSA_KEY, "PS256", "PS256"), (RSA_KEY, "PS512", "PS512")],
        *[(ED25519_KEY, None, "EdDSA"), (ED25519_KEY, "Ed25519", "Ed25519")],
    ],
)
def test_pss_and_ed25519_sign_what_their_verifiers_accept(key: AsymmetricKey, algorithm: str | None, alg: str) -> None:
    jwk_text = json.dumps(private_jwk(key, None) | ({} if algorithm is None else {"alg": algorithm}))
    for text, chosen in ((pem(key), algorithm), (jwk_text, None)):
        authentication = client_authentication("private_key_jwt", "0oa1", private_key=text, algorithm=chosen)
        header, _, signed, signature = assertion_of(authentication)
        assert header == {"alg": alg, "typ": "JWT"}
        if isinstance(key, rsa.RSAPrivateKey):
            digest = {"PS256": hashes.SHA256(), "PS512": hashes.SHA512()}[alg]
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            key.public_key().verify(signature, signed, pss, digest)
        elif isinstance(key, ed25519.Ed25519PrivateKey):
            key.public_key().verify(signature, signed)


@pytest.mark.parametrize(
    ("text", "algorithm", "reason"),
    [
        (pem(RSA_KEY), "ES256", "RS256, RS384"),
        (pem(EC_KEY), "PS256", "ES256"),
        (pem(ED25519_KEY), "ES256", "EdDSA"),
        (json.dumps({**RSA_JWK, "alg": "RS256"}), "PS256", "for another algorithm"),
    ],
)
def test_an_algorithm_that_the_key_is_not_for_is_refused(text: str, algorithm: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        client_authentication("private_key_jwt", "0oa1", private_key=text, algorithm=algorithm)


@pytest.mark.parametrize(
    ("method", "arguments", "reason"),
    [
        pytest.param("client_secret_basic", {}, "needs a client secret", id="no secret"),
        pytest.param("client_secret_basic", {"secrets": ["one", ""]}, "needs a client secret", id="empty secret"),
        pytest.param("private_key_jwt", {}, "needs a private key", id="no key"),
        *[
            pytest.param("private_key_jwt", {"private_key": text}, reason, id=name)
            for name, text, reason in [
                ("text", "not a key", "neither a valid PEM"),
                ("broken JSON", "{not json", "neither a valid PEM"),
                ("oct", '{"kty":"oct","k":"AAAA"}', "neither a valid PEM"),
                ("another type", json.dumps({**RSA_JWK, "kty": "OKP"}), "neither a valid PEM"),
                ("no kty", json.dumps({"n": RSA_JWK["n"]}), "neither a valid PEM"),
                ("broken RSA", json.dumps({**RSA_JWK, "d": 5}), "neither a valid PEM"),
                ("HS256", json.dumps({**RSA_JWK, "alg": "HS256"}), "cannot sign with that algorithm"),
                ("for encryption", json.dumps({**RSA_JWK, "use": "enc"}), "for encryption"),
                ("with another x", json.dumps({**private_jwk(ED25519_KEY), "x": "A" * 43}), "neither a valid PEM"),
                ("weak RSA", pem(WEAK_RSA_KEY), "neither RSA"),
                ("secp256k1", pem(ec.generate_private_key(ec.SECP256K1())), "neither RSA"),
            ]
        ],
    ],
)
def test_unusable_credentials_are_refused_without_repeating_them(
    method: Any, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        client_authentication(method, "0oa1", **arguments)
    assert "not a key" not in str(caught.value)


@pytest.mark.parametrize(("method", "key"), [("private_key_jwt", "secret"), ("client_secret_post", RSA_KEY)])
def test_a_key_of_the_wrong_kind_for_the_method_is_refused(method: Any, key: Any) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        credentials(ClientAuthentication(method, "0oa1", (Candidate(key),)))


def test_secrets_and_keys_are_not_in_a_repr() -> None:
    authentication = client_authentication("client_secret_basic", "0oa1", secrets=["hush-hush"])
    posted = client_authentication("client_secret_post", "0oa1", secrets=["hush-hush"])
    assert "hush" not in repr(authentication) + repr(credentials(posted))
    assert "Basic" not in repr(credentials(authentication))
