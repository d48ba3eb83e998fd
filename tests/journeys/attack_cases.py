"""Puts the ids of attack cases into the ids of the journeys that show them."""

import json
from pathlib import Path
from typing import Final

import pytest

DIRECTORY: Final = Path(__file__).parents[1] / "attack_cases"
GROUPS: Final = (
    *("authorize-callback", "back-channel-logout", "cache", "cookie", "csrf", "dos", "id-token", "logs"),
    *("operations-config", "proxy-http", "refresh-rotation"),
)
KNOWN: Final = {
    each["id"] for group in GROUPS for each in json.loads((DIRECTORY / f"{group}.json").read_text())["cases"]
}


def case(*ids: str) -> pytest.MarkDecorator:
    """The test runs once and carries all these ids."""
    assert set(ids) <= KNOWN, ids
    return pytest.mark.parametrize("attack", [" ".join(ids)], ids=[" ".join(ids)])
