"""The audit trail of a test."""

import json
import logging
from typing import Any

from bff.telemetry.audit import AuditEvent
from bff.telemetry.logging import JsonFormatter


class Trail(logging.Handler):
    """The audit records as they would be written, read back."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))

    def of(self, event: AuditEvent) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event.value]

    def only(self, event: AuditEvent) -> dict[str, Any]:
        (line,) = self.of(event)
        return line
