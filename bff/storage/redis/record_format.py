"""How the values of a record are written for Redis, and how its replies are read."""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from bff.errors import StoreUnavailable
from bff.session.session import Session
from bff.session.store import IndexName

RETENTION_AFTER_END = 86_400.0  # seconds that a record and its end reason stay after the end
_T = TypeVar("_T")


def server_time(answer: Any) -> float:
    return int(answer[0]) + int(answer[1]) / 1_000_000


def expiry_ms(session: Session) -> int:
    """In ms since the epoch. Clamped to the 64-bit range of Redis."""
    return int(min(session.ends_at + RETENTION_AFTER_END, 1e12) * 1000)


def entries_digest(session: Session, entries: tuple[tuple[IndexName, str], ...]) -> str:
    """Changes with the index entries, which are then written again before the record."""
    text = "\n".join((str(expiry_ms(session)), *(f"{name} {hashed}" for name, hashed in entries)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parsed(parse: Callable[[Any], _T], reply: Any) -> _T:
    try:
        return parse(reply)
    except (TypeError, ValueError, LookupError, AttributeError):
        raise StoreUnavailable("Redis returned an unexpected reply.", retry_after=1) from None
