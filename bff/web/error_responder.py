"""Turns errors into responses: every error that a client receives is recorded and rendered here."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope, Send

from bff.asgi.forwarded import forwarded_field
from bff.errors import (
    BffError,
    CsrfRequired,
    DeliveryRefused,
    InsufficientScope,
    MethodNotAllowed,
    RateLimited,
    RevocationRefused,
    RouteNotFound,
    SignInExpired,
    SignInLoop,
    SignInRequired,
    SignInStateInvalid,
    StepUpRequired,
)
from bff.oidc.authorization import PLAIN, SignInOptions
from bff.oidc.logout import LogoutTokenRefused
from bff.oidc.security_event_token import SecurityEventRefused
from bff.telemetry import audit, metrics, tracing
from bff.telemetry.audit import AuditEvent
from bff.web.cookies import Header
from bff.web.error_page import ErrorPages
from bff.web.error_status import status_of
from bff.web.problem_details import ErrorResponse, render_problem
from bff.web.responses import raw_response, send_response

logger = logging.getLogger(__name__)

NOT_FORWARDED: Final[Mapping[str, Any]] = {}

# Audit events for refusals of our own are recorded here, where every error passes. Provider refusals are recorded by
# the flow.
_AUDIT_EVENTS: Final[Mapping[type[BffError], AuditEvent]] = {
    SignInStateInvalid: AuditEvent.SIGN_IN_REFUSED,
    SignInExpired: AuditEvent.SIGN_IN_REFUSED,
    SignInLoop: AuditEvent.SIGN_IN_REFUSED,
    LogoutTokenRefused: AuditEvent.PROVIDER_LOGOUT_REJECTED,
    RevocationRefused: AuditEvent.PROVIDER_LOGOUT_REJECTED,
    SecurityEventRefused: AuditEvent.SECURITY_EVENT_REJECTED,
    DeliveryRefused: AuditEvent.SECURITY_EVENT_REJECTED,
    StepUpRequired: AuditEvent.STEP_UP_REQUIRED,
    InsufficientScope: AuditEvent.ACCESS_REFUSED,
    CsrfRequired: AuditEvent.CSRF_REFUSED,
    RateLimited: AuditEvent.RATE_LIMITED,
}


class ErrorResponder:
    """One per application. With `pages` a navigation gets a page, and everything else problem JSON; without, every
    client gets problem JSON: API responses, and ports that no browser reaches.
    """

    def __init__(self, pages: ErrorPages | None = None) -> None:
        self._pages = pages

    def record(self, error: BffError) -> None:
        """Logs the line that a user's reference leads to; `bff.telemetry.logging` adds the correlation id.

        Never logs the path, which may hold a code.
        """
        if isinstance(error, CsrfRequired):
            metrics.CSRF_REFUSED.inc()
        status = status_of(error)
        for error_type, event in _AUDIT_EVENTS.items():
            if isinstance(error, error_type):
                audit.record(event, error.code, status=status, why=error.detail)
                return
        # Unauthenticated clients and scanners cause these in large numbers.
        frequent = isinstance(error, SignInRequired | RouteNotFound | MethodNotAllowed)
        fields = {"error": error.code, "status": status, "why": error.detail}
        logger.log(logging.DEBUG if frequent else logging.WARNING, "request failed", extra=fields)

    def render(
        self,
        error: BffError,
        headers: Sequence[Header],
        *,
        return_to: str | None = None,
        options: SignInOptions = PLAIN,
        scope: Mapping[str, Any] = NOT_FORWARDED,
    ) -> ErrorResponse:
        """The response, without recording the error. `headers` are the request's.

        `return_to` is a path that `return_path` returned; `options` are those of the sign-in that failed: the page's
        retry link repeats both. `scope` knows whether the request was forwarded, which no endpoint of our own does.
        """
        correlation_id = tracing.correlation_id()
        if self._pages is None or scope.get("type") == "websocket" or not wants_page(headers):
            response = render_problem(error, correlation_id=correlation_id)
        else:
            response = self._pages.render(error, correlation_id=correlation_id, return_to=return_to, options=options)
        return response._replace(headers=[*response.headers, forwarded_field(scope)])

    def respond(
        self,
        error: BffError,
        request: Request,
        *,
        return_to: str | None = None,
        options: SignInOptions = PLAIN,
        scope: Mapping[str, Any] = NOT_FORWARDED,
    ) -> Response:
        """Records and renders an error of our own endpoints, or of a host's; the arguments are those of `render`."""
        self.record(error)
        status, headers, body = self.render(
            error, request.scope["headers"], return_to=return_to, options=options, scope=scope
        )
        return raw_response(status, headers, b"" if request.method == "HEAD" else body)

    async def send(
        self, error: BffError, scope: Scope, send: Send, *, close: bool = False, cookies: Sequence[Header] = ()
    ) -> None:
        """Records an error and sends the response, to a WebSocket handshake too.

        `close` ends the connection, for requests whose framing is in doubt.
        """
        self.record(error)
        response = self.render(error, scope["headers"], scope=scope)
        closing = [(b"connection", b"close")] if close else []
        headers = [*response.headers, *cookies, *closing]
        await send_response(scope, send, response.status, headers, response.body)


def wants_page(headers: Sequence[Header]) -> bool:
    """True for a navigation. Sec-Fetch-* decides first, then the headers that a fetch would send."""
    fields = {name.lower(): value for name, value in headers}
    mode, destination = fields.get(b"sec-fetch-mode"), fields.get(b"sec-fetch-dest")
    if mode == b"navigate" or destination == b"document":
        return True
    if mode is not None or b"x-requested-with" in fields or b"x-csrf" in fields:
        return False
    html, as_json = 0.0, 0.0
    for name, value in headers:
        if name.lower() == b"accept":
            for media_range in value.decode("latin-1").lower().split(","):
                media_type, *parameters = (part.strip() for part in media_range.split(";"))
                if media_type == "text/html":
                    html = max(html, _quality(parameters))
                elif media_type in ("application/json", "application/problem+json"):
                    as_json = max(as_json, _quality(parameters))
    return html > 0 and html >= as_json


def _quality(parameters: Sequence[str]) -> float:
    """The weight of a media range (RFC 9110 section 12.4.2); 0 if it is malformed."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
