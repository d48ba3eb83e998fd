"""`POST /auth/logout`: deletes the record, then the cookie, then prepares the provider's logout URL (OIDC RP-Initiated
Logout). `GET /auth/logout/provider?ticket=` is the URL that the page receives: it redirects the browser to the
provider. `bff.web.auth.sign_out_form` does the same without a script.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response

from bff.config.browser import BrowserSettings
from bff.errors import InvalidRequest
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.provider_sign_out import TICKET_LIFETIME, ProviderSignOut, SignOutTicket
from bff.session.session import EndReason
from bff.web.auth.login import require_navigation
from bff.web.auth.sign_out_cookie import SignOutCookie
from bff.web.browser_id import browser_id_hash
from bff.web.cookies import Header
from bff.web.request_authentication import RequestAuthentication
from bff.web.request_body import parse_fields, read_json, require_json
from bff.web.responses import json_response, see_other
from bff.web.session_cookies import SignedIn

AT_PROVIDER: Final = "/auth/logout/provider"
# Only this origin's cache and storage: "cookies" would also delete those of sibling applications.
CLEAR_SITE_DATA: Final = ((b"clear-site-data", b'"cache"'),)


@dataclass(frozen=True, slots=True)
class LogoutEndpoint:
    end_session: EndSession
    at_provider: ProviderSignOut
    authentication: RequestAuthentication
    sign_out_cookie: SignOutCookie
    browser: BrowserSettings

    async def answer(self, request: Request) -> Response:
        """Idempotent: without a session it responds the same, with a URL only if the last one ended by itself.

        Raises CsrfRequired, StoreUnavailable. `end_session_url` is where the SPA navigates to end the session at the
        provider too: a URL of our own, single-use, valid for `TICKET_LIFETIME` seconds, in this browser. It contains no
        token. A body of `{"local": true}` ends only the local session: there is no URL, and the next sign-in may need
        no password. If the store is unavailable the response is 503 and the cookie stays, because clearing it would
        leave a live record that the user can no longer end.
        """
        headers = request.scope["headers"]
        self.authentication.origins.check_csrf("POST", headers)
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        require_json(headers, body_present=has_body)
        local = _local(await read_json(request))
        path, cookies = await self.sign_out(headers, local=local)
        url = None if path is None else f"{self.browser.public_url}{path}"
        return json_response({"end_session_url": url}, cookies, CLEAR_SITE_DATA)

    async def sign_out(self, headers: Sequence[Header], *, local: bool) -> tuple[str | None, list[Header]]:
        """Ends the session of the request. Returns the path that leads to the provider, and the cookies to set.

        Raises StoreUnavailable; the cookie then stays, because the record does.
        """
        ended, browser = None, browser_id_hash(headers, self.authentication.cookies.names)
        names = [] if browser is None else [browser]
        match self.authentication.cookies.read(headers):
            case SignedIn(session_id):
                names.append(session_id.key)
                ended = await self.end_session.end(session_id.key, EndReason.SIGNED_OUT)
            case _:
                pass
        cookies = self.authentication.clear(headers)
        if local:
            return None, cookies
        at_provider = self.at_provider
        prepared = await (at_provider.prepare_after_end(names) if ended is None else at_provider.prepare(ended))
        if prepared is None:
            return None, cookies
        cookies.append(self.sign_out_cookie.seal(prepared.browser, lifetime=TICKET_LIFETIME))
        return f"{AT_PROVIDER}?ticket={prepared.ticket}", cookies

    async def go_on(self, request: Request) -> Response:
        """303 to the provider, once; to `signed_out_path` for a URL that was used, has expired or is not ours.

        Raises NavigationRequired for a fetch, a frame or a prefetch, which must not consume it, and StoreUnavailable.
        """
        headers = request.scope["headers"]
        require_navigation(headers)
        ticket = parse_fields(request.scope["query_string"]).get("ticket", "")
        browser = self.sign_out_cookie.read(headers)
        # Only a client with a cookie that we sealed causes a read of the store, so no rate limit is needed.
        url = await self.at_provider.take(SignOutTicket(ticket, browser)) if browser and ticket else None
        if url is None:
            # The cookie stays: it may belong to another sign-out of this browser whose URL is still valid.
            return see_other(self.browser.signed_out_path)
        return see_other(url, [self.sign_out_cookie.clear()])


def _local(body: Mapping[str, Any]) -> bool:
    match body:
        case {"local": bool(local), **rest} if not rest:
            return local
        case _ if not body:
            return False
        case _:
            raise InvalidRequest('Send no body, or {"local": true}.')
