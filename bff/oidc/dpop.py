"""DPoP (RFC 9449): key-bound tokens, and the proof that each request with one carries.

A key is stored as text, the private scalar of P-256 in base64url, small enough for a session record. A bound token
alone is useless to a thief.
"""

import hashlib
import json
import re
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from bff.base64url import encode_base64url, require_base64url

ALGORITHM: Final = "ES256"
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,1024}")  # RFC 9449 section 8.1
_OCTETS: Final = 32


def new_dpop_key() -> str:
    """A new private key in its stored form. A secret: a holder of key and token can use the token."""
    return encode_base64url(ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(_OCTETS))


def dpop_proof(
    key: str,
    *,
    method: str,
    url: str,
    now: float,
    jti: str,
    access_token: str | None = None,
    nonce: str | None = None,
) -> str:
    """The DPoP header of one request (RFC 9449 section 4.2).

    A proof is single-use: every request needs a new `jti`. Query and fragment of `url` are dropped, `now` is in seconds
    since the epoch, `access_token` is the one that the request carries (none at the token endpoint). Raises ValueError
    for a malformed key.
    """
    private_key = _private_key(key)
    header = {"typ": "dpop+jwt", "alg": ALGORITHM, "jwk": _public_jwk(private_key)}
    claims: dict[str, str | int] = {
        "jti": jti,
        "htm": method,
        "htu": url.partition("#")[0].partition("?")[0],
        "iat": int(now),
    }
    if access_token is not None:
        claims["ath"] = encode_base64url(hashlib.sha256(access_token.encode("ascii")).digest())
    if nonce is not None:
        claims["nonce"] = nonce
    signed = f"{encode_base64url(_json(header))}.{encode_base64url(_json(claims))}"
    r, s = decode_dss_signature(private_key.sign(signed.encode("ascii"), ec.ECDSA(SHA256())))
    return f"{signed}.{encode_base64url(r.to_bytes(_OCTETS) + s.to_bytes(_OCTETS))}"  # RFC 7518 section 3.4


def read_nonce(value: str | None) -> str | None:
    """A DPoP-Nonce header value that is valid in a proof; None for anything else."""
    return value if value is not None and _NONCE.fullmatch(value) else None


def _private_key(key: str) -> ec.EllipticCurvePrivateKey:
    scalar = require_base64url(key)
    if len(scalar) != _OCTETS:
        raise ValueError("not a DPoP key")
    return ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1())


def _public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    point = key.public_key().public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": encode_base64url(point.x.to_bytes(_OCTETS)),
        "y": encode_base64url(point.y.to_bytes(_OCTETS)),
    }


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
