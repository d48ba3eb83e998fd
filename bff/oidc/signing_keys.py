"""The keys that we sign identity assertions with: a ring, in which a new key is published before it signs.

Verifiers keep our key set for a while, so keys are rotated in three deploys: [old] -> [old, new] (the new one is
published) -> [new, old] (the new one signs, and what the old one signed can still be verified) -> [new].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bff.oidc.algorithms import PrivateKey, algorithms_of
from bff.oidc.private_keys import OwnKey, read_private_keys
from bff.oidc.public_jwk import public_members, thumbprint

MAX_KEYS: Final = 8


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`alg` is that of its JWK; without one ES256, ES384 or ES512 by its curve, EdDSA, or RS256."""

    key: PrivateKey = field(repr=False)
    kid: str
    alg: str

    @property
    def public_jwk(self) -> Mapping[str, str]:
        return {**public_members(self.key), "use": "sig", "alg": self.alg, "kid": self.kid}


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The first one signs; verifiers may meet signatures of each."""

    keys: tuple[SigningKey, ...]

    @property
    def signer(self) -> SigningKey:
        return self.keys[0]

    def published(self) -> tuple[Mapping[str, str], ...]:
        return tuple(key.public_jwk for key in self.keys)


def parse_signing_keys(text: str) -> SigningKeys:
    """Parses a JWK Set, a JWK or a PEM, the signing key first.

    Raises ValueError, whose text contains no part of a key.
    """
    own_keys = read_private_keys(text)
    if len(own_keys) > MAX_KEYS:
        raise ValueError(f"there are more than {MAX_KEYS} signing keys")
    ring = SigningKeys(tuple(map(_signing_key, own_keys)))
    if len({key.kid for key in ring.keys}) < len(own_keys):
        raise ValueError("two signing keys have one kid")
    return ring


def _signing_key(own: OwnKey) -> SigningKey:
    usable = algorithms_of(own.key)
    if own.use not in (None, "sig") or own.alg not in (None, *usable):
        raise ValueError(f"a signing key is a JWK for another purpose than {', '.join(usable)} (use, alg)")
    return SigningKey(own.key, own.kid or thumbprint(public_members(own.key)), own.alg or usable[0])
