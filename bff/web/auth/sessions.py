"""`/auth/sessions`: lists the user's own sessions, on this and other browsers, and ends them."""

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from bff.errors import InvalidRequest, SignInRequired
from bff.flows.logout.end_sessions import EndSessions
from bff.flows.refresh.single_flight import RefreshTokenFlow
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Found, SessionStore
from bff.session.timing import RefreshPolicy, limit_reached
from bff.web.origin_policy import OriginPolicy
from bff.web.request_body import read_json, require_json
from bff.web.responses import json_response
from bff.web.session_cookies import SessionCookies

MAX_SHOWN = 100  # sessions listed at most


@dataclass(frozen=True, slots=True)
class SessionsEndpoint:
    refresh: RefreshTokenFlow
    end_sessions: EndSessions
    store: SessionStore
    cookies: SessionCookies
    policy: RefreshPolicy
    origins: OriginPolicy

    async def listed(self, request: Request) -> Response:
        """Newest first. Raises SignInRequired, CsrfRequired, StoreUnavailable. It extends no session."""
        self._check_origin(request)
        mine = await self._session(request)
        stored_sessions = [await self.store.get(session.key) for session in await self._of(mine)]
        alive = [stored for stored in stored_sessions if isinstance(stored, Found) and self._is_live(stored)]
        alive.sort(key=lambda stored: stored.session.signed_in_at, reverse=True)
        return json_response({"sessions": [_describe(stored, mine) for stored in alive[:MAX_SHOWN]]})

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
        return json_response({"ended": len(ended)}, [self.cookies.clear()] if here else [])

    def _check_origin(self, request: Request) -> None:
        self.origins.check_csrf(request.method, request.scope["headers"])

    async def _session(self, request: Request) -> Session:
        session_id = self.cookies.require(request.scope["headers"]).session_id
        stored = await self.refresh.peek(session_id.key)
        if not isinstance(stored, Found):
            ended = await self.refresh.end_reason(session_id.key, stored)
            raise SignInRequired(reason=ended.value if ended else None)
        reason = limit_reached(stored.session, stored.now, self.policy, stored.last_seen_at)
        if reason is not None:
            raise SignInRequired(reason=reason.value)
        return stored.session

    async def _of(self, mine: Session) -> list[Session]:
        sessions = await self.store.find("sub", mine.user.sub)
        return [session for session in sessions if (session.issuer, session.client_id) == (mine.issuer, mine.client_id)]

    def _is_live(self, stored: Found) -> bool:
        return limit_reached(stored.session, stored.now, self.policy, stored.last_seen_at) is None


def handle(key: SessionKey) -> str:
    """Identifies a session to its owner.

    It gives no access, is no store key, and differs from the fingerprint in logs.
    """
    return hashlib.sha256(b"handle:" + key.encode()).hexdigest()[:20]


def _describe(stored: Found, mine: Session) -> dict[str, Any]:
    session = stored.session
    return {
        "id": handle(session.key),
        "current": session.key == mine.key,
        "signed_in_at": int(session.signed_in_at),
        "last_seen_at": int(stored.last_seen_at),
        "ends_at": int(session.ends_at),
        "client": session.client,
        "address": session.address,
    }


def sessions_router(endpoint: SessionsEndpoint) -> APIRouter:
    router = APIRouter()

    @router.get("/auth/sessions")
    async def own_sessions(request: Request) -> Response:
        return await endpoint.listed(request)

    @router.post("/auth/sessions/end")
    async def end_own_sessions(request: Request) -> Response:
        return await endpoint.end(request)

    return router
