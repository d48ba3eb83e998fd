"""When and how access tokens are refreshed."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field

from bff.config.field_types import Number, Seconds, Words
from bff.config.section import FROZEN, over
from bff.config.validators import invalid
from bff.oidc.error_codes import NEVER_FINAL, UNREADABLE, UNSPECIFIED
from bff.oidc.token import MAX_ERROR_LENGTH

INVALID_GRANT: Final = "invalid_grant"  # RFC 6749 section 5.2: final whatever else is listed


def _final_errors(codes: tuple[str, ...]) -> tuple[str, ...]:
    for code in codes:
        if not code.isascii() or not code.isprintable() or len(code) > MAX_ERROR_LENGTH:
            raise invalid("contains what is no error code.", "List codes of the provider, such as invalid_grant.")
        if code in NEVER_FINAL | {UNREADABLE, UNSPECIFIED}:
            problem = f"contains {code}, which says nothing of the refresh token: one fault would end every session."
            raise invalid(problem, "Remove it.")
    return codes if INVALID_GRANT in codes else (INVALID_GRANT, *codes)


class RefreshSettings(BaseModel):
    """Times are in seconds. This is the `RefreshPolicy` that `bff.session.timing` decides by."""

    model_config = FROZEN

    before_expiry: Annotated[float, Number, Field(ge=0, le=3600, allow_inf_nan=False)] = Field(
        default=60.0, validation_alias="refresh_before_expiry"
    )
    timeout: Annotated[Seconds, Field(le=60)] = Field(default=8.0, validation_alias="refresh_timeout")
    lease: Annotated[Seconds, Field(le=120)] = Field(default=10.0, validation_alias="refresh_lease")
    grace: Annotated[int, Number, Field(ge=0, le=60)] = Field(default=30, validation_alias="refresh_grace")
    after_grace: bool = Field(default=True, validation_alias="refresh_after_grace")
    final_errors: Annotated[Words, AfterValidator(_final_errors)] = Field(
        default=(INVALID_GRANT,), validation_alias="refresh_final_errors"
    )
    concurrency: Annotated[int, Number, Field(ge=1, le=1000)] = Field(
        default=200, validation_alias="refresh_concurrency"
    )

    @over("refresh_lease", "refresh_timeout")
    def _response_within_lease(self) -> None:
        if self.timeout >= self.lease:
            fix = "Make refresh_lease the longer one: the defaults are 8 and 10."
            raise invalid("is not longer than refresh_timeout.", fix)
