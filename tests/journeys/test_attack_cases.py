"""Every case that only the whole application can show is shown by a journey."""

import json
import re
from pathlib import Path

import pytest

from tests.journeys.attack_cases import DIRECTORY


def shown() -> set[str]:
    files = (file.read_text() for file in Path(__file__).parent.glob("test_*.py") if file != Path(__file__))
    return {each for text in files for each in re.findall(r'"([A-Z]{2}-\d{3})[" ]', text)}


def test_every_case_of_the_callback_is_shown() -> None:
    cases = json.loads((DIRECTORY / "authorize-callback.json").read_text())["cases"]
    assert {case["id"] for case in cases} - shown() == set()


def test_every_case_of_back_channel_logout_is_shown() -> None:
    cases = json.loads((DIRECTORY / "back-channel-logout.json").read_text())["cases"]
    assert {case["id"] for case in cases} - shown() == set()


@pytest.mark.parametrize("group", ["cookie", "csrf"])
def test_a_case_that_says_where_it_is_shown_is_shown_there(group: str) -> None:
    root = DIRECTORY.parents[1]
    for identity, where in json.loads((DIRECTORY / f"{group}.json").read_text())["shown_elsewhere"].items():
        named = re.findall(r"tests/[\w/]+\.py", where)
        assert named, identity
        assert all(f'"{identity}"' in (root / file).read_text() for file in named), identity
