"""The registry of open streams: what the stop of the server closes, and that nothing is closed twice."""

from dataclasses import replace
from typing import cast

import pytest
from prometheus_client import REGISTRY

from bff.flows.streams import OpenStreams
from bff.session.session import EndReason, SessionKey
from bff.session.store import SessionRecords
from bff.session.stream_end import ServerStopping, SessionEnded, StreamEnd
from bff.telemetry.metrics import REGISTRY as OURS
from tests.harness.policy import Policy
from tests.harness.refresh_records import fresh


class Closed(list[StreamEnd]):
    def __call__(self, end: StreamEnd) -> None:
        self.append(end)


@pytest.fixture
def streams() -> OpenStreams:
    return OpenStreams(cast("SessionRecords", None), Policy())  # nothing here reads a session


def count(name: str, **labels: str) -> float:
    assert OURS is not REGISTRY
    return OURS.get_sample_value(name, labels) or 0.0


def test_the_stop_of_the_server_closes_endless_streams_with_and_without_a_session(streams: OpenStreams) -> None:
    before = count("bff_streams_closed_total", reason="stopping")
    with_session, without, long_response, other_response = Closed(), Closed(), Closed(), Closed()
    streams.register(fresh(), with_session, endless=True)
    streams.register(None, without, endless=True)
    streams.register(fresh(), long_response, endless=False)
    streams.register(None, other_response, endless=False)
    streams.close_for_shutdown()
    assert with_session == without == [ServerStopping()]
    assert long_response == other_response == []
    streams.close_for_shutdown()
    assert len(with_session) == len(without) == 1
    assert count("bff_streams_closed_total", reason="stopping") == before + 2


def test_the_end_of_a_session_closes_all_its_streams_and_no_others(streams: OpenStreams) -> None:
    session = fresh()
    other = replace(session, key=SessionKey("another"))
    endless, long_response, others, without = Closed(), Closed(), Closed(), Closed()
    streams.register(session, endless, endless=True)
    streams.register(session, long_response, endless=False)
    streams.register(other, others, endless=True)
    streams.register(None, without, endless=True)
    streams.session_ended(session.key, EndReason.IDLE_TIMEOUT)
    assert endless == long_response == [SessionEnded(EndReason.IDLE_TIMEOUT)]
    assert others == without == []
    streams.close_for_shutdown()
    assert len(endless) == 1


def test_a_stream_that_ended_by_itself_is_not_closed_and_not_counted_any_more(streams: OpenStreams) -> None:
    before = count("bff_open_streams")
    closed, session = Closed(), fresh()
    unregister = [streams.register(session, closed, endless=True), streams.register(None, closed, endless=True)]
    assert count("bff_open_streams") == before + 1, "those of sessions"
    for each in (*unregister, *unregister):
        each()
    assert count("bff_open_streams") == before
    streams.session_ended(session.key, None)
    streams.close_for_shutdown()
    assert closed == []
