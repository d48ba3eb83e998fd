"""The settings of `bff okta` alone: BFF_OKTA_* and the [okta] table of bff.toml. A running BFF does not read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, field_validator

from bff.config import client_credentials, validators
from bff.config.load import load
from bff.config.section import FROZEN, leaves, over, secrets
from bff.config.sources import gather

TABLE: Final = "okta"


def _names(value: Any) -> Any:
    """Group names may contain spaces, so only commas separate them."""
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _org_url(value: str) -> str:
    validators.issuer(value)  # also rejects the -admin domain and placeholders
    return validators.origin(value)


Origins: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(validators.origin)], ...],
    BeforeValidator(validators.words),
    Field(max_length=50),
]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]


class OktaSettings(BaseModel):
    """Each is read from BFF_OKTA_<NAME> or from <name> in the [okta] table of bff.toml."""

    model_config = FROZEN

    # --- the org and the credentials ---
    org_url: Annotated[str, AfterValidator(_org_url)] | None = None
    service_client_id: Annotated[str, AfterValidator(client_credentials.client_id)] | None = None
    service_key_id: str | None = None
    service_private_key: SecretStr | None = None
    api_token: Annotated[SecretStr, AfterValidator(client_credentials.client_secret)] | None = None

    # --- the app integration ---
    label: Name | None = None
    groups: Annotated[tuple[Name, ...], BeforeValidator(_names)] = ()
    development_urls: Origins = ()
    trusted_origins: Origins = ()
    frontchannel_logout: bool = False
    access_policy: bool = True

    @field_validator("service_private_key")
    @classmethod
    def _readable_key(cls, key: SecretStr | None) -> SecretStr | None:
        return client_credentials.private_key(key) if key else None

    @over("service_private_key", "service_client_id")
    def _key_with_client(self) -> None:
        if self.service_private_key is None and self.service_client_id is not None:
            raise validators.invalid(
                "is missing, and service_client_id is set.", "Set BFF_OKTA_SERVICE_PRIVATE_KEY_FILE to the key's file."
            )

    @over("api_token", "service_client_id")
    def _one_credential(self) -> None:
        if self.api_token is not None and self.service_client_id is not None:
            raise validators.invalid("and service_client_id are both set.", "Keep one of the two.")
        if self.api_token is None and self.service_client_id is None:
            fix = (
                "Set BFF_OKTA_API_TOKEN_FILE to a file with a token of Security > API > Tokens, or "
                "BFF_OKTA_SERVICE_CLIENT_ID and BFF_OKTA_SERVICE_PRIVATE_KEY_FILE of a service app."
            )
            raise validators.invalid("is missing, and no service app is set.", fix)


SECRETS: Final = secrets(OktaSettings)


def load_okta_settings(environ: Mapping[str, str], toml_path: Path | None = None) -> OktaSettings:
    """Raises ConfigurationErrors, which lists every problem and no secret."""
    return load(OktaSettings, environ, toml_path, table=TABLE)


def has_credentials(environ: Mapping[str, str], toml_path: Path | None = None) -> bool:
    """Whether any Management API credentials are configured, valid or not; otherwise optional checks skip the API."""
    gathered = gather(environ, toml_path, leaves(OktaSettings), table=TABLE)
    return not gathered.names.keys().isdisjoint({"api_token", "service_client_id", "service_private_key"})
