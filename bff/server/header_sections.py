"""The header sections that were received before: a head with the same headers is not parsed and checked again.

The bytes after the request line are the key, so a section is found only if every byte is the same. Sections come from
complete heads that the parser and `request_framing` accepted; a request line is always read anew. What is kept has no
body, asks for no other protocol, and leaves the connection open.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from bff.asgi.header_section import Header, HeaderSection
from bff.lru import LruCache

SECTION_LIMIT: Final = 4096  # bytes of a section that is kept
CACHE: Final = 6 << 20  # bytes of memory for sections

# Request lines that every parser reads alike. Any other goes through the parser.
_LINE: Final = re.compile(
    rb"(GET|HEAD) (/[A-Za-z0-9._~:@!$&'()*+,;=%/-]*)(?:\?([A-Za-z0-9._~:@!$&'()*+,;=%/?-]*))? HTTP/1\.1\r\n"
)
# The memory of an entry, as measured, with the facts of four routes.
_ENTRY: Final = 1500  # bytes
_FIELD: Final = 150  # bytes for each header
_SEEN_LIMIT: Final = 8192  # hashes, of 60 bytes each


class KnownHead(NamedTuple):
    method: str
    raw_path: bytes
    query: bytes
    headers: HeaderSection


class HeaderSections:
    """Those of one server, whose connections share them."""

    def __init__(self, limit: int = CACHE) -> None:
        """`limit`: bytes of memory; 0 keeps nothing."""
        self._sections: LruCache[bytes, HeaderSection] = LruCache(limit, _memory_of)
        self._seen: set[int] = set()  # hashes of sections that came once

    def find(self, head: bytes) -> KnownHead | None:
        """What the parser would make of a complete head; None if its headers are not kept, or its line is unusual."""
        line = _LINE.match(head)
        if line is None:
            return None
        section = self._sections.get(head[line.end() :])
        if section is None:
            return None
        method, raw_path, query = line.groups()
        return KnownHead("GET" if method == b"GET" else "HEAD", raw_path, query or b"", section)

    def add(self, head: bytes, headers: Sequence[Header]) -> None:
        """For a complete head that was accepted as a request of HTTP/1.1 without a body, after which the connection
        stays open. Headers are kept if they come for the second time: those with an id of the request never do.
        """
        section = head[head.find(b"\r\n") + 2 :]
        if len(section) > SECTION_LIMIT:
            return
        if hash(section) not in self._seen:
            if len(self._seen) >= _SEEN_LIMIT:
                self._seen.clear()
            self._seen.add(hash(section))
            return
        self._sections.put(section, HeaderSection(headers))


def _memory_of(section: bytes, headers: HeaderSection) -> int:
    return _ENTRY + 2 * len(section) + _FIELD * len(headers)
