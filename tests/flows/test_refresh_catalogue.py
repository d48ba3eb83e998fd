"""Every refresh case of the attack catalogue is in the id of a test that runs."""

import json
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_every_refresh_case_is_claimed_by_a_test() -> None:
    cases = json.loads((TESTS / "attack_cases" / "refresh-rotation.json").read_text())["cases"]
    text = "".join(file.read_text() for file in TESTS.rglob("test_*.py"))
    claimed = {found.replace("_", "-") for found in re.findall(r"RF[-_]\d{3}", text)}
    assert {case["id"] for case in cases} - claimed == set()
