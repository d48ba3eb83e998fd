"""What a browser hears of the end of its session: once when it is near, and again only when it moves."""

from dataclasses import replace

import pytest

from bff.session.expiry_notice import Deadline, Expiring, KnownEnd, Renewed, deadline, lead
from bff.session.session import EndReason
from bff.session.store import Found
from tests.harness.example_session import a_session
from tests.harness.policy import Policy

IDLE, ABSOLUTE = EndReason.IDLE_TIMEOUT, EndReason.ABSOLUTE_TIMEOUT
LEAD = 100.0


@pytest.mark.parametrize(
    ("last_seen_at", "ends_at", "expected"),
    [
        (1000.0, 9000.0, Deadline(1600.0, IDLE)),
        (1000.0, 1600.0, Deadline(1600.0, ABSOLUTE)),
        (1000.0, 1200.0, Deadline(1200.0, ABSOLUTE)),
    ],
)
def test_a_session_ends_at_its_earlier_limit(last_seen_at: float, ends_at: float, expected: Deadline) -> None:
    stored = Found(1000.0, replace(a_session(), ends_at=ends_at), last_seen_at)
    assert deadline(stored, Policy(idle_timeout=600.0)) == expected


@pytest.mark.parametrize(("idle_timeout", "expected"), [(3600.0, 120.0), (480.0, 120.0), (60.0, 15.0)])
def test_a_short_idle_timeout_is_not_announced_from_its_beginning(idle_timeout: float, expected: float) -> None:
    assert lead(Policy(idle_timeout=idle_timeout)) == expected


@pytest.mark.parametrize(
    "steps",
    [
        # (now, the end by then, what is heard)
        [(0, 1000, None), (899, 1000, None), (900, 1000, "expiring 1000"), (950, 1000, None), (999, 1000, None)],
        # Requests move the end: nothing is heard until the end that the browser knows is near.
        [(0, 1000, None), (500, 1500, None), (899, 1890, None), (900, 1891, "renewed 1891"), (1790, 2500, None)],
        # Extended after the warning, and then again not.
        [(900, 1000, "expiring 1000"), (930, 1930, "renewed 1930"), (931, 1931, None), (1830, 1930, "expiring 1930")],
        # Moved, but still near: the absolute limit.
        [(900, 1000, "expiring 1000"), (950, 1040, "expiring 1040"), (960, 1040, None)],
        # A fraction of a second is no news.
        [(900, 1000, "expiring 1000"), (901, 1000.9, None)],
        # Sooner than the browser knows: a replica with another setting.
        [(0, 500, None), (399, 500, None), (400, 500, "expiring 500"), (401, 1000, "renewed 1000")],
        # Both within one look: the browser was suspended, or the store away.
        [(0, 1000, None), (990, 1900, "renewed 1900")],
        [(0, 1000, None), (990, 1000, "expiring 1000")],
    ],
)
def test_what_is_heard(steps: list[tuple[float, float, str | None]]) -> None:
    known, heard = KnownEnd(1000.0), []
    for now, at, _ in steps:
        match known.notice(now, Deadline(at, IDLE), LEAD):
            case Expiring(ends, when):
                assert (when, ends.reason) == (now, IDLE)
                heard.append(f"expiring {ends.at:.0f}")
            case Renewed(until, when):
                assert when == now
                heard.append(f"renewed {until:.0f}")
            case None:
                heard.append(None)
    assert heard == [expected for _, _, expected in steps]
