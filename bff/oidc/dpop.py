"""DPoP (RFC 9449): key-bound tokens, and the proof that each request with one carries.

A key is stored as text, small enough for a session record: the private scalar of P-256 in base64url, or the name of
another algorithm, a colon, and the private key in base64url (Ed25519: 32 octets, RSA: PKCS #8 in DER). A bound token
alone is useless to a thief.
"""

import hashlib
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from bff.base64url import encode_base64url, require_base64url
from bff.oidc.algorithms import ED25519, RSA_PSS, PrivateKey
from bff.oidc.jws import sign
from bff.oidc.public_jwk import public_members

ES256: Final = "ES256"
# In the order of our preference. RSA comes last: a key takes a tenth of a second to make, and 1.6 kB of the record.
ALGORITHMS: Final = (ES256, *ED25519, *RSA_PSS)
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,1024}")  # RFC 9449 section 8.1
_OCTETS: Final = 32
_RSA_BITS: Final = 2048


def proof_algorithm(offered: Collection[str]) -> str | None:
    """The algorithm for proofs to a provider that offers these (`dpop_signing_alg_values_supported`); None: no DPoP."""
    return next((alg for alg in ALGORITHMS if alg in offered), None)


def new_dpop_key(alg: str = ES256) -> str:
    """A new private key in its stored form. A secret: a holder of key and token can use the token.

    An RSA key takes a tenth of a second of processor time. Raises ValueError for an algorithm that is not one of ours.
    """
    if alg == ES256:
        scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        return encode_base64url(scalar.to_bytes(_OCTETS))
    if alg in ED25519:
        return f"{alg}:{encode_base64url(ed25519.Ed25519PrivateKey.generate().private_bytes_raw())}"
    if alg in RSA_PSS:
        key = rsa.generate_private_key(65537, _RSA_BITS)
        return f"{alg}:{encode_base64url(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))}"
    raise ValueError("not an algorithm for DPoP proofs")


def dpop_proof(
    key: str,
    *,
    method: str,
    url: str,
    now: float,
    jti: str,
    access_token: str | None = None,
    nonce: str | None = None,
) -> str:
    """The DPoP header of one request (RFC 9449 section 4.2).

    A proof is single-use: every request needs a new `jti`. Query and fragment of `url` are dropped, `now` is in seconds
    since the epoch, `access_token` is the one that the request carries (none at the token endpoint). Raises ValueError
    for a malformed key.
    """
    alg, private_key, jwk = _read(key)
    claims: dict[str, str | int] = {
        "jti": jti,
        "htm": method,
        "htu": url.partition("#")[0].partition("?")[0],
        "iat": int(now),
    }
    if access_token is not None:
        claims["ath"] = encode_base64url(hashlib.sha256(access_token.encode("ascii")).digest())
    if nonce is not None:
        claims["nonce"] = nonce
    return sign(claims, private_key, alg=alg, typ="dpop+jwt", header={"jwk": jwk})


def read_nonce(value: str | None) -> str | None:
    """A DPoP-Nonce header value that is valid in a proof; None for anything else."""
    return value if value is not None and _NONCE.fullmatch(value) else None


@lru_cache(maxsize=256)  # reading an RSA key costs more than the signature, and a session sends many requests in a row
def _read(key: str) -> tuple[str, PrivateKey, dict[str, str]]:
    alg, separator, encoded = key.rpartition(":")
    octets = require_base64url(encoded)
    private_key: PrivateKey
    if not separator and len(octets) == _OCTETS:
        alg, private_key = ES256, ec.derive_private_key(int.from_bytes(octets), ec.SECP256R1())
    elif alg in ED25519 and len(octets) == _OCTETS:
        private_key = ed25519.Ed25519PrivateKey.from_private_bytes(octets)
    elif alg in RSA_PSS and isinstance(loaded := load_der_private_key(octets, None), rsa.RSAPrivateKey):
        private_key = loaded
    else:
        raise ValueError("not a DPoP key")
    return alg, private_key, public_members(private_key)
