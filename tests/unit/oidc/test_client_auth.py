"""How we prove who we are, and PKCE."""

import json
from base64 import b64decode, urlsafe_b64decode
from typing import Any
from urllib.parse import unquote_plus

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bff.oidc.client_auth import ASSERTION_TYPE, ClientAuthentication, Credentials, client_authentication
from bff.oidc.pkce import s256_challenge
from tests.harness.minting import EC_KEY, EC_KEY_384, NOW, RSA_KEY, WEAK_RSA_KEY, b64_number, jwk

ENDPOINT = "https://example.okta.com/oauth2/v1/token"
SECRET = "x" * 30 + ":%+é"


def credentials(authentication: ClientAuthentication, jti: str = "j1", number: int = 0) -> Credentials:
    return authentication.credentials(authentication.candidates[number], endpoint=ENDPOINT, now=NOW, jti=jti)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def decoded(segment: str) -> Any:
    return json.loads(urlsafe_b64decode(segment + "=="))


def assertion_of(authentication: ClientAuthentication) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    form = credentials(authentication).form
    assert form["client_assertion_type"] == ASSERTION_TYPE
    header, payload, signature = form["client_assertion"].split(".")
    return decoded(header), decoded(payload), f"{header}.{payload}".encode(), urlsafe_b64decode(signature + "==")


def test_basic_encodes_both_halves_before_base64() -> None:
    authentication = client_authentication("client_secret_basic", "id:with colon", secrets=[SECRET])
    sent = credentials(authentication)
    scheme, _, value = sent.headers["authorization"].partition(" ")
    client_id, _, secret = b64decode(value).decode().partition(":")
    assert scheme == "Basic"
    assert (unquote_plus(client_id), unquote_plus(secret)) == ("id:with colon", SECRET)
    assert sent.form == {}


def test_post_sends_both_in_the_form_and_nothing_in_a_header() -> None:
    sent = credentials(client_authentication("client_secret_post", "0oa1", secrets=[SECRET]))
    assert sent.form == {"client_id": "0oa1", "client_secret": SECRET}
    assert sent.headers == {}


def test_two_live_secrets_are_two_candidates_in_order() -> None:
    authentication = client_authentication("client_secret_post", "0oa1", secrets=["one", "two"])
    assert [credentials(authentication, number=n).form["client_secret"] for n in (0, 1)] == ["one", "two"]


def test_a_secret_signs_an_assertion_for_this_endpoint_and_this_attempt() -> None:
    secret = "a secret of at least 32 characters"
    authentication = client_authentication("client_secret_jwt", "0oa1", secrets=[secret])
    header, claims, signed, signature = assertion_of(authentication)
    assert header == {"alg": "HS256", "typ": "JWT"}
    assert claims.pop("iat") <= NOW < claims.pop("exp") <= NOW + 3600
    assert claims == {"iss": "0oa1", "sub": "0oa1", "aud": ENDPOINT, "jti": "j1"}
    mac = hmac.HMAC(secret.encode(), hashes.SHA256())
    mac.update(signed)
    mac.verify(signature)
    assert credentials(authentication, "j2").form != credentials(authentication, "j1").form


RSA = RSA_KEY.private_numbers()
RSA_JWK = {**jwk(RSA_KEY, "from-jwk"), "d": b64_number(RSA.d)}


@pytest.mark.parametrize(
    ("text", "kid"),
    [
        pytest.param(pem(RSA_KEY), "set", id="PEM"),
        pytest.param(json.dumps(RSA_JWK), "from-jwk", id="JWK"),
        pytest.param(json.dumps({**RSA_JWK, "p": b64_number(RSA.p), "q": b64_number(RSA.q)}), "from-jwk", id="JWK p q"),
    ],
)
def test_an_rsa_key_signs_with_rs256(text: str, kid: str) -> None:
    key_id = "set" if kid == "set" else None
    header, _, signed, signature = assertion_of(
        client_authentication("private_key_jwt", "0oa1", private_key=text, key_id=key_id)
    )
    assert header == {"alg": "RS256", "typ": "JWT", "kid": kid}
    RSA_KEY.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("key", "alg", "digest"), [(EC_KEY, "ES256", hashes.SHA256()), (EC_KEY_384, "ES384", hashes.SHA384())]
)
@pytest.mark.parametrize("form", ["PEM", "JWK"])
def test_an_ec_key_signs_with_the_algorithm_of_its_curve(
    key: ec.EllipticCurvePrivateKey, alg: str, digest: hashes.HashAlgorithm, form: str
) -> None:
    private = {**jwk(key, None), "d": b64_number(key.private_numbers().private_value, key.key_size // 8)}
    text = pem(key) if form == "PEM" else json.dumps(private)
    header, _, signed, signature = assertion_of(client_authentication("private_key_jwt", "0oa1", private_key=text))
    assert header == {"alg": alg, "typ": "JWT"}
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    key.public_key().verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("client_secret_basic", {}),
        ("client_secret_basic", {"secrets": [""]}),
        ("private_key_jwt", {}),
        ("private_key_jwt", {"private_key": "not a key"}),
        ("private_key_jwt", {"private_key": "{not json"}),
        ("private_key_jwt", {"private_key": '{"kty":"oct","k":"AAAA"}'}),
        ("private_key_jwt", {"private_key": json.dumps({**RSA_JWK, "d": 5})}),
        ("private_key_jwt", {"private_key": json.dumps({**RSA_JWK, "alg": "HS256"})}),
        ("private_key_jwt", {"private_key": pem(WEAK_RSA_KEY)}),
        ("private_key_jwt", {"private_key": pem(ec.generate_private_key(ec.SECP256K1()))}),
    ],
    # Not the keys themselves: a test's name must be the same in every process, and hold no key.
    ids=[
        "no secret",
        "empty secret",
        "no key",
        "text",
        "broken JSON",
        "oct",
        "broken RSA",
        "HS256",
        "weak RSA",
        "secp256k1",
    ],
)
def test_what_cannot_prove_anything_is_refused_without_repeating_it(method: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        client_authentication(method, "0oa1", **arguments)
    assert "not a key" not in str(caught.value)


def test_secrets_and_keys_are_not_in_a_repr() -> None:
    authentication = client_authentication("client_secret_basic", "0oa1", secrets=["hush-hush"])
    assert "hush" not in repr(authentication)
    assert "Basic" not in repr(credentials(authentication))


def test_the_challenge_is_the_one_of_rfc_7636_appendix_b() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert s256_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
