"""What one check found: whether it holds, what was seen, and what the operator does next."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`name` is stable. Neither text holds a secret; `mend` is empty only where there is nothing to do."""

    name: str
    status: Status
    seen: str
    mend: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ok(name: str, seen: str) -> CheckResult:
    return CheckResult(name, "ok", seen)


def warn(name: str, seen: str, mend: str) -> CheckResult:
    """Allowed, and yet likely not what was meant, or not to be seen from here."""
    return CheckResult(name, "warn", seen, mend)


def fail(name: str, seen: str, mend: str) -> CheckResult:
    """People cannot sign in, or one of the two promises does not hold."""
    return CheckResult(name, "fail", seen, mend)


def skipped(name: str, why: str, mend: str) -> CheckResult:
    return CheckResult(name, "skipped", why, mend)
