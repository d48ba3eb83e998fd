"""Server-side validation of DPoP proofs (RFC 9449 section 4.3), ES256 only. Also used by the sample API."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from demo.simulator.signing_keys import b64url, b64url_decode

OLDEST = 300  # seconds, as at Okta
AHEAD = 60  # seconds of clock skew allowed
ALGORITHMS = ["ES256"]


class ProofRefused(Exception):
    """`wants_nonce`: only the nonce is missing (`use_dpop_nonce`)."""

    def __init__(self, why: str, *, wants_nonce: bool = False) -> None:
        super().__init__(why)
        self.why, self.wants_nonce = why, wants_nonce


class Proofs:
    """Keeps every accepted proof: each is single-use."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def verify(
        self,
        proofs: Sequence[str],
        *,
        method: str,
        url: str,
        now: float,
        nonce: str | None = None,
        access_token: str | None = None,
    ) -> str:
        """The thumbprint of the proof's key.

        Raises ProofRefused. `nonce` None: none is required. `access_token` is the one of the request.
        """
        if len(proofs) != 1:
            raise ProofRefused("there is not exactly one proof")
        header, claims, key = _verified(proofs[0])
        if header.get("typ") != "dpop+jwt":
            raise ProofRefused("its typ is not dpop+jwt")
        if claims.get("htm") != method or claims.get("htu") != url:
            raise ProofRefused("it is for another request")
        issued_at, jti = claims.get("iat"), claims.get("jti")
        if not isinstance(issued_at, int) or not now - OLDEST <= issued_at <= now + AHEAD:
            raise ProofRefused("it is too old, or from the future")
        if not isinstance(jti, str) or not jti:
            raise ProofRefused("it has no jti")
        if claims.get("ath") != (None if access_token is None else _hash(access_token.encode())):
            raise ProofRefused("it is for another access token")
        if nonce is not None and claims.get("nonce") != nonce:
            raise ProofRefused("it has no nonce, or an old one", wants_nonce=True)
        thumbprint = _hash(json.dumps(key, separators=(",", ":"), sort_keys=True).encode())
        if (thumbprint, jti) in self._seen:
            raise ProofRefused("it was used before")
        self._seen.add((thumbprint, jti))
        return thumbprint


def _verified(proof: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Header, claims and the members of the key (RFC 7638). Raises ProofRefused."""
    try:
        signed, _, signature_part = proof.rpartition(".")
        header, claims = (json.loads(b64url_decode(part)) for part in signed.split("."))
        jwk, signature = header["jwk"], b64url_decode(signature_part)
        if header.get("alg") not in ALGORITHMS or jwk["kty"] != "EC" or jwk["crv"] != "P-256" or "d" in jwk:
            raise ProofRefused("its key or its algorithm is not taken")
        x, y = (int.from_bytes(b64url_decode(jwk[name])) for name in ("x", "y"))
        public_key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        if len(signature) != 64:
            raise ProofRefused("its signature is not 64 octets")
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        public_key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))
    except (ValueError, KeyError, TypeError, InvalidSignature):
        raise ProofRefused("it is no JWT signed by the key in it") from None
    return header, claims, {name: jwk[name] for name in ("crv", "kty", "x", "y")}


def _hash(data: bytes) -> str:
    return b64url(hashlib.sha256(data).digest())
