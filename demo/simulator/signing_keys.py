"""RS256 signatures and the published key set (RFC 7515, RFC 7517), with Okta's key rotation.

Okta publishes the next key weeks before it is used, so the set has two or three keys. An emergency rotation signs with
an unpublished key.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

MAX_AGE = 3_832_304  # seconds; the example of Okta's own documentation


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64url_decode(text: str) -> bytes:
    """Raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True, repr=False)
class SigningKey:
    private: rsa.RSAPrivateKey

    @classmethod
    def generate(cls) -> "SigningKey":
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @cached_property
    def kid(self) -> str:
        return b64url(hashlib.sha256(self.jwk_members["n"].encode()).digest())

    @cached_property
    def jwk_members(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "e": _number(numbers.e), "n": _number(numbers.n)}

    def jwk(self) -> dict[str, str]:
        return {**self.jwk_members, "alg": "RS256", "use": "sig", "kid": self.kid}

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """A compact JWS. A `header` member set to None is omitted, so that a JWT without `kid` can be created."""
        full = {"kid": self.kid, "alg": "RS256", **(header or {})}
        head = {name: value for name, value in full.items() if value is not None}
        signed = ".".join(b64url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
        return f"{signed}.{b64url(self.private.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    def verified(self, token: str) -> dict[str, Any] | None:
        """The claims, if this key signed the token; expiry is not checked."""
        try:
            signed, _, signature = token.rpartition(".")
            self.private.public_key().verify(b64url_decode(signature), signed.encode(), padding.PKCS1v15(), SHA256())
            claims = json.loads(b64url_decode(signed.partition(".")[2]))
        except (ValueError, InvalidSignature):
            return None
        return claims if isinstance(claims, dict) else None


# Key generation is slow. The first keys are generated once per process; rotation always generates new ones.
_FIRST_KEYS: list[SigningKey] = []


def _first_keys(how_many: int) -> list[SigningKey]:
    while len(_FIRST_KEYS) < how_many:
        _FIRST_KEYS.append(SigningKey.generate())
    return _FIRST_KEYS[:how_many]


class SigningKeys:
    """`current` signs; `private` signs the org server's access tokens and is never published."""

    def __init__(self) -> None:
        self.current, self.next, self.private = _first_keys(3)
        self.previous: SigningKey | None = None
        self.max_age = MAX_AGE

    def rotate(self, *, emergency: bool = False, forget_previous: bool = False) -> str:
        """Returns the new `kid`.

        `emergency`: a key that was not published before; `forget_previous`: the old one is unpublished.
        """
        self.previous = None if forget_previous else self.current
        if emergency:
            self.current = SigningKey.generate()
        else:
            self.current, self.next = self.next, SigningKey.generate()
        return self.current.kid

    def published(self) -> list[SigningKey]:
        # The signing key is not first: at Okta the order of the set has no meaning.
        return [key for key in (self.next, self.previous, self.current) if key is not None]

    def verified(self, token: str) -> dict[str, Any] | None:
        keys = [*self.published(), self.private]
        return next((claims for key in keys if (claims := key.verified(token)) is not None), None)
