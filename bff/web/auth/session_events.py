"""`GET /auth/session/events`: server-sent events about the session: `ended`, `expiring`, `renewed`, `signed_in`.

Plain ASGI: thousands of these streams idle. They belong to the open streams of the process, which notice the end of a
session wherever it happens. A stream is no activity, and says nothing that `/auth/session` does not say.
"""

from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from bff.asgi.access import set_route
from bff.config.browser import SESSION_EVENTS
from bff.errors import BffError, MethodNotAllowed, RouteNotFound, StoreUnavailable, TooManyStreams
from bff.flows.streams import OpenStreams
from bff.session.session import EndReason, SessionKey
from bff.session.store import Found
from bff.telemetry import tracing
from bff.web.auth.current_session import CurrentSessions
from bff.web.auth.event_stream import SessionEventStream
from bff.web.error_responder import ErrorResponder
from bff.web.request_authentication import RequestAuthentication
from bff.web.responses import PRIVATE, SAME_ORIGIN
from bff.web.session_cookies import SignedIn

PATH: Final = SESSION_EVENTS.encode("ascii")
RETRY_AFTER: Final = 30  # seconds
_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    # A proxy that compresses holds events back.
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx then buffers none of them
    *(field for field in PRIVATE if field[0] != b"cache-control"),
    SAME_ORIGIN,
)


@dataclass(frozen=True, slots=True)
class EventStreamLimits:
    """`per_session`: streams of one session in this process, 0 is off. `heartbeat`: seconds between two comments.

    Reverse proxies close a connection that is silent for 30 to 60 seconds.
    """

    per_session: int = 5
    heartbeat: float = 15.0


class SessionEvents:
    """One per application."""

    def __init__(
        self,
        sessions: CurrentSessions,
        authentication: RequestAuthentication,
        streams: OpenStreams,
        errors: ErrorResponder,
        limits: EventStreamLimits,
    ) -> None:
        self._sessions, self._authentication = sessions, authentication
        self._streams, self._errors, self._limits = streams, errors, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracing.set_route(SESSION_EVENTS)
        set_route(scope, SESSION_EVENTS)
        try:
            signed_in, stored = await self._session(scope)
        except BffError as error:
            await self._errors.send(error, scope, send)
            return
        cookies = [self._authentication.cookies.seal(signed_in.session_id)] if signed_in.reseal else []
        stream = SessionEventStream(scope, stored, self._sessions.policy)
        unregister = self._streams.register(stored.view, stream.close, endless=True, observer=stream)
        try:
            await stream.run(
                *(receive, send, self._end_reason), headers=[*_HEADERS, *cookies], heartbeat=self._limits.heartbeat
            )
        finally:
            unregister()

    async def _session(self, scope: Scope) -> tuple[SignedIn, Found]:
        """Raises RouteNotFound, MethodNotAllowed, CsrfRequired, SignInRequired, DeviceBindingPending, StoreUnavailable,
        TooManyStreams.
        """
        if scope["raw_path"] != PATH or not self._limits.per_session:
            raise RouteNotFound
        if scope["type"] != "http" or scope["method"] != "GET":
            raise MethodNotAllowed(allow=("GET",))
        # An EventSource cannot send `X-CSRF`.
        signed_in = self._authentication.require("GET", scope["headers"], "fetch-metadata")
        stored = await self._sessions.require(signed_in.session_id.key)
        self._authentication.check_device(stored.view, scope["headers"])
        if self._streams.observers(stored.view.key) >= self._limits.per_session:
            raise TooManyStreams(
                f"One session may have {self._limits.per_session} in a process.", retry_after=RETRY_AFTER
            )
        return signed_in, stored

    async def _end_reason(self, key: SessionKey) -> EndReason | None:
        try:
            return await self._sessions.store.get_end_reason(key)
        except StoreUnavailable:
            return None
