"""The sign-in redirect URI (`/authorization-code/callback`): validates the authorization response and creates the
session. A failed response changes no cookie but the login transaction's own, so it never ends an existing session.
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
from bff.web.session_cookies import SessionCookies

logger = logging.getLogger(__name__)

RESTARTS = 2  # automatic restarts of one sign-in


@dataclass(frozen=True, slots=True)
class Callback:
    flow: AuthorizationCodeFlow
    start: SignInStart
    store: SessionStore
    cookies: SessionCookies
    trusted_proxies: TrustedProxies

    async def answer(self, request: Request) -> Response:
        """Raises BffError; every one is shown as an error page with the next step."""
        headers = request.scope["headers"]
        require_navigation(headers)
        posted = request.method == "POST"
        response = await read_form(request) if posted else request.scope["query_string"]
        match read_authorization_response(response):
            case NoParameters(iss):
                require_our_provider(iss, self.start.settings.provider.issuer)
                # Okta's self-registration guide sets the Initiate login URI to this address.
                return self.start.to_get({}) if posted else await self.start.initiate(request, {})
            case Malformed(reason):
                raise InvalidRequest(f"The answer of the provider is malformed: {reason}.")
            case AuthorizationError(state=None):
                raise SignInStateInvalid
            case Code() | AuthorizationError() as provider_answer:
                return await self._finish(request, provider_answer)

    async def _finish(self, request: Request, provider_answer: Code | AuthorizationError) -> Response:
        match self.start.pending.read_state(provider_answer.state or ""):
            case StateInvalid():
                raise SignInStateInvalid
            case StateExpired(transaction_id, intent):
                kept = self.start.pending.find(request.scope["headers"], transaction_id)
                return await self._resume_or_fail(request, transaction_id, kept, intent, SignInExpired())
            case StateOk(transaction_id, intent):
                return await self._redeem(request, provider_answer, transaction_id, intent)
            case state:
                assert_never(state)

    async def _redeem(
        self, request: Request, provider_answer: Code | AuthorizationError, transaction_id: str, intent: SignInIntent
    ) -> Response:
        kept = self.start.pending.find(request.scope["headers"], transaction_id)
        if kept is None or kept.id != transaction_id:
            again = kept is not None and isinstance(provider_answer, Code)
            if kept is not None and not again and intent.options.silent:
                return self._redirect_to(request, intent.return_to, [])  # the response to a silent check (prompt=none)
            return await self._resume_or_fail(request, transaction_id, kept, intent, SignInStateInvalid(), again=again)
        transaction = with_intent(kept, intent)

        browser_cookies: list[Header] = []
        browser = self._browser(request, transaction)
        if browser is None:
            browser, cookie = self.start.pending.new_browser()
            browser_cookies = [cookie]
        spent = self.start.pending.clear(transaction_id)
        try:
            outcome = await self.flow.finish(
                provider_answer, transaction, browser=browser, client=self._client(request)
            )
        except BffError as error:
            response = self.start.errors.respond(
                error, request, return_to=transaction.return_to, options=transaction.options
            )
            if not isinstance(error, StoreUnavailable):
                response.raw_headers.append(spent)
            return response
        match outcome:
            case SignedIn(session_id, _, return_to):
                session_cookie = self.cookies.seal(session_id)
                return self._redirect_to(request, return_to, [session_cookie, *browser_cookies, spent])
            case NotSignedIn(return_to):
                return self._redirect_to(request, return_to, [spent])
            case AlreadyUsed():
                return await self._resume_or_fail(request, transaction_id, kept, intent, SignInStateInvalid())
            case SignedOutMeanwhile():
                return await self._restart(request, intent, transaction.browser, [spent])
            case _:
                assert_never(outcome)

    async def _restart(
        self, request: Request, intent: SignInIntent, browser: str | None, cookies: list[Header]
    ) -> Response:
        """Restarts the sign-in automatically, a bounded number of times."""
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
        """The hash of this browser's browser-id cookie.

        A cross-site form_post arrives without the cookie; then the transaction holds the hash.
        """
        browser = self.start.pending.browser(request.scope["headers"])
        if browser is None and transaction is not None and request.method == "POST":
            return transaction.browser
        return browser

    def _redirect_to(self, request: Request, return_to: str, cookies: list[Header]) -> Response:
        """The Strict cookie is not sent after a cross-site form POST, so the landing page adds one same-site
        navigation. After a redirect a browser may withhold it as well, but most pages render without it.
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
        kept: LoginTransaction | None,
        intent: SignInIntent,
        otherwise: BffError,
        *,
        again: bool = False,
    ) -> Response:
        """Handles a reload, the back button or a second tab: a browser that is already signed in is redirected instead
        of shown an error. `kept` is the content of the cookie in this sign-in's slot. A newer sign-in's cookie is left
        alone; with `again`, the sign-in that lost its cookie to it restarts.
        """
        own = kept is None or kept.id == transaction_id
        spent = [self.start.pending.clear(transaction_id)] if own else []
        browser = self._browser(request, kept)
        if browser is not None and await self.store.find("browser", browser):
            return self._redirect_to(request, intent.return_to, spent)
        if again:
            return await self._restart(request, intent, browser, spent)
        response = self.start.errors.respond(otherwise, request, return_to=intent.return_to, options=intent.options)
        response.raw_headers.extend(spent)
        return response


def callback_router(path: str, callback: Callback) -> APIRouter:
    """GET is accepted in form_post mode too: sign-ins started before the mode was changed return by GET, and so does
    Okta's dashboard tile.
    """
    router = APIRouter()

    @router.api_route(path, methods=["GET", "POST"] if callback.start.settings.sign_in.by_form_post else ["GET"])
    async def authorization_response(request: Request) -> Response:
        return await callback.answer(request)

    return router
