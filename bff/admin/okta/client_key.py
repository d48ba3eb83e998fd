"""The public half of the client's key, as a JWK for Okta (RFC 7517, RFC 7518 section 6)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from bff.base64url import encode_base64url
from bff.config.settings import Settings
from bff.oidc.client_auth import Candidate, client_authentication

_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
# The members that identify the key (RFC 7638).
IDENTITY: Final = ("kty", "n", "e", "crv", "x", "y")


def public_key(settings: Settings) -> Mapping[str, str] | None:
    """The public half of the client's key as a JWK (RFC 7517); the kid defaults to its thumbprint."""
    if settings.provider.client_auth != "private_key_jwt" or settings.provider.client_private_key is None:
        return None
    proof = client_authentication(
        "private_key_jwt",
        settings.provider.client_id,
        private_key=settings.provider.client_private_key.get_secret_value(),
        key_id=settings.provider.client_key_id,
    )
    candidate = proof.candidates[0]
    members = _members(candidate)
    return {**members, "use": "sig", "alg": candidate.alg, "kid": candidate.kid or thumbprint(members)}


def _members(candidate: Candidate) -> dict[str, str]:
    """kty and the parameters of the public key (RFC 7518 section 6)."""
    key = candidate.key
    assert not isinstance(key, str)
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    point, width = key.public_key().public_numbers(), (key.key_size + 7) // 8
    return {"kty": "EC", "crv": _CURVES[key.curve.name], "x": _number(point.x, width), "y": _number(point.y, width)}


def thumbprint(members: Mapping[str, str]) -> str:
    """RFC 7638: the hash of the required members in lexicographic order, without white space."""
    text = json.dumps(dict(sorted(members.items())), separators=(",", ":"))
    return encode_base64url(hashlib.sha256(text.encode()).digest())


def _number(value: int, width: int | None = None) -> str:
    return encode_base64url(value.to_bytes(width or (value.bit_length() + 7) // 8))
