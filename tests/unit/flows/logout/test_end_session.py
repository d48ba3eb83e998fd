"""The end of one session: its record, its streams, its tokens, and why."""

import asyncio

import pytest

from bff.session.session import EndReason
from bff.session.stream_end import SessionEnded
from tests.harness.example_session import next_version
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Ends, Parts


async def test_everything_of_the_session_ends_and_the_reason_is_kept(parts: Parts) -> None:
    session, closed = await parts.signed_in(), Ends()
    parts.streams.register(session, closed, endless=True)
    with parts.end_session.ends.watch(session.key) as ended:
        assert await parts.end_session.end(session.key, EndReason.OPERATOR) == session
        assert ended.done()
    assert closed == [SessionEnded(EndReason.OPERATOR)]
    assert session.browser is not None
    for name in (session.key, session.browser):
        assert await parts.store.get_end_reason(name) is EndReason.OPERATOR
    await parts.settled()
    assert parts.provider.revoked == [session.tokens.refresh_token]
    assert await parts.end_session.end(session.key, EndReason.OPERATOR) is None


async def test_a_version_that_moved_is_not_ended(parts: Parts) -> None:
    session = await parts.signed_in()
    await parts.store.replace(next_version(session), 1)
    assert await parts.end_session.end(session.key, EndReason.IDLE_TIMEOUT, expected_version=1) is None
    assert await parts.stored(session) == next_version(session)


async def test_a_caller_that_goes_away_cancels_nothing(parts: Parts) -> None:
    session = await parts.signed_in()
    caller = asyncio.create_task(parts.end_session.end(session.key, EndReason.SIGNED_OUT))
    await time_passes(0)
    caller.cancel()
    await parts.settled()
    assert parts.provider.revoked == [session.tokens.refresh_token]


@pytest.mark.parametrize("browser", [None, "b"])
async def test_a_session_without_a_browser_leaves_its_reason_under_its_key_alone(
    parts: Parts, browser: str | None
) -> None:
    session = await parts.signed_in(browser=browser)
    await parts.end_session.end(session.key, EndReason.SIGNED_OUT)
    assert len(parts.data.ends) == (1 if browser is None else 2)
