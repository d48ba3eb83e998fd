"""Process settings: listeners, trusted proxies, shutdown, logging."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from bff.config import validators
from bff.config.route_headers import IdentityHeader
from bff.config.routes import FROZEN
from bff.telemetry.audit import SubjectAs

# An address to listen on: host and port, or a Unix socket.
Address: TypeAlias = tuple[str, int] | Path

EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})

OTLP_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http"


def is_installed(module: str) -> bool:
    """Whether the module can be imported; does not import it, only its parents."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def check_loopback(listening: Mapping[str, Any]) -> None:
    """Raises the error for an http public URL on this machine with a listener that other machines can reach."""
    for name in () if listening.get("listen_beyond_loopback", True) else ("listen", "forward_auth_listen"):
        where = listening.get(name, "off")
        address = None if where == "off" else validators.address(where)
        if isinstance(address, tuple) and not validators.is_loopback(address[0]):
            raise validators.invalid(
                f"is http on this machine, and BFF_{name.upper()} ({where}) accepts connections of other machines.",
                f"Listen on 127.0.0.1:{address[1]}; in a container whose port is published on loopback only, set "
                "BFF_LISTEN_BEYOND_LOOPBACK=true.",
            )


class ProcessSettings(BaseModel):
    """The settings of the process. Times are in seconds."""

    model_config = FROZEN

    listen: Annotated[str, AfterValidator(validators.listen)] = "127.0.0.1:8080"
    listen_beyond_loopback: bool = False
    management_listen: Annotated[str, AfterValidator(validators.listen_or_off)] = "127.0.0.1:9090"
    forward_auth_listen: Annotated[str, AfterValidator(validators.listen_or_off)] = "off"
    forward_auth_headers: Annotated[tuple[IdentityHeader, ...], BeforeValidator(validators.words)] = ("X-User-Sub=sub",)
    trusted_proxies: Annotated[
        tuple[Annotated[str, AfterValidator(validators.network)], ...], BeforeValidator(validators.words)
    ] = ()
    drain_delay: Annotated[float, BeforeValidator(validators.number), Field(ge=0, le=300, allow_inf_nan=False)] = 0.0
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(validators.lower)] = "info"
    log_format: Literal["json", "text"] = "json"
    audit_subject: SubjectAs = "fingerprint"
    tracing: Literal["off", "otlp"] = "off"

    @field_validator("management_listen", "forward_auth_listen")
    @classmethod
    def _own_address(cls, listen: str, info: ValidationInfo) -> str:
        others = {info.data.get("listen"), info.data.get("management_listen")} - {"off"}
        if listen in others and not listen.endswith(":0"):
            raise validators.invalid(
                "is the same as another one.", "Give it an address of its own that the public cannot reach, or off."
            )
        if info.field_name == "forward_auth_listen" and listen != "off" and info.data.get("dpop") == "on":
            # A proxy cannot create the proof that each request with a DPoP-bound token needs (RFC 9449 section 7).
            fix = "Set one of them to off: forward these requests through BFF_ROUTES, or use tokens without DPoP."
            raise validators.invalid("is set, and dpop is on: a proxy cannot use DPoP-bound tokens.", fix)
        return listen

    @field_validator("forward_auth_headers")
    @classmethod
    def _each_header_once(cls, headers: tuple[str, ...]) -> tuple[str, ...]:
        if len({header.partition("=")[0].lower() for header in headers}) < len(headers):
            raise validators.invalid("contains one header twice.", "Keep each once.")
        return headers

    @field_validator("trusted_proxies")
    @classmethod
    def _somebody_asks(cls, trusted: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not trusted and info.data.get("forward_auth_listen", "off") != "off":
            fix = "List the proxies that use it: only they receive access tokens."
            raise validators.invalid("is empty, and forward_auth_listen is set.", fix)
        return trusted

    @field_validator("tracing")
    @classmethod
    def _with_its_extra(cls, tracing: str) -> str:
        if tracing == "otlp" and not is_installed(OTLP_EXPORTER):
            raise validators.invalid(
                "is otlp, and OpenTelemetry is not installed.", "Install okta-bff[otel], or set off."
            )
        return tracing

    @property
    def listen_address(self) -> Address:
        return validators.address(self.listen)

    @property
    def management_address(self) -> Address | None:
        """None if the management port is off."""
        return None if self.management_listen == "off" else validators.address(self.management_listen)

    @property
    def forward_auth_address(self) -> Address | None:
        """None if forward-auth with access tokens is off."""
        return None if self.forward_auth_listen == "off" else validators.address(self.forward_auth_listen)

    @property
    def identity_headers(self) -> tuple[tuple[str, str], ...]:
        """The identity headers of forward-auth, each with its claim."""
        return tuple((name, claim) for name, _, claim in (pair.partition("=") for pair in self.forward_auth_headers))
