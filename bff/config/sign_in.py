"""Sign-in settings: options that a link may request, the response mode, rate limits."""

import re
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator

from bff.config import validators
from bff.config.routes import FROZEN

Tokens: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(validators.scope)], ...], BeforeValidator(validators.words)
]
# Per minute; 0 means no limit.
Requests: TypeAlias = Annotated[int, BeforeValidator(validators.number), Field(ge=0, le=10_000_000)]
Prompt: TypeAlias = Literal["none", "login", "consent", "select_account"]
Algorithm: TypeAlias = Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]

SIGN_IN_LISTS: Final = frozenset({"acr_values", "allowed_prompts", "allowed_idps"})


_OKTA_HOST: Final = re.compile(r"\.(okta|oktapreview|okta-emea|okta-gov|trex-govcloud)\.com$|\.okta\.mil$")


def is_okta(url: str) -> bool:
    """Whether a URL is on one of Okta's own domains.

    An org's custom domain cannot be distinguished from any other host.
    """
    return _OKTA_HOST.search(f".{urlsplit(url).hostname or ''}") is not None


class SignInSettings(BaseModel):
    """The settings of the authorization request."""

    model_config = FROZEN

    acr_values: Tokens = ()
    allowed_prompts: Annotated[tuple[Prompt, ...], BeforeValidator(validators.words)] = ("none", "login")
    allowed_idps: Tokens = ()
    response_mode: Literal["query", "form_post"] = "query"
    par: Literal["auto", "required", "never"] = "auto"
    sign_in_rate_per_client: Requests = 600
    sign_in_rate: Requests = 30_000
    dpop: Literal["off", "on"] = "off"

    @field_validator("allowed_prompts", "allowed_idps", "acr_values")
    @classmethod
    def _each_once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(values))
