"""What the store returns for the key of a session."""

from dataclasses import dataclass
from typing import TypeAlias

from bff.session.session import Session
from bff.session.session_view import SessionView


class Viewed:
    """What a request needs of a record, read when the store's clock showed `now`: the only clock for leases and
    expiries.

    `older_key`: it is sealed under an older key, so the next write re-encrypts it.
    """

    __slots__ = ("last_seen_at", "now", "older_key", "view")

    def __init__(self, now: float, view: SessionView, last_seen_at: float, older_key: bool = False) -> None:
        self.now, self.view, self.last_seen_at, self.older_key = now, view, last_seen_at, older_key

    def seen_now(self) -> "Viewed":
        """The same after activity at the time of the read."""
        return Viewed(self.now, self.view, self.now, self.older_key)


class Found(Viewed):
    """The record itself: all of the session, for a write, or for another token than the access token."""

    __slots__ = ("_session",)

    def __init__(self, now: float, session: Session, last_seen_at: float, older_key: bool = False) -> None:
        super().__init__(now, session, last_seen_at, older_key)
        self._session: Session | None = session

    @property
    def session(self) -> Session:
        """Raises StoreUnavailable where the record has yet to be opened, and its key is gone since it was read."""
        return self._session or self._open()

    def _open(self) -> Session:
        raise NotImplementedError  # of a record that is opened later (`bff.storage.decoded_records`)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Found) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Found(now={!r}, session={!r}, last_seen_at={!r}, older_key={!r})".format(*self._values())

    def _values(self) -> tuple[float, Session, float, bool]:
        return self.now, self.session, self.last_seen_at, self.older_key


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no record, or none that can be read."""

    now: float


@dataclass(frozen=True, slots=True)
class KeyRemoved:
    """There is a record, but no key of this ring opens it."""

    now: float


StoredSession: TypeAlias = Found | Missing | KeyRemoved
StoredView: TypeAlias = Viewed | Missing | KeyRemoved
