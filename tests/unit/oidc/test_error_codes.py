import pytest

from bff.oidc.error_codes import known_error

# RFC 6749, OpenID Connect Core, RFC 9126, RFC 9449 and RFC 9470, and what Okta adds.
REGISTERED = """
access_denied account_selection_required callback_returned_error consent_required interaction_required invalid_client
invalid_dpop_jkt invalid_dpop_proof invalid_grant invalid_request invalid_request_object invalid_request_uri
invalid_scope jit_failure_missing_fields login_required mfa_required registration_not_supported request_not_supported
request_uri_not_supported server_error temporarily_unavailable unauthorized_client unmet_authentication_requirements
unsupported_grant_type unsupported_response_mode unsupported_response_type use_dpop_nonce
"""


@pytest.mark.parametrize("error", REGISTERED.split())
def test_a_registered_error_code_is_logged(error: str) -> None:
    assert known_error(error) == error


@pytest.mark.parametrize("error", ["ada@example.com is locked", "INVALID_GRANT", ""])
def test_other_text_never_reaches_logs_and_metrics(error: str) -> None:
    assert known_error(error) == "other"
