"""One open stream of server-sent events about a session (WHATWG HTML section 9.2).

One task writes, another waits for the client to leave; both idle while nothing happens. Callbacks queue what is to be
sent, which is little: each notice is sent once (`bff.session.expiry_notice`).
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from starlette.types import Receive, Scope, Send

from bff.asgi.extensions import BODY_FOLLOWS, close_connection
from bff.asgi.header_section import keep_headers
from bff.session.expiry_notice import Expiring, KnownEnd, Notice, Renewed, deadline, lead
from bff.session.session import EndReason, SessionKey
from bff.session.session_view import SessionView
from bff.session.store import Viewed
from bff.session.stream_end import SessionEnded, StreamEnd
from bff.session.timing import RefreshPolicy
from bff.web.cookies import Header

# Milliseconds until a browser connects again. At random: those of a process that stops must not all return at once.
_RETRY: Final = range(2000, 5000)
_HEARTBEAT: Final = b":\n\n"  # a comment
_KEPT: Final = frozenset({b"cookie", b"x-forwarded-for"})  # for the access log, which is written at the end

# Why another replica ended the session of that key; None if that is unknown.
EndReasonOf: TypeAlias = Callable[[SessionKey], Awaitable[EndReason | None]]


class SessionEventStream:
    """Implements `bff.flows.streams.SessionObserver`."""

    # Without a dict for the attributes: thousands idle.
    __slots__ = ("_again", "_end", "_key", "_known", "_left", "_policy", "_queued", "_scope", "_sending", "_wake")

    def __init__(self, scope: Scope, stored: Viewed, policy: RefreshPolicy) -> None:
        self._scope, self._policy, self._key = scope, policy, stored.view.key
        self._known = KnownEnd(deadline(stored, policy).at)
        self._queued = [b"retry: %d\n\n" % secrets.choice(_RETRY)]
        self._end: StreamEnd | None = None
        self._again = self._left = self._sending = False
        self._wake: asyncio.Future[None] | None = None
        self.read(stored)

    def read(self, stored: Viewed) -> None:
        if self._again:
            self._again = False
            self._put(_event("signed_in", {}))
        notice = self._known.notice(stored.now, deadline(stored, self._policy), lead(self._policy))
        if notice is not None:
            self._put(_notice(notice))

    def signed_in_again(self, session: SessionView) -> None:
        self._key = session.key
        self._known = KnownEnd(session.ends_at)  # the next look finds an earlier one
        # Sent at that look: a page that asks at once would still have the cookie of the replaced session.
        self._again = True

    def close(self, end: StreamEnd) -> None:
        """Ends the stream, after what is queued."""
        self._end = end
        if self._sending:
            # The client does not read: closing its connection is the only way to end the stream.
            close_connection(self._scope, at_once=True)
        self._go_on()

    async def run(
        self, receive: Receive, send: Send, reason_of: EndReasonOf, *, headers: Sequence[Header], heartbeat: float
    ) -> None:
        """Sends until the client leaves or the stream is closed. `heartbeat` is in seconds."""
        loop = asyncio.get_running_loop()
        keep_headers(self._scope, _KEPT)
        await send({"type": "http.response.start", "status": 200, "headers": list(headers), BODY_FOLLOWS: True})
        watching = loop.create_task(self._wait_until_left(receive))
        try:
            while not self._left:
                if self._end is not None:
                    await self._finish(send, reason_of, self._end)
                    return
                if self._queued:
                    await self._send(send, more=True)
                    continue
                self._wake, timer = loop.create_future(), loop.call_later(heartbeat, self._beat)
                try:
                    await self._wake
                finally:
                    timer.cancel()
        finally:
            watching.cancel()

    async def _finish(self, send: Send, reason_of: EndReasonOf, end: StreamEnd) -> None:
        if isinstance(end, SessionEnded):
            reason = end.reason or await reason_of(self._key)
            self._queued.append(_event("ended", {"reason": None if reason is None else reason.value}))
        # A normal end: after the stop of a process the browser connects again without an error.
        await self._send(send, more=False)

    async def _send(self, send: Send, *, more: bool) -> None:
        body, self._queued = b"".join(self._queued), []
        self._sending = True
        try:
            await send({"type": "http.response.body", "body": body, "more_body": more})
        finally:
            self._sending = False

    async def _wait_until_left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._go_on()

    def _put(self, event: bytes) -> None:
        self._queued.append(event)
        self._go_on()

    def _beat(self) -> None:
        self._put(_HEARTBEAT)

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


def _notice(notice: Notice) -> bytes:
    match notice:
        case Expiring(ends, now):
            return _event("expiring", {"at": int(ends.at), "now": int(now), "reason": ends.reason.value})
        case Renewed(at, now):
            return _event("renewed", {"at": int(at), "now": int(now)})


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode("ascii")
