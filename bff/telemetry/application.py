"""The telemetry settings of one application: its composition root builds them and binds them to its tasks.

Two applications in one process have one each. Code that records an event or opens a span does not take it as an
argument: it reads what is bound to the current task, as it reads the trace of the request. The outermost middleware
binds it to each request and the lifespan to each background task; tasks inherit it from the task that starts them.
Metrics and log output describe the process and are not part of it.
"""

from dataclasses import dataclass
from typing import Literal

from bff.telemetry import audit, tracing
from bff.telemetry.audit import SubjectAs
from bff.telemetry.tracing import Tracer


@dataclass(frozen=True, slots=True)
class ApplicationTelemetry:
    """`audit_subject` names users in the audit trail; without a `tracer` no spans are recorded."""

    audit_subject: SubjectAs = "fingerprint"
    tracer: Tracer | None = None

    def bind(self) -> None:
        """Applies to the current task from now on, and to the tasks that it starts."""
        audit.set_subject_format(self.audit_subject)
        tracing.set_tracer(self.tracer)


def open_tracer(mode: Literal["off", "otlp"], *, stop_timeout: float) -> Tracer | None:
    """The tracer for that value of BFF_TRACING; None if spans are not recorded.

    At shutdown it exports the last spans for at most `stop_timeout` seconds. Raises ConfigurationError.
    """
    if mode == "off":
        return None
    from bff.telemetry.otlp import OtlpTracer  # loads OpenTelemetry's SDK

    return OtlpTracer(stop_timeout=stop_timeout)
