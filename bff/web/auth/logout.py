"""`POST /auth/logout`: deletes the record, then the cookie, then prepares the provider's logout URL (OIDC RP-Initiated
Logout). `GET /auth/logout/provider?ticket=` is the URL that the page receives: it redirects the browser to the
provider.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from bff.errors import InvalidRequest
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.provider_sign_out import TICKET_LIFETIME, ProviderSignOut, SignOutTicket
from bff.session.keyring import KeyRing, Opened
from bff.session.session import EndReason
from bff.web.auth.login import require_navigation
from bff.web.cookies import Cookie, CookieNames, Header, read_cookies
from bff.web.origin_policy import OriginPolicy
from bff.web.request_body import parse_fields, read_json, require_json
from bff.web.responses import json_response, see_other
from bff.web.session_cookies import SessionCookies, SignedIn

AT_PROVIDER: Final = "/auth/logout/provider"
PURPOSE: Final = "sign-out-cookie"


@dataclass(frozen=True, slots=True)
class LogoutEndpoint:
    end_session: EndSession
    at_provider: ProviderSignOut
    cookies: SessionCookies
    ring: KeyRing
    names: CookieNames
    public_url: str
    origins: OriginPolicy
    signed_out_path: str

    async def answer(self, request: Request) -> Response:
        """Idempotent: without a session it responds the same, without a URL.

        Raises CsrfRequired, StoreUnavailable. `end_session_url` is where the SPA navigates to end the session at the
        provider too: a URL of our own, single-use, valid for `TICKET_LIFETIME` seconds, in this browser. It contains no
        token. A body of `{"local": true}` ends only the local session: there is no URL, and the next sign-in may need
        no password. If the store is unavailable the response is 503 and the cookie stays, because clearing it would
        leave a live record that the user can no longer end.
        """
        headers = request.scope["headers"]
        self.origins.check_csrf("POST", headers)
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        require_json(headers, body_present=has_body)
        local = _local(await read_json(request))
        ended = None
        match self.cookies.read(headers):
            case SignedIn(session_id):
                ended = await self.end_session.end(session_id.key, EndReason.SIGNED_OUT)
            case _:
                pass
        url, cookies = None, [self.cookies.clear()]
        if not local and (prepared := await self.at_provider.prepare(ended)) is not None:
            url = f"{self.public_url}{AT_PROVIDER}?ticket={prepared.ticket}"
            sealed = self.ring.seal_text(PURPOSE, prepared.browser.encode("ascii"))
            cookies.append(self.names.set_sign_out(sealed, lifetime=TICKET_LIFETIME))
        # Only this origin's cache and storage: "cookies" would also delete those of sibling applications.
        clear = ((b"clear-site-data", b'"cache"'),)
        return json_response({"end_session_url": url}, cookies, clear)

    async def go_on(self, request: Request) -> Response:
        """303 to the provider, once; to `signed_out_path` for a URL that was used, has expired or is not ours.

        Raises NavigationRequired for a fetch, a frame or a prefetch, which must not consume it, and StoreUnavailable.
        """
        headers = request.scope["headers"]
        require_navigation(headers)
        ticket = parse_fields(request.scope["query_string"]).get("ticket", "")
        browser = self._browser(headers)
        # Only a client with a cookie that we sealed causes a read of the store, so no rate limit is needed.
        url = await self.at_provider.take(SignOutTicket(ticket, browser)) if browser and ticket else None
        if url is None:
            # The cookie stays: it may belong to another sign-out of this browser whose URL is still valid.
            return see_other(self.signed_out_path)
        return see_other(url, [self.names.clear_sign_out()])

    def _browser(self, headers: Iterable[Header]) -> str | None:
        match read_cookies(headers, self.names.sign_out):
            case Cookie(value):
                opened = self.ring.open_text(PURPOSE, value)
                return opened.plaintext.decode("ascii") if isinstance(opened, Opened) else None
            case _:
                return None


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

    @router.get(AT_PROVIDER)
    async def sign_out_at_provider(request: Request) -> Response:
        return await endpoint.go_on(request)

    return router
