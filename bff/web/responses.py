"""Responses of the BFF's own endpoints: never cached, no referrer, cookies as raw headers."""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bff.errors import (
    BffError,
    CsrfRequired,
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
from bff.telemetry import audit, tracing
from bff.telemetry.audit import AuditEvent
from bff.web.cookies import Header
from bff.web.problem_details import error_response

logger = logging.getLogger(__name__)

PRIVATE: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
# Other sites must not load it, not even as an image, because its bytes would be in that page's process (Spectre). This
# does not affect fetches with CORS or navigations.
SAME_ORIGIN: Header = (b"cross-origin-resource-policy", b"same-origin")


def answer(status: int, headers: Iterable[Header], body: bytes = b"") -> Response:
    response = Response(status_code=status)
    response.body = body
    response.raw_headers = list(headers)
    return response


def json_response(content: Mapping[str, Any], cookies: Iterable[Header] = (), extra: Iterable[Header] = ()) -> Response:
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    entity_headers = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii")))
    return answer(200, (*entity_headers, *PRIVATE, SAME_ORIGIN, *extra, *cookies), body)


def see_other(location: str, cookies: Iterable[Header] = ()) -> Response:
    """303: the next request is a GET without a body, whatever the method was (RFC 9700 section 4.12)."""
    where = ((b"location", location.encode("ascii")), (b"content-length", b"0"))
    return answer(303, (*where, *PRIVATE, *cookies))


def respond_with_error(
    error: BffError,
    request: Request,
    *,
    landing_path: str,
    return_to: str | None = None,
    options: SignInOptions = PLAIN,
) -> Response:
    """`options` are the options of the sign-in that failed, so that the page's retry link repeats them."""
    record_error(error)
    status, headers, body = error_response(
        error,
        request.scope["headers"],
        correlation_id=tracing.correlation_id(),
        return_to=return_to,
        landing_path=landing_path,
        options=options,
    )
    return answer(status, headers, b"" if request.method == "HEAD" else body)


def record_error(error: BffError) -> None:
    """Logs the line that a user's reference leads to; `bff.telemetry.logging` adds the correlation id.

    Never logs the path, which may hold a code.
    """
    for error_type, event in _DECISIONS.items():
        if isinstance(error, error_type):
            audit.record(event, error.code, status=error.status, why=error.detail)
            return
    # Unauthenticated clients and scanners cause these in large numbers.
    everyday = isinstance(error, SignInRequired | RouteNotFound | MethodNotAllowed)
    fields = {"error": error.code, "status": error.status, "why": error.detail}
    logger.log(logging.DEBUG if everyday else logging.WARNING, "request failed", extra=fields)


# Audit events for refusals of our own are recorded here, where every error passes. Provider refusals are recorded by
# the flow.
_DECISIONS: Final[Mapping[type[BffError], AuditEvent]] = {
    SignInStateInvalid: AuditEvent.SIGN_IN_REFUSED,
    SignInExpired: AuditEvent.SIGN_IN_REFUSED,
    SignInLoop: AuditEvent.SIGN_IN_REFUSED,
    LogoutTokenRefused: AuditEvent.PROVIDER_LOGOUT_REJECTED,
    RevocationRefused: AuditEvent.PROVIDER_LOGOUT_REJECTED,
    StepUpRequired: AuditEvent.STEP_UP_REQUIRED,
    InsufficientScope: AuditEvent.ACCESS_REFUSED,
    CsrfRequired: AuditEvent.CSRF_REFUSED,
    RateLimited: AuditEvent.RATE_LIMITED,
}
