"""Types of single settings that several models use: each validates, and reports its problem and the fix."""

from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bff.config import client_credentials, validators

Words: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(validators.words)]
Scope: TypeAlias = Annotated[str, AfterValidator(validators.scope)]
Scopes: TypeAlias = Annotated[tuple[Scope, ...], BeforeValidator(validators.words)]
Secret: TypeAlias = Annotated[SecretStr, AfterValidator(client_credentials.client_secret)]

Number: Final = BeforeValidator(validators.number)
WholeSeconds: TypeAlias = Annotated[int, Number, Field(gt=0, le=86400 * 366)]
Seconds: TypeAlias = Annotated[float, Number, Field(gt=0, le=86400 * 366, allow_inf_nan=False)]

Origin: TypeAlias = Annotated[str, AfterValidator(validators.origin)]
Url: TypeAlias = Annotated[str, AfterValidator(validators.base_url)]
OwnPath: TypeAlias = Annotated[str, AfterValidator(validators.path)]
File: TypeAlias = Annotated[Path, AfterValidator(validators.file)]
# An address to listen on: host and port, or a Unix socket.
Address: TypeAlias = tuple[str, int] | Path

Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# fmt: off
Algorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
]
# fmt: on
