"""The HTTP status of each error code that a client can receive.

Errors carry a code and a title for every audience. Only this package speaks HTTP to clients, so only here a code has a
status. `docs/errors.md` describes each of them.
"""

from collections.abc import Mapping
from typing import Final

from bff.errors import BffError

STATUS: Final[Mapping[str, int]] = {
    "internal_error": 500,
    # requests
    "invalid_request": 400,
    "security_event_refused": 400,
    "sign_in_required": 401,
    "step_up_required": 401,
    "revocation_refused": 401,
    "delivery_refused": 401,
    "csrf_required": 403,
    "device_binding_refused": 403,
    "device_binding_required": 403,
    "insufficient_scope": 403,
    "forbidden_by_rule": 403,
    "api_token_denied": 403,
    "navigation_required": 403,
    "route_not_found": 404,
    "user_unknown": 404,
    "method_not_allowed": 405,
    "length_required": 411,
    "request_too_large": 413,
    "target_too_long": 414,
    "unsupported_media_type": 415,
    "sign_out_impossible": 422,
    "headers_too_large": 431,
    # sign-in
    "sign_in_state_invalid": 400,
    "sign_in_expired": 400,
    "sign_in_refused": 403,
    "not_assigned": 403,
    "rate_limited": 429,
    "sign_in_loop": 429,
    "too_many_streams": 429,
    "sign_in_failed": 502,
    # dependencies
    "device_binding_pending": 503,
    "api_token_refused": 502,
    "record_too_large": 502,
    "upstream_unreachable": 502,
    "key_exhausted": 503,
    "provider_keys_invalid": 503,
    "provider_metadata_invalid": 503,
    "provider_unavailable": 503,
    "retry_required": 503,
    "store_unavailable": 503,
    "upstream_timeout": 504,
}


def status_of(error: BffError) -> int:
    """500 for an error that no client should receive, such as ConfigurationError."""
    return STATUS.get(error.code, 500)
