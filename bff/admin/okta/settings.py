"""The settings of `bff okta` alone: BFF_OKTA_* and the [okta] table of bff.toml. A running BFF does not read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from bff.config import validators
from bff.config.routes import FROZEN
from bff.config.sources import PREFIX, ConfigurationErrors, Gathered, gather
from bff.errors import ConfigurationError

TABLE = "okta"
LISTS = frozenset({"groups", "development_urls", "trusted_origins"})
SECRETS = frozenset({"api_token", "service_private_key"})


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
    service_client_id: Annotated[str, AfterValidator(validators.filled)] | None = None
    service_key_id: str | None = None
    service_private_key: SecretStr | None = None
    api_token: Annotated[SecretStr, AfterValidator(validators.client_secret)] | None = None

    # --- the app integration ---
    label: Name | None = None
    groups: Annotated[tuple[Name, ...], BeforeValidator(_names)] = ()
    development_urls: Origins = ()
    trusted_origins: Origins = ()
    frontchannel_logout: bool = False
    access_policy: bool = True

    @field_validator("service_private_key")
    @classmethod
    def _key_with_client(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("service_client_id") is not None:
            raise validators.invalid(
                "is missing, and service_client_id is set.", "Set BFF_OKTA_SERVICE_PRIVATE_KEY_FILE to the key's file."
            )
        return validators.private_key(key) if key else None

    @field_validator("api_token")
    @classmethod
    def _one_way_in(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if token is not None and info.data.get("service_client_id") is not None:
            raise validators.invalid("and service_client_id are both set.", "Keep one of the two.")
        if token is None and "service_client_id" in info.data and info.data["service_client_id"] is None:
            fix = (
                "Set BFF_OKTA_API_TOKEN_FILE to a file with a token of Security > API > Tokens, or "
                "BFF_OKTA_SERVICE_CLIENT_ID and BFF_OKTA_SERVICE_PRIVATE_KEY_FILE of a service app."
            )
            raise validators.invalid("is missing, and no service app is set.", fix)
        return token


def load_okta_settings(environ: Mapping[str, str], toml_path: Path | None = None) -> OktaSettings:
    """Raises ConfigurationErrors, which lists every problem and no secret."""
    known = frozenset(OktaSettings.model_fields)
    gathered = gather(environ, toml_path, known=known, secret=SECRETS, lists=LISTS, table=TABLE)
    problems = gathered.problems
    try:
        settings = OktaSettings.model_validate(gathered.values)
    except ValidationError as error:
        problems += [
            _configuration_error(detail, gathered)
            for detail in error.errors(include_input=False, include_url=False)
            if detail["loc"][0] not in gathered.names or detail["loc"][0] in gathered.values
        ]
    else:
        if not problems:
            return settings
    raise ConfigurationErrors(tuple(problems)) from None


def has_credentials(environ: Mapping[str, str], toml_path: Path | None = None) -> bool:
    """Whether any Management API credentials are configured, valid or not; otherwise optional checks skip the API."""
    known = frozenset({"api_token", "service_client_id", "service_private_key"})
    others = frozenset(OktaSettings.model_fields) - known
    gathered = gather(environ, toml_path, known=known | others, secret=SECRETS, lists=LISTS, table=TABLE)
    return bool(known & gathered.names.keys())


def _configuration_error(detail: ErrorDetails, gathered: Gathered) -> ConfigurationError:
    name, *rest = (str(part) for part in detail["loc"])
    called = gathered.names.get(name, f"{PREFIX}{TABLE.upper()}_{name.upper()}") + "".join(f"[{part}]" for part in rest)
    if detail["type"] == "setting":
        return ConfigurationError(called, detail["ctx"]["problem"], detail["ctx"]["fix"])
    return ConfigurationError(called, f"{detail['msg'].replace('Input should', 'should')}.", "See docs/okta.md.")
