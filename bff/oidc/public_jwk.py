"""Public keys as JWK (RFC 7517, RFC 7518 section 6, RFC 8037 section 2), and their thumbprints (RFC 7638)."""

import hashlib
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bff.base64url import encode_base64url
from bff.oidc.algorithms import PrivateKey, PublicKey, curve_of


def public_members(key: PrivateKey | PublicKey) -> dict[str, str]:
    """The members that identify a key: kty and its public parameters. Nothing of the private half."""
    public: PublicKey = key.public_key() if isinstance(key, PrivateKey) else key
    match public:
        case rsa.RSAPublicKey():
            numbers = public.public_numbers()
            return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        case ec.EllipticCurvePublicKey():
            curve, point = curve_of(public), public.public_numbers()
            x, y = (encode_base64url(coordinate.to_bytes(curve.octets)) for coordinate in (point.x, point.y))
            return {"kty": "EC", "crv": curve.crv, "x": x, "y": y}
        case _:
            return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(public.public_bytes_raw())}


def thumbprint(members: Mapping[str, str]) -> str:
    """RFC 7638: the SHA-256 of the identifying members in lexicographic order, without white space."""
    text = json.dumps(dict(sorted(members.items())), separators=(",", ":"))
    return encode_base64url(hashlib.sha256(text.encode()).digest())


def _number(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8))
