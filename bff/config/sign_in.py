"""Sign-in: what a link may request, how the request reaches the provider, how often one may start."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from bff.config import validators
from bff.config.field_types import Number, Scopes, WholeSeconds
from bff.config.section import FROZEN

# Per minute; 0 means no limit.
Requests: TypeAlias = Annotated[int, Number, Field(ge=0, le=10_000_000)]
Prompt: TypeAlias = Literal["none", "login", "consent", "select_account"]
# Without `none`: it only checks for a session at the provider.
DefaultPrompt: TypeAlias = Literal["login", "consent", "select_account"]


class SignInSettings(BaseModel):
    """`rate` and `rate_per_client` are requests a minute. `login_lifetime` is in seconds."""

    model_config = FROZEN

    acr_values: Scopes = ()
    default_prompt: Annotated[tuple[DefaultPrompt, ...], BeforeValidator(validators.words)] = Field(
        default=(), validation_alias="prompt"
    )
    allowed_prompts: Annotated[tuple[Prompt, ...], BeforeValidator(validators.words)] = ("none", "login")
    allowed_idps: Scopes = ()
    response_mode: Literal["query", "form_post"] = "query"
    par: Literal["auto", "required", "never"] = "auto"
    login_lifetime: Annotated[WholeSeconds, Field(ge=60, le=3600)] = 600
    rate_per_client: Requests = Field(default=600, validation_alias="sign_in_rate_per_client")
    rate: Requests = Field(default=30_000, validation_alias="sign_in_rate")

    @field_validator("default_prompt", "allowed_prompts", "allowed_idps", "acr_values")
    @classmethod
    def _without_repeats(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(values))

    def prompt_with(self, requested: str | None) -> str | None:
        """The `prompt` of an authorization request for which a link requested `requested`: both, but a silent check
        stays silent.
        """
        if requested == "none":
            return requested
        return " ".join(dict.fromkeys([*(requested or "").split(), *self.default_prompt])) or None

    @property
    def by_form_post(self) -> bool:
        """Whether the authorization response arrives as a form, which another site's page submits."""
        return self.response_mode == "form_post"
