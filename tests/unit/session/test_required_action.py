"""What an event requires of a session: new tokens or a new authentication, and nothing that was met already."""

from dataclasses import replace

import pytest

from bff.session.required_action import require_renewal, require_step_up
from tests.harness.example_session import a_session

SIGNED_IN = 1000.0


@pytest.mark.parametrize(
    ("at", "now", "required"),
    [
        (SIGNED_IN, SIGNED_IN + 60, True),
        (SIGNED_IN + 50, SIGNED_IN + 60, True),
        (SIGNED_IN - 1, SIGNED_IN + 60, False),  # the tokens are newer than the event
        (SIGNED_IN + 50, SIGNED_IN + 3500, False),  # a refresh is due anyway
    ],
)
def test_an_access_token_of_before_the_event_is_not_used_any_more(at: float, now: float, required: bool) -> None:
    session = a_session(SIGNED_IN)
    changed = require_renewal(session, at, now)
    assert (changed is not None) is required
    if changed is not None:
        assert (changed.tokens.usable_until, changed.tokens.refresh_at, changed.version) == (now, now, 2)
        assert replace(changed, version=1, tokens=session.tokens) == session
        assert require_renewal(changed, at, now) is None


def test_a_session_without_a_refresh_token_goes_on() -> None:
    session = a_session(SIGNED_IN)
    assert require_renewal(replace(session, tokens=replace(session.tokens, refresh_token=None)), 2000.0, 2000.0) is None


@pytest.mark.parametrize(
    ("auth_time", "required_at", "changes"),
    [(None, None, True), (1000.0, None, True), (1001.0, None, False), (1000.0, 999.0, True), (1000.0, 1000.0, False)],
)
def test_a_step_up_is_required_until_a_later_authentication(
    auth_time: float | None, required_at: float | None, changes: bool
) -> None:
    session = a_session(SIGNED_IN, auth_time=auth_time, step_up_required_at=required_at)
    changed = require_step_up(session, 1000.0)
    expected = replace(session, version=2, step_up_required_at=1000.0) if changes else None
    assert changed == expected
