"""The keys that sign identity assertions."""

from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from bff.config.section import FROZEN
from bff.config.validators import invalid
from bff.oidc.signing_keys import SigningKeys, parse_signing_keys

NEW_KEY = "Make a key with `bff keys jwk ES256`."


def _signing_keys(value: SecretStr) -> SecretStr:
    """Validates a JWK Set, a JWK or a PEM."""
    try:
        parse_signing_keys(value.get_secret_value())
    except ValueError as error:
        raise invalid(f"cannot be used: {error}.", NEW_KEY) from None
    return value


class AssertionSettings(BaseModel):
    """Without keys no route can have an identity assertion."""

    model_config = FROZEN

    keys: Annotated[SecretStr, AfterValidator(_signing_keys)] | None = Field(
        default=None, validation_alias="assertion_keys"
    )

    @cached_property
    def ring(self) -> SigningKeys | None:
        """None without keys."""
        return None if self.keys is None else parse_signing_keys(self.keys.get_secret_value())
