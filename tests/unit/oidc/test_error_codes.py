import pytest

from bff.oidc.error_codes import known_error


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        ("invalid_grant", "invalid_grant"),
        ("invalid_dpop_proof", "invalid_dpop_proof"),
        ("login_required", "login_required"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("unmet_authentication_requirements", "unmet_authentication_requirements"),
        ("ada@example.com is locked", "other"),
        ("INVALID_GRANT", "other"),
        ("", "other"),
    ],
)
def test_only_registered_error_codes_reach_logs_and_metrics(error: str, logged: str) -> None:
    assert known_error(error) == logged
