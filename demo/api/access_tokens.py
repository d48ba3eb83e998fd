"""Access token validation:

RS256 by a key of the issuer, for this audience, not expired. A DPoP-bound token (RFC 9449) requires a proof. Uses
`cryptography` alone, so that it validates the BFF's tokens with independent code.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from demo.simulator.dpop import ProofRefused, Proofs

LEEWAY = 5  # seconds of clock skew
ASK_AGAIN_AFTER = 2  # seconds before a key that the issuer did not know is fetched again


@dataclass(frozen=True, slots=True)
class Refused:
    """`error` None: there was no token (RFC 6750 section 3.1 then requires a challenge without an error code)."""

    error: str | None
    description: str
    scheme: str = "Bearer"

    def challenge(self) -> str:
        if self.scheme == "DPoP":
            return f'DPoP error="{self.error}", error_description="{self.description}", algs="ES256"'
        if self.error is None:
            return 'Bearer realm="sample-api"'
        return f'Bearer realm="sample-api", error="{self.error}", error_description="{self.description}"'


class KeysUnavailable(Exception):
    """The issuer's key set could not be read."""


class AccessTokens:
    def __init__(
        self,
        issuer: str,
        audience: str,
        client: httpx.AsyncClient,
        *,
        dpop_nonce: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`dpop_nonce` is the nonce that proofs must carry, None if none is required."""
        self._issuer, self._audience, self._client = issuer, audience, client
        self._dpop_nonce, self._clock, self._proofs = dpop_nonce, clock, Proofs()
        self._keys: dict[str, RSAPublicKey] = {}
        self._unknown: dict[str, float] = {}

    async def verify(
        self, authorization: str | None, proofs: Sequence[str] = (), *, method: str = "GET", url: str = ""
    ) -> Mapping[str, Any] | Refused:
        """The claims of a valid token; `proofs` are the DPoP headers of the request. Raises KeysUnavailable."""
        if authorization is None:
            return Refused(None, "no access token")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in ("bearer", "dpop"):
            return Refused("invalid_token", "neither a bearer token nor a DPoP token")
        try:
            signed, _, signature = token.strip().rpartition(".")
            head, payload = signed.split(".")
            header, claims = _json(head), _json(payload)
        except ValueError:
            return Refused("invalid_token", "the token is not a JWT")
        key = await self._key(str(header.get("kid")))
        if header.get("alg") != "RS256" or key is None:
            return Refused("invalid_token", "the token is not signed by a key of the issuer")
        try:
            key.verify(_decoded(signature), signed.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return Refused("invalid_token", "the signature is wrong")
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            return Refused("invalid_token", "the token is of another issuer or for another audience")
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or self._clock() >= expires + LEEWAY:
            return Refused("invalid_token", "the token has expired")
        return self._bound(claims, scheme.lower(), token.strip(), proofs, method, url) or claims

    def _bound(
        self, claims: Mapping[str, Any], scheme: str, token: str, proofs: Sequence[str], method: str, url: str
    ) -> Refused | None:
        """What is wrong with the use of a DPoP-bound token (RFC 9449 section 7.1)."""
        confirmation = claims.get("cnf")
        jkt = confirmation.get("jkt") if isinstance(confirmation, dict) else None
        if jkt is None and scheme == "bearer":
            return None
        if jkt is None or scheme == "bearer":
            return Refused("invalid_token", "a token that is bound to a key needs a proof, and only such a one", "DPoP")
        nonce = self._dpop_nonce()
        try:
            proven_by = self._proofs.verify(
                proofs, method=method, url=url, now=self._clock(), nonce=nonce, access_token=token
            )
        except ProofRefused as refused:
            error = "use_dpop_nonce" if refused.wants_nonce else "invalid_dpop_proof"
            return Refused(error, f"the proof is refused, {refused.why}", "DPoP")
        return None if proven_by == jkt else Refused("invalid_token", "the token is bound to another key", "DPoP")

    async def _key(self, kid: str) -> RSAPublicKey | None:
        if kid not in self._keys and time.monotonic() >= self._unknown.get(kid, 0) + ASK_AGAIN_AFTER:
            self._keys = await self._fetch()
            if kid not in self._keys:
                if len(self._unknown) > 1000:
                    self._unknown.clear()
                self._unknown[kid] = time.monotonic()
        return self._keys.get(kid)

    async def _fetch(self) -> dict[str, RSAPublicKey]:
        try:
            metadata = await self._client.get(f"{self._issuer}/.well-known/openid-configuration")
            answer = await self._client.get(metadata.raise_for_status().json()["jwks_uri"])
            return {jwk["kid"]: _public_key(jwk) for jwk in answer.raise_for_status().json()["keys"]}
        except (httpx.HTTPError, ValueError, KeyError) as unreadable:
            raise KeysUnavailable(type(unreadable).__name__) from unreadable


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _json(part: str) -> dict[str, Any]:
    """Raises ValueError."""
    read = json.loads(_decoded(part))
    if not isinstance(read, dict):
        raise ValueError("not an object")
    return read


def _public_key(jwk: Mapping[str, str]) -> RSAPublicKey:
    e, n = (int.from_bytes(_decoded(jwk[name]), "big") for name in ("e", "n"))
    return RSAPublicNumbers(e, n).public_key()


def fingerprint(value: str) -> str:
    """Eight hexadecimal digits that identify a token without revealing it."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]
