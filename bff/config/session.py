"""Sessions: their keys, limits and claims, and where they are stored."""

from hashlib import sha256
from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, field_validator

from bff.base64url import encode_base64url
from bff.config import validators
from bff.config.field_types import Number, WholeSeconds, Words
from bff.config.section import FROZEN, over
from bff.config.store_credentials import StoreCredentials, parse_store_credentials, store_credentials
from bff.config.validators import invalid

SessionKey: TypeAlias = Annotated[SecretStr, AfterValidator(validators.session_key)]
_PLACEHOLDER_KEY: Final = encode_base64url(sha256(b"placeholder").digest())


class SessionSettings(BaseModel):
    """Times are in seconds. `event_streams`: streams of session events of one session, in one process."""

    model_config = FROZEN

    keys: Annotated[tuple[SessionKey, ...], BeforeValidator(validators.words)] = Field(
        validation_alias="session_keys", examples=[_PLACEHOLDER_KEY]
    )
    idle_timeout: WholeSeconds = 3600
    absolute_timeout: WholeSeconds = 43200
    refresh_token_lifetime: WholeSeconds | None = None
    event_streams: Annotated[int, Number, Field(ge=0, le=100)] = Field(
        default=5, validation_alias="session_event_streams"
    )
    user_claims: Words = (
        *("sub", "name", "given_name", "family_name", "preferred_username"),
        *("email", "picture", "locale", "zoneinfo", "groups"),
    )

    @field_validator("keys")
    @classmethod
    def _different_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys:
            raise invalid("is empty.", validators.NEW_KEY)
        if len({validators.key_bytes(key) for key in keys}) < len(keys):
            raise invalid("contains one key twice.", "Keep each key once, the newest first.")
        return keys

    @field_validator("user_claims")
    @classmethod
    def _claims_with_sub(cls, claims: tuple[str, ...]) -> tuple[str, ...]:
        if "sub" not in claims:
            raise invalid("must include sub, which identifies the user to the SPA.", "Add sub.")
        return tuple(dict.fromkeys(claims))

    @over("absolute_timeout", "idle_timeout")
    def _idle_within_absolute(self) -> None:
        if self.idle_timeout > self.absolute_timeout:
            raise invalid("is shorter than idle_timeout.", "Make idle_timeout the shorter one.")

    @property
    def key_ring(self) -> tuple[bytes, ...]:
        """The session keys as 32 bytes each, newest first."""
        return tuple(key for text in self.keys if (key := validators.key_bytes(text)) is not None)

    @property
    def max_lifetime(self) -> int:
        """The longest time that a session lasts: without a refresh token it ends with its access token."""
        return min(self.absolute_timeout, self.refresh_token_lifetime or self.absolute_timeout)


class StoreSettings(BaseModel):
    """Where session records are kept. `outage_grace`: seconds for which a record that was read before may be used
    while the store cannot be reached; 0 is off. `session_cache`: MiB of memory for opened records, cookies and
    headers of requests.
    """

    model_config = FROZEN

    url: Annotated[str, AfterValidator(validators.store)] = Field(
        default="sqlite:///var/bff.db",
        validation_alias="store",
        repr=False,  # it may contain a password
    )
    credentials: Annotated[SecretStr, AfterValidator(store_credentials)] | None = Field(
        default=None, validation_alias="store_credentials"
    )
    outage_grace: Annotated[float, Number, Field(ge=0, le=30, allow_inf_nan=False)] = Field(
        default=0.0, validation_alias="store_outage_grace"
    )
    allow_evicting: bool = Field(default=False, validation_alias="allow_evicting_store")
    session_cache: Annotated[int, Number, Field(ge=0, le=65_536)] = 96

    @over("store_credentials", "store")
    def _credentials_in_one_place(self) -> None:
        if self.credentials is None:
            return
        if self.is_sqlite:
            raise invalid("is set, and BFF_STORE is SQLite, which has none.", "Remove it.")
        own, in_url = self.credentials.get_secret_value().splitlines(), urlsplit(self.url)
        if in_url.password or (in_url.username and len(own) > 1):
            repeated = "a password" if in_url.password else "a user name"
            raise invalid(f"is set, and BFF_STORE contains {repeated} too.", "Remove that one from BFF_STORE.")

    @property
    def login(self) -> StoreCredentials | None:
        """The credentials that may change while the process runs. Those in the URL do not."""
        return (
            None if self.credentials is None else parse_store_credentials(self.credentials.get_secret_value(), self.url)
        )

    @property
    def record_cache(self) -> int:
        """Bytes of memory for decrypted records. A cookie takes about a fifth of what the record takes."""
        return self.session_cache * (1 << 20) * 12 // 16

    @property
    def cookie_cache(self) -> int:
        """Bytes of memory for opened session cookies."""
        return self.session_cache * (1 << 20) * 3 // 16

    @property
    def header_cache(self) -> int:
        """Bytes of memory for the headers of requests, which contain cookies."""
        return self.session_cache * (1 << 20) // 16

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a file of this process, which no other replica shares."""
        return self.url.startswith("sqlite:")
