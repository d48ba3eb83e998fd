"""Encrypted tokens: the keys that the provider encrypts for, and whether it must."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, SecretStr

from bff.config.section import FROZEN, over
from bff.config.validators import invalid
from bff.oidc.decryption_keys import parse_decryption_keys
from bff.oidc.jwe import Decryption


def _decryption_keys(value: SecretStr) -> SecretStr:
    """Validates a JWK Set, a JWK or a PEM; RSA or an elliptic curve."""
    try:
        parse_decryption_keys(value.get_secret_value())
    except ValueError as error:
        raise invalid(f"cannot be used: {error}.", "Make a key with `bff keys jwk RSA-OAEP-256`.") from None
    return value


class EncryptionSettings(BaseModel):
    """Without keys nothing is decrypted, and an encrypted token is refused."""

    model_config = FROZEN

    decryption_keys: Annotated[SecretStr, AfterValidator(_decryption_keys)] | None = None
    id_token_encryption: Literal["required", "optional"] | None = None  # required, if there are keys

    @over("id_token_encryption", "decryption_keys")
    def _keys_for_encryption(self) -> None:
        if self.id_token_encryption is not None and self.decryption_keys is None:
            fix = "Set BFF_DECRYPTION_KEYS, or remove it."
            raise invalid(f"is {self.id_token_encryption}, and there are no decryption keys.", fix)

    @cached_property
    def decryption(self) -> Decryption | None:
        """Opens encrypted tokens; None if none is expected."""
        if self.decryption_keys is None:
            return None
        keys = parse_decryption_keys(self.decryption_keys.get_secret_value())
        return Decryption(keys, required=self.id_token_encryption != "optional")
