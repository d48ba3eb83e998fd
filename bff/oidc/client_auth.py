"""Client authentication at the provider (RFC 6749 section 2.3.1, OIDC Core section 9, RFC 7523).

Okta allows two active secrets per client. Both may be configured, so that replacing a secret fails no refresh: each is
a candidate, and the caller tries the next one after the client was refused. The same holds for the audience of an
assertion, about which providers disagree.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import quote_plus

from bff.oidc.algorithms import PrivateKey, algorithms_of
from bff.oidc.jws import sign
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.private_keys import read_private_key

Method: TypeAlias = Literal["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]
# What an assertion names as its `aud`: the issuer (FAPI 2.0, RFC 10070), or the URL of the token endpoint or of the
# endpoint that is called (OIDC Core section 9, RFC 7523 section 3).
Audience: TypeAlias = Literal["issuer", "token_endpoint", "endpoint"]

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME: Final = 300  # seconds; Okta allows up to an hour
# Okta rejects an `iat` in the future: a slightly fast clock must not fail every request.
ASSERTION_BACKDATE: Final = 30  # seconds


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
            case "private_key_jwt", private_key if not isinstance(private_key, str):
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
    algorithm: str | None = None,
) -> ClientAuthentication:
    """From the settings. `private_key` is PEM or JWK text; `algorithm` is what it signs with, None for the usual one.

    Raises ValueError, whose text contains no part of a key.
    """
    if method == "private_key_jwt":
        if private_key is None:
            raise ValueError("private_key_jwt needs a private key")
        candidate = _private_key(private_key, key_id, algorithm)
        return ClientAuthentication(method, client_id, (candidate,), audiences)
    if not secrets or not all(secrets):
        raise ValueError(f"{method} needs a client secret")
    return ClientAuthentication(method, client_id, tuple(Candidate(secret) for secret in secrets), audiences)


def _private_key(text: str, key_id: str | None, algorithm: str | None) -> Candidate:
    own = read_private_key(text)
    usable = algorithms_of(own.key)
    alg = algorithm or own.alg or usable[0]
    if alg not in usable:
        raise ValueError(f"the private key cannot sign with that algorithm, but with {', '.join(usable)}")
    if own.alg not in (None, alg):
        raise ValueError("the private key is a JWK for another algorithm (alg)")
    if own.use not in (None, "sig"):
        raise ValueError("the private key is a JWK for encryption (use)")
    return Candidate(own.key, alg, key_id or own.kid)
