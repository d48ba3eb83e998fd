"""WebSocket close codes (RFC 6455 section 7.4): mapped from one connection to the other, and those that the BFF sends.

| code | reason | meaning |
|------|--------|---------|
| 4401 | the end reason, or `session_ended` | the session has ended, /auth/session has the reason: do not reconnect |
| 4408 | `access_token_expired` | the session is still valid: open the WebSocket again |
| 1012 | `restarting` | this process stops: open the WebSocket again |
| 1009 | `message too big` | a message exceeded the route's `message_limit` |
| 1011 | `upstream lost` | the upstream's connection was lost, or it violated the protocol |
"""

from dataclasses import dataclass
from typing import Final, assert_never

from websockets.protocol import Protocol

from bff.session.stream_end import AccessTokenExpired, ServerStopping, SessionEnded, StreamEnd

CLOSE_TIMEOUT: Final = 2.0  # seconds for either side to respond to a close frame, or to accept one

SESSION_ENDED: Final = 4401
ACCESS_TOKEN_EXPIRED: Final = 4408

# Codes that a server may send to a browser. 1014 (bad gateway) would fit a lost upstream, but Chromium treats it as a
# protocol error; 1004, 1005, 1006 and 1015 are never sent.
_KNOWN: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013})
_LOST: Final = 1011


@dataclass(frozen=True, slots=True)
class CloseFrame:
    """`reason` is cut to 123 bytes, the limit of a close frame."""

    code: int
    reason: str = ""

    def __post_init__(self) -> None:
        encoded = self.reason.encode()
        if len(encoded) > 123:
            object.__setattr__(self, "reason", encoded[:123].decode(errors="ignore"))


def for_browser(upstream: Protocol) -> CloseFrame:
    """The close frame for the browser after the upstream's connection closed."""
    received = upstream.close_rcvd
    if received is None:
        sent = upstream.close_sent
        # We closed the connection: the upstream's message was too large, or it violated the protocol.
        return CloseFrame(1009, "message too big") if sent and sent.code == 1009 else CloseFrame(_LOST, "upstream lost")
    if received.code == 1005:  # a close frame without a code
        return CloseFrame(1000)
    if received.code in _KNOWN or 3000 <= received.code < 5000:
        return CloseFrame(received.code, received.reason)
    return CloseFrame(_LOST, received.reason)


def for_upstream(code: int | None, reason: str | None) -> CloseFrame:
    """The close frame for the upstream after the browser's connection closed; `code` is None if it was lost without a
    close frame.
    """
    match code:
        case None | 1006 | 1012:  # 1012: the BFF is stopping
            return CloseFrame(1001)
        case 1005:
            return CloseFrame(1000)
        case _ if code in _KNOWN or 3000 <= code < 5000:
            return CloseFrame(code, reason or "")
        case _:
            return CloseFrame(1001)


def close_frame_for(end: StreamEnd) -> CloseFrame:
    match end:
        case SessionEnded(reason):
            return CloseFrame(SESSION_ENDED, reason.value if reason is not None else "session_ended")
        case AccessTokenExpired():
            return CloseFrame(ACCESS_TOKEN_EXPIRED, "access_token_expired")
        case ServerStopping():
            return CloseFrame(1012, "restarting")
        case _:
            assert_never(end)
