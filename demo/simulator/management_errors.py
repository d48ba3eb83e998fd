"""Errors of the Management API, in Okta's format. Only `errorCode` is stable; the texts are ours."""

import secrets
from collections.abc import Mapping

from starlette.responses import JSONResponse


class ApiRefused(Exception):
    """Raised by a check; carries the error response."""

    def __init__(
        self,
        status: int,
        code: str,
        summary: str,
        causes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.summary, self.causes = status, code, summary, causes
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        body = {
            "errorCode": self.code,
            "errorSummary": self.summary,
            "errorLink": self.code,
            "errorId": f"oae{secrets.token_urlsafe(12)}",
            "errorCauses": [{"errorSummary": cause} for cause in self.causes],
        }
        return JSONResponse(body, self.status, self.headers)


def invalid(what: str, *causes: str) -> ApiRefused:
    return ApiRefused(400, "E0000001", f"Api validation failed: {what}", causes or (what,))


def unreadable() -> ApiRefused:
    return ApiRefused(400, "E0000003", "The request body was not well-formed.")


def bad_token() -> ApiRefused:
    return ApiRefused(401, "E0000011", "Invalid token provided")


def forbidden(scope: str | None = None) -> ApiRefused:
    """With `scope`, the access token lacks it (RFC 6750 section 3.1)."""
    headers = {"WWW-Authenticate": f'Bearer scope="{scope}", error="insufficient_scope"'} if scope else None
    summary = "You do not have permission to perform the requested action"
    return ApiRefused(403, "E0000006", summary, headers=headers)


def not_found(what: str) -> ApiRefused:
    return ApiRefused(404, "E0000007", f"Not found: Resource not found ({what})")


def not_licensed() -> ApiRefused:
    return ApiRefused(401, "E0000015", "You do not have permission to access the feature you are requesting")


def read_only() -> ApiRefused:
    return ApiRefused(503, "E0000010", "Service is in read only mode")


def too_many(headers: Mapping[str, str]) -> ApiRefused:
    return ApiRefused(429, "E0000047", "API call exceeded rate limit due to too many requests.", headers=headers)
