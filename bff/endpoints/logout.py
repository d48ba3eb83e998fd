"""`POST /auth/logout`: the record goes first, then the cookie, then the provider (OIDC RP-Initiated Logout)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from bff.endpoints.answers import json_answer
from bff.endpoints.cookies import CookieNames
from bff.endpoints.csrf import judge_csrf, require_json
from bff.endpoints.current_session import SignedIn, read_session_id
from bff.endpoints.request_body import read_json
from bff.errors import InvalidRequest
from bff.flows.end_session import EndSession
from bff.session.sealing import KeyRing
from bff.session.session import EndReason


@dataclass(frozen=True, slots=True)
class LogoutEndpoint:
    end_session: EndSession
    ring: KeyRing
    names: CookieNames
    public_url: str
    allowed_origins: tuple[str, ...]

    async def answer(self, request: Request) -> Response:
        """Idempotent: without a session it answers the same, with no URL. Raises CsrfRequired, StoreUnavailable.

        `end_session_url` is where the SPA sends the browser to end its session at the provider too. A body of
        `{"local": true}` ends the session here alone: there is no URL, and the next sign-in may ask for no password.

        When the store is away the answer is 503 and the cookie stays: a record that lives on with nobody to end it
        would be worse than asking the person to try again.
        """
        headers = request.scope["headers"]
        judge_csrf("POST", headers, public_origin=self.public_url, allowed_origins=self.allowed_origins)
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        require_json(headers, body_present=has_body)
        local = _local(await read_json(request))
        ended = None
        match read_session_id(headers, self.ring, self.names):
            case SignedIn(session_id):
                ended = await self.end_session.end(session_id.key, EndReason.SIGNED_OUT)
            case _:
                pass
        url = None
        if not local:
            url = await self.end_session.provider_sign_out_url(ended, state=secrets.token_urlsafe(16))
        # Only our own cached pages: clearing "cookies" would take those of sibling applications along.
        clear = ((b"clear-site-data", b'"cache"'),)
        return json_answer({"end_session_url": url}, [self.names.clear_session()], clear)


def _local(body: Mapping[str, Any]) -> bool:
    match body:
        case {"local": bool(local), **rest} if not rest:
            return local
        case _ if not body:
            return False
        case _:
            raise InvalidRequest('Send no body, or {"local": true}.')


def logout_router(endpoint: LogoutEndpoint) -> APIRouter:
    router = APIRouter()

    @router.post("/auth/logout")
    async def sign_out(request: Request) -> Response:
        return await endpoint.answer(request)

    return router
