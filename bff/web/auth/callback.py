"""The redirect URI (`/authorization-code/callback`) validates the authorization response and creates the session.

A failed response changes only the cookie of its own login transaction, so it never ends an existing session.
"""

import logging
from dataclasses import dataclass
from typing import assert_never
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from bff.errors import (
    BffError,
    InvalidRequest,
    SignInExpired,
    SignInFailed,
    SignInRefused,
    SignInStateInvalid,
    StoreUnavailable,
)
from bff.flows.sign_in import AlreadyUsed, AuthorizationCodeFlow, Client, NotSignedIn, SignedIn, SignedOutMeanwhile
from bff.oidc.authorization import AuthorizationError, Code, Malformed, NoParameters, read_authorization_response
from bff.proxy.client_address import TrustedProxies
from bff.session.login_transaction import LoginTransaction, StateExpired, StateInvalid, StateOk, with_intent
from bff.session.sign_in_intent import SignInIntent
from bff.session.store import SessionStore
from bff.web.auth.client_hint import client_hint, coarse_network
from bff.web.auth.landing import LANDING
from bff.web.auth.login import SignInStart, read_form, require_navigation, require_our_provider
from bff.web.cookies import Header
from bff.web.responses import see_other
from bff.web.route_description import described
from bff.web.session_cookies import SessionCookies

logger = logging.getLogger(__name__)

RESTARTS = 2  # how often one sign-in is restarted automatically


@dataclass(frozen=True, slots=True)
class Callback:
    flow: AuthorizationCodeFlow
    start: SignInStart
    store: SessionStore
    cookies: SessionCookies
    trusted_proxies: TrustedProxies

    async def handle(self, request: Request) -> Response:
        """Raises BffError, which the caller shows as an error page with the next step."""
        headers = request.scope["headers"]
        require_navigation(headers)
        posted = request.method == "POST"
        raw_response = await read_form(request) if posted else request.scope["query_string"]
        match read_authorization_response(raw_response):
            case NoParameters(iss):
                require_our_provider(iss, self.start.settings.provider.issuer)
                # Okta's self-registration guide sets the Initiate login URI to this address.
                return self.start.to_get({}) if posted else await self.start.initiate(request, {})
            case Malformed(reason):
                raise InvalidRequest(f"The authorization response is malformed: {reason}.")
            case AuthorizationError(state=None):
                raise SignInStateInvalid
            case Code() | AuthorizationError() as authorization_response:
                return await self._finish(request, authorization_response)

    async def _finish(self, request: Request, authorization_response: Code | AuthorizationError) -> Response:
        match self.start.pending.read_state(authorization_response.state or ""):
            case StateInvalid():
                raise SignInStateInvalid
            case StateExpired(transaction_id, intent):
                stored = self.start.pending.find(request.scope["headers"], transaction_id)
                return await self._resume_or_fail(request, transaction_id, stored, intent, SignInExpired())
            case StateOk(transaction_id, intent):
                return await self._redeem(request, authorization_response, transaction_id, intent)
            case state:
                assert_never(state)

    async def _redeem(
        self,
        request: Request,
        authorization_response: Code | AuthorizationError,
        transaction_id: str,
        intent: SignInIntent,
    ) -> Response:
        stored = self.start.pending.find(request.scope["headers"], transaction_id)
        if stored is None or stored.id != transaction_id:
            restart = stored is not None and isinstance(authorization_response, Code)
            if stored is not None and not restart and intent.options.silent:
                return self._redirect_to(request, intent.return_to, [])  # the response to a silent check (prompt=none)
            return await self._resume_or_fail(
                request, transaction_id, stored, intent, SignInStateInvalid(), restart=restart
            )
        transaction = with_intent(stored, intent)

        browser_cookies: list[Header] = []
        browser = self._browser(request, transaction)
        if browser is None:
            browser, cookie = self.start.pending.new_browser()
            browser_cookies = [cookie]
        cleared_cookie = self.start.pending.clear(transaction_id)
        try:
            outcome = await self.flow.finish(
                authorization_response, transaction, browser=browser, client=self._client(request)
            )
        except BffError as error:
            response = self.start.errors.respond(
                error, request, return_to=transaction.return_to, options=transaction.options
            )
            if not isinstance(error, StoreUnavailable):
                response.raw_headers.append(cleared_cookie)
            return response
        match outcome:
            case SignedIn(session_id, _, return_to):
                session_cookie = self.cookies.seal(session_id)
                return self._redirect_to(request, return_to, [session_cookie, *browser_cookies, cleared_cookie])
            case NotSignedIn(return_to):
                return self._redirect_to(request, return_to, [cleared_cookie])
            case AlreadyUsed():
                return await self._resume_or_fail(request, transaction_id, stored, intent, SignInStateInvalid())
            case SignedOutMeanwhile():
                return await self._restart(request, intent, transaction.browser, [cleared_cookie])
            case _:
                assert_never(outcome)

    async def _restart(
        self, request: Request, intent: SignInIntent, browser: str | None, cookies: list[Header]
    ) -> Response:
        """Restarts the sign-in automatically, at most `RESTARTS` times; after that shows an error page."""
        if intent.restarts < RESTARTS:
            response = await self.start.redirect(
                request,
                intent.return_to,
                intent.options,
                restarts=intent.restarts + 1,
                browser=browser,
            )
        else:
            response = self.start.errors.respond(
                SignInRefused(), request, return_to=intent.return_to, options=intent.options
            )
        response.raw_headers.extend(cookies)
        return response

    def _browser(self, request: Request, transaction: LoginTransaction | None) -> str | None:
        """Returns the hash of the browser-id cookie.

        A cross-site form POST arrives without the cookie; the transaction then supplies the hash.
        """
        browser = self.start.pending.browser(request.scope["headers"])
        if browser is None and transaction is not None and request.method == "POST":
            return transaction.browser
        return browser

    def _redirect_to(self, request: Request, return_to: str, cookies: list[Header]) -> Response:
        """Redirects to the return path, after a form POST by way of the landing page.

        Browsers withhold the Strict session cookie from the navigation after a cross-site form POST; the landing page
        adds a same-site one. After a redirect a browser may withhold it as well, but most pages render without it.
        """
        if request.method == "POST":
            return see_other(f"{LANDING}?to={quote(return_to, safe='/')}", cookies)
        return see_other(return_to, cookies)

    def _client(self, request: Request) -> Client:
        headers, peer = request.scope["headers"], request.scope.get("client")
        address = self.trusted_proxies.client_address(peer[0] if peer else None, headers)
        return Client(client_hint(headers), coarse_network(address))

    async def _resume_or_fail(
        self,
        request: Request,
        transaction_id: str,
        stored: LoginTransaction | None,
        intent: SignInIntent,
        failure: BffError,
        *,
        restart: bool = False,
    ) -> Response:
        """Handles a reload, the back button or a second tab.

        A browser that is already signed in is redirected to the return path instead of shown `failure`. `stored` is
        the transaction in the cookie of this sign-in's slot. If it belongs to a newer sign-in, its cookie is kept; with
        `restart`, the sign-in whose cookie it replaced then starts again.
        """
        is_own = stored is None or stored.id == transaction_id
        cleared_cookie = [self.start.pending.clear(transaction_id)] if is_own else []
        browser = self._browser(request, stored)
        if browser is not None and await self.store.find("browser", browser):
            return self._redirect_to(request, intent.return_to, cleared_cookie)
        if restart:
            return await self._restart(request, intent, browser, cleared_cookie)
        response = self.start.errors.respond(failure, request, return_to=intent.return_to, options=intent.options)
        response.raw_headers.extend(cleared_cookie)
        return response


def callback_router(path: str, callback: Callback) -> APIRouter:
    """Builds the router. `path` is that of the redirect URI.

    GET is accepted in form_post mode too: sign-ins that started before the mode changed return by GET, and so does the
    tile in Okta's dashboard.
    """
    router = APIRouter()

    description = described(
        "The redirect URI: completes a sign-in, and returns to where it began",
        status=303,
        errors=(InvalidRequest, SignInStateInvalid, SignInExpired, SignInRefused, SignInFailed, StoreUnavailable),
    )

    @router.api_route(
        path, methods=["GET", "POST"] if callback.start.settings.sign_in.by_form_post else ["GET"], **description
    )
    async def authorization_response(request: Request) -> Response:
        return await callback.handle(request)

    return router
