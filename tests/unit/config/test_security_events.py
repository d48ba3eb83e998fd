"""The settings of security events: whom they come from by default, in which unit, and what each of them causes."""

import pytest

from bff.config.settings import load_settings
from tests.harness.settings import problems, with_changes


@pytest.mark.parametrize(
    ("changes", "issuer", "unit"),
    [
        ({}, "https://example.okta.com", "milliseconds"),
        ({"issuer": "https://id.example.com/oauth2/default"}, "https://id.example.com", "milliseconds"),
        ({"issuer": "https://kc.example/realms/x"}, "https://kc.example/realms/x", "seconds"),
        ({"security_events_transmitter": "https://t.example"}, "https://t.example", "seconds"),
        ({"security_events_timestamps": "seconds"}, "https://example.okta.com", "seconds"),
    ],
)
def test_the_transmitter_and_its_unit(changes: dict[str, str], issuer: str, unit: str) -> None:
    settings = load_settings(with_changes(security_events="push", **changes))
    assert settings.security_events.issuer(settings.provider) == issuer
    assert settings.security_events.unit(settings.provider) == unit


def test_actions_by_event() -> None:
    settings = load_settings(with_changes(security_events_actions="session-revoked=end-all, risk-level-change=step-up"))
    assert settings.security_events.actions == {"session-revoked": "end-all", "risk-level-change": "step-up"}
    assert load_settings(with_changes()).security_events.actions == {}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"security_events": "pull"}, "BFF_SECURITY_EVENTS"),
        ({"security_events_actions": "session-revoke=end"}, "BFF_SECURITY_EVENTS_ACTIONS[0]"),
        ({"security_events_actions": "session-revoked=kill"}, "BFF_SECURITY_EVENTS_ACTIONS[0]"),
        ({"security_events_actions": "session-revoked=end session-revoked=record"}, "BFF_SECURITY_EVENTS_ACTIONS"),
        ({"security_events_authorization": "short"}, "BFF_SECURITY_EVENTS_AUTHORIZATION"),
        ({"security_events_transmitter": "http://t.example"}, "BFF_SECURITY_EVENTS_TRANSMITTER"),
        (
            {"security_events": "poll", "security_events_authorization": "Bearer 0123456789"},
            "BFF_SECURITY_EVENTS_AUTHORIZATION",
        ),
        ({"security_events": "push", "security_events_token": "0123456789abcdef"}, "BFF_SECURITY_EVENTS_TOKEN"),
        ({"security_events_poll_interval": "0"}, "BFF_SECURITY_EVENTS_POLL_INTERVAL"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, str], named: str) -> None:
    found = problems(with_changes(**changes))
    assert list(found) == [named]
    assert "0123456789" not in found[named]
