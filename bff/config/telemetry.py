"""Logs, the audit log and traces."""

from importlib.util import find_spec
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, field_validator

from bff.config import validators
from bff.config.section import FROZEN

OTLP_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http"


def is_installed(module: str) -> bool:
    """Whether the module can be imported; does not import it, only its parents."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class TelemetrySettings(BaseModel):
    """`audit_subject` is how an audit event names a person."""

    model_config = FROZEN

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(validators.lower)] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"
    access_log: bool = False
    audit_subject: Literal["fingerprint", "sub"] = "fingerprint"
    tracing: Literal["off", "otlp"] = "off"

    @field_validator("tracing")
    @classmethod
    def _with_its_extra(cls, tracing: str) -> str:
        if tracing == "otlp" and not is_installed(OTLP_EXPORTER):
            raise validators.invalid(
                "is otlp, and OpenTelemetry is not installed.", "Install okta-bff[otel], or set off."
            )
        return tracing
