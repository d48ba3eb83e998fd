"""Which sessions an operator means, and their records in the store."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

from bff.session.session import fingerprint
from bff.session.store import Found, KeyRemoved, SessionStore, StoredSession

SORTED: Final = 1_000  # records that are kept in memory to sort them

_BEGINNING: Final[str | None] = ""  # of the pages of a store

SelectedBy: TypeAlias = Literal["sub", "email", "sid", "id", "all"]
Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Selection:
    """The sessions of a user (`sub`, `email`) or a provider session (`sid`), one by its fingerprint (`id`), or all."""

    by: SelectedBy = "all"
    value: str = ""


def no_progress(text: str) -> None:
    """For callers that print none."""


async def selected_records(
    store: SessionStore, selection: Selection, progress: Progress = no_progress
) -> AsyncIterator[StoredSession]:
    """The selected records, the newest first.

    All records of a store are sorted if they are at most `SORTED`. More come in the order of the store, and in constant
    memory. Raises StoreUnavailable.
    """
    match selection.by:
        case "sub" | "email" | "sid" as by:
            records = [await store.get(session.key) for session in await store.find(by, selection.value)]
            for record in sorted(records, key=_signed_in_at, reverse=True):
                yield record
        case "id":
            for record in await records_with_fingerprint(store, selection.value, progress):
                yield record
        case "all":
            async for record in _all_records(store, progress):
                yield record
        case by:
            assert_never(by)


async def _all_records(store: SessionStore, progress: Progress) -> AsyncIterator[StoredSession]:
    first, position = list[Found | KeyRemoved](), _BEGINNING
    while position is not None and len(first) < SORTED:
        page = await store.page(position)
        first += page.records
        position = page.following
    if position is None:
        first.sort(key=_signed_in_at, reverse=True)
    for record in first:
        yield record
    read = len(first)
    while position is not None:
        progress(f"{read} sessions read")
        page = await store.page(position)
        for record in page.records:
            yield record
        read, position = read + len(page.records), page.following


async def records_with_fingerprint(
    store: SessionStore, value: str, progress: Progress = no_progress
) -> list[StoredSession]:
    """Looks it up in the index. If it is not there, searches all keys: records of earlier versions have no such entry,
    and sessions that have ended are not found by an index. Raises StoreUnavailable.
    """
    if indexed := await store.find("id", value):
        return [await store.get(session.key) for session in indexed]
    read, position = 0, _BEGINNING
    while position is not None:
        page = await store.keys(position)
        read, position = read + len(page.keys), page.following
        if matching := [key for key in page.keys if fingerprint(key) == value]:
            return [await store.get(key) for key in matching]
        progress(f"not in the index; {read} sessions searched")
    return []


def _signed_in_at(stored: StoredSession) -> float:
    return stored.session.signed_in_at if isinstance(stored, Found) else 0.0
