"""One event stream by itself: what it writes while nothing happens, and how it ends."""

import asyncio

from starlette.types import Message

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


async def silent_stream() -> None:
    stream = SessionEventStream(http_scope("GET", "/"), Found(0.0, a_session(), 0.0), Policy())
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


def test_comments_keep_a_silent_stream_open_and_stop_with_it() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(silent_stream())
