from types import SimpleNamespace
from typing import Any, cast

import pytest
from websockets.frames import Close
from websockets.protocol import Protocol

from bff.proxy.websocket_close import CloseFrame, close_frame_for, for_browser, for_upstream
from bff.session.session import EndReason
from bff.session.stream_end import AccessTokenExpired, ServerStopping, SessionEnded, StreamEnd

LOST = CloseFrame(1011, "upstream lost")


@pytest.mark.parametrize(
    ("received", "sent", "frame"),
    [
        (Close(1000, "done"), None, CloseFrame(1000, "done")),
        (Close(1001, ""), None, CloseFrame(1001)),
        (Close(1008, "policy"), None, CloseFrame(1008, "policy")),
        (Close(1013, "later"), None, CloseFrame(1013, "later")),
        (Close(1014, "gateway"), None, CloseFrame(1011, "gateway")),  # Chromium takes 1014 for a protocol error
        (Close(1005, ""), None, CloseFrame(1000)),
        (Close(2999, "x"), None, CloseFrame(1011, "x")),
        (Close(3000, "registered"), None, CloseFrame(3000, "registered")),
        (Close(4999, "own"), None, CloseFrame(4999, "own")),
        (Close(5000, "x"), None, CloseFrame(1011, "x")),
        (None, None, LOST),
        (None, Close(1002, ""), LOST),
        (None, Close(1009, ""), CloseFrame(1009, "message too big")),
    ],
)
def test_the_browser_gets_the_upstreams_close_code(received: Any, sent: Any, frame: CloseFrame) -> None:
    upstream = cast("Protocol", SimpleNamespace(close_rcvd=received, close_sent=sent))
    assert for_browser(upstream) == frame


@pytest.mark.parametrize(
    ("code", "reason", "frame"),
    [
        (None, None, CloseFrame(1001)),
        (1000, "bye", CloseFrame(1000, "bye")),
        (1001, None, CloseFrame(1001)),
        (1005, "", CloseFrame(1000)),
        (1006, "", CloseFrame(1001)),
        (1012, "", CloseFrame(1001)),
        (2999, "x", CloseFrame(1001)),
        (3999, "x", CloseFrame(3999, "x")),
        (4000, "own", CloseFrame(4000, "own")),
        (5000, "x", CloseFrame(1001)),
    ],
)
def test_the_upstream_gets_the_browsers_close_code(code: int | None, reason: str | None, frame: CloseFrame) -> None:
    assert for_upstream(code, reason) == frame


@pytest.mark.parametrize(
    ("end", "frame"),
    [
        (SessionEnded(EndReason.SIGNED_OUT), CloseFrame(4401, "signed_out")),
        (SessionEnded(), CloseFrame(4401, "session_ended")),
        (AccessTokenExpired(), CloseFrame(4408, "access_token_expired")),
        (ServerStopping(), CloseFrame(1012, "restarting")),
    ],
)
def test_the_bff_closes_with_codes_of_its_own(end: StreamEnd, frame: CloseFrame) -> None:
    assert close_frame_for(end) == frame


def test_a_reason_is_cut_to_what_a_close_frame_holds() -> None:
    assert CloseFrame(1000, "é" * 100).reason == "é" * 61
