"""What `bff doctor` prints: lines to read, and the same as JSON."""

from collections.abc import Sequence
from typing import Any, Final

from bff.admin.doctor.check_result import Finding, Status

_MARKS: Final[dict[Status, str]] = {"ok": "ok", "warn": "WARN", "fail": "FAIL", "skipped": "skip"}


def healthy(findings: Sequence[Finding]) -> bool:
    """Warnings and checks that could not be made are allowed."""
    return all(one.status != "fail" for one in findings)


def lines(findings: Sequence[Finding]) -> list[str]:
    width = max((len(one.name) for one in findings), default=0)
    told = []
    for one in findings:
        told.append(f"{_MARKS[one.status]:5} {one.name:{width}}  {one.seen}")
        if one.mend:
            told.append(f"{'':5} {'':{width}}  -> {one.mend}")
    return [*told, _summary(findings)]


def _summary(findings: Sequence[Finding]) -> str:
    counted = {status: sum(one.status == status for one in findings) for status in _MARKS}
    verdict = "All is well" if healthy(findings) else "Not well"
    words = {"ok": "ok", "warn": "to look at", "fail": "failed", "skipped": "skipped"}
    return f"{verdict}: {', '.join(f'{count} {words[status]}' for status, count in counted.items())}."


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    return {"healthy": healthy(findings), "findings": [one.as_json() for one in findings]}
