"""Compact JWE (RFC 7516) around a signed token: what a provider sends when it encrypts ID tokens.

Size, alphabet and header are checked before a key is used. Encryption proves nothing about the sender, because our key
is public: what is inside must be a JWS, and its signature is verified afterwards like that of any other token.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bff.base64url import require_base64url
from bff.oidc.decryption_keys import DecryptionKeys
from bff.oidc.jwe_algorithms import CEK_BYTES, ECDH, RSA, HeaderRefused, content_key, open_content
from bff.oidc.jwks import MAX_KID_LENGTH
from bff.oidc.jws import MAX_COMPACT_LENGTH, JwsRefused
from bff.oidc.strict_json import JsonRefused, read_object

# A signed token of the permitted length, in base64url once more, and an encrypted key of up to 8192 bits.
MAX_JWE_LENGTH: Final = 24 * 1024
MAX_HEADER_LENGTH: Final = 4 * 1024
MAX_DEPTH: Final = 4

ALGORITHMS: Final = frozenset({*RSA, *ECDH})
ENCRYPTIONS: Final = frozenset(CEK_BYTES)
# `zip` makes small tokens large, `p2c` makes them slow, and unknown critical extensions must be rejected.
_FORBIDDEN: Final = ("crit", "b64", "zip", "p2s", "p2c")
# One text for all, which does not say what was wrong with a ciphertext.
_CANNOT: Final = "it is encrypted (JWE), and cannot be decrypted"


@dataclass(frozen=True, slots=True)
class Decryption:
    """Opens encrypted tokens. `required`: an ID token that is only signed is refused (OIDC Core section 3.1.3.7)."""

    keys: DecryptionKeys
    required: bool = True

    def open(self, compact: str, *, types: Collection[str | None], required: bool | None = None) -> str:
        """The signed token inside, or a token that is not encrypted, as it is. Its signature is not verified here.

        `types` are the accepted values of `typ` in lower case, None for its absence. `required` overrides the setting.
        Raises JwsRefused.
        """
        if is_encrypted(compact):
            return _signed_token(decrypt(compact, self.keys, types=types))
        if self.required if required is None else required:
            raise JwsRefused("it is not encrypted, and BFF_ID_TOKEN_ENCRYPTION is required")
        return compact


def is_encrypted(compact: str) -> bool:
    """Whether a token has the five segments of a JWE."""
    return compact.count(".") == 4


def decrypt(compact: str, keys: DecryptionKeys, *, types: Collection[str | None]) -> bytes:
    """The plaintext of a JWE. Raises JwsRefused."""
    if len(compact) > MAX_JWE_LENGTH:
        raise JwsRefused(f"it is longer than {MAX_JWE_LENGTH} characters")
    header_part, *parts = compact.split(".")
    if len(parts) != 4:
        raise JwsRefused("it does not have five segments")
    header = _parse_header(header_part)
    kid = _validate_header(header, types)
    try:
        encrypted_key, iv, ciphertext, tag = (require_base64url(part) if part else b"" for part in parts)
    except ValueError:
        raise JwsRefused(_CANNOT) from None
    if bool(encrypted_key) is (header["alg"] == "ECDH-ES"):  # direct agreement has none (RFC 7516 section 5.1)
        raise JwsRefused("its encrypted key does not fit its algorithm")
    if kid is not None and not keys.has(kid):
        raise JwsRefused("it is encrypted for a key (kid) that is not in BFF_DECRYPTION_KEYS")
    associated = header_part.encode("ascii")
    for key in keys.candidates(kid, header["alg"]):
        try:
            secret = content_key(key.key, header, encrypted_key)
        except HeaderRefused as refused:
            if kid is not None:
                raise JwsRefused(str(refused)) from None
            continue
        plaintext = open_content(header["enc"], secret, iv, ciphertext, tag, associated)
        if plaintext is not None:
            return plaintext
    raise JwsRefused(_CANNOT)


def _parse_header(header_part: str) -> dict[str, Any]:
    if len(header_part) > MAX_HEADER_LENGTH:
        raise JwsRefused(f"its header is longer than {MAX_HEADER_LENGTH} characters")
    try:
        return read_object(require_base64url(header_part), max_bytes=MAX_HEADER_LENGTH, max_depth=MAX_DEPTH)
    except JsonRefused as refused:
        raise JwsRefused(f"its header is {refused}") from None
    except ValueError as error:
        raise JwsRefused(f"its header is {error}") from None


def _validate_header(header: Mapping[str, Any], types: Collection[str | None]) -> str | None:
    """The kid. `jwk`, `jku`, `x5u` and `x5c` are ignored: our own keys decrypt."""
    if any(name in header for name in _FORBIDDEN):
        raise JwsRefused("its header requires compression, a password or an extension")
    alg, enc = header.get("alg"), header.get("enc")
    if not isinstance(alg, str) or alg not in ALGORITHMS or not isinstance(enc, str) or enc not in ENCRYPTIONS:
        raise JwsRefused("its encryption algorithm is not allowed")
    typ, cty, kid = header.get("typ"), header.get("cty", "JWT"), header.get("kid")
    if ("typ" in header and not isinstance(typ, str)) or (typ.lower() if isinstance(typ, str) else None) not in types:
        raise JwsRefused("its typ is for another purpose")
    # RFC 7519 section 5.2 requires the cty of a nested token. Without one the content must be a signed token all the
    # same, so nothing depends on it; any other value says that there is something else inside.
    if not isinstance(cty, str) or cty.lower() != "jwt":
        raise JwsRefused("its content (cty) is not a signed token")
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH):
        raise JwsRefused("its kid is not a short string")
    return kid


def _signed_token(plaintext: bytes) -> str:
    try:
        compact = plaintext.decode("ascii")
    except ValueError:
        compact = ""
    if len(compact) > MAX_COMPACT_LENGTH or compact.count(".") != 2:
        raise JwsRefused("its content is not a signed token (JWS)")
    return compact
