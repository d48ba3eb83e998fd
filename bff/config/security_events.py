"""Security events (Shared Signals): who transmits them, how they are delivered, and what each of them causes."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, field_validator

from bff.config import validators
from bff.config.field_types import Number, Scopes, Words
from bff.config.provider import ProviderSettings, is_okta
from bff.config.section import FROZEN, over
from bff.config.validators import invalid
from bff.oidc.security_event_token import Unit
from bff.oidc.security_events import DEFAULT_ACTIONS, Action

_ACTIONS: Mapping[str, Action] = {
    "end": "end",
    "end-all": "end-all",
    "renew": "renew",
    "step-up": "step-up",
    "record": "record",
}


def _event_action(pair: str) -> str:
    event, _, action = pair.partition("=")
    if event not in DEFAULT_ACTIONS:
        raise invalid("names an event that is not known.", f"Choose from {', '.join(DEFAULT_ACTIONS)}.")
    if action not in _ACTIONS:
        raise invalid(f"gives {event} no known action.", f"Write {event}= and one of {', '.join(_ACTIONS)}.")
    return pair


def _header_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or text != text.strip() or len(text) < 16:
        fix = "Give the whole value, like `Bearer ` and 32 random characters."
        raise invalid("is not a printable header value of at least 16 characters.", fix)
    return value


EventAction: TypeAlias = Annotated[str, AfterValidator(_event_action)]
HeaderValue: TypeAlias = Annotated[SecretStr, AfterValidator(_header_value)]


class SecurityEventSettings(BaseModel):
    """`poll_interval` is in seconds.

    `transmitter` None: the provider. `timestamps` None: Okta's unit if the transmitter is Okta, else the standard's.
    """

    model_config = FROZEN

    delivery: Literal["off", "push", "poll"] = Field(default="off", validation_alias="security_events")
    transmitter: Annotated[str, AfterValidator(validators.issuer)] | None = Field(
        default=None, validation_alias="security_events_transmitter"
    )
    audience: Words = Field(default=(), validation_alias="security_events_audience")
    authorization: HeaderValue | None = Field(default=None, validation_alias="security_events_authorization")
    timestamps: Unit | None = Field(default=None, validation_alias="security_events_timestamps")
    action_words: Annotated[tuple[EventAction, ...], BeforeValidator(validators.words)] = Field(
        default=(), validation_alias="security_events_actions"
    )
    poll_interval: Annotated[float, Number, Field(ge=0.2, le=60, allow_inf_nan=False)] = Field(
        default=1.0, validation_alias="security_events_poll_interval"
    )
    token: HeaderValue | None = Field(default=None, validation_alias="security_events_token")
    scopes: Scopes = Field(default=("ssf.read", "ssf.manage"), validation_alias="security_events_scopes")

    @field_validator("action_words")
    @classmethod
    def _each_event_once(cls, pairs: tuple[str, ...]) -> tuple[str, ...]:
        if len({pair.partition("=")[0] for pair in pairs}) < len(pairs):
            raise invalid("names an event twice.", "Keep each event once.")
        return pairs

    @over("security_events_authorization", "security_events")
    def _header_of_push_deliveries(self) -> None:
        if self.authorization is not None and self.delivery == "poll":
            fix = "Remove it; BFF_SECURITY_EVENTS_TOKEN authorizes polls."
            raise invalid("is set, and security_events is poll: nothing is delivered to the BFF.", fix)

    @over("security_events_token", "security_events")
    def _token_of_polls(self) -> None:
        if self.token is not None and self.delivery == "push":
            raise invalid("is set, and security_events is push: nothing is polled.", "Remove it.")

    @cached_property
    def actions(self) -> Mapping[str, Action]:
        """The operator's changes to the default actions, by the event's short name."""
        return {event: _ACTIONS[action] for event, _, action in (pair.partition("=") for pair in self.action_words)}

    def issuer(self, provider: ProviderSettings) -> str:
        """The transmitter's issuer: by default the provider's, at Okta that of the org."""
        return self.transmitter or provider.org_issuer or provider.issuer

    def unit(self, provider: ProviderSettings) -> Unit:
        """The unit of `event_timestamp`: Okta sends milliseconds, CAEP 1.0 section 2 defines seconds."""
        if self.timestamps is not None:
            return self.timestamps
        at_okta = provider.at_okta if self.transmitter is None else is_okta(self.transmitter)
        return "milliseconds" if at_okta else "seconds"
