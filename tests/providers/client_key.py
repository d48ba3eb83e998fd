"""A key with which the BFF authenticates (private_key_jwt)."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bff.base64url import encode_base64url

KID: Final = "key-of-the-tests"


@dataclass(frozen=True)
class ClientKey:
    """`private_jwk` is JSON text, `public_jwk` what the provider is given."""

    algorithm: str
    private_jwk: str = field(repr=False)
    public_jwk: dict[str, Any]


def new_client_key(algorithm: str) -> ClientKey:
    """For RS256 and PS256 (RSA), ES256 (P-256) or EdDSA (Ed25519)."""
    public: dict[str, Any]
    private: dict[str, Any]
    key: PrivateKeyTypes
    match algorithm:
        case "RS256" | "PS256":
            key = rsa.generate_private_key(65537, 2048)
            numbers = key.private_numbers()
            public = {"kty": "RSA", "n": _number(numbers.public_numbers.n), "e": _number(numbers.public_numbers.e)}
            names = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
            names |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
            private = {name: _number(value) for name, value in names.items()}
        case "ES256":
            key = ec.generate_private_key(ec.SECP256R1())
            point = key.public_key().public_numbers()
            public = {"kty": "EC", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}
            private = {"d": _number(key.private_numbers().private_value, 32)}
        case "EdDSA":
            key = ed25519.Ed25519PrivateKey.generate()
            raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            public = {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(raw)}
            private = {"d": encode_base64url(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))}
        case _:
            raise ValueError(algorithm)
    public |= {"kid": KID, "alg": algorithm, "use": "sig"}
    return ClientKey(algorithm, json.dumps({**public, **private}), public)


def _number(value: int, length: int | None = None) -> str:
    return encode_base64url(value.to_bytes(length or (value.bit_length() + 7) // 8))
