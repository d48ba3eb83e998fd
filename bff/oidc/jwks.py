"""The provider's signing keys (RFC 7517): parsed once into public keys, then selected by kid, alg and use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bff.base64url import require_base64url
from bff.errors import ProviderUnavailable
from bff.oidc.algorithms import CURVES, MAX_RSA_BITS, MIN_RSA_BITS, PublicKey, algorithms_of, names_of
from bff.oidc.roca import is_roca_modulus
from bff.oidc.strict_json import JsonRefused, read_object

MAX_JWKS_BYTES = 1 << 20
MAX_KEYS = 100
MAX_KID_LENGTH = 256

# Of private RSA, EC and OKP keys and of symmetric ones (RFC 7518 sections 6.2.2, 6.3.2 and 6.4, RFC 8037).
SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})

# Ed25519 (RFC 8032 section 5.1): the field, and the constant of the curve.
_ED25519_FIELD: Final = 2**255 - 19
_ED25519_D: Final = -121665 * pow(121666, -1, _ED25519_FIELD) % _ED25519_FIELD


class KeySetRefused(ProviderUnavailable):
    """The JWKS document contains no usable signing key. `private`: as in KeySet."""

    code: ClassVar[str] = "provider_keys_invalid"
    title: ClassVar[str] = "The identity provider's signing keys cannot be used"

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None, private: int = 0) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.private = private


class KeyNotFound(LookupError):
    """No key has this kid: the provider may have published it since the last fetch."""

    def __init__(self, kid: str) -> None:
        super().__init__("no key has this kid")
        self.kid = kid


class KeyUnusable(LookupError):
    """The key with this kid is not for this algorithm, or the choice is ambiguous."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key, ready for verification. `algorithms` is what it may be used for."""

    kid: str | None
    algorithms: frozenset[str]
    public_key: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """`private` counts the members of the document that contained a private or symmetric key.

    They are not used, and nothing of them is kept: every reader of the document could sign with them.
    """

    keys: tuple[SigningKey, ...]
    private: int = 0

    def choose(self, kid: str | None, alg: str) -> SigningKey:
        """The one key for `kid` and `alg`.

        Raises KeyNotFound or KeyUnusable. Without a kid exactly one key must fit the algorithm. Two different keys with
        one kid and algorithm are rejected, in any order.
        """
        named = self.keys if kid is None else tuple(key for key in self.keys if key.kid == kid)
        if kid is not None and not named:
            raise KeyNotFound(kid)
        fitting = [key for key in named if alg in key.algorithms]
        if len(fitting) != 1:
            raise KeyUnusable("no key, or more than one, matches the kid and the algorithm")
        return fitting[0]

    def has(self, kid: str) -> bool:
        return any(key.kid == kid for key in self.keys)


def parse_key_set(document: bytes) -> KeySet:
    """Parses a JWKS document.

    Keys that we cannot or must not use are skipped. Raises KeySetRefused when none is left.
    """
    try:
        members = read_object(document, max_bytes=MAX_JWKS_BYTES).get("keys")
    except JsonRefused as refused:
        raise KeySetRefused(f"The JWKS document is {refused}.") from None
    if not isinstance(members, list):
        raise KeySetRefused("The JWKS document has no list of keys.")
    if len(members) > MAX_KEYS:
        raise KeySetRefused(f"The JWKS document has more than {MAX_KEYS} keys.")
    keys: list[SigningKey] = []
    private = sum(_holds_a_secret(member) for member in members)
    for member in members:
        key = _signing_key(member)
        if key is not None and key not in keys:  # a key listed twice counts once
            keys.append(key)
    if not keys:
        raise KeySetRefused("The JWKS document has no usable signing key.", private=private)
    return KeySet(tuple(keys), private)


def _signing_key(member: Any) -> SigningKey | None:
    """A JWK as a signature key; None for one that is malformed, weak, private, symmetric or for another use."""
    if not isinstance(member, dict) or _holds_a_secret(member):
        return None  # a published private key proves nothing
    kid, alg, operations = member.get("kid"), member.get("alg"), member.get("key_ops")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH):
        return None
    if member.get("use", "sig") != "sig" or not (operations is None or _lists_verify(operations)):
        return None
    public_key: PublicKey
    try:
        match member.get("kty"):
            case "RSA":
                public_key = _rsa_key(member)
            case "EC":
                public_key = ec_public_key(member)
            case "OKP":
                public_key = _ed25519_key(member)
            case _:
                return None
    except (ValueError, KeyError, TypeError):
        return None
    algorithms = frozenset(usable for usable in algorithms_of(public_key) if alg is None or alg in names_of(usable))
    return SigningKey(kid, algorithms, public_key) if algorithms else None


def _holds_a_secret(member: Any) -> bool:
    return isinstance(member, dict) and not SECRET_MEMBERS.isdisjoint(member)


def _lists_verify(operations: Any) -> bool:
    return isinstance(operations, list) and "verify" in operations


def _rsa_key(member: Mapping[str, Any]) -> rsa.RSAPublicKey:
    modulus, exponent = (int.from_bytes(require_base64url(member[name])) for name in ("n", "e"))
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or modulus % 2 == 0 or is_roca_modulus(modulus):
        raise ValueError("RSA modulus out of range, or weak")
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > 32:
        raise ValueError("RSA exponent out of range")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def ec_public_key(member: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    """The point of an EC JWK (RFC 7518 section 6.2.1). Raises ValueError, KeyError or TypeError; also off the curve."""
    curve = CURVES[member["crv"]]
    x, y = require_base64url(member["x"]), require_base64url(member["y"])
    if len(x) != curve.octets or len(y) != curve.octets:
        raise ValueError("EC coordinate of the wrong length")
    return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve.curve).public_key()


def _ed25519_key(member: Mapping[str, Any]) -> ed25519.Ed25519PublicKey:
    encoded = require_base64url(member["x"])
    if member["crv"] != "Ed25519" or len(encoded) != 32 or _has_small_order(encoded):
        raise ValueError("not Ed25519, or a point that verifies forged signatures")
    return ed25519.Ed25519PublicKey.from_public_bytes(encoded)


def _has_small_order(encoded: bytes) -> bool:
    """Whether a point has an order of 1, 2, 4 or 8, or is not encoded canonically (RFC 8032 section 5.1.3).

    Anybody could sign for such a key. The order depends on y alone: 1 and 2 have y = 1 and -1, 4 has y = 0, and
    doubling a point of order 8 gives y = 0.
    """
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    order_8 = _ED25519_D * y**4 + 2 * y * y - 1
    return y >= _ED25519_FIELD or y * (y * y - 1) * order_8 % _ED25519_FIELD == 0
