"""Error responses:

RFC 9457 problem JSON for a fetch, a readable page for a navigation. The only place that decides. No error response sets
or clears the session cookie: an error ends no session. (The request guard adds the cookies that a 431 deletes.)
"""

import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from bff.errors import BffError, MethodNotAllowed, SignInRequired, StepUpRequired
from bff.oidc.authorization import PLAIN, SignInOptions
from bff.web import error_page
from bff.web.cookies import Header
from bff.web.error_page import render_error_page

Answer: TypeAlias = tuple[int, list[Header], bytes]

_TYPE: Final = "urn:okta-bff:problem:"


def problem_response(error: BffError, *, correlation_id: str) -> Answer:
    """Status, headers and body.

    A SPA branches on `code`, a user quotes `correlation_id`; `detail` is not meant to be parsed.
    """
    problem: dict[str, Any] = {
        "type": _TYPE + error.code,
        "title": error.title,
        "status": error.status,
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
    if error.retry_after is not None:
        problem["retry_after"] = error.retry_after
    body = json.dumps(problem, separators=(",", ":")).encode("ascii")
    return error.status, [(b"content-type", b"application/problem+json"), *_headers(error, body)], body


def page_response(
    error: BffError,
    *,
    correlation_id: str,
    return_to: str,
    landing_path: str = "/",
    options: SignInOptions = PLAIN,
) -> Answer:
    """Status, headers and body of the page. `return_to` is a path that `safe_return_to` accepted."""
    style = error_page.current_style()
    body = render_error_page(
        error,
        correlation_id=correlation_id,
        return_to=return_to,
        landing_path=landing_path,
        style=style.css,
        options=options,
    ).encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", style.content_security_policy),
        # The page's own URL may contain a code and a state.
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
        *_headers(error, body),
    ]
    return error.status, headers, body


def error_response(
    error: BffError,
    headers: Sequence[Header],
    *,
    correlation_id: str,
    return_to: str | None = None,
    landing_path: str = "/",
    options: SignInOptions = PLAIN,
) -> Answer:
    """The page if the request headers are a navigation's, problem JSON otherwise. For HEAD send the headers alone."""
    if wants_page(headers):
        return page_response(
            error,
            correlation_id=correlation_id,
            return_to=return_to or landing_path,
            landing_path=landing_path,
            options=options,
        )
    return problem_response(error, correlation_id=correlation_id)


def _headers(error: BffError, body: bytes) -> list[Header]:
    headers = [
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if error.status == 401:
        # RFC 9110 section 15.5.2 requires a challenge; no browser shows a dialog for this scheme.
        headers.append((b"www-authenticate", b'Cookie realm="session"'))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode("ascii")))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allow).encode("ascii")))
    return headers


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
