"""`/auth/sessions`: lists the user's own sessions, on this and other browsers, and ends them."""

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from bff.errors import (
    CsrfRequired,
    DeviceBindingPending,
    InvalidRequest,
    SignInRequired,
    StoreUnavailable,
    UnsupportedMediaType,
)
from bff.flows.logout.end_sessions import EndSessions
from bff.session.device_binding import is_bound
from bff.session.session import EndReason, Session, SessionKey
from bff.session.session_view import SessionView
from bff.session.store import Found
from bff.web.auth.current_session import CurrentSessions
from bff.web.request_authentication import RequestAuthentication
from bff.web.request_body import read_json, require_json
from bff.web.responses import json_response
from bff.web.route_description import CSRF_HEADER, described, schema

MAX_LISTED = 100  # sessions listed at most


@dataclass(frozen=True, slots=True)
class SessionsEndpoint:
    sessions: CurrentSessions
    end_sessions: EndSessions
    authentication: RequestAuthentication

    async def show(self, request: Request) -> Response:
        """Newest first. Raises SignInRequired, CsrfRequired, StoreUnavailable. It extends no session."""
        self._check_origin(request)
        mine = await self._session(request)
        stored_sessions = [await self.sessions.store.get(session.key) for session in await self._of(mine)]
        alive = [
            stored
            for stored in stored_sessions
            if isinstance(stored, Found) and not self.sessions.limit_reached(stored)
        ]
        alive.sort(key=lambda stored: stored.view.signed_in_at, reverse=True)
        return json_response({"sessions": [_describe(stored, mine) for stored in alive[:MAX_LISTED]]})

    async def end(self, request: Request) -> Response:
        """`{"id": ...}` ends one session, `{"others": true}` all but this browser's.

        An unknown id is not an error. Raises SignInRequired, CsrfRequired, UnsupportedMediaType, InvalidRequest,
        StoreUnavailable.
        """
        self._check_origin(request)
        require_json(request.scope["headers"], body_present=True)
        match await read_json(request):
            case {"id": str(wanted)}:
                others = False
            case {"others": True}:
                wanted, others = "", True
            case _:
                raise InvalidRequest('Send {"id": "..."} or {"others": true}.')
        mine = await self._session(request)
        chosen = [
            session
            for session in await self._of(mine)
            if (session.key != mine.key if others else handle(session.key) == wanted)
        ]
        here = [session for session in chosen if session.key == mine.key]
        elsewhere = [session for session in chosen if session.key != mine.key]
        ended = [
            *await self.end_sessions.these(elsewhere, EndReason.SIGNED_OUT_ELSEWHERE),
            *await self.end_sessions.these(here, EndReason.SIGNED_OUT),
        ]
        return json_response({"ended": len(ended)}, self.authentication.clear(request.scope["headers"]) if here else [])

    def _check_origin(self, request: Request) -> None:
        self.authentication.origins.check_csrf(request.method, request.scope["headers"])

    async def _session(self, request: Request) -> SessionView:
        headers = request.scope["headers"]
        session = (await self.sessions.require(self.authentication.cookies.require(headers).session_id.key)).view
        self.authentication.check_device(session, headers)
        return session

    async def _of(self, mine: SessionView) -> list[Session]:
        sessions = await self.sessions.store.find("sub", mine.user.sub)
        return [session for session in sessions if (session.issuer, session.client_id) == (mine.issuer, mine.client_id)]


def handle(key: SessionKey) -> str:
    """Identifies a session to its owner.

    It gives no access, is no store key, and differs from the fingerprint in logs.
    """
    return hashlib.sha256(b"handle:" + key.encode()).hexdigest()[:20]


def _describe(stored: Found, mine: SessionView) -> dict[str, Any]:
    session = stored.session
    return {
        "id": handle(session.key),
        "current": session.key == mine.key,
        "signed_in_at": int(session.signed_in_at),
        "last_seen_at": int(stored.last_seen_at),
        "ends_at": int(session.ends_at),
        "device_bound": is_bound(session.device_binding),
        "client": session.client,
        "address": session.address,
    }


def sessions_router(endpoint: SessionsEndpoint) -> APIRouter:
    router = APIRouter()

    errors = (InvalidRequest, SignInRequired, CsrfRequired, DeviceBindingPending, StoreUnavailable)
    body = {"application/json": {"schema": schema("EndOneSession", "EndOtherSessions")}}

    @router.get(
        "/auth/sessions",
        **described(
            "The user's own sessions, newest first",
            returns=("OwnSessions",),
            parameters=[CSRF_HEADER],
            errors=errors,
            with_session=True,
        ),
    )
    async def own_sessions(request: Request) -> Response:
        return await endpoint.show(request)

    @router.post(
        "/auth/sessions/end",
        **described(
            "Ends one of them, or all but this one",
            returns=("EndedSessions",),
            body=body,
            parameters=[CSRF_HEADER],
            errors=(*errors, UnsupportedMediaType),
            with_session=True,
        ),
    )
    async def end_own_sessions(request: Request) -> Response:
        return await endpoint.end(request)

    return router
