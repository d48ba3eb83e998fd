"""Errors as RFC 9457 problem JSON, and the headers that every error response has.

No error response sets or clears the session cookie: an error ends no session. (The request guard adds the cookies that
a 431 deletes.)
"""

import json
from typing import Any, Final, NamedTuple

from bff.errors import (
    BffError,
    DeviceBindingRequired,
    ForbiddenByRule,
    MethodNotAllowed,
    RefreshRefused,
    SignInRequired,
    StepUpRequired,
)
from bff.web.cookies import Header
from bff.web.error_status import status_of

_TYPE: Final = "urn:okta-bff:problem:"
SIGN_IN_URL: Final = "/auth/login?return_to="  # the caller appends the percent-encoded return path


class ErrorResponse(NamedTuple):
    """A complete response. For HEAD send status and headers alone."""

    status: int
    headers: list[Header]
    body: bytes


def render_problem(error: BffError, *, correlation_id: str) -> ErrorResponse:
    """A SPA branches on `code`, a user quotes `correlation_id`; `detail` is not meant to be parsed."""
    status = status_of(error)
    problem: dict[str, Any] = {
        "type": _TYPE + error.code,
        "title": error.title,
        "status": status,
        "code": error.code,
        "correlation_id": correlation_id,
    }
    if error.detail:
        problem["detail"] = error.detail
    if isinstance(error, SignInRequired) and error.reason:
        problem["reason"] = error.reason
    if isinstance(error, StepUpRequired):
        problem["acr_values"], problem["max_age"] = list(error.acr_values), error.max_age
        problem["sign_in_url"] = error.sign_in_url
    if isinstance(error, ForbiddenByRule):
        problem["rules"] = list(error.rules)
        if error.sign_in_url is not None:
            problem["acr_values"], problem["max_age"] = list(error.acr_values), error.max_age
            problem["sign_in_url"] = error.sign_in_url
    if isinstance(error, DeviceBindingRequired):
        problem["remedy"] = error.remedy
    if isinstance(error, RefreshRefused):
        problem["sign_in_url"] = SIGN_IN_URL
    if error.retry_after is not None:
        problem["retry_after"] = error.retry_after
    body = json.dumps(problem, separators=(",", ":")).encode("ascii")
    headers = [(b"content-type", b"application/problem+json"), *error_headers(error, body)]
    return ErrorResponse(status, headers, body)


def error_headers(error: BffError, body: bytes) -> list[Header]:
    """The headers of an error response, whatever its content type."""
    headers = [
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if status_of(error) == 401:
        # RFC 9110 section 15.5.2 requires a challenge; no browser shows a dialog for this scheme.
        headers.append((b"www-authenticate", b'Cookie realm="session"'))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode("ascii")))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allow).encode("ascii")))
    return headers
