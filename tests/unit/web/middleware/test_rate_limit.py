"""The rule of the rate limits, in pure time: a minute's worth at once, then one after another, and nobody else's."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.web.middleware.rate_limit import MINUTE, ClientRate, TotalRate


def ask_all(limit: TotalRate, now: float) -> bool:
    if limit.wait(now):
        return False
    limit.count(now)
    return True


def ask(limit: ClientRate, client: bytes, now: float) -> bool:
    if limit.wait(client, now):
        return False
    limit.count(client, now)
    return True


def asking(per_minute: int, *, each: bool) -> Callable[[float], bool]:
    """One client's requests, at either kind of limit."""
    if each:
        clients = ClientRate(per_minute)
        return lambda now: ask(clients, b"one", now)
    everybody = TotalRate(per_minute)
    return lambda now: ask_all(everybody, now)


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("per_minute", [1, 7, 600, 30_000])
@pytest.mark.parametrize("began", [0.0, 123456.789])
def test_a_minutes_worth_comes_at_once_and_not_one_more(per_minute: int, began: float, *, each: bool) -> None:
    one = asking(per_minute, each=each)
    assert all(one(began) for _ in range(per_minute))
    assert not one(began)


@pytest.mark.parametrize("each", [True, False])
def test_who_is_refused_is_let_through_when_the_wait_is_over_and_not_before(*, each: bool) -> None:
    one = asking(60, each=each)
    assert all(one(10.0) for _ in range(60))
    assert not one(10.9)
    assert one(11.0 + 1e-3)
    assert not one(11.1)


def test_the_wait_that_is_told_is_the_wait_there_is() -> None:
    limit = TotalRate(60)
    for _ in range(60):
        limit.count(0.0)
    assert limit.wait(0.0) == pytest.approx(1.0)
    assert limit.wait(0.75) == pytest.approx(0.25)
    assert limit.wait(1.0) == 0


def test_whoever_goes_on_asking_gets_the_rate_and_no_less() -> None:
    limit = ClientRate(600)
    for _ in range(600):
        limit.count(b"flood", 0.0)
    let_through = sum(ask(limit, b"flood", tick / 100) for tick in range(60 * 100))
    assert let_through == pytest.approx(600, abs=2)


@given(
    st.integers(1, 50),
    st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=200),
)
def test_no_minute_holds_more_than_two_minutes_worth(per_minute: int, pauses: list[float]) -> None:
    limit, now, passed = TotalRate(per_minute), 0.0, []
    for pause in pauses:
        now += pause
        if ask_all(limit, now):
            passed.append(now)
    for begin in passed:
        assert sum(begin <= at < begin + MINUTE for at in passed) <= 2 * per_minute


def test_one_client_that_floods_costs_another_nothing() -> None:
    limit = ClientRate(5)
    assert [ask(limit, b"flood", 0.0) for _ in range(100)].count(True) == 5
    assert all(ask(limit, b"honest", 0.0) for _ in range(5))


def test_no_number_of_other_clients_lets_one_start_afresh() -> None:
    """A table that dropped entries would be emptied by a flood of addresses, and the flood's own count with it."""
    limit = ClientRate(5)
    while ask(limit, b"flood", 0.0):
        pass
    for number in range(100_000):
        ask(limit, number.to_bytes(8, "big"), 0.0)
    assert not ask(limit, b"flood", 0.0)


def test_the_table_is_as_large_after_a_flood_as_before() -> None:
    limit = ClientRate(5)
    before = len(limit._paid_until)
    for number in range(10_000):
        ask(limit, number.to_bytes(8, "big"), 0.0)
    assert len(limit._paid_until) == before == limit.ROWS * limit.CELLS


def test_addresses_without_end_fill_no_more_of_the_table_than_the_rate_for_all_lets_through() -> None:
    """The defaults' proportions, 1 to 50: everybody's rate is used up by thousands of clients, and the rest pass."""
    limit, everybody = ClientRate(20), TotalRate(1000)
    chance = random.Random(7)
    clients = [chance.randbytes(8) for _ in range(60)]
    for tick in range(200):
        now = tick * 0.5
        for client in clients:
            for _ in range(30):
                if not limit.wait(client, now) and not everybody.wait(now):
                    limit.count(client, now)
                    everybody.count(now)
    strangers = [chance.randbytes(8) for _ in range(2000)]
    assert all(limit.wait(stranger, 100.0) == 0 for stranger in strangers)


def test_nought_limits_nothing() -> None:
    assert all(ask_all(TotalRate(0), 0.0) for _ in range(10))
    limit = ClientRate(0)
    assert all(ask(limit, b"one", 0.0) for _ in range(1000))


def test_which_cells_a_client_has_is_another_secret_in_every_process() -> None:
    assert ClientRate(5)._cells(b"one") != ClientRate(5)._cells(b"one")
