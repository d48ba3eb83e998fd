"""Client authentication at the provider (RFC 6749 section 2.3.1, OIDC Core section 9, RFC 7523).

Okta allows two active secrets per client. Both may be configured, so that replacing a secret fails no refresh: each is
a candidate, and the caller tries the next one after the client was refused. The same holds for the audience of an
assertion, about which providers disagree.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote_plus

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bff.base64url import require_base64url
from bff.oidc.jwks import MIN_RSA_BITS
from bff.oidc.jws import sign
from bff.oidc.metadata import ProviderMetadata

Method: TypeAlias = Literal["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]
# What an assertion names as its `aud`: the issuer (FAPI 2.0, RFC 10070), or the URL of the token endpoint or of the
# endpoint that is called (OIDC Core section 9, RFC 7523 section 3).
Audience: TypeAlias = Literal["issuer", "token_endpoint", "endpoint"]
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME: Final = 300  # seconds; Okta allows up to an hour
# Okta rejects an `iat` in the future: a slightly fast clock must not fail every request.
ASSERTION_BACKDATE: Final = 30  # seconds

_EC_ALGORITHMS: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_EC_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The headers and form fields that authenticate one request."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One secret or key that may be valid. `alg` and `kid` apply to assertions only."""

    key: str | PrivateKey = field(repr=False)
    alg: str = "HS256"
    kid: str | None = None


@dataclass(frozen=True, slots=True)
class ClientAuthentication:
    """`audiences` are tried in this order until the provider accepts one; they apply to assertions only."""

    method: Method
    client_id: str
    candidates: tuple[Candidate, ...]
    audiences: tuple[Audience, ...] = ("token_endpoint", "issuer")

    @property
    def uses_assertions(self) -> bool:
        return self.method in ("client_secret_jwt", "private_key_jwt")

    def audience_values(self, *, endpoint: str, metadata: ProviderMetadata) -> tuple[str, ...]:
        """What an assertion for `endpoint` may name, in order; one value for a method without assertions."""
        if not self.uses_assertions:
            return (endpoint,)
        values = {"issuer": metadata.issuer, "token_endpoint": metadata.token_endpoint, "endpoint": endpoint}
        return tuple(dict.fromkeys(values[audience] for audience in self.audiences))

    def credentials(self, candidate: Candidate, *, audience: str, now: float, jti: str) -> Credentials:
        """The credentials for one request.

        An assertion is single-use: every request needs a new `jti`. `audience` is its only `aud` value: with several,
        one recipient could use it at another.
        """
        match self.method, candidate.key:
            case "client_secret_basic", str(secret):
                # Form-urlencoded first: otherwise a ':' or '%' in either would be misread.
                pair = f"{quote_plus(self.client_id)}:{quote_plus(secret)}"
                return Credentials(headers={"authorization": f"Basic {b64encode(pair.encode()).decode()}"})
            case "client_secret_post", str(secret):
                return Credentials(form={"client_id": self.client_id, "client_secret": secret})
            case "client_secret_jwt", str(secret):
                key: PrivateKey | bytes = secret.encode()
            case "private_key_jwt", (rsa.RSAPrivateKey() | ec.EllipticCurvePrivateKey()) as private_key:
                key = private_key
            case _:
                raise ValueError("the method does not fit the kind of key")
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "iat": int(now) - ASSERTION_BACKDATE,
            "exp": int(now) + ASSERTION_LIFETIME,
            "jti": jti,
        }
        assertion = sign(claims, key, alg=candidate.alg, kid=candidate.kid)
        form = {"client_id": self.client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        return Credentials(form=form)


def client_authentication(
    method: Method,
    client_id: str,
    *,
    secrets: Sequence[str] = (),
    private_key: str | None = None,
    key_id: str | None = None,
    audiences: tuple[Audience, ...] = ("token_endpoint", "issuer"),
) -> ClientAuthentication:
    """From the settings. `private_key` is PEM or JWK text. Raises ValueError, whose text contains no part of a key."""
    if method == "private_key_jwt":
        if private_key is None:
            raise ValueError("private_key_jwt needs a private key")
        return ClientAuthentication(method, client_id, (_private_key(private_key, key_id),), audiences)
    if not secrets or not all(secrets):
        raise ValueError(f"{method} needs a client secret")
    return ClientAuthentication(method, client_id, tuple(Candidate(secret) for secret in secrets), audiences)


def _private_key(text: str, key_id: str | None) -> Candidate:
    try:
        member = json.loads(text) if text.lstrip().startswith("{") else {}
        key = _private_key_of(member) if member else load_pem_private_key(text.encode(), password=None)
    except (ValueError, KeyError, TypeError):
        raise ValueError("the private key is neither a valid PEM nor a valid JWK") from None
    kid = key_id or member.get("kid")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        alg = member.get("alg", "RS256")
        if alg in ("RS256", "RS384", "RS512"):
            return Candidate(key, alg, kid)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _EC_ALGORITHMS:
        return Candidate(key, _EC_ALGORITHMS[key.curve.name], kid)
    raise ValueError(f"the private key is neither RSA of {MIN_RSA_BITS} bits and more, nor EC on P-256, P-384 or P-521")


def _private_key_of(member: Mapping[str, Any]) -> PrivateKey:
    """RFC 7518 sections 6.2.2 and 6.3.2."""

    def number(name: str) -> int:
        return int.from_bytes(require_base64url(member[name]))

    if member["kty"] == "EC":
        curve = _EC_CURVES[member["crv"]]
        return ec.EllipticCurvePrivateNumbers(
            number("d"), ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve)
        ).private_key()
    if member["kty"] != "RSA":
        raise ValueError("not an asymmetric key")
    n, e, d = number("n"), number("e"), number("d")
    p, q = (number("p"), number("q")) if "p" in member else rsa.rsa_recover_prime_factors(n, e, d)
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, n)
    ).private_key()
