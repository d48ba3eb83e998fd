"""Which heads are recognized by their headers."""

import pytest

from bff.asgi.header_section import HeaderSection
from bff.server.header_sections import SECTION_LIMIT, HeaderSections, KnownHead

FIELDS = [(b"host", b"a"), (b"cookie", b"s=1")]
REST = b"Host: a\r\nCookie: s=1\r\n\r\n"
LINE = b"GET /api/x HTTP/1.1\r\n"


def known(head: bytes, *, of: bytes = LINE + REST) -> KnownHead | None:
    sections = HeaderSections()
    for _ in range(2):
        sections.add(of, FIELDS)
    return sections.find(head)


def test_the_same_headers_are_found_behind_another_request_line() -> None:
    assert known(LINE + REST) == ("GET", b"/api/x", b"", HeaderSection(FIELDS))
    assert known(b"HEAD /b%20c?q=1&r=? HTTP/1.1\r\n" + REST) == ("HEAD", b"/b%20c", b"q=1&r=?", tuple(FIELDS))


@pytest.mark.parametrize(
    "head",
    [
        LINE + REST.replace(b"s=1", b"s=2"),
        LINE + REST.lower(),
        LINE + REST[:-2] + b"X: y\r\n\r\n",
        LINE + REST + b"x",
        *(
            line + REST
            for line in (
                b"POST /api/x HTTP/1.1\r\n",
                b"GET /api/x HTTP/1.0\r\n",
                b"GET  /api/x HTTP/1.1\r\n",
                b" GET /api/x HTTP/1.1\r\n",
                b"get /api/x HTTP/1.1\r\n",
                b"GET /api/x HTTP/1.1\n",
                b"GET /api/x HTTP/1.1\r\n\r\n",
                b"GET http://a/api/x HTTP/1.1\r\n",
                b"GET * HTTP/1.1\r\n",
                b"GET /api/x#y HTTP/1.1\r\n",
                b"GET /api/\xe9 HTTP/1.1\r\n",
                b"GET /api/x\0 HTTP/1.1\r\n",
                b"GET /api\\x HTTP/1.1\r\n",
                b"GET /api/x HTTP/1.1 \r\n",
            )
        ),
    ],
)
def test_any_other_head_goes_through_the_parser(head: bytes) -> None:
    assert known(head) is None


def test_headers_that_came_once_or_are_too_long_are_not_kept() -> None:
    sections = HeaderSections()
    sections.add(LINE + REST, FIELDS)
    assert sections.find(LINE + REST) is None
    long = LINE + b"Host: a\r\nCookie: " + b"s" * SECTION_LIMIT + b"\r\n\r\n"
    assert known(long, of=long) is None


def test_the_memory_is_limited_and_the_latest_are_kept() -> None:
    sections = HeaderSections(20_000)
    heads = [LINE + REST.replace(b"s=1", b"s=%d" % number) for number in range(100)]
    for head in heads:
        sections.add(head, FIELDS)
        sections.add(head, FIELDS)
    found = [sections.find(head) is not None for head in heads]
    assert 5 < found.count(True) < 15
    assert found == sorted(found)
    none = HeaderSections(0)
    for _ in range(2):
        none.add(heads[0], FIELDS)
    assert none.find(heads[0]) is None
