"""Our own private keys, from PEM or JWK (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

No error text contains any part of a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bff.base64url import encode_base64url, require_base64url
from bff.oidc.algorithms import (
    CURVES,
    ED25519,
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    RSA_PKCS1,
    RSA_PSS,
    PrivateKey,
    algorithms_of,
    curve_of,
)
from bff.oidc.jwe_algorithms import ECDH
from bff.oidc.jwe_algorithms import RSA as RSA_ENCRYPTION
from bff.oidc.jwks import MAX_KID_LENGTH
from bff.oidc.public_jwk import public_members, thumbprint
from bff.oidc.strict_json import JsonRefused, read_object

MAX_TEXT_BYTES: Final = 64 * 1024
NEW_RSA_BITS: Final = 3072  # as strong as AES-128, and as P-256 (NIST SP 800-57)
_NO_KEY: Final = "the private key is neither a valid PEM nor a valid JWK"
_UNSUITABLE: Final = (
    f"the private key is neither RSA of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, nor EC on P-256, P-384 or P-521, "
    "nor Ed25519"
)


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A private key of ours; `kid`, `alg` and `use` are what its JWK says, None for PEM."""

    key: PrivateKey = field(repr=False)
    kid: str | None = None
    alg: str | None = None
    use: str | None = None


def read_private_key(text: str) -> OwnKey:
    """Parses one key, PEM or JWK, of a type and size that we sign with. Raises ValueError."""
    if text.lstrip().startswith("{"):
        return private_key_of(_document(text))
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(_NO_KEY) from None
    return OwnKey(_suitable(key))


def read_private_keys(text: str) -> tuple[OwnKey, ...]:
    """Parses a JWK Set, or one key as `read_private_key` does. Raises ValueError."""
    if not text.lstrip().startswith("{") or "keys" not in (document := _document(text)):
        return (read_private_key(text),)
    members = document["keys"]
    if not isinstance(members, list) or not members or not all(isinstance(member, dict) for member in members):
        raise ValueError("the JWK Set has no list of keys")
    return tuple(private_key_of(member) for member in members)


def new_private_jwk(alg: str) -> dict[str, str]:
    """A new private key for a signature algorithm or for one of `bff.oidc.jwe_algorithms`, as a JWK with its thumbprint
    as `kid`. Raises ValueError for another algorithm.
    """
    key: PrivateKey
    if alg in (*RSA_PKCS1, *RSA_PSS, *RSA_ENCRYPTION):
        key = rsa.generate_private_key(65537, NEW_RSA_BITS)
    elif alg in ED25519:
        key = ed25519.Ed25519PrivateKey.generate()
    elif alg in ECDH:
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        curve = next((curve for curve in CURVES.values() if curve.algorithm == alg), None)
        if curve is None:
            raise ValueError("not an algorithm of ours")
        key = ec.generate_private_key(curve.curve)
    members = public_members(key)
    use = "enc" if alg in (*RSA_ENCRYPTION, *ECDH) else "sig"
    return {**members, **_private_members(key), "use": use, "alg": alg, "kid": thumbprint(members)}


def _private_members(key: PrivateKey) -> dict[str, str]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {"d": encode_base64url(key.private_bytes_raw())}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"d": encode_base64url(key.private_numbers().private_value.to_bytes(curve_of(key).octets))}
    numbers = key.private_numbers()
    named = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
    named |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    return {name: encode_base64url(value.to_bytes((value.bit_length() + 7) // 8)) for name, value in named.items()}


def private_key_of(member: Mapping[str, Any]) -> OwnKey:
    """A private JWK. Raises ValueError."""
    kid, alg, use = (member.get(name) for name in ("kid", "alg", "use"))
    if any(value is not None and not isinstance(value, str) for value in (kid, alg, use)):
        raise ValueError("kid, alg and use of a JWK are strings")
    if kid is not None and not 0 < len(kid) <= MAX_KID_LENGTH:
        raise ValueError(f"the kid of a JWK has 1 to {MAX_KID_LENGTH} characters")
    try:
        key = _key_of(member)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise ValueError(_NO_KEY) from None
    return OwnKey(_suitable(key), kid, alg, use)


def _document(text: str) -> dict[str, Any]:
    try:
        return read_object(text.encode(), max_bytes=MAX_TEXT_BYTES)
    except (JsonRefused, UnicodeEncodeError):
        raise ValueError(_NO_KEY) from None


def _suitable(key: Any) -> PrivateKey:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        try:
            algorithms_of(key)
        except ValueError:
            raise ValueError(_UNSUITABLE) from None
        return key
    raise ValueError(_UNSUITABLE)


def _key_of(member: Mapping[str, Any]) -> PrivateKey:
    def octets(name: str) -> bytes:
        return require_base64url(member[name])

    def number(name: str) -> int:
        return int.from_bytes(octets(name))

    match member["kty"]:
        case "OKP" if member["crv"] == "Ed25519":
            key = ed25519.Ed25519PrivateKey.from_private_bytes(octets("d"))
            if key.public_key().public_bytes_raw() != octets("x"):
                raise ValueError("x is of another key")
            return key
        case "EC":
            point = ec.EllipticCurvePublicNumbers(number("x"), number("y"), CURVES[member["crv"]].curve)
            return ec.EllipticCurvePrivateNumbers(number("d"), point).private_key()
        case "RSA":
            return _rsa_key(number, has_primes="p" in member)
        case _:
            raise ValueError("not an asymmetric key")


def _rsa_key(number: Any, *, has_primes: bool) -> rsa.RSAPrivateKey:
    n, e, d = number("n"), number("e"), number("d")
    p, q = (number("p"), number("q")) if has_primes else rsa.rsa_recover_prime_factors(n, e, d)
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, n)
    ).private_key()
