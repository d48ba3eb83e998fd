"""Callers that wait for a refresh learn that the session has ended: here at once, elsewhere by polling."""

import asyncio

import pytest

from bff.flows.logout.session_ends import EndWatch
from bff.session.session import EndReason
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts


@pytest.mark.parametrize(("announced", "seconds"), [(True, 0.0), (False, 1.0)])
async def test_an_end_is_seen(parts: Parts, announced: bool, seconds: float) -> None:
    session, ends = await parts.signed_in(), parts.end_session.ends
    watch = EndWatch(parts.store, parts.tasks, ends, poll_interval=2.0)
    refresh = asyncio.create_task(asyncio.Event().wait())
    watching = watch.beside(refresh, session.key)
    assert watch.beside(refresh, session.key) is watching, "one for all callers"
    await time_passes(11)
    parts.data.down = True
    await time_passes(10)
    parts.data.down = False
    assert not watching.done()
    begun = parts.now
    await parts.store.delete(session.key, EndReason.SIGNED_OUT)
    if announced:
        ends.ended(session.key)
    await watching
    assert parts.now - begun == seconds
    refresh.cancel()


async def test_the_watch_ends_with_its_refresh(parts: Parts) -> None:
    session = await parts.signed_in()
    watch = EndWatch(parts.store, parts.tasks, parts.end_session.ends)
    refresh = asyncio.create_task(time_passes(1))
    watching = watch.beside(refresh, session.key)
    await asyncio.wait([watching])
    assert watching.cancelled()
    assert refresh.done()
