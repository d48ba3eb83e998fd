"""The keys that tokens are encrypted for: a ring, in which an older key decrypts while its successor is published.

A provider may keep our key set for a while, so keys are rotated in three deploys, as session keys are: [old] -> [old,
new] (every replica can decrypt with the new one) -> [new, old] (the new one is published) -> [new].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bff.oidc.jwe_algorithms import ECDH, RSA, DecryptionPrivateKey
from bff.oidc.private_keys import OwnKey, read_private_keys
from bff.oidc.public_jwk import public_members, thumbprint

MAX_KEYS: Final = 8  # a token without a kid costs a decryption with each


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """`algorithms` is what it may be used for: its JWK's `alg`, or all of its type. `alg` is None for all."""

    key: DecryptionPrivateKey = field(repr=False)
    kid: str
    algorithms: tuple[str, ...]
    alg: str | None = None

    def public_jwk(self) -> dict[str, str]:
        return {
            **public_members(self.key),
            "use": "enc",
            **({} if self.alg is None else {"alg": self.alg}),
            "kid": self.kid,
        }


@dataclass(frozen=True, slots=True)
class DecryptionKeys:
    """Newest first."""

    keys: tuple[DecryptionKey, ...]

    def candidates(self, kid: str | None, alg: str) -> tuple[DecryptionKey, ...]:
        """The keys that a token with this header may be encrypted for: with a kid at most one."""
        return tuple(key for key in self.keys if kid in (None, key.kid) and alg in key.algorithms)

    def has(self, kid: str) -> bool:
        return any(key.kid == kid for key in self.keys)

    def published(self) -> tuple[Mapping[str, str], ...]:
        """The public keys to encrypt for: the newest for each algorithm (OIDC Core section 10.2.1)."""
        newest: dict[tuple[str, ...], DecryptionKey] = {}
        for key in self.keys:
            newest.setdefault(key.algorithms, key)
        return tuple(key.public_jwk() for key in newest.values())


def parse_decryption_keys(text: str) -> DecryptionKeys:
    """Parses a JWK Set, a JWK or a PEM, newest key first. Raises ValueError, whose text contains no part of a key."""
    own_keys = read_private_keys(text)
    if len(own_keys) > MAX_KEYS:
        raise ValueError(f"there are more than {MAX_KEYS} decryption keys")
    keys = tuple(_decryption_key(own) for own in own_keys)
    if len({key.kid for key in keys}) < len(keys):
        raise ValueError("two decryption keys have one kid")
    return DecryptionKeys(keys)


def _decryption_key(own: OwnKey) -> DecryptionKey:
    if own.use not in (None, "enc"):
        raise ValueError("a decryption key is a JWK for signatures (use)")
    algorithms: tuple[str, ...]
    if isinstance(own.key, rsa.RSAPrivateKey):
        algorithms = RSA
    elif isinstance(own.key, ec.EllipticCurvePrivateKey):
        algorithms = ECDH
    else:
        raise ValueError("a decryption key is neither RSA nor EC")
    if own.alg is not None and own.alg not in algorithms:
        raise ValueError(f"a decryption key is for another algorithm (alg) than {', '.join(algorithms)}")
    kid = own.kid or thumbprint(public_members(own.key))
    return DecryptionKey(own.key, kid, algorithms if own.alg is None else (own.alg,), own.alg)
