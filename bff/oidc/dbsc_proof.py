"""DBSC proofs: the JWS with which a browser shows that it has the private key of a session (W3C draft, DBSC Proof JWT).

A registration brings the public key in its header (`jwk`) and is signed with that key. A refresh is verified with the
key of the registration, whatever its header has. `jti` is the challenge.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from bff.errors import BffError
from bff.oidc.jwks import KeySet, SigningKey, parse_key_set
from bff.oidc.jws import JwsRefused, read_header, verify
from bff.oidc.public_jwk import public_members, thumbprint

ALGORITHMS: Final = ("ES256", "RS256")
TYPE: Final = "dbsc+jwt"
MAX_PROOF_LENGTH: Final = 6144  # characters; a registration with an RSA key of 4096 bits has about 2,200
_MAX_CLAIM: Final = 1024  # characters


class ProofProblem(StrEnum):
    """Why a proof is refused: a closed list, counted and recorded."""

    MALFORMED = "malformed"
    KEY_UNUSABLE = "key_unusable"
    SIGNATURE_INVALID = "signature_invalid"
    WRONG_AUDIENCE = "wrong_audience"


class ProofRefused(Exception):
    def __init__(self, problem: ProofProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A public key of a browser as a JWK, its RFC 7638 thumbprint, and the algorithm that it signs with."""

    jwk: Mapping[str, Any]
    alg: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class RegistrationProof:
    key: DeviceKey
    challenge: str = field(repr=False)
    authorization: str = field(repr=False)


def read_registration(compact: str, *, audience: str) -> RegistrationProof:
    """Verifies the proof of a registration with the key that it brings. Raises only ProofRefused.

    `audience` is the URL of the registration; browsers of the current draft send no `aud`.
    """
    header = _header(compact)
    alg = header.get("alg")
    if alg not in ALGORITHMS:
        raise ProofRefused(ProofProblem.MALFORMED)
    keys = _key_set(header.get("jwk"), alg)
    claims = _verified(compact, keys, alg, audience)
    members = public_members(keys.keys[0].public_key)
    key = DeviceKey(members, alg, thumbprint(members))
    return RegistrationProof(key, _claim(claims, "jti"), _claim(claims, "authorization"))


def read_refresh(compact: str, jwk: Mapping[str, Any], alg: str, *, audience: str) -> str:
    """Verifies the proof of a refresh with the key of the registration; its challenge. Raises only ProofRefused."""
    _header(compact)
    return _claim(_verified(compact, _key_set(jwk, alg), alg, audience), "jti")


def _header(compact: str) -> Mapping[str, Any]:
    if len(compact) > MAX_PROOF_LENGTH:
        raise ProofRefused(ProofProblem.MALFORMED)
    try:
        return read_header(compact)
    except JwsRefused:
        raise ProofRefused(ProofProblem.MALFORMED) from None


def _key_set(jwk: Any, alg: str) -> KeySet:
    """The one key of a JWK: a key that is weak, private, malformed or for another algorithm is refused."""
    try:
        (key,) = parse_key_set(json.dumps({"keys": [jwk]}).encode()).keys
    except (BffError, ValueError):
        raise ProofRefused(ProofProblem.KEY_UNUSABLE) from None
    if alg not in key.algorithms:
        raise ProofRefused(ProofProblem.KEY_UNUSABLE)
    return KeySet((SigningKey(None, frozenset({alg}), key.public_key),))


def _verified(compact: str, keys: KeySet, alg: str, audience: str) -> Mapping[str, Any]:
    try:
        claims = verify(compact, keys, algorithms=(alg,), types=(TYPE,)).claims
    except JwsRefused:
        raise ProofRefused(ProofProblem.SIGNATURE_INVALID) from None
    if claims.get("aud", audience) != audience:
        raise ProofRefused(ProofProblem.WRONG_AUDIENCE)
    return claims


def _claim(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_CLAIM:
        raise ProofRefused(ProofProblem.MALFORMED)
    return value
