"""A cache with a limit in bytes: what was used least recently is removed first."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """The sizes are the caller's: the bytes of memory that an entry takes."""

    def __init__(self, limit: int, size_of: Callable[[K, V], int]) -> None:
        """At most `limit` bytes; 0 keeps nothing. `size_of` an entry never changes while the entry is here."""
        self._limit, self._size, self._size_of = limit, 0, size_of
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return self._size

    def get(self, key: K) -> V | None:
        """The value, which counts as used; None without one."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Adds or replaces an entry. One that is larger than the limit is not kept."""
        self.remove(key)
        size = self._size_of(key, value)
        if size > self._limit:
            return
        self._entries[key] = value
        self._size += size
        while self._size > self._limit:
            self._size -= self._size_of(*self._entries.popitem(last=False))

    def remove(self, key: K) -> None:
        """Does nothing without an entry."""
        value = self._entries.pop(key, None)
        if value is not None:
            self._size -= self._size_of(key, value)

    def clear(self) -> None:
        self._entries.clear()
        self._size = 0
