"""One event stream by itself: what it writes while nothing happens, and how it ends."""

import asyncio

import pytest
from starlette.types import Message, Scope

from bff.asgi.header_section import HeaderSection
from bff.session.session import EndReason, SessionKey
from bff.session.store import Found
from bff.session.stream_end import SessionEnded
from bff.web.auth.event_stream import SessionEventStream
from tests.harness.asgi_call import http_scope
from tests.harness.example_session import a_session
from tests.harness.policy import Policy
from tests.harness.virtual_time import VirtualTimeLoop, time_passes


async def forever() -> Message:
    await time_passes(10**9)
    return {"type": "http.disconnect"}


async def silent_stream(scope: Scope) -> None:
    stream = SessionEventStream(scope, Found(0.0, a_session(), 0.0), Policy())
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message.get("body", b"start"))

    async def reason_of(key: SessionKey) -> EndReason | None:
        return None

    running = asyncio.create_task(stream.run(forever, send, reason_of, headers=[], heartbeat=15.0))
    await time_passes(46)
    assert (len(sent), sent[2:]) == (5, [b":\n\n"] * 3)
    stream.close(SessionEnded(None))
    await running
    await time_passes(60)
    assert sent[5:] == [b'event: ended\ndata: {"reason":null}\n\n']


@pytest.mark.parametrize("shared", [False, True])
def test_comments_keep_a_silent_stream_open_and_stop_with_it(shared: bool) -> None:
    scope = http_scope("GET", "/", "cookie: a=1", "accept: text/event-stream")
    section = HeaderSection(scope["headers"])
    if shared:  # as for a browser that has connected twice with the same headers
        scope["headers"] = section
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(silent_stream(scope))
    assert len(section) == 3, "other requests have the same headers"
    assert (b"cookie", b"a=1") in scope["headers"], "the access log reads it at the end"
