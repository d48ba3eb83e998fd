"""The catalogue of attack cases in `tests/cases`, and which test shows which of them.

A test names its cases with `@pytest.mark.case("RF-001")`, or a parameter of it begins its id with one
(`pytest.param(..., id="IT-001 unsigned")`). `pytest --case RF-001` runs the tests of a case. `--all-cases` fails
the run if no collected test shows one of the cases, unless its group gives a reason in `not_shown`.
"""

import json
import re

import pytest

from tests.harness.places import CASES

_ID = re.compile(r"(?<![A-Z])[A-Z]{2}-\d{3}(?!\d)")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--case", metavar="ID", action="append", default=[], help="run only the tests of this attack case")
    parser.addoption("--all-cases", action="store_true", help="fail if no test shows one of the attack cases")


@pytest.hookimpl(tryfirst=True)  # before -m and -k deselect: a test that runs elsewhere shows its cases too
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    known, excused = _read()
    shown = {item: _cases_of(item) for item in items}
    for item, cases in shown.items():
        if unknown := cases - known:
            raise pytest.UsageError(f"{item.nodeid}: tests/cases has no {', '.join(sorted(unknown))}")
    if config.getoption("all_cases") and (missing := known - excused - set().union(*shown.values())):
        raise pytest.UsageError(f"no test shows {', '.join(sorted(missing))}; mark one with pytest.mark.case")
    if wanted := set(config.getoption("case")):
        config.hook.pytest_deselected(items=[item for item in items if not shown[item] & wanted])
        items[:] = [item for item in items if shown[item] & wanted]


def _cases_of(item: pytest.Item) -> set[str]:
    marked = {str(case) for mark in item.iter_markers("case") for case in mark.args}
    callspec = getattr(item, "callspec", None)
    return marked | set(_ID.findall(callspec.id if callspec else ""))


def _read() -> tuple[set[str], set[str]]:
    """The ids of all cases, and of those that no test can show."""
    known: set[str] = set()
    excused: set[str] = set()
    for file in CASES.glob("*.json"):
        group = json.loads(file.read_text("utf-8"))
        known |= {case["id"] for case in group["cases"]}
        excused |= set(group.get("not_shown", {}))
    return known, excused
