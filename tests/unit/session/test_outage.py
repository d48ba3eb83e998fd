"""Which records may stand in for a store that cannot be reached."""

from dataclasses import replace

import pytest

from bff.session.outage import usable_in_outage
from bff.session.store import Found
from tests.harness.example_session import a_session
from tests.harness.policy import Policy

SESSION = a_session(1000.0)  # its access token is usable until 4500, its refresh is due at 4400


@pytest.mark.parametrize(
    ("read_at", "age", "usable"),
    [
        (1000.0, 0.0, True),
        (1000.0, 10.0, True),
        (1000.0, 10.1, False),  # read too long ago
        (4450.0, 5.0, True),  # due, and still valid
        (4490.0, 9.9, True),
        (4490.0, 10.0, False),  # the access token has expired meanwhile
    ],
)
def test_a_recent_record_is_usable_while_its_access_token_is_valid(read_at: float, age: float, usable: bool) -> None:
    session = usable_in_outage(Found(read_at, SESSION, read_at), age, 10.0, Policy(idle_timeout=1e9))
    assert session == (SESSION if usable else None)


@pytest.mark.parametrize(
    ("idle", "ends_in", "usable"), [(60.0, 100.0, True), (55.0, 100.0, False), (60.0, 55.0, False)]
)
def test_no_limit_is_reached_later_than_with_a_store(idle: float, ends_in: float, usable: bool) -> None:
    """The record was read 50 seconds after the last activity, 5 seconds ago."""
    stored = Found(1050.0, replace(SESSION, ends_at=1000.0 + ends_in), 1000.0)
    assert (usable_in_outage(stored, 5.0, 10.0, Policy(idle_timeout=idle)) is not None) == usable
