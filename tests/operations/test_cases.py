"""Every case of the group operations-config is run by a test that carries its id, here or where it is told."""

import json
import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
CASES: Final = {
    each["id"] for each in json.loads((TESTS / "attack_cases" / "operations-config.json").read_text())["cases"]
}
ELSEWHERE: Final = {
    "OP-012": ("test_architecture.py", "test_a_lock_pins_by_hash_and_names_no_place"),
    "OP-024": ("session/test_return_to.py", "ada_url"),
}
# They need what a test machine may not have: a network, a continuous integration, the foundation's test suite.
OUTSIDE: Final = {
    "OP-011": "the audit of the locks asks a database of advisories",
    "OP-014": "about the workflows of a continuous integration",
    "OP-021": "the conformance suite is a server of its own",
}


def test_every_case_is_claimed_once() -> None:
    text = "".join(file.read_text() for file in TESTS.rglob("test_*.py") if file != Path(__file__))
    claimed = set(re.findall(r'["(]{1,2}(OP-\d{3})', text)) & CASES
    assert CASES - claimed == (ELSEWHERE.keys() | OUTSIDE.keys()) - claimed
    assert not OUTSIDE.keys() & claimed


def test_what_is_shown_elsewhere_is_there() -> None:
    for identity, (file, word) in ELSEWHERE.items():
        assert word in (TESTS / file).read_text(), identity
