"""`/auth/sessions`: a person's own sessions, this browser's and the others, and how to end them."""

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from bff.errors import InvalidRequest, SignInRequired
from bff.flows.logout.end_sessions import EndSessions
from bff.flows.refresh.single_flight import RefreshTokenFlow
from bff.session.keyring import KeyRing
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Reading, SessionStore
from bff.session.timing import RefreshPolicy, limit_reached
from bff.web.cookies import CookieNames
from bff.web.csrf import judge_csrf, require_json
from bff.web.request_body import read_json
from bff.web.responses import json_answer
from bff.web.session_cookie import require_session_id

SHOWN = 100  # sessions of one person; more are no list for people


@dataclass(frozen=True, slots=True)
class SessionsEndpoint:
    refresh: RefreshTokenFlow
    end_sessions: EndSessions
    store: SessionStore
    ring: KeyRing
    names: CookieNames
    policy: RefreshPolicy
    public_url: str
    allowed_origins: tuple[str, ...]

    async def listed(self, request: Request) -> Response:
        """Newest first. Raises SignInRequired, CsrfRequired, StoreUnavailable. It extends no session."""
        self._judge_origin(request)
        mine = await self._session(request)
        readings = [await self.store.get(each.key) for each in await self._of(mine)]
        alive = [reading for reading in readings if self._lives(reading)]
        alive.sort(key=lambda reading: reading.session.signed_in_at if reading.session else 0.0, reverse=True)
        return json_answer({"sessions": [_told(reading, mine) for reading in alive[:SHOWN]]})

    async def end(self, request: Request) -> Response:
        """`{"id": ...}` ends one, `{"others": true}` all but this browser's. An id that is not there is no error.

        Raises SignInRequired, CsrfRequired, UnsupportedMediaType, InvalidRequest, StoreUnavailable.
        """
        self._judge_origin(request)
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
            each for each in await self._of(mine) if (each.key != mine.key if others else handle(each.key) == wanted)
        ]
        here = [each for each in chosen if each.key == mine.key]
        elsewhere = [each for each in chosen if each.key != mine.key]
        ended = [
            *await self.end_sessions.these(elsewhere, EndReason.SIGNED_OUT_ELSEWHERE),
            *await self.end_sessions.these(here, EndReason.SIGNED_OUT),
        ]
        return json_answer({"ended": len(ended)}, [self.names.clear_session()] if here else [])

    def _judge_origin(self, request: Request) -> None:
        judge_csrf(
            request.method,
            request.scope["headers"],
            public_origin=self.public_url,
            allowed_origins=self.allowed_origins,
        )

    async def _session(self, request: Request) -> Session:
        session_id = require_session_id(request.scope["headers"], self.ring, self.names).session_id
        reading = await self.refresh.peek(session_id.key)
        session = reading.session
        if session is None:
            reason = await self.refresh.why_ended(session_id.key, reading)
        else:
            reason = limit_reached(session, reading.now, self.policy, reading.last_seen_at)
        if session is None or reason is not None:
            raise SignInRequired(reason=reason.value if reason else None)
        return session

    async def _of(self, mine: Session) -> list[Session]:
        found = await self.store.find("sub", mine.user.sub)
        return [each for each in found if (each.issuer, each.client_id) == (mine.issuer, mine.client_id)]

    def _lives(self, reading: Reading) -> bool:
        session = reading.session
        return session is not None and limit_reached(session, reading.now, self.policy, reading.last_seen_at) is None


def handle(key: SessionKey) -> str:
    """Names a session to its owner. It opens nothing, finds nothing in a store, and is another name than in logs."""
    return hashlib.sha256(b"handle:" + key.encode()).hexdigest()[:20]


def _told(reading: Reading, mine: Session) -> dict[str, Any]:
    session = reading.session
    if session is None:
        raise ValueError("a session that lives has a record")
    return {
        "id": handle(session.key),
        "current": session.key == mine.key,
        "signed_in_at": int(session.signed_in_at),
        "last_seen_at": int(reading.last_seen_at),
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
