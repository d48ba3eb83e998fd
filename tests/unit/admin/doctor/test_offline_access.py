"""What the metadata says about refresh tokens, compared with the settings."""

from typing import Any

import pytest

from bff.admin.doctor.offline_access import check_offline_access
from bff.config.settings import load_settings
from tests.harness.settings import with_changes

ELSEWHERE = {"issuer": "https://id.example.com"}


@pytest.mark.parametrize(
    ("changes", "fields", "status", "observed"),
    [
        ({}, {}, "ok", "offered"),
        ({}, {"grant_types_supported": ["authorization_code"]}, "fail", "grant type refresh_token"),
        ({}, {"grant_types_supported": ["refresh_token"], "scopes_supported": ["offline_access"]}, "ok", "offered"),
        (ELSEWHERE, {"scopes_supported": ["openid"]}, "warn", "does not list the scope"),
        (ELSEWHERE, {"scopes_supported": "openid"}, "ok", "BFF_PROMPT=consent"),  # unusable: counts as absent
        (ELSEWHERE, {"scopes_supported": []}, "ok", "BFF_PROMPT=consent"),
        ({**ELSEWHERE, "prompt": "consent"}, {}, "ok", "offered"),
        ({"scopes": "openid"}, {"grant_types_supported": ["authorization_code"]}, "skipped", "does not include"),
    ],
)
def test_what_the_provider_offers(changes: dict[str, str], fields: dict[str, Any], status: str, observed: str) -> None:
    result = check_offline_access(load_settings(with_changes(**changes)), fields)
    assert (result.name, result.status) == ("offline_access", status)
    assert observed in result.observed
