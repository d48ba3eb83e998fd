"""What one check found: whether it holds, what was seen, and what the operator does next."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`name` is stable. Neither text holds a secret; `fix` is empty only where there is nothing to do."""

    name: str
    status: Status
    observed: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ok(name: str, observed: str) -> CheckResult:
    return CheckResult(name, "ok", observed)


def warn(name: str, observed: str, fix: str) -> CheckResult:
    """Allowed, and yet likely not what was meant, or not to be seen from here."""
    return CheckResult(name, "warn", observed, fix)


def fail(name: str, observed: str, fix: str) -> CheckResult:
    """People cannot sign in, or one of the two promises does not hold."""
    return CheckResult(name, "fail", observed, fix)


def skipped(name: str, why: str, fix: str) -> CheckResult:
    return CheckResult(name, "skipped", why, fix)
