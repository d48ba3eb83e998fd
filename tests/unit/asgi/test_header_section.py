"""Facts belong to the very headers that they were derived from."""

from bff.asgi.header_section import HeaderSection, facts_of

FIELDS = [(b"host", b"a"), (b"accept", b"*/*")]


def test_only_shared_headers_have_facts_and_copies_of_them_have_none() -> None:
    section = HeaderSection(FIELDS)
    assert list(section) == FIELDS
    assert section == tuple(FIELDS)
    facts = facts_of(section)
    assert facts == {}
    assert facts_of(section) is facts
    changed = (list(section), tuple(section), [*section, (b"x", b"y")], section[:1], section + section, FIELDS)
    assert [facts_of(headers) for headers in changed] == [None] * len(changed)


def test_two_sections_with_the_same_headers_share_no_facts() -> None:
    assert facts_of(HeaderSection(FIELDS)) is not facts_of(HeaderSection(FIELDS))
