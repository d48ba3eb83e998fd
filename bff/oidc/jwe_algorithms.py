"""The algorithms of JWE that we decrypt with (RFC 7518 sections 4 and 5), by cryptography.

Only `bff.oidc.jwe` imports this: it has validated the header and chosen the key. Nothing here says what was wrong with
a ciphertext: a wrong key, a wrong padding and a changed bit look the same.
"""

import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from bff.base64url import require_base64url
from bff.oidc.algorithms import curve_of
from bff.oidc.jwks import ec_public_key

DecryptionPrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA: Final = ("RSA-OAEP-256",)
ECDH: Final = ("ECDH-ES", "ECDH-ES+A256KW")
CEK_BYTES: Final[Mapping[str, int]] = {"A256GCM": 32, "A128CBC-HS256": 32}  # of the content encryption key
MAX_PARTY_INFO: Final = 256  # bytes of apu and of apv
_WRAPPING_KEY_BYTES: Final = 32
_BLOCK: Final = 16
_TAG: Final = 16


class HeaderRefused(ValueError):
    """The header's key agreement parameters are malformed. The text contains no part of them."""


def content_key(key: DecryptionPrivateKey, header: Mapping[str, Any], encrypted_key: bytes) -> bytes:
    """The content encryption key. Where the encrypted one is wrong, a random one, which then opens nothing.

    So no attacker can distinguish a wrong padding from a wrong content (RFC 7516 section 11.5). Raises HeaderRefused.
    """
    alg, size = header["alg"], CEK_BYTES[header["enc"]]
    if isinstance(key, rsa.RSAPrivateKey):
        try:
            decrypted = key.decrypt(encrypted_key, OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), label=None))
        except ValueError:
            decrypted = b""
    elif alg == "ECDH-ES":
        return _agreed_key(key, header, header["enc"], size)
    else:
        wrapping_key = _agreed_key(key, header, alg, _WRAPPING_KEY_BYTES)
        try:
            decrypted = aes_key_unwrap(wrapping_key, encrypted_key)
        except InvalidUnwrap:  # of any length
            decrypted = b""
    return decrypted if len(decrypted) == size else secrets.token_bytes(size)


def open_content(enc: str, key: bytes, iv: bytes, ciphertext: bytes, tag: bytes, associated: bytes) -> bytes | None:
    """The plaintext; None if any of the inputs is not what was encrypted."""
    if len(tag) != _TAG:
        return None
    if enc == "A256GCM":
        return _open_gcm(key, iv, ciphertext + tag, associated)
    return _open_cbc(key, iv, ciphertext, tag, associated)


def _agreed_key(key: ec.EllipticCurvePrivateKey, header: Mapping[str, Any], name: str, size: int) -> bytes:
    """ECDH-ES and the Concat KDF (RFC 7518 section 4.6)."""
    ephemeral = header.get("epk")
    if not isinstance(ephemeral, dict) or ephemeral.get("kty") != "EC" or "d" in ephemeral:
        raise HeaderRefused("its epk is not a public EC key")
    if ephemeral.get("crv") != curve_of(key).crv:
        raise HeaderRefused("its epk is on another curve than our key")
    try:
        shared = key.exchange(ec.ECDH(), ec_public_key(ephemeral))
    except (ValueError, KeyError, TypeError):
        raise HeaderRefused("its epk is not a point of the curve") from None
    parties = (name.encode("ascii"), _party(header, "apu"), _party(header, "apv"))
    info = b"".join(len(part).to_bytes(4) + part for part in parties) + (8 * size).to_bytes(4)
    return ConcatKDFHash(hashes.SHA256(), size, info).derive(shared)


def _party(header: Mapping[str, Any], name: str) -> bytes:
    if name not in header:
        return b""
    try:
        decoded = require_base64url(header[name])
    except (ValueError, TypeError):
        raise HeaderRefused(f"its {name} is not base64url") from None
    if len(decoded) > MAX_PARTY_INFO:
        raise HeaderRefused(f"its {name} is too long")
    return decoded


def _open_gcm(key: bytes, iv: bytes, sealed: bytes, associated: bytes) -> bytes | None:
    if len(iv) != 12:
        return None
    try:
        return AESGCM(key).decrypt(iv, sealed, associated)
    except InvalidTag:
        return None


def _open_cbc(key: bytes, iv: bytes, ciphertext: bytes, tag: bytes, associated: bytes) -> bytes | None:
    """RFC 7518 section 5.2: the MAC is verified before anything is decrypted, so there is no padding oracle."""
    mac_key, cipher_key = key[:_BLOCK], key[_BLOCK:]
    authenticated = associated + iv + ciphertext + (8 * len(associated)).to_bytes(8)
    if not hmac.compare_digest(hmac.digest(mac_key, authenticated, "sha256")[:_TAG], tag):
        return None
    if len(iv) != _BLOCK or not ciphertext or len(ciphertext) % _BLOCK:
        return None
    decryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(8 * _BLOCK).unpadder()
    try:
        return unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        return None
