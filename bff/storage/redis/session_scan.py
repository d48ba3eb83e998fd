"""The keys of all sessions in Redis, in the order of SCAN: none, but one that can be continued later."""

import re
from dataclasses import dataclass
from typing import Final

from bff.session.session import SessionKey
from bff.session.store import InvalidPosition
from bff.storage.redis.client import RedisLink

_POSITION: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,20})\.([A-Za-z0-9_-]{43})?", re.ASCII)
_CURSORS: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class ScanPosition:
    """The number of a server and a cursor of its SCAN; of the names that this cursor returns, those after `after`."""

    server: int = 0
    cursor: int = 0
    after: str = ""

    @classmethod
    def parse(cls, text: str) -> "ScanPosition":
        """Raises InvalidPosition unless `text` is "" or was a position."""
        if not text:
            return cls()
        match = _POSITION.fullmatch(text)
        if match is None or int(match[2]) >= _CURSORS:
            raise InvalidPosition
        return cls(int(match[1]), int(match[2]), match[3] or "")

    def __str__(self) -> str:
        return f"{self.server}.{self.cursor}.{self.after}"


class SessionScan:
    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._pattern = re.sub(r"([*?\[\]^\\])", r"\\\1", prefix) + "{*}"
        self._named = re.compile(re.escape(prefix) + r"\{([A-Za-z0-9_-]{43})\}", re.ASCII)

    async def keys(self, after: str, count: int) -> tuple[list[SessionKey], str | None]:
        """At least one and at most `count` keys after the position `after`, and the position after them.

        None is the end. While Redis resizes its table SCAN may return a key twice. Raises InvalidPosition and
        StoreUnavailable.
        """
        position: ScanPosition | None = ScanPosition.parse(after)
        while position is not None:
            names, following = await self._link.scan(self._pattern, position.server, position.cursor)
            unsorted = {match[1] for name in names if (match := self._named.fullmatch(name.decode("latin-1")))}
            keys = [SessionKey(key) for key in sorted(unsorted) if key > position.after]
            if len(keys) > count:
                return keys[:count], str(ScanPosition(position.server, position.cursor, keys[count - 1]))
            position = None if following is None else ScanPosition(*following)
            if keys:
                return keys, None if position is None else str(position)
        return [], None
