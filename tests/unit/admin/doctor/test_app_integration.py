"""The app integration as `bff okta plan` sees it, and what is left to verify without Management API credentials."""

from typing import Any

import pytest

from bff.admin.doctor.app_integration import with_plan, without_api
from bff.admin.doctor.check_result import CheckResult
from bff.admin.okta.access_policy import Policies
from bff.admin.okta.app_integration import new_app
from bff.admin.okta.assignments import Assignments
from bff.admin.okta.difference import Difference, Findings, Part
from bff.admin.okta.provision import OrgView, Plan
from bff.oidc.token import Denied, TokenResult
from tests.unit.admin.okta.test_app_properties import desired

CUSTOM = desired(issuer="https://example.okta.com/oauth2/default")
NO_POLICY = Denied(400, "access_denied")


def difference(name: str, part: Part = "app", actual: Any = "a", expected: Any = "b") -> Difference:
    return Difference(part, name, actual, expected, "It matters.", "Fix it.")


def checked(
    *differences: Difference, policies: Policies | None = None, answers: tuple[TokenResult, ...] = (), notes: str = ""
) -> dict[str, CheckResult]:
    view = OrgView(new_app(CUSTOM), (), Assignments({}), (), policies)
    findings = Findings(differences, (notes,) if notes else ())
    return {result.name: result for result in with_plan(Plan(CUSTOM, view, findings), CUSTOM.settings, answers)}


@pytest.mark.parametrize(
    ("planned", "name", "status"),
    [
        (difference("redirect_uris"), "okta.redirect_uris", "fail"),
        (difference("pkce_required"), "okta.pkce_required", "fail"),
        (difference("label"), "okta.label", "warn"),
        (difference("trusted_origin", "trusted_origins"), "okta.trusted_origin", "warn"),
        (difference("participate_slo"), "okta.participate_slo", "warn"),
        (difference("refresh_token_rotation"), "refresh_token_rotation", "fail"),
        (difference("refresh_token_leeway", actual=0, expected=30), "refresh_token_leeway", "fail"),
        (difference("refresh_token_leeway", actual=45, expected=30), "refresh_token_leeway", "warn"),
        (difference("access_policy", "access_policy"), "access_policy", "fail"),
    ],
)
def test_a_difference_is_a_failure_unless_sign_in_and_refreshes_work(
    planned: Difference, name: str, status: str
) -> None:
    result = checked(planned)[name]
    assert (result.status, result.fix) == (status, "Fix it.")
    assert result.observed.startswith("It matters. Actual: ")


def test_an_app_without_differences_is_healthy() -> None:
    results = checked(notes="A note.")
    assert {name: result.status for name, result in results.items()} == {
        "access_policy": "ok",
        "rotation": "ok",
        "okta": "ok",
        "okta.note": "ok",
    }
    assert results["okta.note"].observed == "A note."


def test_actual_values_are_readable_and_contain_no_key() -> None:
    keys = [{"kid": "k1", "n": "canary"}]
    observed = checked(difference("public_key", actual=keys, expected=None))["okta.public_key"].observed
    assert "Actual: key k1. Expected: (nothing)." in observed
    assert "Actual: a, b." in checked(difference("x", actual=["a", "b"]))["okta.x"].observed


def test_a_policy_that_cannot_be_read_is_not_called_healthy() -> None:
    unreadable = Policies(unreadable="no licence")
    assert checked(policies=unreadable)["access_policy"].status == "skipped"
    assert checked(policies=unreadable, answers=(NO_POLICY,))["access_policy"].status == "fail"
    assert checked(answers=(NO_POLICY,))["access_policy"].status == "fail"


@pytest.mark.parametrize(
    ("changes", "answers", "rotation", "policy"),
    [
        ({"issuer": "https://x.okta.com/oauth2/default"}, (), "skipped", "skipped"),
        ({"issuer": "https://x.okta.com/oauth2/default"}, (NO_POLICY,), "skipped", "fail"),
        ({"issuer": "https://x.okta.com"}, (), "skipped", "ok"),
        ({"issuer": "https://x.okta.com", "scopes": "openid email"}, (), "warn", "ok"),
    ],
)
def test_without_credentials_it_names_what_to_verify(
    changes: dict[str, str], answers: tuple[TokenResult, ...], rotation: str, policy: str
) -> None:
    settings = desired(refresh_grace="45", **changes).settings
    results = {result.name: result for result in without_api(settings, answers)}
    assert (results["rotation"].status, results["access_policy"].status) == (rotation, policy)
    assert (results["okta"].status, "/auth/login" in results["okta"].fix) == ("skipped", True)
    if rotation == "skipped":
        assert "Rotate token after every use, grace period 45 seconds" in results["rotation"].fix
