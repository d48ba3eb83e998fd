"""`GET /auth/session`: the signed-in user, the session's end, and why the last session ended.

It never extends a session. `POST /auth/session/extend` extends the idle timeout, for a user who confirms a prompt.
"""

import logging
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response

from bff.errors import CsrfRequired, DeviceBindingPending, InvalidRequest, SignInRequired, StoreUnavailable
from bff.session.session import EndReason, SessionId
from bff.session.store import Found, Viewed
from bff.session.store import KeyRemoved as RecordKeyRemoved
from bff.telemetry import metrics
from bff.web.auth.current_session import CurrentSessions
from bff.web.auth.device_binding import DeviceOffers
from bff.web.browser_id import browser_id_hash
from bff.web.cookies import CookieNames, Header
from bff.web.request_authentication import RequestAuthentication
from bff.web.responses import json_response
from bff.web.route_description import CSRF_HEADER, described
from bff.web.session_cookies import Anonymous, DuplicateCookie, KeyRemoved, SignedIn

logger = logging.getLogger(__name__)

REASON_SHOWN = 60.0  # seconds
MAX_COUNTED = 10_000  # sessions with a removed key, each counted once per process


@dataclass(frozen=True, slots=True)
class SessionEndpoint:
    sessions: CurrentSessions
    authentication: RequestAuthentication
    names: CookieNames
    offers: DeviceOffers | None = None  # None if no session is to be bound to a key of the browser
    _counted_removed_keys: set[str] = field(default_factory=set)

    async def show(self, request: Request) -> Response:
        """Always 200, except for a duplicate cookie (400), an unavailable store, and a browser that could not renew its
        bound cookie (503).
        """
        headers = request.scope["headers"]
        match self.authentication.cookies.read(headers):
            case SignedIn(session_id, reseal):
                return await self._signed_in(request, session_id, reseal=reseal)
            case KeyRemoved():
                return self._key_removed(browser_id_hash(headers, self.names) or "")
            case DuplicateCookie():
                raise InvalidRequest("The session cookie came twice.")
            case Anonymous():
                return _signed_out(await self._last_end(request, None))

    async def _signed_in(self, request: Request, session_id: SessionId, *, reseal: bool) -> Response:
        stored = await self.sessions.read(session_id.key)
        if isinstance(stored, RecordKeyRemoved):
            return self._key_removed(session_id.key)
        if not isinstance(stored, Found):
            reason = await self._last_end(request, session_id)
            # Without a known end reason the cookie stays: a store that lost the record may recover it. That of a
            # replaced session stays too: the new one is on its way to the browser, and this response may be later.
            stays = reason in (None, EndReason.REPLACED)
            return _signed_out(reason, [] if stays else self.authentication.clear(request.scope["headers"]))
        reason = await self.sessions.end_if_over(stored)
        if reason is not None:
            known_reason = await self._last_end(request, session_id)
            return _signed_out(known_reason or reason, self.authentication.clear(request.scope["headers"]))
        try:
            self.authentication.check_device(stored.view, request.scope["headers"])
        except SignInRequired:
            # Cookie and record stay: the browser that has the key may come back with it.
            return _signed_out(EndReason.DEVICE_BINDING_LOST)
        return self._live_session(stored, SignedIn(session_id, reseal), request)

    async def extend(self, request: Request) -> Response:
        """Extends the idle timeout, and responds as `show` does. Raises CsrfRequired, SignInRequired."""
        headers = request.scope["headers"]
        cookie = self.authentication.require("POST", headers)
        stored = await self.sessions.require(cookie.session_id.key)
        self.authentication.check_device(stored.view, headers)
        await self.sessions.store.touch(stored.view.key, stored.now)
        return self._live_session(stored.seen_now(), cookie, request)

    def _live_session(self, stored: Viewed, cookie: SignedIn, request: Request) -> Response:
        session, headers = stored.view, request.scope["headers"]
        cookies = [self.authentication.cookies.seal(cookie.session_id)] if cookie.reseal else []
        # Offered to our own script only: after a navigation from another site the browser would register a key without
        # our cookies.
        script = request.method == "GET" and self.authentication.origins.is_script_request(request.headers)
        offer = self.offers.header(stored) if self.offers is not None and script else None
        return json_response(
            {
                "authenticated": True,
                "user": dict(session.user.claims),
                "session": {
                    "signed_in_at": int(session.signed_in_at),
                    "idle_ends_at": int(self.sessions.idle_ends_at(stored)),
                    "ends_at": int(session.ends_at),
                    "now": int(stored.now),
                },
                "device_bound": self.authentication.is_device_bound(session, headers),
            },
            cookies,
            [] if offer is None else [offer],
        )

    def _key_removed(self, name: str) -> Response:
        """Cookie and record stay: another replica may still have the key, and this one may get it back."""
        if name not in self._counted_removed_keys and len(self._counted_removed_keys) < MAX_COUNTED:
            self._counted_removed_keys.add(name)
            metrics.SESSION_ENDED.labels(reason=EndReason.KEY_REMOVED.value).inc()
        return _signed_out(EndReason.KEY_REMOVED)

    async def _last_end(self, request: Request, session_id: SessionId | None) -> EndReason | None:
        """Returned for `REASON_SHOWN` seconds from the first time, so that every tab of the browser learns it.

        Only to our own script: no other request may start that time.
        """
        if request.method != "GET" or not self.authentication.origins.is_script_request(request.headers):
            return None
        browser = browser_id_hash(request.scope["headers"], self.names)
        names = (browser, None if session_id is None else session_id.key)
        take = self.sessions.store.take_end_reason
        by_browser, by_session = [None if name is None else await take(name, keep=REASON_SHOWN) for name in names]
        return by_session or by_browser


def _signed_out(reason: EndReason | None, cookies: list[Header] | None = None) -> Response:
    return json_response({"authenticated": False, "reason": reason.value if reason else None}, cookies or [])


def session_router(endpoint: SessionEndpoint) -> APIRouter:
    router = APIRouter()

    @router.head("/auth/session", include_in_schema=False)
    @router.get(
        "/auth/session",
        **described(
            "The signed-in user and the end of the session, or why the last one ended",
            returns=("SignedInSession", "AnonymousSession"),
            errors=(InvalidRequest, DeviceBindingPending, StoreUnavailable),
        ),
    )
    async def current_session(request: Request) -> Response:
        return await endpoint.show(request)

    @router.post(
        "/auth/session/extend",
        **described(
            "Extends the idle timeout",
            returns=("SignedInSession",),
            parameters=[CSRF_HEADER],
            errors=(InvalidRequest, SignInRequired, CsrfRequired, DeviceBindingPending, StoreUnavailable),
            with_session=True,
        ),
    )
    async def extend_session(request: Request) -> Response:
        return await endpoint.extend(request)

    return router
