"""The error codes of providers: a closed list, so that logs and metrics contain only our own constants.

Anybody can open the callback with an arbitrary `error`, and an `error_description` may quote user input.
"""

from typing import Final

UNREADABLE: Final = "unreadable"  # instead of a code that is missing, or has characters that RFC 6749 excludes
UNSPECIFIED: Final = "unspecified"  # the same, in the token endpoint's refusal: an empty body, or a JSON object

TOKEN_ENDPOINT: Final = frozenset(
    {"invalid_grant", "invalid_client", "invalid_request", "invalid_scope", "unauthorized_client", "access_denied"}
    | {"unsupported_grant_type", "server_error", "use_dpop_nonce", "invalid_dpop_proof", "invalid_target"}
    | {UNREADABLE, UNSPECIFIED}
)
# Refusals of a token request that say nothing of the refresh token: they are about the client, the request, its proof
# or the moment (RFC 6749 section 5.2, RFC 8628 section 3.5, RFC 8707 section 2, RFC 9449 sections 5 and 8).
NEVER_FINAL: Final = frozenset(
    {"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target"}
    | {"temporarily_unavailable", "server_error", "slow_down", "authorization_pending"}
    | {"use_dpop_nonce", "invalid_dpop_proof"}
)
# RFC 6749 section 4.1.2.1, OIDC Core section 3.1.2.6, RFC 9470, and Okta's additions.
AUTHORIZATION_ENDPOINT: Final = frozenset(
    {"invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope"}
    | {"server_error", "temporarily_unavailable", "interaction_required", "login_required", "consent_required"}
    | {"account_selection_required", "invalid_request_uri", "invalid_request_object", "request_not_supported"}
    | {"request_uri_not_supported", "registration_not_supported", "unmet_authentication_requirements"}
    | {"invalid_dpop_jkt", "mfa_required", "unsupported_response_mode", "callback_returned_error", "invalid_client"}
    | {"jit_failure_missing_fields"}
)


def known_error(error: str) -> str:
    """`error` if it is on one of the lists, otherwise `other`."""
    return error if error in TOKEN_ENDPOINT | AUTHORIZATION_ENDPOINT else "other"
