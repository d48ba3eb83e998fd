"""The ports to the session store: sessions, end reasons, markers, one-time values and the revocation queue.

One object implements them all: SQLite and Redis do, and one contract suite tests both. A component names the port that
it needs. Every method raises `bff.errors.StoreUnavailable` when the store does not respond in time, and nothing else.
The store retries a write of unknown outcome itself, idempotently.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from bff.session.revocation import RevocationQueue
from bff.session.session import EndReason, Session, SessionKey
from bff.session.stored import Found as Found
from bff.session.stored import KeyRemoved as KeyRemoved
from bff.session.stored import Missing as Missing
from bff.session.stored import StoredSession as StoredSession
from bff.session.stored import StoredView as StoredView
from bff.session.stored import Viewed as Viewed

VALUE_LIMIT: Final = 32 * 1024  # bytes of one one-time value

# `id` is the fingerprint of the session.
IndexName: TypeAlias = Literal["sub", "sid", "email", "browser", "id"]


class InvalidPosition(ValueError):
    """A position that no page of this store has returned."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and the position of the next ones; None at the end."""

    records: Sequence[Found | KeyRemoved]
    following: str | None


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys of records, and the position of the next ones; None at the end."""

    keys: Sequence[SessionKey]
    following: str | None


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What one step of `rewrap` did: how many records it encrypted again, found under the newest key, could not open
    with any key, and could not change because other writes kept changing them.
    """

    rewrapped: int = 0
    newest: int = 0
    unreadable: int = 0
    changing: int = 0

    def __add__(self, other: "Rewrapped") -> "Rewrapped":
        return Rewrapped(
            self.rewrapped + other.rewrapped,
            self.newest + other.newest,
            self.unreadable + other.unreadable,
            self.changing + other.changing,
        )

    @property
    def records(self) -> int:
        return self.rewrapped + self.newest + self.unreadable + self.changing


@dataclass(frozen=True, slots=True)
class Deleted:
    """What one call deleted. `complete` is False when it is unknown of some keys whether they are deleted."""

    sessions: Sequence[Session]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Replaced:
    """`done` is False when the version had changed or the record is gone: the caller reads and decides again."""

    now: float
    done: bool


class SessionRecords(Protocol):
    async def now(self) -> float:
        """The store's clock, in seconds since the epoch."""
        ...

    async def create(self, session: Session) -> None:
        """Stores a new record, indexed by every `IndexName`; last seen now."""
        ...

    async def get(self, key: SessionKey) -> StoredSession:
        """The record of that key.

        A record that cannot be parsed, or ended more than a day ago, counts as missing.
        """
        ...

    async def get_many(self, keys: Sequence[SessionKey]) -> Sequence[StoredView | BaseException]:
        """As `get` for each key, with the error in the place of a record. For some hundred keys, looked at again and
        again: a record that this process has read, and that has not changed, need not be read as a whole.
        """
        ...

    async def replace(self, session: Session, expected_version: int) -> Replaced:
        """Writes `session` if the stored version is `expected_version`.

        Never creates: a deleted record stays deleted.
        """
        ...

    async def touch(self, key: SessionKey, last_seen_at: float) -> None:
        """Moves last_seen_at forward (never back), without a new version. A missing record stays missing."""
        ...

    async def delete(self, key: SessionKey, reason: EndReason, expected_version: int | None = None) -> Session | None:
        """Deletes the record and stores its end reason for `take_end_reason`, atomically.

        Returns the deleted session. With `expected_version` only that version is deleted: a decision on an older
        version must be repeated.
        """
        ...

    async def delete_all(self, keys: Sequence[SessionKey], reason: EndReason) -> Deleted:
        """As `delete` for each key, in few operations. For some hundred keys; more would delay other callers."""
        ...

    async def find(self, index: IndexName, value: str) -> Sequence[Session]:
        """All live records with that value in that index; index entries without a record are removed on the way."""
        ...

    async def page(self, after: str = "", count: int = 100) -> Page:
        """At most `count` records after the position `after`, also those that no key opens; "" is the beginning.

        It may have fewer, even none, before the end. Records created or deleted meanwhile may or may not be included.
        SQLite returns the newest sessions first; Redis has no order, and may return a record twice. Raises
        InvalidPosition.
        """
        ...

    async def keys(self, after: str = "") -> KeyPage:
        """As `page`, without reading the records; in an order and with positions of its own."""
        ...


async def all_records(store: SessionRecords) -> AsyncIterator[Found | KeyRemoved]:
    """Every record, page by page, for operators: it reads the whole store."""
    position: str | None = ""
    while position is not None:
        page = await store.page(position)
        for record in page.records:
            yield record
        position = page.following


class EndReasons(Protocol):
    """Why sessions ended, each kept for a day. `SessionRecords.delete` stores them too."""

    async def put_end_reason(self, name: str, reason: EndReason) -> None:
        """Stores an end reason under another name (a browser's hash)."""
        ...

    async def put_end_reasons(self, names: Sequence[str], reason: EndReason) -> None:
        """As `put_end_reason` for each name, in few operations."""
        ...

    async def take_end_reason(self, name: str, *, keep: float = 0.0) -> EndReason | None:
        """Reads and removes the end reason stored under a session key or a browser's hash.

        With `keep` it is removed only so many seconds after the first such call: until then, every caller reads it.
        """
        ...

    async def get_end_reason(self, name: str) -> EndReason | None:
        """What `take_end_reason` would return, without removing it."""
        ...


class Markers(Protocol):
    """Facts that every replica has to know until they expire: logout markers, and values that count once."""

    async def put_marker(self, name: str, at: float, until: float) -> None:
        """Stores a marker: an event of that name happened at `at`.

        The latest `at` is kept. Reading does not consume it, and it expires after `until`. Both are seconds since the
        epoch.
        """
        ...

    async def get_marker(self, name: str) -> float | None:
        """The latest `at` of that name, None if there is no unexpired marker."""
        ...

    async def claim_once(self, name: str, until: float) -> bool:
        """True for the first caller of that name until `until`, False for every other one."""
        ...


class OneTimeValues(Protocol):
    async def leave_value(self, name: str, value: bytes, until: float) -> None:
        """Stores `value`, sealed, for the first `take_value` of that name before `until` (seconds since the epoch).

        Only a hash of the name is stored, and a name is used once. `value` is at most `VALUE_LIMIT` bytes (ValueError).
        """
        ...

    async def take_value(self, name: str) -> bytes | None:
        """Reads and removes the value of that name: one caller gets it, every other one None."""
        ...


class StoreMaintenance(Protocol):
    async def purge_expired(self) -> int:
        """Removes expired data; returns the number of records removed. A no-op where records expire by themselves."""
        ...

    def rewrap(self) -> AsyncIterator[Rewrapped]:
        """Encrypts every record again that is under an older key, and indexes it under the newest one, in steps.

        A record's content and version stay, so a concurrent `replace` is neither lost nor refused. It may be stopped
        after any step: the next call skips what is done.
        """
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable unless the store can read and write."""
        ...

    async def eviction_policy(self) -> str | None:
        """How records are evicted when memory runs out: "noeviction" if never, None if unknown."""
        ...

    async def close(self) -> None: ...


class SessionStore(SessionRecords, EndReasons, Markers, OneTimeValues, StoreMaintenance, Protocol):
    """All of it, as the adapters implement it and the composition root opens it."""

    @property
    def revocations(self) -> RevocationQueue:
        """Tokens of sessions that have ended, waiting to be revoked."""
        ...
