"""Every case of the data plane, of caches, of floods and of logs is in the id of a test, or says why it is not."""

import json
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
GROUPS = ("proxy-http", "cache", "dos", "logs")


def group(name: str) -> dict[str, object]:
    read: dict[str, object] = json.loads((TESTS / "attack_cases" / f"{name}.json").read_text("utf-8"))
    return read


def shown() -> set[str]:
    """Ids as tests carry them: in a parameter, or in the name of a function with underscores."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        if path != Path(__file__):
            text = path.read_text("utf-8")
            found |= {f"{kind}-{number}" for kind, number in re.findall(r"(?<![A-Z])([A-Z]{2})[-_](\d{3})(?!\d)", text)}
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_every_case_is_shown_or_says_why_it_is_not(name: str) -> None:
    cases = {case["id"] for case in group(name)["cases"]}  # type: ignore[attr-defined]
    reasons = group(name).get("not_shown", {})
    assert isinstance(reasons, dict)
    assert cases - shown() <= set(reasons) <= cases
    assert all(len(reason) > 40 for reason in reasons.values())
