"""The tables of the threat model: each named test exists, each row is shown or says why not, none is missing."""

import ast
import re
from pathlib import Path

from tests.harness.places import ROOT

DOCUMENT = (ROOT / "docs" / "threat-model.md").read_text("utf-8")

# What a row may say instead of naming a test, with the reason after it.
REASONS = ("Not met", "Partly", "Not ours", "Not applicable", "By review")

# Sections that ask something of a backend-for-frontend, as numbered in each document.
RFC_10017 = """
    5.1.1 5.1.2 5.1.3 5.1.4 6.1.2.1 6.1.2.2 6.1.2.3 6.1.2.4 6.1.2.5 6.1.3.1 6.1.3.2 6.1.3.3 6.1.3.3.1 6.1.3.3.2
    6.1.3.3.3 6.1.3.4 6.1.3.5 6.1.3.6 6.1.3.7 6.1.4.1 6.1.4.2 8 9.1 9.2 9.3 9.4
"""
RFC_9700 = ["2.1", "2.1.1", "2.1.2", "2.2.1", "2.2.2", "2.3", "2.4", "2.5", "2.6", *(f"4.{n}" for n in range(1, 18))]

# Levels 1 and 2 of OWASP ASVS 5.0, in the chapters that are in scope as a whole: section, first, last requirement.
ASVS_WHOLE = """
    3.2:1-2 3.3:1-4 3.4:1-6 3.5:1-5 3.7:1-2 6.1:1-3 6.2:1-12 6.3:1-4 6.4:1-4 6.5:1-5 6.6:1-3 6.8:1-4 7.1:1-3
    7.2:1-4 7.3:1-2 7.4:1-5 7.5:1-2 7.6:1-2 9.1:1-3 9.2:1-4 10.1:1-2 10.2:1-2 10.3:1-4 10.4:1-11 10.5:1-5 10.6:1-2
    10.7:1-3 11.1:1-2 11.2:1-3 11.3:1-3 11.4:1-4 11.5:1-1 11.6:1-1 12.1:1-3 12.2:1-2 12.3:1-4 13.1:1-1 13.2:1-5
    13.3:1-2 13.4:1-5 14.1:1-2 14.2:1-4 14.3:1-3 16.1:1-1 16.2:1-5 16.3:1-4 16.4:1-3 16.5:1-3
"""
# Of the other chapters, what applies to a gateway.
ASVS_PARTLY = """
    1.1.1 1.1.2 1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.2.9 1.3.2 1.3.6 1.5.2 2.1.1 2.1.3 2.2.1 2.2.2 2.2.3 2.3.1 2.3.2
    2.3.3 2.3.4 2.4.1 4.1.1 4.1.2 4.1.3 4.2.1 4.3.1 4.3.2 4.4.1 4.4.2 4.4.3 4.4.4 5.2.1 5.3.2 8.2.1 8.2.2 8.3.1
    15.1.1 15.1.2 15.2.2 15.2.3 15.3.1 15.3.2 15.3.4 15.3.7
"""


def rows(heading: str) -> list[list[str]]:
    """The table rows below a heading of the second level, as cells; heads and rulers left out."""
    _, _, after = DOCUMENT.partition(f"\n## {heading}")
    assert after, heading
    lines = after.partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] not in ("section", "requirement")]


def spread(first_cell: str) -> set[str]:
    """`6.2.1–6.2.12` is twelve requirements; `6.1.3.2 (encryption)` is a second row of one."""
    first, _, last = first_cell.partition(" ")[0].partition("–")
    if not last:
        return {first}
    section, _, low = first.rpartition(".")
    return {f"{section}.{n}" for n in range(int(low), int(last.rpartition(".")[2]) + 1)}


def numbers(heading: str) -> set[str]:
    return set().union(*(spread(row[0]) for row in rows(heading)))


def asvs() -> set[str]:
    whole = set()
    for section, _, span in (entry.partition(":") for entry in ASVS_WHOLE.split()):
        low, _, high = span.partition("-")
        whole |= {f"{section}.{n}" for n in range(int(low), int(high) + 1)}
    return whole | set(ASVS_PARTLY.split())


IN_SCOPE = {"RFC 10017": set(RFC_10017.split()), "RFC 9700": set(RFC_9700), "OWASP ASVS 5.0": asvs()}


def test_every_requirement_in_scope_has_its_row_and_none_is_invented() -> None:
    assert {heading: numbers(heading) for heading in IN_SCOPE} == IN_SCOPE


def test_a_row_names_a_test_or_says_why_not() -> None:
    named = re.compile(r"`tests/[\w/]+\.py::\w+(::\w+)?`(, `tests/[\w/]+\.py::\w+(::\w+)?`)*")
    reason = re.compile(rf"({'|'.join(REASONS)}): \S.{{5,}}")
    for row in (row for heading in IN_SCOPE for row in rows(heading)):
        assert len(row) == 4, row
        assert all(row), row
        assert named.fullmatch(row[3]) or reason.match(row[3]), row


def defined_in(path: Path) -> set[str]:
    """The tests that a file defines, by name, or by class and name."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        functions = [member for member in members if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)]
        found |= {prefix + function.name for function in functions if function.name.startswith("test_")}
    return found


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", DOCUMENT)
    assert len(named) > 150
    files = {path for path, _ in named}
    assert {path for path in files if not (ROOT / path).is_file()} == set()
    known = {f"{path}::{name}" for path in files for name in defined_in(ROOT / path)}
    assert {f"{path}::{name}" for path, name in named} - known == set()
