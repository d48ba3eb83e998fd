"""One thing in the org that is not as the settings want it: what, why it matters, and who fixes it how."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Part: TypeAlias = Literal["app", "status", "groups", "trusted_origins", "access_policy", "credentials", "server"]


@dataclass(frozen=True, slots=True)
class Difference:
    """`name` is stable. `has` and `wants` are values as Okta writes them, never a secret.

    `by` is "apply" where `bff okta apply` fixes it, "manual" where only a person can; `fix` says how, in either case.
    """

    part: Part
    name: str
    actual: Any
    expected: Any
    why: str
    fix: str
    by: Literal["apply", "manual"] = "apply"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Findings:
    """Differences count for the exit code; notes do not."""

    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.differences + other.differences, self.notes + other.notes)

    def of(self, part: Part) -> tuple[Difference, ...]:
        """Those of one part that `apply` can fix."""
        return tuple(
            difference for difference in self.differences if difference.part == part and difference.by == "apply"
        )
