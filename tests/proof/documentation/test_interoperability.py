"""The table of docs/interoperability.md has the providers, versions and journeys of `make test-providers`."""

import re
from collections.abc import Iterator

from tests.providers.conftest import PROVIDERS
from tests.providers.interoperability import BEGIN, DOCUMENT, END, ROWS


def table() -> Iterator[list[str]]:
    written = DOCUMENT.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    for line in written.strip().splitlines():
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_table_is_of_the_pinned_versions_and_has_every_journey() -> None:
    heads, _, *rows = table()
    assert heads == ["", *(f"{provider.name} {provider.version}" for provider in PROVIDERS)]
    assert [row[0] for row in rows] == list(ROWS.values())
    assert {len(row) for row in rows} == {len(PROVIDERS) + 1}
    assert all(cell for row in rows for cell in row)


def test_the_versions_are_exact() -> None:
    for provider in PROVIDERS:
        assert re.fullmatch(r"\d+\.\d+\.\d+", provider.version), provider.name
