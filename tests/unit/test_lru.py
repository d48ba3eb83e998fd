from typing import TypeAlias

from bff.lru import LruCache

Sized: TypeAlias = tuple[int, int]  # a value, and its bytes


def size_of(_: str, value: Sized) -> int:
    return value[1]


def test_the_least_recently_used_is_removed_first() -> None:
    cache: LruCache[str, Sized] = LruCache(30, size_of)
    for number, key in enumerate("abc"):
        cache.put(key, (number, 10))
    assert cache.get("a") == (0, 10)
    cache.put("d", (3, 10))
    assert [cache.get(key) for key in "abcd"] == [(0, 10), None, (2, 10), (3, 10)]
    cache.put("e", (4, 20))  # as large as two
    assert [cache.get(key) for key in "acde"] == [None, None, (3, 10), (4, 20)]
    assert (len(cache), cache.size) == (2, 30)


def test_replaced_and_removed_entries_take_no_room() -> None:
    cache: LruCache[str, Sized] = LruCache(30, size_of)
    for number in range(5):
        cache.put("a", (number, 10))
    cache.put("b", (0, 10))
    cache.remove("a")
    cache.remove("a")
    assert (cache.get("a"), cache.get("b"), cache.size) == (None, (0, 10), 10)
    cache.clear()
    assert (cache.get("b"), len(cache), cache.size) == (None, 0, 0)


def test_what_is_larger_than_the_limit_is_not_kept_and_displaces_nothing() -> None:
    cache: LruCache[str, Sized] = LruCache(30, size_of)
    cache.put("a", (1, 10))
    cache.put("b", (2, 31))
    assert (cache.get("a"), cache.get("b")) == ((1, 10), None)
    cache.put("a", (3, 31))
    assert (cache.get("a"), cache.size) == (None, 0)
    nothing: LruCache[str, Sized] = LruCache(0, size_of)
    nothing.put("a", (1, 1))
    assert nothing.get("a") is None
