"""Listeners: the public one, the management port, forward-auth; the proxies in front; the drain."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator

from bff.config import validators
from bff.config.access_rules import AllowRules, RuleSet, compile_rules, distinct_sets
from bff.config.field_types import Address, Number
from bff.config.identity_assertion import AssertionHeader, IdentityToken
from bff.config.request_headers import conflicting_name
from bff.config.route_headers import IdentityHeader
from bff.config.route_token import ForwardAuthToken
from bff.config.section import FROZEN, over
from bff.session.access_rules import AccessRules

OFF: Final = "off"
EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})

MOST_WORKERS: Final = 64


def check_apart(listen: str, other: str) -> None:
    """Raises the error for two listeners on one address; port 0 is any free port."""
    if listen == other != OFF and not listen.endswith(":0"):
        raise validators.invalid(
            "is the same as another one.", "Give it an address of its own that the public cannot reach, or off."
        )


def check_loopback(name: str, listen: str) -> None:
    """Raises the error of an http public URL on this machine for a listener that other machines can reach."""
    address = None if listen == OFF else validators.address(listen)
    if isinstance(address, tuple) and not validators.is_loopback(address[0]):
        raise validators.invalid(
            f"is http on this machine, and {name} ({listen}) accepts connections of other machines.",
            f"Listen on 127.0.0.1:{address[1]}; in a container whose port is published on loopback only, set "
            "BFF_LISTEN_BEYOND_LOOPBACK=true.",
        )


def _worker_count(value: Any) -> int | str:
    if value == "auto":
        return "auto"
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if type(value) is not int or not 1 <= value <= MOST_WORKERS:
        raise validators.invalid(f"is not a number from 1 to {MOST_WORKERS}.", "Set one, or auto for one per core.")
    return value


class ServerSettings(BaseModel):
    """`workers` is the number of processes that serve. `trusted_proxies` are the peers whose forwarding headers count.

    `drain_delay` is in seconds, and so is `watchdog_timeout`, of which 0 means no watchdog.
    """

    model_config = FROZEN

    listen: Annotated[str, AfterValidator(validators.listen)] = "127.0.0.1:8080"
    listen_beyond_loopback: bool = False
    workers: Annotated[int | Literal["auto"], BeforeValidator(_worker_count)] = 1
    management_listen: Annotated[str, AfterValidator(validators.listen_or_off)] = "127.0.0.1:9090"
    trusted_proxies: Annotated[
        tuple[Annotated[str, AfterValidator(validators.network)], ...], BeforeValidator(validators.words)
    ] = ()
    ready_requires: Annotated[tuple[Literal["store", "provider"], ...], BeforeValidator(validators.words)] = ()
    drain_delay: Annotated[float, Number, Field(ge=0, le=300, allow_inf_nan=False)] = 0.0
    watchdog_timeout: Annotated[float, Number, Field(ge=0, le=3600, allow_inf_nan=False)] = 60.0

    @field_validator("watchdog_timeout")
    @classmethod
    def _not_too_short(cls, timeout: float) -> float:
        if 0 < timeout < 10:
            raise validators.invalid("is shorter than 10 seconds.", "Set at least 10, or 0 for no watchdog.")
        return timeout

    @over("management_listen", "listen")
    def _management_apart(self) -> None:
        check_apart(self.management_listen, self.listen)

    @property
    def listen_address(self) -> Address:
        return validators.address(self.listen)

    @property
    def management_address(self) -> Address | None:
        """None if the management port is off."""
        return None if self.management_listen == OFF else validators.address(self.management_listen)


class ForwardAuthSettings(BaseModel):
    """Forward authentication for reverse proxies: the port that hands out tokens, the identity headers, and rules.

    `allow` is for every request, `rules` has more of them for those of which the proxy names one.
    """

    model_config = FROZEN

    listen: Annotated[str, AfterValidator(validators.listen_or_off)] = Field(
        default=OFF, validation_alias="forward_auth_listen"
    )
    headers: Annotated[tuple[IdentityHeader, ...], BeforeValidator(validators.words)] = Field(
        default=("X-User-Sub=sub",), validation_alias="forward_auth_headers"
    )
    token: ForwardAuthToken = Field(default="user", validation_alias="forward_auth_token")
    assertion: AssertionHeader | None = Field(default=None, validation_alias="forward_auth_assertion")
    allow: AllowRules = Field(default=(), validation_alias="forward_auth_allow")
    rules: Annotated[tuple[RuleSet, ...], AfterValidator(distinct_sets)] = Field(
        default=(), validation_alias="forward_auth_rules"
    )

    @field_validator("headers")
    @classmethod
    def _without_repeats(cls, headers: tuple[str, ...]) -> tuple[str, ...]:
        if len({header.partition("=")[0].lower() for header in headers}) < len(headers):
            raise validators.invalid("contains one header twice.", "Keep each once.")
        return headers

    @over("forward_auth_token", "forward_auth_listen")
    def _token_on_its_own_port(self) -> None:
        self._needs_port(self.token != "user")

    @over("forward_auth_assertion", "forward_auth_listen")
    def _assertion_on_its_own_port(self) -> None:
        self._needs_port(self.assertion is not None)

    def _needs_port(self, is_set: bool) -> None:
        if is_set and self.address is None:
            fix = "Set BFF_FORWARD_AUTH_LISTEN: no other port hands out tokens."
            raise validators.invalid("is set, and forward_auth_listen is off.", fix)

    @over("forward_auth_assertion", "forward_auth_token")
    def _one_assertion(self) -> None:
        if self.assertion is not None and self.token != "user":
            raise validators.invalid("is set, and forward_auth_token is an identity, too.", "Keep one of the two.")

    @over("forward_auth_assertion", "forward_auth_headers")
    def _assertion_has_its_own_header(self) -> None:
        names = [name for name, _ in self.identity]
        if self.assertion is not None and conflicting_name([self.assertion.header], names) is not None:
            raise validators.invalid("has a header that forward_auth_headers sets.", "Choose another name.")

    @property
    def identity_token(self) -> IdentityToken | None:
        """Of the assertion in the place of the access token, or beside it."""
        return self.token if isinstance(self.token, IdentityToken) else self.assertion

    @property
    def address(self) -> Address | None:
        """None if forward-auth with access tokens is off."""
        return None if self.listen == OFF else validators.address(self.listen)

    @cached_property
    def identity(self) -> tuple[tuple[str, str], ...]:
        """The identity headers, each with the claim that it carries."""
        return tuple((name, claim) for name, _, claim in (pair.partition("=") for pair in self.headers))

    @cached_property
    def access_rules(self) -> AccessRules | None:
        """Those of every request, compiled; None if every session is allowed."""
        return compile_rules(self.allow)

    @cached_property
    def named_rules(self) -> Mapping[str, AccessRules]:
        """Those that a proxy can name, compiled."""
        return {rules.name: compiled for rules in self.rules if (compiled := compile_rules(rules.allow)) is not None}

    @property
    def claims(self) -> frozenset[str]:
        """The claims that rules compare."""
        every = (*self.allow, *(rule for rules in self.rules for rule in rules.allow))
        return frozenset(claim for rule in every for claim in rule.claims)
