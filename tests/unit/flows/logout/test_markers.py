"""Which sign-ins in progress a logout marker covers."""

from dataclasses import replace

import pytest

from bff.flows.logout.markers import SLACK, MarkerKind
from bff.session.session import User
from tests.harness.example_session import a_session
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import START, Parts

ALICE = replace(
    a_session(START + 100, sid="sid-1", sign_in_began_at=START + 50.0), user=User("alice", "Alice@Example.com")
)


@pytest.mark.parametrize(
    ("kind", "value", "at", "covered"),
    [
        ("sub", "alice", 50, True),
        ("sub", "alice", 49, False),  # this sign-in began after the logout
        ("sub", "bob", 90, False),
        ("email", "ALICE@example.com", 50, True),
        ("email", "alice@example.com", 49, False),
        ("everyone", "", 50, True),
        ("everyone", "", 49, False),
        ("sid", "sid-1", 1, True),  # a provider session stays ended
        ("sid", "sid-2", 90, False),
        ("sub without sid", "alice", 90, False),
    ],
)
async def test_what_a_marker_covers(parts: Parts, kind: MarkerKind, value: str, at: float, covered: bool) -> None:
    await parts.markers.put(kind, value, START + at)
    assert await parts.markers.covers(ALICE) is covered


async def test_a_session_without_a_sid_is_covered_by_its_own_marker(parts: Parts) -> None:
    await parts.markers.put("sub without sid", "alice", START + 90)
    assert await parts.markers.covers(replace(ALICE, sid=None))
    assert not await parts.markers.covers(replace(ALICE, sid=None, user=User("bob")))


async def test_a_marker_outlasts_the_longest_sign_in(parts: Parts) -> None:
    await parts.markers.put("sub", "alice", START + 90)
    await time_passes(600 + SLACK - 1)
    assert await parts.markers.covers(ALICE)
    await time_passes(2)
    assert not await parts.markers.covers(ALICE)
