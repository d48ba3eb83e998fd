"""Identity assertions of a route: for whom, about what, for how long, and in which header."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from bff.config import validators
from bff.config.field_types import Number
from bff.config.route_headers import check_identity_name, is_identity_name
from bff.config.section import FROZEN
from bff.session.identity_assertion import PROTOCOL_CLAIMS

DEFAULT_HEADER: Final = "X-BFF-Assertion"
_AUDIENCE: Final = re.compile(r"[!-~]{1,255}")


def _audience(value: str) -> str:
    if not _AUDIENCE.fullmatch(value):
        raise validators.invalid(
            "is empty, long, or contains a character outside visible ASCII.", "Give what the API expects as `aud`."
        )
    return value


def _claims(names: tuple[str, ...]) -> tuple[str, ...]:
    if own := sorted(PROTOCOL_CLAIMS.intersection(names)):
        raise validators.invalid(f"contain {own[0]}, which the BFF sets itself.", "Remove it.")
    return tuple(dict.fromkeys(names))


def _header(name: str) -> str:
    if name.lower() == DEFAULT_HEADER.lower():
        return name
    if not is_identity_name(name):
        fix = f"Use letters, digits and single hyphens, like {DEFAULT_HEADER}."
        raise validators.invalid(f"is {name!r}, which cannot be the name of an identity header.", fix)
    check_identity_name(name, f"The default is {DEFAULT_HEADER}.")
    return name


Audience: TypeAlias = Annotated[str, AfterValidator(_audience)]
AssertionClaims: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(validators.words), AfterValidator(_claims)]
AssertionLifetime: TypeAlias = Annotated[int, Number, Field(ge=10, le=600)]
AssertionHeaderName: TypeAlias = Annotated[str, AfterValidator(_header)]


class IdentityToken(BaseModel):
    """An assertion in the place of the access token. `claims` are those about the user, `lifetime` is in seconds."""

    model_config = FROZEN

    audience: Audience
    claims: AssertionClaims = ("sub",)
    lifetime: AssertionLifetime = 60

    @property
    def header_name(self) -> bytes:
        """In lower case."""
        return b"authorization"

    def field(self, assertion: str) -> tuple[bytes, bytes]:
        """The header field with an assertion."""
        return self.header_name, b"Bearer " + assertion.encode("ascii")


class AssertionHeader(IdentityToken):
    """An assertion beside another token, in a header of its own."""

    header: AssertionHeaderName = DEFAULT_HEADER

    @property
    def header_name(self) -> bytes:
        return self.header.lower().encode("ascii")

    def field(self, assertion: str) -> tuple[bytes, bytes]:
        return self.header_name, assertion.encode("ascii")
