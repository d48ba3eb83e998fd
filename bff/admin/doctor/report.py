"""The output of `bff doctor`, as text and as JSON."""

from collections.abc import Sequence
from typing import Any, Final

from bff.admin.doctor.check_result import CheckResult, Status

_MARKS: Final[dict[Status, str]] = {"ok": "ok", "warn": "WARN", "fail": "FAIL", "skipped": "skip"}


def healthy(findings: Sequence[CheckResult]) -> bool:
    """Warnings and skipped checks count as healthy."""
    return all(result.status != "fail" for result in findings)


def lines(findings: Sequence[CheckResult]) -> list[str]:
    width = max((len(result.name) for result in findings), default=0)
    printed = []
    for result in findings:
        printed.append(f"{_MARKS[result.status]:5} {result.name:{width}}  {result.observed}")
        if result.fix:
            printed.append(f"{'':5} {'':{width}}  -> {result.fix}")
    return [*printed, _summary(findings)]


def _summary(findings: Sequence[CheckResult]) -> str:
    counted = {status: sum(result.status == status for result in findings) for status in _MARKS}
    verdict = "Healthy" if healthy(findings) else "Unhealthy"
    words = {"ok": "ok", "warn": "to check", "fail": "failed", "skipped": "skipped"}
    return f"{verdict}: {', '.join(f'{count} {words[status]}' for status, count in counted.items())}."


def as_json(findings: Sequence[CheckResult]) -> dict[str, Any]:
    return {"healthy": healthy(findings), "findings": [result.as_json() for result in findings]}
