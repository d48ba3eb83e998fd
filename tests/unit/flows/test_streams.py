"""Open streams close with their session, with their access token, and when this process stops; never for an outage."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bff.flows.streams import BATCH_SIZE
from bff.session.session import EndReason
from bff.session.stream_end import AccessTokenExpired, ServerStopping, SessionEnded
from bff.telemetry.metrics import REGISTRY
from tests.harness.policy import Policy
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Ends, Parts


@pytest.fixture
async def watched() -> AsyncIterator[Parts]:
    """With the watch running."""
    parts = Parts(policy=Policy(idle_timeout=600.0))
    watching = asyncio.create_task(parts.streams.watch(parts.end_session.end))
    yield parts
    watching.cancel()
    await parts.tasks.drain(0)


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_the_stop_of_the_server_closes_endless_streams_with_and_without_a_session(parts: Parts) -> None:
    before, session = count("bff_streams_closed_total", reason="stopping"), await parts.signed_in()
    closed = [(owner, endless, Ends()) for owner in (session, None) for endless in (True, False)]
    for owner, endless, ends in closed:
        parts.streams.register(owner, ends, endless=endless)
    for _ in range(2):
        parts.streams.close_for_shutdown()
        assert [list(ends) for _, _, ends in closed] == [[ServerStopping()], []] * 2
    assert count("bff_streams_closed_total", reason="stopping") == before + 2


async def test_a_stream_that_ended_by_itself_is_not_closed_and_not_counted_any_more(parts: Parts) -> None:
    before, closed, session = count("bff_open_streams"), Ends(), await parts.signed_in()
    unregister = [parts.streams.register(owner, closed, endless=True) for owner in (session, None)]
    assert count("bff_open_streams") == before + 1, "those of sessions"
    for each in (*unregister, *unregister):
        each()
    assert count("bff_open_streams") == before
    parts.streams.session_ended(session.key, None)
    parts.streams.close_for_shutdown()
    assert closed == []


async def test_an_end_closes_all_streams_of_the_session_and_no_others(watched: Parts) -> None:
    mine, other = await watched.signed_in(), await watched.signed_in()
    closed, kept = [Ends(), Ends()], [Ends(), Ends()]
    for ends, endless in zip(closed, (True, False), strict=True):
        watched.streams.register(mine, ends, endless=endless)
    watched.streams.register(other, kept[0], endless=True)
    watched.streams.register(None, kept[1], endless=True)
    await watched.end_session.end(mine.key, EndReason.SIGNED_OUT)
    assert closed == [[SessionEnded(EndReason.SIGNED_OUT)]] * 2
    await time_passes(5)
    assert kept == [[], []]


async def test_an_end_by_another_replica_is_seen_soon_even_among_many(watched: Parts) -> None:
    sessions = [await watched.signed_in() for _ in range(2 * BATCH_SIZE + 1)]
    closed = [Ends() for _ in sessions]
    for session, ends in zip(sessions, closed, strict=True):
        watched.streams.register(session, ends, endless=True)
    await watched.store.delete(sessions[-1].key, EndReason.SIGNED_OUT)
    await time_passes(1.5)
    assert [list(ends) for ends in closed] == [[]] * 2 * BATCH_SIZE + [[SessionEnded(None)]]


async def test_an_end_is_announced_once_by_the_process_that_ended_the_session(watched: Parts) -> None:
    session, other = await watched.signed_in(), await watched.signed_in()
    for owner in (session, other):
        watched.streams.register(owner, Ends(), endless=True)
    await watched.store.delete(other.key, EndReason.SIGNED_OUT)  # by another replica, which announced it itself
    await watched.end_session.end(session.key, EndReason.SIGNED_OUT)
    await time_passes(3)
    assert watched.announced == [session.key]


async def test_what_is_announced_is_checked_at_once_in_the_store(parts: Parts) -> None:
    """Without the watch: nothing else closes a stream here."""
    gone, present, without_stream = [await parts.signed_in() for _ in range(3)]
    closed, kept = Ends(), Ends()
    parts.streams.register(gone, closed, endless=True)
    parts.streams.register(present, kept, endless=True)
    await parts.store.delete(gone.key, EndReason.SIGNED_OUT)
    await parts.streams.check([gone.key, present.key, without_stream.key], parts.end_session.end)
    assert (closed, kept) == ([SessionEnded(None)], [])


async def test_an_outage_of_the_store_closes_nothing(watched: Parts) -> None:
    session, closed = await watched.signed_in(), Ends()
    watched.streams.register(session, closed, endless=True)
    watched.data.down = True
    await time_passes(30)
    watched.data.down = False
    await time_passes(30)
    assert closed == []


async def test_a_removed_key_closes_the_stream_and_says_so(watched: Parts) -> None:
    session, closed = await watched.signed_in(), Ends()
    watched.streams.register(session, closed, endless=True)
    watched.ring.replace_keys([b"k" * 32])
    await time_passes(2)
    assert closed == [SessionEnded(EndReason.KEY_REMOVED)]


async def test_an_open_stream_is_no_activity(watched: Parts) -> None:
    session, closed = await watched.signed_in(), Ends()
    watched.streams.register(session, closed, endless=True)
    await time_passes(599)
    assert closed == []
    await time_passes(2)
    assert closed == [SessionEnded(EndReason.IDLE_TIMEOUT)]
    assert await watched.stored(session) is None


async def test_a_stream_may_not_outlast_its_access_token_where_a_route_says_so(watched: Parts) -> None:
    session, bound, unbound = await watched.signed_in(), Ends(), Ends()
    watched.streams.register(session, bound, endless=True, token_until=watched.now + 20)
    watched.streams.register(session, unbound, endless=True)
    await time_passes(19)
    assert bound == []
    await time_passes(2.5)
    assert (bound, unbound) == ([AccessTokenExpired()], [])


@pytest.mark.parametrize("same_user", [True, False])
async def test_streams_pass_to_the_session_that_replaces_theirs(watched: Parts, same_user: bool) -> None:
    old, closed = await watched.signed_in(), Ends()
    watched.streams.register(old, closed, endless=True)
    await time_passes(10)
    user = old.user if same_user else replace(old.user, sub="somebody else")
    new = await watched.signed_in(browser=old.browser, user=user)
    await watched.store.delete(old.key, EndReason.REPLACED)  # by another replica
    await time_passes(2)
    assert closed == ([] if same_user else [SessionEnded(None)])
    await watched.end_session.end(new.key, EndReason.OPERATOR)
    assert closed == [SessionEnded(EndReason.OPERATOR if same_user else None)]
