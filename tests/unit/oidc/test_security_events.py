"""What each event causes by default, and where an operator changes it."""

import pytest

from bff.oidc.security_events import (
    CAEP,
    DEFAULT_ACTIONS,
    RISC,
    SSF,
    Action,
    SecurityEvent,
    action_for,
    is_harmless,
    requested_types,
    short_name,
)


@pytest.mark.parametrize(
    ("event_type", "name"),
    [
        (f"{CAEP}session-revoked", "session-revoked"),
        (f"{RISC}account-disabled", "account-disabled"),
        (f"{SSF}verification", "verification"),
        ("https://schemas.openid.net/secevent/sse/event-type/stream-updated", "stream-updated"),
        (f"{RISC}session-revoked", "unknown"),
        ("session-revoked", "unknown"),
    ],
)
def test_an_event_type_has_a_short_name(event_type: str, name: str) -> None:
    assert short_name(event_type) == name


@pytest.mark.parametrize(
    ("name", "payload", "action"),
    [
        ("session-revoked", {}, "end"),
        ("credential-change", {"change_type": "revoke"}, "end-all"),
        ("credential-change", {}, "end-all"),
        ("credential-change", {"change_type": "create"}, "record"),
        ("assurance-level-change", {"change_direction": "decrease"}, "step-up"),
        ("assurance-level-change", {"change_direction": "increase"}, "renew"),
        ("device-compliance-change", {"current_status": "not-compliant"}, "step-up"),
        ("device-compliance-change", {"current_status": "compliant"}, "renew"),
        ("token-claims-change", {}, "renew"),
        ("account-disabled", {}, "end-all"),
        ("account-enabled", {}, "record"),
        ("unknown", {}, "record"),
    ],
)
def test_an_event_causes_its_default(name: str, payload: dict[str, str], action: Action) -> None:
    assert action_for(SecurityEvent(name, 0.0, None, is_harmless(name, payload)), {}) == action


def test_an_operator_changes_a_default_but_not_for_an_improvement() -> None:
    actions: dict[str, Action] = {
        "credential-change": "step-up",
        "risk-level-change": "end",
        "account-purged": "record",
    }
    assert action_for(SecurityEvent("credential-change", 0.0, None), actions) == "step-up"
    assert action_for(SecurityEvent("credential-change", 0.0, None, harmless=True), actions) == "record"
    assert action_for(SecurityEvent("risk-level-change", 0.0, None), actions) == "end"
    requested = requested_types(actions)
    assert f"{CAEP}risk-level-change" in requested
    assert f"{RISC}account-purged" not in requested
    assert len(requested_types({})) == sum(action != "record" for action in DEFAULT_ACTIONS.values())
