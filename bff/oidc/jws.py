"""Compact JWS (RFC 7515).

The only file that imports python-jose, and it delegates no decision to it. python-jose accepts unknown `crit`, `b64:
false`, foreign base64 characters and any `kid`, and lets foreign exceptions escape. So size, alphabet, header and key
are checked here first; it then gets one key, one algorithm, the signed bytes and the signature. The algorithms that it
does not have are verified by `bff.oidc.pss_and_ed25519`, behind the same checks. Every failure is one JwsRefused.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jose import jwk

from bff.base64url import encode_base64url, require_base64url
from bff.oidc import pss_and_ed25519
from bff.oidc.algorithms import ASYMMETRIC, PrivateKey, PublicKey, algorithms_of
from bff.oidc.jwks import MAX_KID_LENGTH, KeyNotFound, KeySet, KeyUnusable
from bff.oidc.strict_json import JsonRefused, read_object

MAX_COMPACT_LENGTH: Final = 16 * 1024
MAX_DEPTH: Final = 16


SHARED_SECRET: Final = ("HS256", "HS384", "HS512")


class JwsRefused(Exception):
    """The token is invalid. The reason is our own text and contains no part of the token."""


class JwsKeyUnknown(JwsRefused):
    """No key has this kid, and nothing else is wrong so far: the provider may have published it since."""

    def __init__(self, kid: str) -> None:
        super().__init__("no key has its kid")
        self.kid = kid


@dataclass(frozen=True, slots=True)
class Verified:
    """A token with a valid signature. Its claims still have to be validated."""

    alg: str
    claims: dict[str, Any] = field(repr=False)


def validate_form(compact: str, *, algorithms: Collection[str], types: Collection[str | None]) -> None:
    """Validates what needs no key: the segments, the header, and that the payload is a JSON object.

    For tokens that anybody can send: an invalid one must not cause a fetch of the keys. Raises JwsRefused.
    """
    header_part, payload_part, signature_part = _segments(compact)
    _validate_header(_parse_header(header_part), algorithms, types)
    try:
        require_base64url(signature_part)
        read_object(require_base64url(payload_part), max_bytes=MAX_COMPACT_LENGTH, max_depth=MAX_DEPTH)
    except JsonRefused as refused:
        raise JwsRefused(f"its payload is {refused}") from None
    except ValueError:
        raise JwsRefused("its payload or signature cannot be parsed") from None


def read_header(compact: str) -> Mapping[str, Any]:
    """The header of a compact JWS, unverified: for a proof that brings its own key. Raises JwsRefused."""
    return _parse_header(_segments(compact)[0])


def verify(compact: str, keys: KeySet, *, algorithms: Collection[str], types: Collection[str | None]) -> Verified:
    """Verifies a compact JWS.

    `types` are the accepted values of `typ` in lower case, None for its absence. Raises only JwsRefused; its subclass
    JwsKeyUnknown when the keys may be out of date.
    """
    header_part, payload_part, signature_part = _segments(compact)
    alg, kid = _validate_header(_parse_header(header_part), algorithms, types)
    try:
        key = keys.choose(kid, alg)
    except KeyNotFound as missing:
        raise JwsKeyUnknown(missing.kid) from None
    except KeyUnusable as unusable:
        raise JwsRefused(str(unusable)) from None
    try:
        signature = require_base64url(signature_part)
        payload = require_base64url(payload_part)
        signed = f"{header_part}.{payload_part}".encode("ascii")
        good = _is_signature(alg, key.public_key, signed, signature)
    except Exception:  # python-jose lets JWKError, TypeError, ValueError and others through
        raise JwsRefused("its signature cannot be parsed") from None
    if not good:
        raise JwsRefused("its signature is wrong")
    try:
        return Verified(alg, read_object(payload, max_bytes=MAX_COMPACT_LENGTH, max_depth=MAX_DEPTH))
    except JsonRefused as refused:
        raise JwsRefused(f"its payload is {refused}") from None


def sign(
    claims: Mapping[str, Any],
    key: PrivateKey | bytes,
    *,
    alg: str,
    kid: str | None = None,
    typ: str = "JWT",
    header: Mapping[str, Any] | None = None,
) -> str:
    """A compact JWS of ours: a client assertion (RFC 7523), a DPoP proof, or another signed statement.

    `bytes` is a shared secret, for HS256 to HS512 only. `typ` says what the token is for (RFC 8725 section 3.11), and
    `header` has further members. Raises ValueError for a key of another algorithm.
    """
    members = {"alg": alg, "typ": typ, **({"kid": kid} if kid is not None else {}), **(header or {})}
    signed = f"{_segment(members)}.{_segment(claims)}"
    return f"{signed}.{encode_base64url(_signature(alg, key, signed.encode('ascii')))}"


def _segment(content: Mapping[str, Any]) -> str:
    return encode_base64url(json.dumps(content, separators=(",", ":")).encode())


def _is_signature(alg: str, key: PublicKey, signed: bytes, signature: bytes) -> bool:
    if alg in pss_and_ed25519.ALGORITHMS:
        return pss_and_ed25519.is_signature(alg, key, signed, signature)
    return jwk.construct(key, alg).verify(signed, signature) is True  # type: ignore[arg-type]


def _signature(alg: str, key: PrivateKey | bytes, signed: bytes) -> bytes:
    if isinstance(key, bytes):
        if not alg.startswith("HS"):
            raise ValueError("a shared secret is for HS256, HS384 and HS512")
    elif alg not in algorithms_of(key):
        raise ValueError("the key is not for this algorithm")
    elif alg in pss_and_ed25519.ALGORITHMS:
        return pss_and_ed25519.signature_of(alg, key, signed)
    signature: bytes = jwk.construct(key, alg).sign(signed)  # type: ignore[arg-type]
    return signature


def _segments(compact: str) -> tuple[str, str, str]:
    if len(compact) > MAX_COMPACT_LENGTH:
        raise JwsRefused(f"it is longer than {MAX_COMPACT_LENGTH} characters")
    segments = compact.split(".")
    if len(segments) == 5:
        raise JwsRefused("it is encrypted (JWE): set BFF_DECRYPTION_KEYS, or disable the encryption at the provider")
    if len(segments) == 3 and all(segments[:2]) and not segments[2]:
        raise JwsRefused("it has no signature (alg none), which is never accepted")
    if len(segments) != 3 or not all(segments):
        raise JwsRefused("it does not have three segments")
    return segments[0], segments[1], segments[2]


def _parse_header(header_part: str) -> dict[str, Any]:
    try:
        return read_object(require_base64url(header_part), max_bytes=MAX_COMPACT_LENGTH, max_depth=MAX_DEPTH)
    except JsonRefused as refused:
        raise JwsRefused(f"its header is {refused}") from None
    except ValueError as error:
        raise JwsRefused(f"its header is {error}") from None


def _validate_header(
    header: Mapping[str, Any], algorithms: Collection[str], types: Collection[str | None]
) -> tuple[str, str | None]:
    """The algorithm and the kid. `jwk`, `jku`, `x5u` and `x5c` are ignored: keys come from the JWKS alone."""
    # RFC 7515 section 4.1.11: an unsupported critical extension must be rejected. RFC 7797: b64.
    if "crit" in header or "b64" in header:
        raise JwsRefused("its header requires an extension")
    typ = header.get("typ")
    if "typ" in header and not isinstance(typ, str):
        raise JwsRefused("its typ is not a string")
    if (typ.lower() if isinstance(typ, str) else None) not in types:
        raise JwsRefused("its typ is for another purpose")
    alg = header.get("alg")
    if alg in SHARED_SECRET:
        raise JwsRefused(f"its algorithm {alg} signs with a shared secret, which is never accepted")
    if not isinstance(alg, str) or alg not in ASYMMETRIC:
        raise JwsRefused("its algorithm is none, or unknown")
    if alg not in algorithms:
        raise JwsRefused(f"its algorithm {alg} is not allowed")
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH):
        raise JwsRefused("its kid is not a short string")
    return alg, kid
