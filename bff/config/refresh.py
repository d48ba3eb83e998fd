"""When and how access tokens are refreshed."""

from typing import Annotated

from pydantic import BaseModel, Field

from bff.config.field_types import Number, Seconds
from bff.config.section import FROZEN, over
from bff.config.validators import invalid


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
    concurrency: Annotated[int, Number, Field(ge=1, le=1000)] = Field(
        default=200, validation_alias="refresh_concurrency"
    )

    @over("refresh_lease", "refresh_timeout")
    def _response_within_lease(self) -> None:
        if self.timeout >= self.lease:
            fix = "Make refresh_lease the longer one: the defaults are 8 and 10."
            raise invalid("is not longer than refresh_timeout.", fix)
