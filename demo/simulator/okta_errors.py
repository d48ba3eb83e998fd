"""Okta's error formats:

OAuth format for OAuth errors, management format for routing and rate limits. Statuses and codes are those of Okta's
published catalogue; texts are similar, and clients must not depend on them.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse

OPENID_SCOPES = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})
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
NO_SCOPE_ALLOWED = _bad(
    "access_denied", "no_scope_allowed", "Policy evaluation succeeded, but all the requested scopes were rejected."
)
UNAUTHORIZED_GRANT = _bad(
    "unauthorized_client", "unauthorized_client", "The client is not authorized to use the provided grant type."
)
INVALID_SCOPE = _bad("invalid_scope", "no_matching_scope", "One or more scopes are not configured for the client.")
NO_MATCHING_SCOPE = _bad(
    "invalid_scope", "no_matching_scope", "One or more scopes are not configured for the authorization server."
)
NO_DEFAULT_SCOPES = _bad("invalid_scope", "no_default_scopes", "The server has no default scopes: 'scope' is required.")
OPENID_IN_CLIENT_CREDENTIALS = _bad(
    "invalid_scope", "openid_not_allowed_client_creds", "Cannot request 'openid' scopes using client credentials."
)
OPENID_IN_EXCHANGE = _bad(
    "invalid_scope",
    "openid_not_allowed_token_exchange",
    "Cannot request 'openid' scopes using token exchange for a service app.",
)
UNSUPPORTED_TOKEN_EXCHANGE = _bad(
    "unsupported_grant_type",
    "unsupported_grant_type_token_exchange",
    "The grant type is supported by custom authorization servers only.",
)
NOT_A_SERVICE_CLIENT = _bad(
    "invalid_request", "on_behalf_invalid_client_type", "Only service clients may use on-behalf token exchange."
)
INVALID_SUBJECT_TOKEN = _bad("invalid_request", "invalid_subject_token", "'subject_token' is invalid.")
INVALID_SUBJECT_TOKEN_TYPE = _bad(
    "invalid_request", "invalid_subject_token_type", "'subject_token_type' is invalid or not supported."
)
INVALID_REQUESTED_TOKEN_TYPE = _bad(
    "invalid_request", "invalid_requested_token_type", "'requested_token_type' is invalid or not supported."
)
SUBJECT_NOT_ASSIGNED = _bad(
    "invalid_request",
    "invalid_subject_token_user_not_assigned",
    "'subject_token' is invalid: the user is not assigned to the client application.",
)
SUBJECT_TOKEN_EXPIRED = _bad(
    "invalid_grant",
    "token_exchange_subject_token_expired",
    "The 'subject_token' either expired or the session associated with it was terminated.",
)
SERVER_NOT_TRUSTED = _bad(
    "access_denied",
    "associated_server_not_trusted",
    "The 'subject_token' issuer is not a trusted authorization server.",
    403,
)
INVALID_AUDIENCE = _bad(
    "invalid_target",
    "token_exchange_invalid_audience",
    "Token exchange requests must include a valid audience of the authorization server.",
)
UNSUPPORTED_RESOURCE = _bad("invalid_target", "unsupported_resource", "The 'resource' parameter was rejected.")
TOO_MANY_RESOURCES = _bad("invalid_target", "too_many_resources", "Too many 'resource' parameters in the request.")
MISMATCHED_RESOURCE = _bad(
    "invalid_request",
    "mismatched_resource",
    "The 'resource' parameter does not match the resource used in the authorization request.",
)
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
