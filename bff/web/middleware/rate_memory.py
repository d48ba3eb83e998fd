"""The memory of the rate limits: of one process, or shared by the workers of a machine."""

import secrets
from collections.abc import MutableSequence
from typing import Final, cast

_SECRET: Final = 16  # bytes
NUMBERS: Final = 330_000  # a little more than the rates of all endpoints need
SIZE: Final = _SECRET + 8 * NUMBERS  # bytes


def new_memory() -> bytes:
    """The content at first: a random secret, and zeros."""
    return secrets.token_bytes(_SECRET) + bytes(SIZE - _SECRET)


class RateMemory:
    """Numbers of `SIZE` bytes in all. Those that workers share are times of the monotonic clock, which they share too.

    Workers read and write without a lock: a number is written as a whole, and two workers that count the same client
    within the same microseconds may count one request. A lock would stop them all when its holder is stopped.
    """

    def __init__(self, shared: memoryview | None = None) -> None:
        """`shared` began with the content of `new_memory`; without it the memory is this process's own."""
        memory = memoryview(bytearray(new_memory())) if shared is None else shared
        self.secret = bytes(memory[:_SECRET])
        self._numbers, self._taken = memory[_SECRET:].cast("d"), 0

    def take(self, count: int) -> MutableSequence[float]:
        """The next `count` numbers: each worker takes the same ones in the same order. Raises ValueError at the end."""
        first, self._taken = self._taken, self._taken + count
        if self._taken > NUMBERS:
            raise ValueError("the memory of the rate limits is too small")
        return cast("MutableSequence[float]", self._numbers[first : self._taken])
