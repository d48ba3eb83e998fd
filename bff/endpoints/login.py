"""`GET|POST /auth/login`: begins a sign-in. It is also Okta's *Initiate login URI* (OIDC Core section 4)."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request, Response

from bff import metrics
from bff.endpoints.answers import error_answer, see_other
from bff.endpoints.cookies import CookieNames, Header, login_cookies, surplus_login_cookies
from bff.endpoints.current_session import browser_hash, hash_of_browser, new_browser_cookie
from bff.endpoints.request_body import read_body
from bff.endpoints.sign_in_attempts import SignInAttempts
from bff.endpoints.sign_in_options import PARAMETERS, options_from
from bff.errors import (
    InvalidRequest,
    NavigationRequired,
    ProviderUnavailable,
    SignInFailed,
    SignInLoop,
    UnsupportedMediaType,
)
from bff.flows.authorization_request import AuthorizationRequests
from bff.oidc.authorization import PLAIN, SignInOptions
from bff.session.login_transaction import LoginTransaction, open_transaction, seal_transaction
from bff.session.return_to import safe_return_to
from bff.session.sealing import KeyRing

logger = logging.getLogger(__name__)

FORM_LIMIT = 8192  # bytes
KNOWN = PARAMETERS | {"return_to", "iss", "target_link_uri"}


@dataclass(frozen=True, slots=True)
class LoginRules:
    """`login_lifetime` is in seconds. `acr_values`, `prompts` and `idps` are what a link may ask for."""

    issuer: str
    public_url: str
    callback_path: str
    landing_path: str
    login_lifetime: int
    acr_values: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    idps: tuple[str, ...] = ()
    form_post: bool = False


class SignInStart:
    """Sends a browser to the provider; shared with the callback, which begins afresh when it is called bare."""

    def __init__(
        self,
        requests: AuthorizationRequests,
        ring: KeyRing,
        names: CookieNames,
        rules: LoginRules,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._requests, self._ring, self._names, self.rules, self._clock = requests, ring, names, rules, clock

    async def redirect(
        self,
        request: Request,
        return_to: str | None,
        options: SignInOptions = PLAIN,
        restarts: int = 0,
        browser: str | None = None,
    ) -> Response:
        """Raises NavigationRequired for a fetch, a frame or a prefetch: those must not leave login state behind.

        While the provider is away the answer is a page whose link still leads to where the person wanted to go; a
        silent check goes on there at once. `browser` is this browser's hash where the request could not bring it.
        """
        headers: Sequence[Header] = request.scope["headers"]
        require_navigation(headers)
        rules = self.rules
        back = safe_return_to(
            return_to,
            fallback=rules.landing_path,
            public_url=rules.public_url,
            callback_path=rules.callback_path,
        )
        attempts = SignInAttempts(headers, self._ring, self._names, self._clock())
        if attempts.wait is not None:
            metrics.SIGN_IN.labels(outcome="loop").inc()
            loop = SignInLoop(retry_after=attempts.wait)
            return error_answer(loop, request, landing_path=rules.landing_path, return_to=back, options=options)
        browser, cookies = self._browser(request, browser, attempts)
        try:
            begun = await self._requests.begin(return_to=back, options=options, restarts=restarts, browser=browser)
        except (ProviderUnavailable, SignInFailed) as error:
            if options.silent:
                return see_other(back, cookies)
            return error_answer(error, request, landing_path=rules.landing_path, return_to=back, options=options)
        transaction = begun.transaction
        sealed = seal_transaction(transaction, self._ring)
        lifetime, form_post = rules.login_lifetime, rules.form_post
        cookies.append(self._names.set_login(transaction.id, sealed, lifetime=lifetime, form_post=form_post))
        size = len(self._names.login(transaction.id)) + len(sealed)
        cookies += [self._names.clear_login(old) for old in self._surplus(headers, transaction, size)]
        return see_other(begun.url, cookies)

    def _browser(
        self, request: Request, browser: str | None, attempts: SignInAttempts
    ) -> tuple[str | None, list[Header]]:
        """Which browser this is, and the cookies that it keeps from now on."""
        browser = browser_hash(request.scope["headers"], self._names) or browser
        if browser is not None:
            return browser, [attempts.one_more()]
        if request.method == "POST":
            # Another site's form comes without our Lax cookies: they may be there, and must not be overwritten.
            return None, []
        value = new_browser_cookie()
        return hash_of_browser(value), [attempts.one_more(), self._names.set_browser(value)]

    def _surplus(self, headers: Sequence[Header], new: LoginTransaction, size_of_new: int) -> list[str]:
        dated = []
        for cookie in login_cookies(headers, self._names):
            opened = cookie.value and open_transaction(cookie.value, cookie.transaction_id, self._ring)
            started_at = opened.started_at if isinstance(opened, LoginTransaction) else None
            if started_at is not None and started_at + self.rules.login_lifetime < new.started_at:
                started_at = None
            dated.append((cookie, started_at))
        return surplus_login_cookies(dated, size_of_new=size_of_new)


def require_navigation(headers: Sequence[Header]) -> None:
    """Only a page that a person opens signs in. A client that sends no Sec-Fetch-* is taken for a person's."""
    fields = {name: value for name, value in headers if name.startswith((b"sec-", b"purpose", b"x-csrf"))}
    mode, destination = fields.get(b"sec-fetch-mode"), fields.get(b"sec-fetch-dest")
    prefetch = b"prefetch" in fields.get(b"sec-purpose", b"") or fields.get(b"purpose") == b"prefetch"
    if prefetch or b"x-csrf" in fields or mode not in (None, b"navigate") or destination not in (None, b"document"):
        raise NavigationRequired("Send the browser to this address; do not fetch, frame or prefetch it.")


def require_our_provider(iss: str | None, issuer: str) -> None:
    """Raises InvalidRequest for an `iss` of another provider; without one nobody else is meant.

    Okta sends its org URL as `iss` even when the app's issuer is a custom authorization server of that host.
    """
    ours = urlsplit(issuer)
    if iss not in (None, issuer, f"{ours.scheme}://{ours.netloc}", f"{ours.scheme}://{ours.netloc}/"):
        raise InvalidRequest("The parameter iss names another provider.")


def login_router(start: SignInStart) -> APIRouter:
    router = APIRouter()

    async def begin(request: Request, encoded: bytes) -> Response:
        parameters = _parameters(encoded)
        require_our_provider(parameters.get("iss"), start.rules.issuer)
        # Third-party initiated or not, the flow is our own and fresh: nothing of the request is believed but where to
        # go afterwards, by the strict rule, and whom the provider should ask for.
        return_to = parameters.get("return_to", parameters.get("target_link_uri"))
        rules = start.rules
        options = options_from(parameters, prompts=rules.prompts, acr_values=rules.acr_values, idps=rules.idps)
        return await start.redirect(request, return_to, options)

    @router.get("/auth/login")
    async def by_get(request: Request) -> Response:
        return await begin(request, request.scope["query_string"])

    @router.post("/auth/login")
    async def by_post(request: Request) -> Response:
        return await begin(request, await read_form(request))

    return router


async def read_form(request: Request) -> bytes:
    """The urlencoded body, at most `FORM_LIMIT` bytes. Raises UnsupportedMediaType, RequestTooLarge."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("Send application/x-www-form-urlencoded.")
    return await read_body(request, FORM_LIMIT)


def _parameters(encoded: bytes) -> dict[str, str]:
    """The parameters we know, each once. OAuth parameters that a client sends are ignored: none overrides ours."""
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError:
        raise InvalidRequest("The parameters cannot be read.") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in KNOWN:
            continue
        if name in found:
            raise InvalidRequest(f"The parameter {name} came more than once.")
        found[name] = value
    return found
