"""Callers that wait for a refresh learn at once that the session was ended by this process."""

import asyncio
from pathlib import Path
from typing import Any

from bff.flows.background import BackgroundTasks
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.revocations import Revocations
from bff.flows.logout.session_ends import EndWatch, SessionEnds
from bff.session.keyring import KeyRing, new_key
from bff.session.session import EndReason
from bff.storage.open import open_store
from tests.harness.example_session import a_session

AN_HOUR = 3600.0  # between two looks at the store: what is seen earlier was not seen by looking
PATIENCE = 60.0


async def watched(tmp_path: Path, poll_interval: float, *, announced: bool) -> bool:
    """Whether the watch is done after the end, with or without the announcement of this process."""
    store, tasks, ends = (
        open_store(f"sqlite:///{tmp_path}/sessions.db", KeyRing.from_keys([new_key()])),
        BackgroundTasks(),
        SessionEnds(),
    )
    session = a_session(await store.now())
    await store.create(session)
    refresh = asyncio.create_task(asyncio.Event().wait())
    watch = EndWatch(store, tasks, ends, poll_interval=poll_interval).beside(refresh, session.key)
    try:
        await asyncio.sleep(0)  # the watch begins
        await store.delete(session.key, EndReason.SIGNED_OUT)
        if announced:
            ends.ended(session.key)
        done, _ = await asyncio.wait([watch], timeout=PATIENCE)
        return bool(done)
    finally:
        refresh.cancel()
        await tasks.drain(0)
        await store.close()


async def test_an_end_of_this_process_is_seen_without_a_look_at_the_store(tmp_path: Path) -> None:
    assert await watched(tmp_path, AN_HOUR, announced=True)


class UnreachableProvider:
    async def revoke(self, *_: Any, **__: Any) -> bool:
        return False


async def test_ending_a_session_announces_it_before_anybody_is_answered(tmp_path: Path) -> None:
    store, tasks = open_store(f"sqlite:///{tmp_path}/sessions.db", KeyRing.from_keys([new_key()])), BackgroundTasks()
    provider: Any = UnreachableProvider()
    end_session = EndSession(store, Revocations(store, provider, tasks, "https://issuer.example"), tasks)
    session = a_session(await store.now())
    await store.create(session)
    with end_session.ends.watch(session.key) as ended:
        assert await end_session.end(session.key, EndReason.SIGNED_OUT) is not None
        assert ended.done()
    await tasks.drain(PATIENCE)
    await store.close()


async def test_an_end_of_another_replica_is_found_in_the_store(tmp_path: Path) -> None:
    assert await watched(tmp_path, 0.01, announced=False)
