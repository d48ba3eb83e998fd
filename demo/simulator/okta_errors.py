"""Okta's error formats:

OAuth format for OAuth errors, management format for routing and rate limits. Statuses and codes are those of Okta's
published catalogue; texts are similar, and clients must not depend on them.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse

NO_STORE = {"Cache-Control": "no-cache, no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class OktaError:
    """`internal` is the reason in Okta's System Log; it is not in the response."""

    status: int
    error: str
    internal: str
    description: str

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        body = {"error": self.error, "error_description": self.description}
        return JSONResponse(body, self.status, {**NO_STORE, **(headers or {})})


class RequestRefused(Exception):
    """Raised by a check; carries an `OktaError`."""

    def __init__(self, error: OktaError) -> None:
        super().__init__(error.internal)
        self.error = error


def _bad(error: str, internal: str, description: str, status: int = 400) -> OktaError:
    return OktaError(status, error, internal, description)


INVALID_REFRESH_TOKEN = _bad("invalid_grant", "invalid_refresh_token", "The refresh token is invalid or expired.")
INVALID_CODE = _bad("invalid_grant", "invalid_authorization_code", "The authorization code is invalid or has expired.")
MISMATCHED_CLIENT = _bad("invalid_grant", "mismatched_client", "The grant was issued to another client.")
MISMATCHED_REDIRECT_URI = _bad(
    "invalid_grant",
    "mismatched_redirect_uri",
    "The 'redirect_uri' does not match the one of the authorization request.",
)
PKCE_FAILED = _bad("invalid_grant", "pkce_verification_failed", "PKCE verification failed.")
PKCE_MISSING_VERIFIER = _bad(
    "invalid_request", "pkce_missing_verifier", "PKCE code verifier is required when a code challenge was sent."
)
PKCE_MISSING_CHALLENGE = _bad(
    "invalid_request",
    "pkce_missing_challenge_verifier_present",
    "A code verifier was sent, but the authorization request had no code challenge.",
)
MISMATCHED_SERVER = _bad(
    "invalid_request", "mismatched_authorization_server", "The grant was issued by another authorization server."
)
SCOPES_DENIED = _bad(
    "access_denied",
    "refresh_scopes_denied",
    "Some of the scopes requested for the refresh request were not granted in the original authorize request.",
)
USER_NOT_ASSIGNED = _bad("access_denied", "user_not_assigned", "User is not assigned to the client application.")
NO_MATCHING_POLICY = _bad(
    "access_denied",
    "no_matching_policy",
    "Policy evaluation failed for this request, please check the policy configurations.",
    401,
)
UNAUTHORIZED_GRANT = _bad(
    "unauthorized_client", "unauthorized_client", "The client is not authorized to use the provided grant type."
)
INVALID_SCOPE = _bad("invalid_scope", "no_matching_scope", "One or more scopes are not configured for the client.")
UNSUPPORTED_GRANT = _bad("unsupported_grant_type", "unsupported_grant_type", "The grant type is not supported.")
MISSING_PARAMETER = _bad("invalid_request", "missing_parameter", "A required parameter is missing.")
DUPLICATED = _bad("invalid_request", "duplicate_oauth_params", "A parameter appears more than once.")
IN_QUERY = _bad("invalid_request", "client_credentials_in_query", "Credentials must not be in the URL query.")
BROWSER_REQUEST = _bad(
    "invalid_request",
    "illegal_origin_browser_request",
    "Browser requests to the token endpoint must come from a registered origin.",
)
INVALID_CLIENT_SECRET = _bad(
    "invalid_client",
    "invalid_client_secret",
    "The client secret supplied for a confidential client is invalid.",
    401,
)
MISSING_CREDENTIALS = _bad(
    "invalid_client", "missing_client_credentials", "Client authentication failed: no credentials were sent.", 401
)
UNKNOWN_CLIENT = _bad("invalid_client", "invalid_client", "Invalid value for 'client_id' parameter.", 401)
UNKNOWN_METADATA_CLIENT = _bad("invalid_client", "invalid_client", "Invalid value for 'client_id' parameter.")
WRONG_AUTH_METHOD = _bad(
    "invalid_client",
    "invalid_token_endpoint_auth_method",
    "The client is not registered for this client authentication method.",
    401,
)
MULTIPLE_CREDENTIALS = _bad(
    "invalid_request", "multiple_client_credentials", "Only one way of client authentication may be used.", 401
)
USE_DPOP_NONCE = _bad("use_dpop_nonce", "use_dpop_nonce", "Authorization server requires nonce in DPoP proof.")
DPOP_REQUIRED = _bad("invalid_dpop_proof", "invalid_dpop_proof", "The DPoP proof JWT header is missing.")
DPOP_OTHER_KEY = _bad(
    "invalid_dpop_proof",
    "invalid_dpop_proof_invalid_public_key_binding",
    "The DPoP proof is not signed by the key that the refresh token is bound to.",
)
USER_RATE_LIMITED = _bad("invalid_grant", "user_rate_limited", "The user has exceeded the rate of token requests.", 429)
TEMPORARILY_UNAVAILABLE = _bad(
    "temporarily_unavailable", "temporarily_unavailable", "The authorization server is temporarily unavailable."
)
SERVER_ERROR = _bad("server_error", "server_error", "The authorization server met an unexpected condition.", 500)


def bad_proof(why: str) -> OktaError:
    return _bad("invalid_dpop_proof", "invalid_dpop_proof", f"The DPoP proof is invalid: {why}.")


def bad_assertion(why: str) -> OktaError:
    return _bad("invalid_client", "client_assertion_invalid", f"The client_assertion is invalid: {why}.", 401)


def management_error(status: int, code: str, summary: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    body = {
        "errorCode": code,
        "errorSummary": summary,
        "errorLink": code,
        "errorId": f"oae{secrets.token_urlsafe(12)}",
        "errorCauses": [],
    }
    return JSONResponse(body, status, dict(headers or {}))


def rate_limited(headers: Mapping[str, str]) -> JSONResponse:
    summary = "API call exceeded rate limit due to too many requests."
    return management_error(429, "E0000047", summary, headers)


def not_found() -> JSONResponse:
    return management_error(404, "E0000007", "Not found: Resource not found (AuthorizationServer)")
