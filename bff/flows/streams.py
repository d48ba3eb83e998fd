"""The registry of open streams: event streams, WebSockets and other long-lived responses. Three things close them: the
end of their session, the expiry of their access token, and the stop of this process.

The end of a session closes its streams at once in the process that ends it, just after that in the other workers of
the machine, to which it is announced, and within a second or two on every other replica, which polls the records of
sessions with open streams. When the same user replaces a session in the same browser by signing in again, its streams
pass to the new session: any site can send a browser here to sign in, and must not close open streams that way. A store
outage closes nothing: a stream stays open until the store reports the end of its session. An open stream is no
activity: the idle timeout ends it as well.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, assert_never

from bff.errors import StoreUnavailable
from bff.session.session import EndReason, Session, SessionKey, fingerprint
from bff.session.session_view import SessionView
from bff.session.store import KeyRemoved, Missing, SessionRecords, StoredView, Viewed
from bff.session.stream_end import AccessTokenExpired, ServerStopping, SessionEnded, StreamEnd
from bff.session.timing import RefreshPolicy, limit_reached
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

POLL_INTERVAL = 0.75  # seconds
BATCH_SIZE = 100  # records read per turn of the event loop, so that ten thousand of them do not block it

EndsSession: TypeAlias = Callable[[SessionKey, EndReason, int | None], Awaitable[Session | None]]


class SessionObserver(Protocol):
    """A stream that reports on its session (`bff.web.auth.session_events`), which may not send anything at once."""

    def read(self, stored: Viewed) -> None:
        """The live session as the store returned it just now."""
        ...

    def signed_in_again(self, session: SessionView) -> None:
        """The stream belongs to `session` from now on."""
        ...


@dataclass(eq=False, slots=True)
class _Stream:
    key: SessionKey | None  # None: of a request without a session
    close: Callable[[StreamEnd], None]
    endless: bool
    token_until: float | None
    observer: SessionObserver | None


class OpenStreams:
    """One per application."""

    def __init__(
        self,
        store: SessionRecords,
        policy: RefreshPolicy,
        *,
        poll_interval: float = POLL_INTERVAL,
        monotonic: Callable[[], float] = time.monotonic,
        announce: Callable[[SessionKey], None] | None = None,
    ) -> None:
        """`poll_interval` is in seconds. `announce` reports an end to the other workers of this machine."""
        self._announce = announce
        self._store, self._policy, self._poll_interval, self._monotonic = store, policy, poll_interval, monotonic
        self._streams: dict[SessionKey | None, set[_Stream]] = {}
        self._sessions: dict[SessionKey, SessionView] = {}  # of those keys, as last read

    def register(
        self,
        session: SessionView | None,
        close: Callable[[StreamEnd], None],
        *,
        endless: bool,
        token_until: float | None = None,
        observer: SessionObserver | None = None,
    ) -> Callable[[], None]:
        """Registers a stream of that session, or of none; `close` is called at most once.

        `endless`: an event stream or a WebSocket, which is closed when the server stops. `token_until` (seconds since
        the epoch, store clock) is when its access token expires, None if the stream may outlive it. `observer` hears
        what else happens to the session. Returns the function that unregisters the stream.
        """
        stream = _Stream(None if session is None else session.key, close, endless, token_until, observer)
        self._streams.setdefault(stream.key, set()).add(stream)
        if session is not None:
            self._sessions[session.key] = session
            metrics.OPEN_STREAMS.inc()
        return lambda: self._unregister(stream)

    def observers(self, key: SessionKey) -> int:
        """How many streams of a session report on it in this process."""
        return sum(stream.observer is not None for stream in self._streams.get(key, ()))

    def hand_over(self, old: SessionKey, session: SessionView) -> None:
        """Passes the streams of `old` to `session`, with which they end."""
        streams = self._streams.pop(old, set())
        self._sessions.pop(old, None)
        for stream in streams:
            stream.key = session.key
        if streams:
            self._streams.setdefault(session.key, set()).update(streams)
            self._sessions[session.key] = session
        for stream in streams:
            if stream.observer is not None:
                stream.observer.signed_in_again(session)

    def ended_here(self, key: SessionKey, reason: EndReason) -> None:
        """For a session that this process has ended: as `session_ended`, and the other workers look at once."""
        self.session_ended(key, reason)
        if self._announce is not None:
            self._announce(key)

    def session_ended(self, key: SessionKey, reason: EndReason | None) -> None:
        """Closes all streams of a session. `reason` is None where another replica ended it."""
        streams = self._streams.get(key)
        if streams:
            logger.info(
                "streams were closed with their session", extra={"session": fingerprint(key), "count": len(streams)}
            )
            for stream in tuple(streams):
                self._close(stream, SessionEnded(reason), "session_ended")

    def close_for_shutdown(self) -> None:
        """Closes event streams and WebSockets, which would outlast the drain. Their clients connect to another replica.

        Call it once no new connection is accepted.
        """
        endless = [stream for streams in self._streams.values() for stream in streams if stream.endless]
        for stream in endless:
            self._close(stream, ServerStopping(), "stopping")
        if endless:
            logger.info("open streams were closed for shutdown", extra={"count": len(endless)})

    async def watch(self, end_session: EndsSession) -> None:
        """Checks the sessions with open streams once per poll interval, until cancelled: a task of the lifespan."""
        interval = self._poll_interval
        while True:
            begun = self._monotonic()
            keys = [key for key in self._streams if key is not None]
            for first in range(0, len(keys), BATCH_SIZE):
                try:
                    await self._check_sessions(keys[first : first + BATCH_SIZE], end_session)
                except Exception:
                    # An unexpected error for one session must not stop the checks of the others.
                    logger.exception("open streams could not be checked")
            await asyncio.sleep(max(interval / 10, begun + interval - self._monotonic()))

    async def check(self, keys: Sequence[SessionKey], end_session: EndsSession) -> None:
        """Checks these sessions now, those of them that have open streams here."""
        if watched := [key for key in keys if key in self._streams]:
            await self._check_sessions(watched, end_session)

    async def _check_sessions(self, keys: list[SessionKey], end_session: EndsSession) -> None:
        stored_sessions = await self._store.get_many(keys)
        for key, stored in zip(keys, stored_sessions, strict=True):
            if isinstance(stored, StoredView):
                try:
                    await self._check(key, stored, end_session)
                except StoreUnavailable:
                    continue
            elif not isinstance(stored, StoreUnavailable):
                raise stored

    async def _check(self, key: SessionKey, stored: StoredView, end_session: EndsSession) -> None:
        match stored:
            case KeyRemoved():
                self.session_ended(key, EndReason.KEY_REMOVED)
            case Missing():
                if (successor := await self._successor(key)) is not None:
                    self.hand_over(key, successor)
                else:
                    self.session_ended(key, None)
            case Viewed():
                await self._check_limits(stored, end_session)
            case _:
                assert_never(stored)

    async def _check_limits(self, stored: Viewed, end_session: EndsSession) -> None:
        session, key = stored.view, stored.view.key
        reason = limit_reached(session, stored.now, self._policy, stored.last_seen_at)
        if reason is not None:
            # The end is reported through `session_ended`; a record that changed meanwhile is checked again in a second.
            await end_session(key, reason, session.version)
            return
        for stream in tuple(self._streams.get(key, ())):
            if stream.observer is not None:
                stream.observer.read(stored)
            if stream.token_until is not None and stored.now >= stream.token_until:
                self._close(stream, AccessTokenExpired(), "token_expired")

    async def _successor(self, key: SessionKey) -> Session | None:
        """The session by which another replica replaced this one: of the same user, in the same browser."""
        gone = self._sessions.get(key)
        if gone is None or gone.browser is None:
            return None
        sessions = await self._store.find("browser", gone.browser)
        return next((session for session in sessions if session.replaces(gone)), None)

    def _close(self, stream: _Stream, end: StreamEnd, why: str) -> None:
        self._unregister(stream)
        metrics.STREAMS_CLOSED.labels(reason=why).inc()
        stream.close(end)

    def _unregister(self, stream: _Stream) -> None:
        key = stream.key
        streams = self._streams.get(key)
        if streams is not None and stream in streams:
            streams.discard(stream)
            if key is not None:
                metrics.OPEN_STREAMS.dec()
            if not streams:
                del self._streams[key]
                if key is not None:
                    self._sessions.pop(key, None)
