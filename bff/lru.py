"""A cache with a limit in bytes: what was used least recently is removed first."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """The sizes are the caller's: the bytes of memory that an entry takes."""

    def __init__(self, limit: int) -> None:
        """At most `limit` bytes; 0 keeps nothing."""
        self._limit, self._size = limit, 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return self._size

    def get(self, key: K) -> V | None:
        """The value, which counts as used; None without one."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Adds or replaces an entry of `size` bytes. One that is larger than the limit is not kept."""
        self.remove(key)
        if size > self._limit:
            return
        self._entries[key] = value, size
        self._size += size
        while self._size > self._limit:
            _, (_, removed) = self._entries.popitem(last=False)
            self._size -= removed

    def remove(self, key: K) -> None:
        """Does nothing without an entry."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= entry[1]

    def clear(self) -> None:
        self._entries.clear()
        self._size = 0
