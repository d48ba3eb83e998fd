"""Device Bound Session Credentials: whether sessions are bound to a key of the browser."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, Field

from bff.config.field_types import Number
from bff.config.section import FROZEN

DeviceBoundMode: TypeAlias = Literal["off", "offer", "enforce"]
# A browser may sign 5 or 6 times in a short time; then it sends requests without the cookie, for minutes.
MIN_LIFETIME: Final = 600  # seconds


class DeviceBoundSettings(BaseModel):
    """`lifetime`: seconds for which a bound cookie is accepted, before the browser has to prove again that it has the
    key.
    """

    model_config = FROZEN

    mode: DeviceBoundMode = Field(default="off", validation_alias="device_bound")
    lifetime: Annotated[int, Number, Field(ge=MIN_LIFETIME, le=86400)] = Field(
        default=MIN_LIFETIME, validation_alias="device_bound_lifetime"
    )
