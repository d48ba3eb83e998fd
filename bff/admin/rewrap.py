"""Re-encrypting the store under the newest key: `bff keys rewrap`."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from bff.admin.sessions import AdminContext, count_of
from bff.session.store import Found, KeyRemoved, StoredSession, all_records

REWRAP_ATTEMPTS: Final = 5  # for a record that concurrent writes keep changing


async def rewrap(context: AdminContext) -> AsyncIterator[str]:
    """Re-encrypts every record under the newest key. Sessions stay usable; a concurrent write re-encrypts the record
    as well. Raises StoreUnavailable.
    """
    rewrapped = newest = unreadable = changing = 0
    async for listed in all_records(context.store):
        stored: StoredSession = listed
        for _ in range(REWRAP_ATTEMPTS):
            if not isinstance(stored, Found) or not stored.older_key:
                newest += isinstance(stored, Found)
                unreadable += isinstance(stored, KeyRemoved)
                break
            session = stored.session
            written = await context.store.replace(replace(session, version=session.version + 1), session.version)
            if written.done:
                rewrapped += 1
                break
            stored = await context.store.get(session.key)
        else:
            changing += 1
    yield f"{count_of(rewrapped, 'record')} re-encrypted, {newest} already under the newest key"
    if unreadable:
        yield (
            f"{count_of(unreadable, 'record')} encrypted under a key that is not in the ring: add the key, or let the "
            "records expire"
        )
    if changing:
        yield f"{count_of(changing, 'record')} changed too often: run this command again"
