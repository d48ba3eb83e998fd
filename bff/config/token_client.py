"""A second client at the provider, for tokens of APIs: Okta calls it a service app (API Services)."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, field_validator

from bff.config import client_credentials
from bff.config.field_types import Algorithm, Secret
from bff.config.section import FROZEN, over
from bff.config.validators import invalid


class ServiceClientSettings(BaseModel):
    """There is none without `client_id`. It authenticates as the client of `ProviderSettings` does."""

    model_config = FROZEN

    client_id: Annotated[str, AfterValidator(client_credentials.client_id)] | None = Field(
        default=None, validation_alias="service_client_id"
    )
    client_auth: Literal["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"] = Field(
        default="client_secret_basic", validation_alias="service_client_auth"
    )
    client_secret: Secret | None = Field(default=None, validation_alias="service_client_secret")
    client_secret_next: Secret | None = Field(default=None, validation_alias="service_client_secret_next")
    client_private_key: SecretStr | None = Field(default=None, validation_alias="service_client_private_key")
    client_key_id: str | None = Field(default=None, validation_alias="service_client_key_id")

    @property
    def client_key_algorithm(self) -> Algorithm | None:
        """That of the key."""
        return None

    @field_validator("client_private_key")
    @classmethod
    def _readable_key(cls, key: SecretStr | None) -> SecretStr | None:
        return client_credentials.private_key(key) if key else None

    @over("service_client_secret", "service_client_id", "service_client_auth")
    def _secret_for_method(self) -> None:
        method, secret = self.client_auth, self.client_secret
        if self.client_id is None or method == "private_key_jwt":
            return
        if secret is None:
            fix = "Set BFF_SERVICE_CLIENT_SECRET_FILE to a file that holds it, or BFF_SERVICE_CLIENT_SECRET."
            raise invalid(f"is missing, and service_client_auth is {method}.", fix)
        if method == "client_secret_jwt" and len(secret.get_secret_value()) < 32:
            raise invalid("is shorter than the 32 characters client_secret_jwt needs.", "Make a longer one there.")

    @over("service_client_private_key", "service_client_id", "service_client_auth")
    def _key_for_method(self) -> None:
        method, key = self.client_auth, self.client_private_key
        if self.client_id is not None and method == "private_key_jwt" and key is None:
            fix = "Set BFF_SERVICE_CLIENT_PRIVATE_KEY_FILE to a file with the key as PEM or JWK."
            raise invalid("is missing, and service_client_auth is private_key_jwt.", fix)
        if method != "private_key_jwt" and key is not None:
            raise invalid(
                f"is set, and service_client_auth is {method}.",
                "Remove it, or set service_client_auth = private_key_jwt.",
            )
