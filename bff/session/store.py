"""What the rest of the house may ask of a session store. SQLite and Redis answer; one contract suite holds both.

Every method raises `bff.errors.StoreUnavailable` when the store cannot answer in time; nothing else leaves the room.
A write whose outcome is unknown is retried by the store itself, idempotently, before it gives up.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from bff.session.revocation import RevocationQueue
from bff.session.session import EndReason, Session, SessionKey

VALUE_LIMIT: Final = 32 * 1024  # bytes of one value that is left to be taken once

IndexName: TypeAlias = Literal["sub", "sid", "email", "browser"]


class StoredSession(NamedTuple):
    """A record as it stands. `now` is the store's own clock, the only one that leases and expiries are judged by.

    `older_key`: it was sealed under a key that is not the newest any more, so the next write seals it anew.
    `key_removed`: there is a record, and no key of this ring opens it; `session` is None then.
    """

    now: float
    session: Session | None
    last_seen_at: float = 0.0
    older_key: bool = False
    key_removed: bool = False


@dataclass(frozen=True, slots=True)
class Replaced:
    """`done` is False when the version had moved or the record is gone: the caller reads again and decides again."""

    now: float
    done: bool


class SessionStore(Protocol):
    @property
    def revocations(self) -> RevocationQueue:
        """Tokens of sessions that have ended, waiting to be revoked."""
        ...

    async def now(self) -> float:
        """The store's clock, in seconds since the epoch."""
        ...

    async def create(self, session: Session) -> None:
        """Stores a new record, indexed by `user.sub`, `sid`, `user.email` and `browser`; last seen now."""
        ...

    async def get(self, key: SessionKey) -> StoredSession:
        """The record, or `session=None`. A record that cannot be opened or is past `ends_at` by a day is no record."""
        ...

    async def replace(self, session: Session, expected_version: int) -> Replaced:
        """Writes `session` if the stored version is `expected_version`. Never creates: what is deleted stays so."""
        ...

    async def touch(self, key: SessionKey, last_seen_at: float) -> None:
        """Moves last-seen forward (never back), without a new version. A missing record stays missing."""
        ...

    async def delete(self, key: SessionKey, reason: EndReason, expected_version: int | None = None) -> Session | None:
        """Deletes the record and leaves an end marker for `take_end_reason`, in one step. Returns what was deleted.

        With `expected_version` only that version is deleted: whoever decided on an older one must decide again.
        """
        ...

    async def put_end_reason(self, name: str, reason: EndReason) -> None:
        """Leaves an end marker under another name (a browser's hash), kept for a day."""
        ...

    async def take_end_reason(self, name: str) -> EndReason | None:
        """Reads and removes the end marker left under a session key or a browser's hash."""
        ...

    async def get_end_reason(self, name: str) -> EndReason | None:
        """What `take_end_reason` would answer, without taking it."""
        ...

    async def find(self, index: IndexName, value: str) -> Sequence[Session]:
        """All live records with that value in that index; index entries without a record are cleaned on the way."""
        ...

    def all(self) -> AsyncIterator[StoredSession]:
        """Every record, those that no key opens too (without a session), for operators: it reads the whole store.

        What is created or deleted meanwhile may be missing, or be there still.
        """
        ...

    async def put_marker(self, name: str, at: float, until: float) -> None:
        """Leaves a tombstone: something of that name happened at `at`. The latest `at` of several is kept.

        It is read without being consumed, and forgotten after `until`. Both are seconds since the epoch.
        """
        ...

    async def get_marker(self, name: str) -> float | None:
        """The latest `at` of that name, None when there is none that is still kept."""
        ...

    async def claim_once(self, name: str, until: float) -> bool:
        """True for the first caller of that name until `until`, False for every other one."""
        ...

    async def leave_value(self, name: str, value: bytes, until: float) -> None:
        """Keeps `value`, sealed, for the first `take_value` of that name before `until` (seconds since the epoch).

        The name is kept as a hash only, and is to be used once. `value` is at most `VALUE_LIMIT` bytes (ValueError).
        """
        ...

    async def take_value(self, name: str) -> bytes | None:
        """Reads and removes what was left under that name: one caller has it, every other one has None."""
        ...

    async def purge_expired(self) -> int:
        """Removes what nobody can use any more; returns how many records went. A no-op where records expire."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable unless the store can read and write."""
        ...

    async def eviction_policy(self) -> str | None:
        """How records are thrown away when memory is short: "noeviction" if never, None if that cannot be read."""
        ...

    async def close(self) -> None: ...
