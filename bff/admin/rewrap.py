"""Encrypting the store again under the newest key: `bff keys rewrap`."""

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from bff.admin.sessions import AdminContext, count_of
from bff.session.store import Rewrapped, SessionStore

# Called with the number of records that are done and of all.
RecordProgress: TypeAlias = Callable[[int, int], None]


async def rewrap(context: AdminContext, progress: RecordProgress = lambda done, total: None) -> AsyncIterator[str]:
    """Encrypts every record again that is not under the newest key. Sessions stay usable.

    It may be interrupted at any time; the next run skips what is done. Raises StoreUnavailable.
    """
    total, done = await _count_records(context.store), Rewrapped()
    async for step in context.store.rewrap():
        done += step
        progress(done.records, max(total, done.records))
    yield f"{count_of(done.rewrapped, 'record')} re-encrypted, {done.newest} already under the newest key"
    if done.unreadable:
        yield (
            f"{count_of(done.unreadable, 'record')} encrypted under a key that is not in the ring: add the key, or let "
            "the records expire"
        )
    if done.changing:
        yield f"{count_of(done.changing, 'record')} changed too often: run this command again"


async def _count_records(store: SessionStore) -> int:
    records = 0
    position: str | None = ""
    while position is not None:
        page = await store.keys(position)
        records, position = records + len(page.keys), page.following
    return records
