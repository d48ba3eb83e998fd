"""Many index entries, to be written in the order of the index.

Each page of the index that gets several of them is then written once. An entry takes 86 bytes here, a sixth of what it
would take as a tuple.
"""

from collections.abc import Iterator
from typing import Final

_HASH: Final = 43  # characters, of both the hash and the session key
_ENTRY: Final = 2 * _HASH

Entry = tuple[str, str, str]


class SortedEntries:
    """Of indexes whose entries are hashes of 43 characters; with a session key each."""

    def __init__(self) -> None:
        # By name and first character of the hash, so that only small parts are sorted at a time.
        self._parts: dict[tuple[str, str], bytearray] = {}

    def add(self, name: str, hashed: str, key: str) -> None:
        part = self._parts.get((name, hashed[0]))
        if part is None:
            part = self._parts[name, hashed[0]] = bytearray()
        part += (hashed + key).encode("ascii")

    def take(self, count: int) -> Iterator[list[Entry]]:
        """Lists of `count` entries, in the order of name, hash and key. Each is forgotten when it has been returned."""
        taken: list[Entry] = []
        for name, first in sorted(self._parts):
            part = self._parts.pop((name, first)).decode("ascii")
            for entry in sorted(part[start : start + _ENTRY] for start in range(0, len(part), _ENTRY)):
                taken.append((name, entry[:_HASH], entry[_HASH:]))
                if len(taken) == count:
                    yield taken
                    taken = []
        if taken:
            yield taken
