"""Every attack case of the groups id-token and jwks-discovery is tried by a test that names it, or elsewhere."""

import json
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ELSEWHERE = {
    "IT-023": "an issuer that isn't set is refused by the settings",
    "IT-073": "another sub after a refresh ends the session: the flow's to compare and to prove",
}


def cases(group: str) -> list[str]:
    document = json.loads((TESTS / "attack_cases" / f"{group}.json").read_text())
    return [case["id"] for case in document["cases"]]


def claimed() -> set[str]:
    """The ids that stand in a test's id (`id="IT-001 ..."`) or among its cases (`parametrize("case", ["IT-049"])`)."""
    found: set[str] = set()
    for package in ("oidc", "provider"):
        for file in (TESTS / package).glob("test_*.py"):
            if file.name != Path(__file__).name:
                text = file.read_text()
                found.update(re.findall(r'id=f?"((?:IT|JK)-[0-9]{3})', text))
                for listed in re.findall(r'parametrize\("case", \[([^]]*)\]', text):
                    found.update(re.findall(r"(?:IT|JK)-[0-9]{3}", listed))
    return found


@pytest.mark.parametrize("group", ["id-token", "jwks-discovery"])
def test_every_case_is_claimed(group: str) -> None:
    known = cases(group)
    assert known
    assert set(known) - claimed() - ELSEWHERE.keys() == set()


def test_no_test_claims_a_case_that_does_not_exist() -> None:
    known = {*cases("id-token"), *cases("jwks-discovery")}
    assert (claimed() | ELSEWHERE.keys()) - known == set()
    assert claimed() & ELSEWHERE.keys() == set()
