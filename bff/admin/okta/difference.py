"""One difference between the org and the settings: what differs, why it matters, and how it is fixed."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Part: TypeAlias = Literal[
    "app",
    "status",
    "groups",
    "trusted_origins",
    "access_policy",
    "credentials",
    "server",
    "event_stream",
    "api_tokens",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """`name` is part of the JSON contract, and does not change.

    `actual` and `expected` are values in Okta's format, never a secret. `by` is "apply" if `bff okta apply` fixes it,
    "manual" if an administrator has to; `fix` says how in both cases.
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
    """Differences determine the exit code; notes do not."""

    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.differences + other.differences, self.notes + other.notes)

    def of(self, part: Part) -> tuple[Difference, ...]:
        """The differences of one part that `apply` can fix."""
        return tuple(
            difference for difference in self.differences if difference.part == part and difference.by == "apply"
        )
