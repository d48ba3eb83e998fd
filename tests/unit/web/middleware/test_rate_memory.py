"""The memory of the rate limits, which the workers of a machine share."""

import mmap

import pytest

from bff.config.settings import load_settings
from bff.web.middleware.rate_limit import RateLimits
from bff.web.middleware.rate_memory import NUMBERS, SIZE, RateMemory, new_memory
from tests.harness.settings import with_changes


def shared() -> memoryview:
    memory = mmap.mmap(-1, SIZE)
    memory.write(new_memory())
    return memoryview(memory)


def test_two_workers_count_in_one_memory() -> None:
    settings, memory = load_settings(with_changes(sign_in_rate_per_client="3", sign_in_rate="5")), shared()
    workers = [RateLimits(settings, lambda: 0.0, RateMemory(memory)) for _ in range(2)]
    refused = [
        workers[number % 2].check("sign_in", session=None, client=b"client", site=None) is not None
        for number in range(5)
    ]
    assert refused == [False] * 3 + [True] * 2, "the rate of a client"
    others = [workers[number % 2].check("sign_in", session=None, client=None, site=None) for number in range(3)]
    assert [other is not None for other in others] == [False, False, True], "the total rate"


def test_processes_that_share_nothing_count_apart_and_hash_apart() -> None:
    one, other = RateMemory(), RateMemory()
    one.take(1)[0] = 1.0
    assert other.take(1)[0] == 0.0
    assert one.secret != other.secret


def test_no_more_numbers_are_taken_than_there_are() -> None:
    memory = RateMemory()
    memory.take(NUMBERS)
    with pytest.raises(ValueError, match="too small"):
        memory.take(1)
