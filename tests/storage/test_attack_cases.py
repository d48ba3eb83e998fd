"""Every attack case of this group is covered here by its id, or says where it is shown."""

from pathlib import Path

from tests.storage.example_session import CASES


def test_every_case_of_the_group_is_covered() -> None:
    sources = "".join(each.read_text() for each in Path(__file__).parent.glob("*.py"))
    missing = {each["id"] for each in CASES if f'case("{each["id"]}")' not in sources and "shown_elsewhere" not in each}
    assert missing == set()
