"""The results so far, in a file, so that a run can be interrupted."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """`figures` by the heading of their column; `load` is the load average of the machine."""

    store: str
    sessions: int
    measurement: str
    figures: dict[str, str]
    at: str
    load: str


class Results:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.all = [Result(**result) for result in json.loads(path.read_text())] if path.exists() else []

    def has(self, store: str, sessions: int, measurement: str) -> bool:
        return bool(self.of(measurement, sessions, store))

    def of(self, measurement: str, sessions: int | None = None, store: str | None = None) -> list[Result]:
        chosen = [result for result in self.all if result.measurement == measurement]
        chosen = [result for result in chosen if sessions in (None, result.sessions) and store in (None, result.store)]
        return sorted(chosen, key=lambda result: (result.store != "sqlite", result.sessions))

    def add(self, result: Result) -> None:
        """Replaces an earlier one, and writes the file."""
        replaced = self.of(result.measurement, result.sessions, result.store)
        self.all = [kept for kept in self.all if kept not in replaced] + [result]
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps([asdict(kept) for kept in self.all], indent=1, ensure_ascii=False))
        partial.rename(self._path)
