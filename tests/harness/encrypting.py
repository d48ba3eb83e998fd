"""Encrypted tokens (RFC 7516) for tests, made without the code under test."""

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac, padding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from tests.harness.minting import b64, jwk

ALGORITHMS = ("RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW")
ENCRYPTIONS = ("A256GCM", "A128CBC-HS256")


def seal(enc: str, key: bytes, plaintext: bytes, associated: bytes) -> tuple[bytes, bytes, bytes]:
    """The initialisation vector, the ciphertext and the tag."""
    if enc == "A256GCM":
        iv = os.urandom(12)
        sealed = AESGCM(key).encrypt(iv, plaintext, associated)
        return iv, sealed[:-16], sealed[-16:]
    iv = os.urandom(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key[16:]), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
    mac = hmac.HMAC(key[:16], hashes.SHA256())
    mac.update(associated + iv + ciphertext + (len(associated) * 8).to_bytes(8))
    return iv, ciphertext, mac.finalize()[:16]


def encrypted(
    plaintext: str | bytes,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    alg: str = "RSA-OAEP-256",
    enc: str = "A256GCM",
    header: Mapping[str, Any] | None = None,
    cek: bytes | None = None,
) -> str:
    """A JWE for the public half of `key`. A member of `header` that is None is left out; the others replace ours."""
    cek = os.urandom(32) if cek is None else cek
    members: dict[str, Any] = {"alg": alg, "enc": enc, "cty": "JWT"}
    if isinstance(key, rsa.RSAPrivateKey):
        encrypted_key = key.public_key().encrypt(cek, OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None))
    else:
        ephemeral = ec.generate_private_key(key.curve)
        members["epk"] = jwk(ephemeral, None)
        shared = ephemeral.exchange(ec.ECDH(), key.public_key())
        name = (enc if alg == "ECDH-ES" else alg).encode()
        parties = [_party((header or {}).get(name, "")) for name in ("apu", "apv")]
        info = b"".join(len(part).to_bytes(4) + part for part in (name, *parties)) + (256).to_bytes(4)
        agreed = ConcatKDFHash(hashes.SHA256(), 32, info).derive(shared)
        cek, encrypted_key = (agreed, b"") if alg == "ECDH-ES" else (cek, aes_key_wrap(agreed, cek))
    members = {name: value for name, value in {**members, **(header or {})}.items() if value is not None}
    header_part = b64(json.dumps(members).encode())
    content = plaintext.encode() if isinstance(plaintext, str) else plaintext
    iv, ciphertext, tag = seal(enc, cek, content, header_part.encode())
    return ".".join((header_part, *(b64(part) for part in (encrypted_key, iv, ciphertext, tag))))


def _party(value: Any) -> bytes:
    """The party information of a header; empty where a test wants a malformed one."""
    try:
        return urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (TypeError, ValueError):
        return b""
