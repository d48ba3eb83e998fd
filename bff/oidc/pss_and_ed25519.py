"""The signature algorithms that python-jose does not have: RSASSA-PSS (RFC 7518 section 3.5) and Ed25519 (RFC 8037).

Only `bff.oidc.jws` imports this: it has validated the header and chosen the key.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from bff.oidc.algorithms import ED25519, RSA_PSS, PrivateKey, PublicKey

ALGORITHMS: Final = frozenset({*RSA_PSS, *ED25519})

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "PS256": hashes.SHA256(),
    "PS384": hashes.SHA384(),
    "PS512": hashes.SHA512(),
}


def is_signature(alg: str, key: PublicKey, signed: bytes, signature: bytes) -> bool:
    """Whether `signature` is the signature of `signed`. Raises ValueError for a key of another algorithm."""
    try:
        match key:
            case rsa.RSAPublicKey() if alg in _HASHES:
                key.verify(signature, signed, _padding(alg), _HASHES[alg])
            case ed25519.Ed25519PublicKey() if alg in ED25519:
                key.verify(signature, signed)
            case _:
                raise ValueError("the key is not for this algorithm")
    except InvalidSignature:
        return False
    return True


def signature_of(alg: str, key: PrivateKey, signed: bytes) -> bytes:
    """Raises ValueError for a key of another algorithm."""
    match key:
        case rsa.RSAPrivateKey() if alg in _HASHES:
            return key.sign(signed, _padding(alg), _HASHES[alg])
        case ed25519.Ed25519PrivateKey() if alg in ED25519:
            return key.sign(signed)
        case _:
            raise ValueError("the key is not for this algorithm")


def _padding(alg: str) -> padding.PSS:
    """The salt has exactly the length of the hash, and MGF1 uses the same hash (RFC 7518 section 3.5)."""
    digest = _HASHES[alg]
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
