"""`/auth/verify`: forward authentication for a reverse proxy.

Plain ASGI, on two ports. On the forward-auth port (`BFF_FORWARD_AUTH_LISTEN`), which only proxies reach, a 200 carries
the access token, an identity assertion, or both. On the public port it carries only the identity headers, because the
proxy also forwards `/auth/` and a script could call it: the browser never receives a token. Original request: nginx
sends `X-Original-Method` and `X-Original-URI`, Caddy and Traefik `X-Forwarded-Method` and `X-Forwarded-Uri`; both are
accepted from a trusted proxy only. Envoy repeats the method and appends the path (`/auth/verify/the/path`). An unknown
method counts as unsafe. A 401 carries the sign-in URL in `X-Sign-In-URL`, for proxies that write their own response;
with `?sign_in=redirect` a navigation is redirected there. `?rules=NAME` selects access rules. Envoy, whose query is the
original request's, sends `X-Sign-In: redirect` and `X-Access-Rules: NAME` instead. nginx discards the response of
auth_request: it repeats the request with `?explain=refusal` and sends that response to the browser. With this parameter
there is no 200, which would look like the response of a request that was never made: a request that would be allowed
now gets 503 `retry_required`.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from bff.config.browser import VERIFY as VERIFY_PATH
from bff.config.settings import Settings
from bff.errors import (
    BffError,
    ForbiddenByRule,
    InvalidRequest,
    RetryRequired,
    RouteNotFound,
    SignInRequired,
    StepUpRequired,
)
from bff.flows.identity_assertions import IdentityAssertions
from bff.proxy.client_address import TrustedProxies
from bff.proxy.identity_headers import field_value
from bff.session.session_view import SessionView
from bff.telemetry import audit
from bff.web.api import is_background
from bff.web.auth.forward_auth_access import ForwardAuthAccess
from bff.web.auth.landing import LANDING
from bff.web.auth.same_site_step import is_cross_site_navigation
from bff.web.cookies import Header
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import check_path
from bff.web.responses import PRIVATE, send_response
from bff.web.return_path import return_path
from bff.web.step_up import step_up_url

logger = logging.getLogger(__name__)

VERIFY: Final = VERIFY_PATH.encode("ascii")
UNKNOWN_METHOD: Final = "UNKNOWN"  # treated like POST

_METHODS: Final = (b"x-original-method", b"x-forwarded-method")
_URIS: Final = (b"x-original-uri", b"x-original-url", b"x-forwarded-uri")


@dataclass(frozen=True, slots=True)
class _Original:
    """The request that the proxy asks about. `uri` is path and query, None if the proxy did not send it."""

    method: str
    uri: str | None


class ForwardAuth:
    """One object for both ports: `on_public_port` and `on_private_port` are ASGI applications."""

    def __init__(
        self,
        access: ForwardAuthAccess,
        assertions: IdentityAssertions,
        trusted_proxies: TrustedProxies,
        errors: ErrorResponder,
        settings: Settings,
    ) -> None:
        self._access, self._assertions = access, assertions
        self._trusted, self._errors = trusted_proxies, errors
        self._settings, self._browser = settings.forward_auth, settings.browser
        self._acr_values = settings.sign_in.acr_values

    async def on_public_port(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A 200 carries the identity headers alone."""
        await self._answer(scope, send, with_token=False)

    async def on_private_port(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A 200 also carries tokens: only trusted proxies reach this port."""
        await self._answer(scope, send, with_token=True)

    async def _answer(self, scope: Scope, send: Send, *, with_token: bool) -> None:
        audit.set_client_address(partial(self._trusted.client_address, _peer(scope), scope["headers"]))
        original = _Original(UNKNOWN_METHOD, None)
        try:
            original = self._original(scope)
            named = _named_rules(scope)
            session = await self._access.session(
                original.method, scope["headers"], named, background=is_background(scope)
            )
            if b"explain=refusal" in _options(scope):
                raise RetryRequired(retry_after=1)
        except BffError as error:
            await self._refuse(error, scope, original, send)
            return
        tokens = self._tokens(session, allowed=with_token and self._trusted.trusts(_peer(scope)))
        headers = [(b"content-length", b"0"), *PRIVATE, *self._identity(session), *tokens]
        await send_response(scope, send, 200, headers, b"")

    def _tokens(self, session: SessionView, *, allowed: bool) -> list[Header]:
        """The access token, an identity assertion, or both.

        Where none is `allowed`, the assertion's own header is empty, so that the proxy replaces what a client sent.
        """
        settings, fields = self._settings, list[Header]()
        # A DPoP-bound token is useless without a proof for each request, which only the BFF can create.
        if allowed and settings.token == "user" and session.dpop_key is None:
            fields.append((b"authorization", b"Bearer " + session.tokens.access_token.encode("ascii")))
        if (identity := settings.identity_token) is not None:
            if allowed:
                fields.append(identity.field(self._assertions.assertion(session, identity, VERIFY_PATH)))
            elif settings.assertion is not None:
                fields.append((identity.header_name, b""))
        return fields

    def _original(self, scope: Scope) -> _Original:
        """Raises InvalidRequest if the proxy's headers contradict one another: one of them may come from the client."""
        headers, path = scope["headers"], scope["raw_path"]
        method = scope.get("method", "GET")
        behind = path.removeprefix(VERIFY)
        if behind == path or behind[:1] not in (b"", b"/"):
            raise RouteNotFound
        if behind:
            query = scope["query_string"]
            return _Original(method, (behind + (b"?" + query if query else b"")).decode("latin-1"))
        if not self._trusted.trusts(_peer(scope)):
            return _Original(UNKNOWN_METHOD, None)
        original_method, uri = _single_value(headers, _METHODS), _single_value(headers, _URIS)
        if method not in ("GET", "HEAD") and original_method != method:
            raise InvalidRequest("The original method differs from the method of the proxy's request.")
        if uri is not None and (refusal := _unreadable(uri)) is not None:
            raise refusal
        return _Original(original_method or UNKNOWN_METHOD, uri)

    def _identity(self, session: SessionView) -> list[Header]:
        """Every identity header in every response, empty ones included, so that the proxy
        replaces what a client sent.
        """
        return [
            (name.lower().encode("ascii"), field_value(session.claim(claim))) for name, claim in self._settings.identity
        ]

    async def _refuse(self, error: BffError, scope: Scope, original: _Original, send: Send) -> None:
        self._errors.record(error)
        browser, headers = self._browser, scope["headers"]
        back = return_path(original.uri, browser)
        if isinstance(error, ForbiddenByRule):
            error.sign_in_url = step_up_url(error, self._acr_values)
        status, fields, body = self._errors.render(error, headers, return_to=back)
        if isinstance(error, ForbiddenByRule) and error.sign_in_url is not None:
            fields = [*fields, (b"x-sign-in-url", (error.sign_in_url + quote(back, safe="/")).encode("ascii"))]
        if isinstance(error, SignInRequired | StepUpRequired):
            where = self._sign_in_url(headers, back, step_up=isinstance(error, StepUpRequired))
            fields = [*fields, (b"x-sign-in-url", where)]
            navigation = (b"sec-fetch-mode", b"navigate") in headers and original.method == "GET"
            if navigation and b"sign_in=redirect" in _options(scope):
                # Absolute: Traefik would resolve a path against the BFF's internal address.
                location = browser.public_url.encode("ascii") + where
                fields = [(b"location", location), (b"content-length", b"0"), *PRIVATE]
                status, body = 303, b""
        await send_response(scope, send, status, fields, body)

    def _sign_in_url(self, headers: Sequence[Header], back: str, *, step_up: bool) -> bytes:
        """A step-up asks for a new authentication.

        A cross-site navigation may be signed in although the Strict cookie was not sent, so it goes to the landing page
        first.
        """
        page, parameter = "/auth/login", "max_age=0&return_to" if step_up else "return_to"
        if is_cross_site_navigation(headers):
            page, parameter = LANDING, "to"
        return f"{page}?{parameter}={quote(back, safe='/')}".encode("ascii")


def _options(scope: Scope) -> Collection[bytes]:
    """Options that the proxy sets: the query, unless it is the original request's own."""
    if scope["raw_path"] == VERIFY:
        return [bytes(option) for option in scope["query_string"].split(b"&")]
    return (b"sign_in=redirect",) if (b"x-sign-in", b"redirect") in scope["headers"] else ()


def _named_rules(scope: Scope) -> list[str]:
    """The sets of rules that the proxy names: `?rules=NAME`; Envoy, as for its other option, with a header."""
    if scope["raw_path"] == VERIFY:
        names = [option[len(b"rules=") :] for option in _options(scope) if option.startswith(b"rules=")]
    else:
        names = [value for name, value in scope["headers"] if name == b"x-access-rules"]
    return [name.decode("latin-1") for name in names]


def _peer(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _single_value(headers: Sequence[Header], names: Sequence[bytes]) -> str | None:
    values = {value.decode("latin-1") for name, value in headers if name in names}
    if len(values) > 1:
        raise InvalidRequest("The original request is described in two ways.")
    return values.pop() if values else None


def _unreadable(uri: str) -> InvalidRequest | None:
    """What the request guard would report for the original path, which the proxy may have checked less strictly.

    Proxies merge leading slashes; `return_to` has its own rule for them.
    """
    path = uri.partition("?")[0]
    return check_path(b"/" + path.lstrip("/").encode("latin-1")) if path.startswith("/") else None
