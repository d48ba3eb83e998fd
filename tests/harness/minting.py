"""An issuer for tests: valid and forged tokens and keys, made without the code under test."""

import hashlib
import json
import math
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://example.okta.com/oauth2/default"
CLIENT_ID = "0oa1client"
NONCE = "n-0S6_WzA2Mj"
SUB = "00u1subject"
NOW = 1_790_000_000.0
ACCESS_TOKEN = "an.access.token"

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
WEAK_RSA_KEY = rsa.generate_private_key(65537, 1024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EC_KEY_384 = ec.generate_private_key(ec.SECP384R1())
EC_KEY_521 = ec.generate_private_key(ec.SECP521R1())
ED25519_KEY = ed25519.Ed25519PrivateKey.generate()

AsymmetricKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PrivateKey = AsymmetricKey | bytes


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_number(number: int, octets: int | None = None) -> str:
    return b64(number.to_bytes(octets or (number.bit_length() + 7) // 8))


def jwk(key: AsymmetricKey, kid: str | None = "k1", **more: Any) -> dict[str, Any]:
    """The public half of `key`."""
    named = {} if kid is None else {"kid": kid}
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().public_bytes_raw()), **named, **more}
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "n": b64_number(numbers.n), "e": b64_number(numbers.e), **named, **more}
    octets = (key.curve.key_size + 7) // 8
    point = key.public_key().public_numbers()
    coordinates = {"x": b64_number(point.x, octets), "y": b64_number(point.y, octets)}
    return {"kty": "EC", "crv": f"P-{key.curve.key_size}", **coordinates, **named, **more}


def private_jwk(key: AsymmetricKey, kid: str | None = "k1", **more: Any) -> dict[str, Any]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {**jwk(key, kid, **more), "d": b64(key.private_bytes_raw())}
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()  # with p and q: without them reading it takes a second
        return {**jwk(key, kid, **more), **{name: b64_number(getattr(numbers, name)) for name in ("d", "p", "q")}}
    octets = (key.curve.key_size + 7) // 8
    return {**jwk(key, kid, **more), "d": b64_number(key.private_numbers().private_value, octets)}


def jwks(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def good_claims(**changes: Any) -> dict[str, Any]:
    """Claims of a valid ID token. A change to None removes the claim, a change to NULL makes it null."""
    claims = {
        "iss": ISSUER,
        "sub": SUB,
        "aud": CLIENT_ID,
        "iat": int(NOW) - 5,
        "exp": int(NOW) + 3600,
        "nonce": NONCE,
        "auth_time": int(NOW) - 60,
        "ver": 1,
        "jti": "ID.1",
        "amr": ["pwd"],
        **changes,
    }
    return {name: None if value is NULL else value for name, value in claims.items() if value is not None}


NULL = object()


def roca_modulus() -> int:
    """A number of 2048 bits with the mark of a vulnerable RSA key (CVE-2017-15361); it need not have two factors."""
    primorial = math.prod(n for n in range(2, 168) if all(n % divisor for divisor in range(2, n)))
    return (1 << 2047) // primorial * primorial + primorial + pow(65537, 4711, primorial)


def signature(key: PrivateKey, signed: bytes, alg: str = "RS256") -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(signed)
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[alg[-3:]]
    if isinstance(key, bytes):
        mac = hmac.HMAC(key, digest)
        mac.update(signed)
        return mac.finalize()
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return key.sign(signed, pss if alg.startswith("PS") else padding.PKCS1v15(), digest)
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(digest)))
    octets = (key.curve.key_size + 7) // 8
    return r.to_bytes(octets) + s.to_bytes(octets)


def mint(
    claims: Mapping[str, Any] | bytes | None = None,
    header: Mapping[str, Any] | bytes | None = None,
    *,
    key: PrivateKey = RSA_KEY,
    alg: str = "RS256",
    **changes: Any,
) -> str:
    """A signed token. Bytes for claims or header are taken as they are, so that they can be wrong in any way."""
    if claims is None:
        claims = good_claims(**changes)
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    if not isinstance(header, bytes):
        header = json.dumps({"alg": alg, "kid": "k1"} if header is None else header).encode()
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(signature(key, signed.encode(), alg))}"


def other_trailing_bits(text: str) -> str:
    """`text` with an unused bit of its last character flipped: lenient base64url decoders see the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def at_hash(access_token: str, alg: str = "RS256") -> str:
    name = "sha512" if alg in ("EdDSA", "Ed25519") else f"sha{alg[-3:]}"
    digest = hashlib.new(name, access_token.encode()).digest()
    return b64(digest[: len(digest) // 2])
