"""The OpenID provider, and this client of it."""

import re
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, field_validator

from bff.config import client_credentials, validators
from bff.config.encryption import EncryptionSettings
from bff.config.field_types import Algorithm, File, Number, Seconds, Secret, Words
from bff.config.provider_addresses import ProviderAddress, check_distinct, provider_address
from bff.config.section import FROZEN, over
from bff.config.validators import invalid
from bff.oidc.algorithms import algorithms_of
from bff.oidc.private_keys import read_private_key
from bff.oidc.public_jwk import public_members

Endpoint: TypeAlias = Annotated[str, AfterValidator(validators.provider_endpoint)]

_OKTA_HOST: Final = re.compile(r"\.(okta|oktapreview|okta-emea|okta-gov|trex-govcloud)\.com$|\.okta\.mil$")
# The path of a custom authorization server; of other providers, WSO2 has issuers like /oauth2/token.
_CUSTOM_SERVER: Final = re.compile(r"/oauth2/(default|aus[A-Za-z0-9]+)")


def is_okta(url: str) -> bool:
    """Whether a URL is on one of Okta's own domains.

    An org's custom domain cannot be distinguished from any other host by its name alone.
    """
    return _OKTA_HOST.search(f".{urlsplit(url).hostname or ''}") is not None


class EndpointSettings(BaseModel):
    """Endpoints that the provider has and its discovery document does not name. They precede those of the document."""

    model_config = FROZEN

    userinfo_endpoint: Endpoint | None = Field(default=None, validation_alias="provider_userinfo_endpoint")
    end_session_endpoint: Endpoint | None = Field(default=None, validation_alias="provider_end_session_endpoint")
    revocation_endpoint: Endpoint | None = Field(default=None, validation_alias="provider_revocation_endpoint")

    @property
    def urls(self) -> dict[str, str]:
        """The configured ones, by their name in a discovery document."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: url for name, url in named.items() if url is not None}


class TransportSettings(BaseModel):
    """How the provider is reached. `timeout` limits every exchange as a whole, in seconds."""

    model_config = FROZEN

    proxy: Annotated[str, AfterValidator(validators.proxy)] | None = Field(
        default=None,
        validation_alias="provider_proxy",
        repr=False,  # it may contain a password
    )
    ca_file: File | None = Field(default=None, validation_alias="provider_ca_file")
    timeout: Annotated[Seconds, Field(le=60)] = Field(default=8.0, validation_alias="provider_timeout")
    addresses: Annotated[
        tuple[Annotated[str, AfterValidator(provider_address)], ...], BeforeValidator(validators.words)
    ] = Field(default=(), validation_alias="provider_addresses")
    endpoints: EndpointSettings = Field(default_factory=EndpointSettings)

    @over("provider_addresses")
    def _one_address_for_each_host(self) -> None:
        check_distinct(self.address_map)

    @over("provider_addresses", "provider_proxy")
    def _addresses_without_proxy(self) -> None:
        if self.addresses and self.proxy is not None:
            raise invalid("is set, and provider_proxy too: the proxy connects to the provider.", "Remove one of them.")

    @property
    def address_map(self) -> tuple[ProviderAddress, ...]:
        return tuple(ProviderAddress.parse(entry) for entry in self.addresses)


class ProviderSettings(BaseModel):
    """`clock_skew` is in seconds."""

    model_config = FROZEN

    issuer: Annotated[str, AfterValidator(validators.issuer)] = Field(examples=["https://example.okta.com"])
    client_id: Annotated[str, AfterValidator(client_credentials.client_id)] = Field(examples=["placeholder"])
    client_auth: Literal["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"] = (
        "client_secret_basic"
    )
    client_secret: Secret | None = None
    client_secret_next: Secret | None = None
    client_private_key: SecretStr | None = None
    client_key_id: str | None = None
    client_assertion_audience: Literal["auto", "issuer", "token_endpoint", "endpoint"] = "auto"
    client_key_algorithm: Algorithm | None = None
    dpop: Literal["off", "on"] = "off"
    userinfo: Literal["auto", "always", "never"] = "auto"
    scopes: Words = ("openid", "profile", "email", "offline_access")
    id_token_algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(validators.words)] = ("RS256",)
    encryption: EncryptionSettings = Field(default_factory=EncryptionSettings)
    clock_skew: Annotated[int, Number, Field(ge=0, le=300)] = 60
    transport: TransportSettings = Field(default_factory=TransportSettings)
    sign_out_hint: Literal["required", "optional", "never"] = "required"

    @field_validator("client_private_key")
    @classmethod
    def _readable_key(cls, key: SecretStr | None) -> SecretStr | None:
        return client_credentials.private_key(key) if key else None

    @field_validator("scopes")
    @classmethod
    def _openid_scope(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise invalid("must include openid.", "Add openid.")
        return tuple(dict.fromkeys(validators.scope(scope) for scope in scopes))

    @field_validator("id_token_algorithms")
    @classmethod
    def _some_algorithm(cls, algorithms: tuple[Algorithm, ...]) -> tuple[Algorithm, ...]:
        if not algorithms:
            raise invalid("is empty.", "Name at least one; most providers sign with RS256.")
        both: tuple[Algorithm, ...] = ("EdDSA", "Ed25519")  # the same algorithm (RFC 9864)
        return tuple(dict.fromkeys((*algorithms, *(() if set(both).isdisjoint(algorithms) else both))))

    @over("client_secret", "client_auth")
    def _secret_for_method(self) -> None:
        method, secret = self.client_auth, self.client_secret
        if method != "private_key_jwt" and secret is None:
            fix = "Set BFF_CLIENT_SECRET_FILE to a file that holds it, or BFF_CLIENT_SECRET."
            raise invalid(f"is missing, and client_auth is {method}.", fix)
        if method == "client_secret_jwt" and secret and len(secret.get_secret_value()) < 32:
            raise invalid("is shorter than the 32 characters client_secret_jwt needs.", "Make a longer one there.")

    @over("client_private_key", "client_auth")
    def _key_for_method(self) -> None:
        method, key = self.client_auth, self.client_private_key
        if method == "private_key_jwt" and key is None:
            fix = "Set BFF_CLIENT_PRIVATE_KEY_FILE to a file with the key as PEM or JWK."
            raise invalid("is missing, and client_auth is private_key_jwt.", fix)
        if method != "private_key_jwt" and key is not None:
            raise invalid(f"is set, and client_auth is {method}.", "Remove it, or set client_auth = private_key_jwt.")

    @over("client_key_algorithm", "client_private_key")
    def _algorithm_of_key(self) -> None:
        algorithm, key = self.client_key_algorithm, self.client_private_key
        if algorithm is not None and key is None:
            raise invalid("is set, and client_private_key is not.", "Remove it, or set client_private_key.")
        if algorithm is not None and key is not None:
            own = read_private_key(key.get_secret_value())
            if algorithm not in (usable := algorithms_of(own.key)) or own.alg not in (None, algorithm):
                fix = f"Choose from {', '.join(usable if own.alg is None else (own.alg,))}, or remove it."
                raise invalid(f"is {algorithm}, and client_private_key is for another algorithm.", fix)

    @over("decryption_keys", "client_private_key")
    def _one_purpose_for_a_key(self) -> None:
        if self.encryption.decryption is not None and self.client_private_key is not None:
            signing = public_members(read_private_key(self.client_private_key.get_secret_value()).key)
            if any(public_members(key.key) == signing for key in self.encryption.decryption.keys.keys):
                raise invalid("contains client_private_key.", "Use another key: each has one purpose.")

    @over("sign_out_hint", "issuer")
    def _hint_at_okta(self) -> None:
        if self.sign_out_hint != "required" and is_okta(self.issuer):
            raise invalid(f"is {self.sign_out_hint}, and Okta requires an ID token for logout.", "Remove it.")

    @property
    def org_url(self) -> str:
        """The base URL of the Okta org of the issuer; of another provider, the issuer's origin."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def org_issuer(self) -> str | None:
        """The issuer of the Okta org, if ours is one of its custom authorization servers.

        None elsewhere: the root of another provider's host may belong to another party.
        """
        path = urlsplit(self.issuer).path
        custom = path.startswith("/oauth2/") if is_okta(self.issuer) else _CUSTOM_SERVER.fullmatch(path) is not None
        return self.org_url if custom else None

    @property
    def at_okta(self) -> bool:
        """Whether the provider is Okta: by its host, or on a custom domain by the path of its authorization servers."""
        return is_okta(self.issuer) or self.org_issuer is not None

    @property
    def logout_issuers(self) -> tuple[str, ...]:
        """The issuers that logout requests may name: the token issuer first, then its Okta org if that differs."""
        return (self.issuer,) if self.org_issuer is None else (self.issuer, self.org_issuer)

    @property
    def assertion_audiences(self) -> tuple[Literal["issuer", "token_endpoint", "endpoint"], ...]:
        """What client assertions name as their audience, in the order of trying."""
        if self.client_assertion_audience != "auto":
            return (self.client_assertion_audience,)
        # Okta documents the endpoint that is called; Keycloak and Ory Hydra refuse any but the token endpoint.
        return ("endpoint" if self.at_okta else "token_endpoint", "issuer")

    @property
    def requests_email(self) -> bool:
        """Whether sessions are indexed by e-mail address, so that a logout request can name a user by it."""
        return "email" in self.scopes

    @property
    def revokes_single_tokens(self) -> bool:
        """Whether revoking a refresh token leaves the user's other sign-ins alone, as Okta documents it.

        Elsewhere it may end the whole grant, or this client's part of the session (RFC 7009 section 2.1).
        """
        return is_okta(self.issuer)

    @property
    def publishes_keys(self) -> bool:
        """Whether `/.well-known/jwks.json` is ours: a key of ours verifies what we sign, or others encrypt for one."""
        return self.client_auth == "private_key_jwt" or self.encryption.decryption is not None

    @property
    def uses_dpop(self) -> bool:
        return self.dpop == "on"
