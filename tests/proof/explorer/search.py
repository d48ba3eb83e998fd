"""Walks through every reachable state, checks the invariants at every step and prints the way to a violation."""

from collections import Counter, deque
from dataclasses import dataclass, field
from operator import ge

from tests.proof.explorer.identity import forget, identity
from tests.proof.explorer.invariants import broken
from tests.proof.explorer.network import steps
from tests.proof.explorer.provider import LIFE
from tests.proof.explorer.world import START, Budget, Setting, Step, World, beginning

BOUND = 3 * LIFE  # seconds; invariant 10: a live session has a fresh token that soon after the last fault
DONE = -1


@dataclass
class Report:
    """`states` visited, how often each fact was seen, and the first violation as a numbered story."""

    states: int = 0
    steps: int = 0
    facts: Counter[str] = field(default_factory=Counter)
    violation: str | None = None
    slowest: int = 0  # seconds until a fresh token, from the worst state

    def __str__(self) -> str:
        return self.violation or f"{self.states} states, {self.steps} steps, fresh within {self.slowest} s"


def explore(setting: Setting, *, at_most: int = 5_000_000) -> Report:
    """Breadth first, so that a violation is told in the fewest steps. A run that does not end within `at_most` states
    proves nothing and raises."""
    report = Report()
    first = beginning(setting)
    known: dict[bytes, list[tuple[Budget, int]]] = {identity(first, setting): [(first.left, 0)]}
    came_from, told = [DONE], [f"t={first.now - START:<3} the session is due for renewal"]
    onward, waits = [DONE], bytearray([0])  # invariant 10: where a world without faults goes from here
    queue: deque[tuple[int, World]] = deque([(0, first)])
    while queue:
        number, world = queue.popleft()
        fair: Step | None = None
        fair_to = DONE
        for step in steps(world, setting):
            report.steps += 1
            report.facts.update(step.facts)
            what = broken(world, step, setting)
            if what is not None:
                report.violation = _story(number, came_from, told, world, step, what)
                report.states = len(told)
                return report
            after = forget(step.world, setting)
            key = identity(after, setting)
            same = known.setdefault(key, [])
            # What can happen with fewer faults left can happen with more: such a world brings nothing new.
            to = next((number for left, number in same if all(map(ge, left, after.left))), DONE)
            if to == DONE:
                to = len(told)
                same.append((after.left, to))
                if to > at_most:
                    raise RuntimeError(f"more than {at_most} states")
                came_from.append(number)
                told.append(f"t={world.now - START:<3} {step.story}")
                onward.append(DONE)
                waits.append(0)
                queue.append((to, after))
            if fair is None and step.kind in ("replica", "provider", "caller", "time") and not _is_fresh(world):
                fair, fair_to = step, to
        if fair is not None:
            onward[number], waits[number] = fair_to, fair.kind == "time"
        elif not _is_fresh(world):
            report.violation = _story(number, came_from, told, world, None, "invariant 10: nothing can happen any more")
            break
    report.states = len(told)
    if report.violation is None:
        _invariant_10(report, onward, waits, came_from, told)
    return report


def _is_fresh(world: World) -> bool:
    record = world.record
    if record is None:
        return True
    return record.attempt is None and world.now < record.tokens.refresh_at and world.now < record.tokens.usable_until


def _invariant_10(report: Report, onward: list[int], waits: bytearray, came_from: list[int], told: list[str]) -> None:
    """From every state, when faults stop and callers keep coming, a fresh token is reached within the bound."""
    seconds = [-1] * len(onward)
    for start in range(len(onward)):
        path, at = [], start
        while at != DONE and seconds[at] < 0:
            if seconds[at] == -2:
                report.violation = _story(
                    at, came_from, told, None, None, "invariant 10: round and round, and nothing new"
                )
                return
            seconds[at] = -2
            path.append(at)
            at = onward[at]
        left = 0 if at == DONE else seconds[at]
        for number in reversed(path):
            left += waits[number]
            seconds[number] = left
        if left > BOUND:
            report.violation = _story(
                start, came_from, told, None, None, f"invariant 10: no fresh token for {left} seconds"
            )
            return
        report.slowest = max(report.slowest, left)


def _story(
    number: int, came_from: list[int], told: list[str], world: World | None, step: Step | None, what: str
) -> str:
    lines = [f"t={world.now - START:<3} {step.story}"] if world and step else []
    while number != DONE:
        lines.append(told[number])
        number = came_from[number]
    return "\n".join([f"{at:>3}. {line}" for at, line in enumerate(reversed(lines))] + [f"  => {what}"])
