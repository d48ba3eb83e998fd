"""The result of one check: its status, what was observed, and how to fix it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`name` is part of the JSON contract. No text contains a secret; `fix` is empty only if nothing is to be done."""

    name: str
    status: Status
    observed: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ok(name: str, observed: str) -> CheckResult:
    return CheckResult(name, "ok", observed)


def warn(name: str, observed: str, fix: str) -> CheckResult:
    """Allowed, but probably not intended, or not observable from here."""
    return CheckResult(name, "warn", observed, fix)


def fail(name: str, observed: str, fix: str) -> CheckResult:
    """Users cannot sign in, or one of the two promises does not hold."""
    return CheckResult(name, "fail", observed, fix)


def skipped(name: str, why: str, fix: str) -> CheckResult:
    return CheckResult(name, "skipped", why, fix)
