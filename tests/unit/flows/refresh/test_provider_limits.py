"""The provider's limits are kept by us: four calls a second for a user, none while it throttles the client."""

from bff.flows.refresh.provider_limits import (
    MAX_HOLD,
    MAX_PEOPLE,
    MAX_UNANSWERED,
    PER_PERSON,
    PROBE_INTERVAL,
    TokenRequestLimits,
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_user_has_four_calls_a_second_and_the_fifth_waits_for_the_first_to_age() -> None:
    clock = Clock()
    limits = TokenRequestLimits(clock, window=1.0)
    for _ in range(PER_PERSON):
        assert limits.reserve_turn("alice") == 0.0
        clock.now += 0.125
    assert limits.reserve_turn("alice") == 0.5
    assert limits.reserve_turn("bob") == 0.0
    turns = [limits.reserve_turn("alice") for _ in range(5)]
    assert turns == [0.625, 0.75, 0.875, 1.5, 1.625], "each has a turn of its own"
    clock.now += 3.0
    assert limits.reserve_turn("alice") == 0.0


def test_users_whose_window_is_over_are_forgotten() -> None:
    clock = Clock()
    limits = TokenRequestLimits(clock, window=1.0)
    for number in range(MAX_PEOPLE):
        limits.reserve_turn(str(number))
    clock.now += 1.0
    limits.reserve_turn("the next")
    assert list(limits._of_person) == ["the next"]


def test_a_hold_ends_when_the_provider_said_and_never_lasts_longer_than_a_bucket() -> None:
    clock = Clock()
    limits = TokenRequestLimits(clock, window=1.0)
    held = []
    for seconds in (None, 7.0, 3.0, 3600.0):
        limits.block(seconds)
        held.append(limits.blocked_for())
    assert held == [1.0, 7.0, 7.0, MAX_HOLD]
    clock.now += MAX_HOLD
    assert limits.blocked_for() == 0.0


def test_while_the_provider_does_not_answer_one_request_a_second_is_sent() -> None:
    clock = Clock()
    limits = TokenRequestLimits(clock, window=1.0)
    for _ in range(MAX_UNANSWERED):
        assert limits.reserve_probe() == 0.0
        limits.unanswered()
    assert [limits.reserve_probe() for _ in range(3)] == [0.0, PROBE_INTERVAL, PROBE_INTERVAL]
    clock.now += PROBE_INTERVAL
    limits.unanswered()
    assert [limits.reserve_probe() for _ in range(2)] == [0.0, PROBE_INTERVAL]
    limits.answered()
    assert [limits.reserve_probe() for _ in range(3)] == [0.0, 0.0, 0.0]


def test_one_answer_among_failures_is_no_outage() -> None:
    limits = TokenRequestLimits(Clock(), window=1.0)
    for _ in range(5):
        for _ in range(MAX_UNANSWERED - 1):
            limits.unanswered()
        limits.answered()
    assert [limits.reserve_probe() for _ in range(3)] == [0.0, 0.0, 0.0]
