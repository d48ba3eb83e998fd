"""The signature algorithms (RFC 7518 section 3, RFC 8037, RFC 9864), and the keys that each of them needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # larger keys would make a single verification a denial of service


@dataclass(frozen=True, slots=True)
class Curve:
    """An elliptic curve (RFC 7518 section 6.2.1.1): octets of a coordinate, and the algorithm of its keys."""

    crv: str
    curve: ec.EllipticCurve
    octets: int
    algorithm: str


CURVES: Final[Mapping[str, Curve]] = {
    "P-256": Curve("P-256", ec.SECP256R1(), 32, "ES256"),
    "P-384": Curve("P-384", ec.SECP384R1(), 48, "ES384"),
    "P-521": Curve("P-521", ec.SECP521R1(), 66, "ES512"),
}
RSA_PKCS1: Final = ("RS256", "RS384", "RS512")
RSA_PSS: Final = ("PS256", "PS384", "PS512")
ECDSA: Final = tuple(curve.algorithm for curve in CURVES.values())
# RFC 9864 replaces the name EdDSA, which leaves the curve open, by Ed25519. Both mean the same here, as there is no
# Ed448: a provider may change the name any day.
ED25519: Final = ("EdDSA", "Ed25519")

# The permitted algorithms, whatever the settings say: never `none`, never a shared secret (RFC 8725 section 3.1).
ASYMMETRIC: Final = frozenset({*RSA_PKCS1, *RSA_PSS, *ECDSA, *ED25519})


def curve_of(key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> Curve:
    """Raises ValueError for a curve that no algorithm uses."""
    for curve in CURVES.values():
        if curve.curve.name == key.curve.name:
            return curve
    raise ValueError("not P-256, P-384 or P-521")


def algorithms_of(key: PublicKey | PrivateKey) -> tuple[str, ...]:
    """The algorithms that a key may be used with, the usual one first. Raises ValueError for a curve without any."""
    match key:
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            return (*RSA_PKCS1, *RSA_PSS)
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            return (curve_of(key).algorithm,)
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            return ED25519
        case _:
            raise ValueError("neither RSA, EC nor Ed25519")


def names_of(alg: str) -> tuple[str, ...]:
    """The algorithm's name, and its other name if it has one."""
    return ED25519 if alg in ED25519 else (alg,)


def digest_name(alg: str) -> str:
    """The hash function of a signature algorithm, as hashlib names it.

    `at_hash` needs it (OIDC Core section 3.1.3.6); Ed25519 uses SHA-512 (RFC 8032 section 5.1).
    """
    return "sha512" if alg in ED25519 else f"sha{alg[-3:]}"
