"""The key ring: AES-256-GCM with one subkey per purpose.

The newest key encrypts, every key decrypts. Format: version byte 1 | key id (4 bytes) | nonce (12 bytes) | ciphertext
and tag. The key id selects the key, so a value sealed under a removed key (`unknown_key`) is distinguished from garbage
(`invalid`). Subkeys are derived per purpose (HKDF-SHA256, RFC 5869), so a value sealed for one purpose cannot be opened
for another. Keys are rotated in three deploys, and replicas may be one step apart: [old] -> [old, new] (every replica
can decrypt with the new key) -> [new, old] (it encrypts) -> [new] (once nothing sealed under the old one is needed).
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bff.base64url import decode_base64url, encode_base64url
from bff.errors import BffError
from bff.session.session import SessionId

KEY_BYTES: Final = 32
SEALED_LIMIT: Final = 1 << 20  # bytes; sealed values are far smaller, so larger input is rejected before decryption
USES_LIMIT: Final = 1 << 32  # the limit for random 96-bit nonces under one AES key, NIST SP 800-38D section 8.3

_VERSION: Final = b"\x01"
_HEADER: Final = 5
_NONCE: Final = 12
_TAG: Final = 16


class KeyExhausted(BffError):
    """A key has sealed 2**32 values in this process: beyond that a nonce could repeat, which would break its
    confidentiality.
    """

    code = "key_exhausted"
    title = "The service needs a new session key"


@dataclass(frozen=True, slots=True)
class Opened:
    """The plaintext. `key_is_newest` is False when the value should be sealed again under the newest key."""

    plaintext: bytes = field(repr=False)
    key_is_newest: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """`unknown_key`: well-formed, but its key is not in this ring.

    `invalid`: malformed, modified, or of another purpose.
    """

    why: Literal["unknown_key", "invalid"]


_INVALID: Final = Unreadable("invalid")
_UNKNOWN_KEY: Final = Unreadable("unknown_key")


def new_key() -> bytes:
    """A fresh key for the ring: 32 random bytes."""
    return secrets.token_bytes(KEY_BYTES)


def new_session_id() -> SessionId:
    """256 random bits."""
    return SessionId(secrets.token_bytes(32))


def key_id(key: bytes) -> str:
    """The id of a key in lists and logs: eight hex digits, which each sealed value carries."""
    return hashlib.sha256(key).digest()[:4].hex()


class _Subkey:
    """The AES key of one purpose, and its number of uses."""

    __slots__ = ("aead", "uses")

    def __init__(self, material: bytes) -> None:
        self.aead = AESGCM(material)
        self.uses = 0


class _Key:
    __slots__ = ("_derived", "_material", "_subkeys", "header", "id")

    def __init__(self, material: bytes) -> None:
        self._material = material
        self.id = key_id(material)
        self.header = _VERSION + bytes.fromhex(self.id)
        self._derived: dict[str, bytes] = {}
        self._subkeys: dict[str, _Subkey] = {}

    def __repr__(self) -> str:
        return f"<key {self.id}>"

    def matches(self, material: bytes) -> bool:
        return hmac.compare_digest(self._material, material)

    def derive(self, info: str) -> bytes:
        derived = self._derived.get(info)
        if derived is None:
            derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(self._material)
            self._derived[info] = derived
        return derived

    def index_hash(self, purpose: str, value: str) -> str:
        return encode_base64url(hmac.digest(self.derive(f"index:{purpose}"), value.encode(), "sha256"))

    def subkey(self, purpose: str) -> _Subkey:
        subkey = self._subkeys.get(purpose)
        if subkey is None:
            subkey = self._subkeys[purpose] = _Subkey(self.derive(f"seal:{purpose}"))
        return subkey


class KeyRing:
    """Keys, newest first. Purposes are constants of the code, never input: each subkey is derived once and cached."""

    __slots__ = ("_keys", "_uses_limit")

    def __init__(self, keys: tuple[_Key, ...], uses_limit: int = USES_LIMIT) -> None:
        self._keys = keys
        self._uses_limit = uses_limit

    @classmethod
    def from_keys(cls, keys: Sequence[bytes], *, uses_limit: int = USES_LIMIT) -> "KeyRing":
        """`keys` are 32 bytes each, newest first; each seals at most `uses_limit` values per purpose.

        Raises ValueError for none, a wrong size, or one given twice.
        """
        return cls(_checked(keys, ()), uses_limit)

    def replace_keys(self, keys: Sequence[bytes]) -> None:
        """Replaces the keys in one assignment; concurrent operations see either the old or the new list.

        A remaining key keeps its count of uses. Raises ValueError as `from_keys` does, without any change.
        """
        self._keys = _checked(keys, self._keys)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self.key_ids)})"

    @property
    def present(self) -> object:
        """The same object as long as the ring holds the same keys, a different one after each change."""
        return self._keys

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Eight hex digits each, newest first."""
        return tuple(key.id for key in self._keys)

    def seal(self, purpose: str, plaintext: bytes, context: bytes = b"") -> bytes:
        """Seals under the newest key.

        `context` is authenticated but not stored: `open` needs the same one. Raises KeyExhausted, and ValueError when
        `plaintext` exceeds `SEALED_LIMIT`.
        """
        if len(plaintext) > SEALED_LIMIT - _HEADER - _NONCE - _TAG:
            raise ValueError("too large to seal")
        key = self._keys[0]
        subkey = key.subkey(purpose)
        if subkey.uses >= self._uses_limit:
            raise KeyExhausted
        subkey.uses += 1
        nonce = secrets.token_bytes(_NONCE)
        return key.header + nonce + subkey.aead.encrypt(nonce, plaintext, key.header + context)

    def open(self, purpose: str, sealed: bytes, context: bytes = b"") -> Opened | Unreadable:
        """Opens a value sealed by any key of the ring for that purpose and context. Never raises."""
        if not _HEADER + _NONCE + _TAG <= len(sealed) <= SEALED_LIMIT or sealed[:1] != _VERSION:
            return _INVALID
        keys = self._keys
        header, nonce = sealed[:_HEADER], sealed[_HEADER : _HEADER + _NONCE]
        for key in keys:
            if key.header == header:
                try:
                    plaintext = key.subkey(purpose).aead.decrypt(nonce, sealed[_HEADER + _NONCE :], header + context)
                except InvalidTag:
                    return _INVALID
                return Opened(plaintext, key_is_newest=key is keys[0])
        return _UNKNOWN_KEY

    def is_under_newest(self, sealed: bytes) -> bool:
        """Whether it names the newest key. Does not open it, so it may still be invalid."""
        return sealed.startswith(self._keys[0].header)

    def seal_text(self, purpose: str, plaintext: bytes, context: bytes = b"") -> str:
        """`seal`, as base64url without padding."""
        return encode_base64url(self.seal(purpose, plaintext, context))

    def open_text(self, purpose: str, text: str, context: bytes = b"") -> Opened | Unreadable:
        """`open`, from exactly the text that `seal_text` returned."""
        if len(text) > SEALED_LIMIT:
            return _INVALID
        sealed = decode_base64url(text)
        return _INVALID if sealed is None else self.open(purpose, sealed, context)

    def newest_index_hash(self, purpose: str, value: str) -> str:
        """The first of `index_hashes`, without computing the others."""
        return self._keys[0].index_hash(purpose, value)

    def index_hashes(self, purpose: str, value: str) -> tuple[str, ...]:
        """The keyed hashes that a store indexes instead of `value`:

        HMAC-SHA256 under each key, base64url, newest key first. Write under the first, look up under all, so that
        entries from before a key rotation are found.
        """
        return tuple(key.index_hash(purpose, value) for key in self._keys)

    def signing_secrets(self, purpose: str = "state") -> tuple[bytes, ...]:
        """Derived secrets for itsdangerous, which expects the newest last."""
        return tuple(key.derive(f"sign:{purpose}") for key in reversed(self._keys))


def _checked(materials: Sequence[bytes], present: tuple[_Key, ...]) -> tuple[_Key, ...]:
    if not materials:
        raise ValueError("a key ring needs at least one key")
    keys: list[_Key] = []
    for material in materials:
        if len(material) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(material)}")
        key = next((key for key in present if key.matches(material)), None) or _Key(bytes(material))
        if any(key.id == other.id for other in keys):
            raise ValueError(f"the key {key.id} is in the ring twice")
        keys.append(key)
    return tuple(keys)
