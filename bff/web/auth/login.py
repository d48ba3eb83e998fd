"""`GET|POST /auth/login` starts a sign-in. It also serves as Okta's *Initiate login URI* (OIDC Core section 4)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Request, Response

from bff.config.settings import Settings
from bff.errors import (
    InvalidRequest,
    NavigationRequired,
    ProviderUnavailable,
    RateLimited,
    SignInFailed,
    SignInLoop,
    UnsupportedMediaType,
)
from bff.flows.authorization_request import AuthorizationRequests
from bff.oidc.authorization import PLAIN, SignInOptions
from bff.session.sign_in_intent import SignInIntent, fits_into_state
from bff.telemetry import metrics
from bff.web.auth.login_hint import LoginHints
from bff.web.auth.loop_guard import SignInAttempts
from bff.web.auth.pending_sign_ins import PendingSignIns
from bff.web.auth.sign_in_options import PARAMETERS, options_from
from bff.web.cookies import Header
from bff.web.error_responder import ErrorResponder
from bff.web.request_body import read_body
from bff.web.responses import see_other
from bff.web.return_path import requested_return_path, return_path
from bff.web.route_description import described, query

logger = logging.getLogger(__name__)

LOGIN: Final = "/auth/login"
FORM_LIMIT: Final = 8192  # bytes
# The BFF itself adds `sealed_hint` when it redirects a POST to this endpoint.
KNOWN: Final = PARAMETERS | {"return_to", "iss", "target_link_uri", "sealed_hint", "mode", "popup_id"}


_QUERY: Final = (
    query("return_to", "A path of this origin to return to, with query and fragment."),
    query("mode", "Ends on /auth/popup instead, which announces the end to the other pages.", enum=["popup"]),
    query("popup_id", "The page's own name of this sign-in.", pattern="^[A-Za-z0-9_-]{16,64}$"),
    query("prompt", "Values of BFF_ALLOWED_PROMPTS, separated by spaces."),
    query("max_age", "The sign-in may be so many seconds old; 0 for a new one.", pattern="^[0-9]{1,9}$"),
    query("acr_values", "Values of BFF_ACR_VALUES, separated by spaces."),
    query("login_hint", "The name that the provider shows."),
    query("idp", "One of BFF_ALLOWED_IDPS."),
    query("iss", "The issuer, in a sign-in that a third party starts (OpenID Connect Core, section 4)."),
    query("target_link_uri", "As return_to, in a sign-in that a third party starts."),
)


class SignInStart:
    """Redirects a browser to the provider.

    The callback uses it too: a request to the redirect URI without parameters starts a sign-in.
    """

    def __init__(
        self,
        requests: AuthorizationRequests,
        pending: PendingSignIns,
        hints: LoginHints,
        errors: ErrorResponder,
        settings: Settings,
    ) -> None:
        self._requests, self._hints = requests, hints
        self.pending, self.errors, self.settings = pending, errors, settings

    async def redirect(
        self,
        request: Request,
        return_to: str | None,
        options: SignInOptions = PLAIN,
        *,
        restarts: int = 0,
        browser: str | None = None,
    ) -> Response:
        """Starts a login transaction and redirects to the provider.

        Raises NavigationRequired for a fetch, a frame or a prefetch, which must not create login transactions. While
        the provider is unavailable, the response is an error page whose link keeps the return path; a silent check
        (`prompt=none`) is redirected to the return path. `browser` is the hash of the browser-id cookie, for requests
        that could not carry the cookie.
        """
        headers: Sequence[Header] = request.scope["headers"]
        require_navigation(headers)
        destination = return_path(return_to, self.settings.browser)
        attempts = self.pending.attempts(headers)
        if attempts.wait is not None:
            metrics.SIGN_IN.labels(outcome="loop").inc()
            loop = SignInLoop(retry_after=attempts.wait)
            return self.errors.respond(loop, request, return_to=destination, options=options)
        browser, cookies = self._browser(request, browser, attempts)
        intent = SignInIntent(
            return_to=destination,
            prompt=options.prompt,
            max_age=options.max_age,
            acr_values=options.acr_values,
            idp=options.idp,
            restarts=restarts,
        )
        if not fits_into_state(intent):
            intent = replace(intent, return_to=self.settings.browser.landing_path)
        slot = self.pending.free_slot(headers)
        try:
            started = await self._requests.begin(intent=intent, options=options, browser=browser, slot=slot)
        except (ProviderUnavailable, SignInFailed) as error:
            if options.silent:
                return see_other(destination, cookies)
            return self.errors.respond(error, request, return_to=destination, options=options)
        return see_other(started.url, [*cookies, *self.pending.set_cookies(headers, started.transaction)])

    async def initiate(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """Handles `GET /auth/login`.

        A third-party-initiated sign-in starts a new authorization request of the BFF, which takes only the validated
        return path and the allowed options from the parameters.
        """
        require_our_provider(parameters.get("iss"), self.settings.provider.issuer)
        return_to = requested_return_path(parameters)
        hint = self._hints.open(parameters.get("sealed_hint", ""))
        try:
            options = self._options({"login_hint": hint, **parameters} if hint else parameters)
        except InvalidRequest as error:
            return self.errors.respond(error, request, return_to=return_path(return_to, self.settings.browser))
        return await self.redirect(request, return_to, options)

    def to_get(self, parameters: Mapping[str, str]) -> Response:
        """Handles `POST /auth/login` by a redirect to `GET /auth/login`.

        A form POST from another site arrives without the BFF's Lax cookies, in which the rate limit and the loop guard
        count earlier sign-ins. The GET that follows carries them.
        """
        require_our_provider(parameters.get("iss"), self.settings.provider.issuer)
        query = self._options(parameters).parameters()
        if (hint := query.pop("login_hint", None)) is not None:
            query["sealed_hint"] = self._hints.seal(hint)
        query["return_to"] = return_path(requested_return_path(parameters), self.settings.browser)
        return see_other(f"{LOGIN}?{urlencode(query)}")

    def _options(self, parameters: Mapping[str, str]) -> SignInOptions:
        allowed = self.settings.sign_in
        return options_from(
            parameters,
            allowed_prompts=allowed.allowed_prompts,
            acr_values=allowed.acr_values,
            allowed_idps=allowed.allowed_idps,
        )

    def _browser(
        self, request: Request, browser: str | None, attempts: SignInAttempts
    ) -> tuple[str | None, list[Header]]:
        """Returns the hash of the browser-id cookie, and the cookies to set."""
        browser = self.pending.browser(request.scope["headers"]) or browser
        if browser is not None:
            # A form POST from the provider's page arrives without the BFF's Lax cookies, whose counters must not be
            # overwritten.
            return browser, [] if request.method == "POST" else [attempts.count_attempt()]
        if request.method == "POST":
            return None, []
        new, cookie = self.pending.new_browser()
        return new, [attempts.count_attempt(), cookie]


def require_navigation(headers: Sequence[Header]) -> None:
    """Raises NavigationRequired unless the request is a page navigation, which alone may start a sign-in.

    A client without Sec-Fetch-* headers is assumed to be navigating.
    """
    fields = {name: value for name, value in headers if name.startswith((b"sec-", b"purpose", b"x-csrf"))}
    mode, destination = fields.get(b"sec-fetch-mode"), fields.get(b"sec-fetch-dest")
    prefetch = b"prefetch" in fields.get(b"sec-purpose", b"") or fields.get(b"purpose") == b"prefetch"
    if prefetch or b"x-csrf" in fields or mode not in (None, b"navigate") or destination not in (None, b"document"):
        raise NavigationRequired("Navigate to this address; do not fetch, frame or prefetch it.")


def require_our_provider(iss: str | None, issuer: str) -> None:
    """Raises InvalidRequest for an `iss` of another provider; a missing one is accepted.

    Okta sends its org URL as `iss` even when the app's issuer is a custom authorization server of that host.
    """
    parts = urlsplit(issuer)
    org_url = f"{parts.scheme}://{parts.netloc}"
    if iss not in (None, issuer, org_url, f"{org_url}/"):
        raise InvalidRequest("The parameter iss names another provider.")


def login_router(start: SignInStart) -> APIRouter:
    router = APIRouter()

    errors = (NavigationRequired, InvalidRequest, SignInLoop, RateLimited, ProviderUnavailable)

    @router.get(LOGIN, **described("Redirects to the provider", status=303, parameters=_QUERY, errors=errors))
    async def by_get(request: Request) -> Response:
        return await start.initiate(request, _parameters(request.scope["query_string"]))

    form = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}

    @router.post(LOGIN, **described("Redirects to the same as a GET", status=303, body=form, errors=errors))
    async def by_post(request: Request) -> Response:
        parameters = _parameters(await read_form(request))
        require_navigation(request.scope["headers"])
        return start.to_get(parameters)

    return router


async def read_form(request: Request) -> bytes:
    """Reads the urlencoded body, at most `FORM_LIMIT` bytes. Raises UnsupportedMediaType, RequestTooLarge."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("Send application/x-www-form-urlencoded.")
    return await read_body(request, FORM_LIMIT)


def _parameters(encoded: bytes) -> dict[str, str]:
    """Returns the known parameters. Others are ignored, so a client cannot override those of the authorization request.

    Raises InvalidRequest if a known parameter occurs more than once.
    """
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError:
        raise InvalidRequest("The parameters cannot be read.") from None
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name not in KNOWN:
            continue
        if name in parameters:
            raise InvalidRequest(f"The parameter {name} occurs more than once.")
        parameters[name] = value
    return parameters
