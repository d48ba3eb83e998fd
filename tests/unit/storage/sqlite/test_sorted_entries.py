"""Index entries come back in the order of the index, each once."""

import random

from bff.session.keyring import new_session_id
from bff.storage.sqlite.sorted_entries import SortedEntries


def test_entries_come_back_sorted_in_lists_of_a_size() -> None:
    entries = [
        (random.choice(["sub", "sid", "browser"]), new_session_id().key, new_session_id().key) for _ in range(500)
    ]
    entries += [(name, hashed, new_session_id().key) for name, hashed, _ in entries[:20]]
    collected = SortedEntries()
    for entry in entries:
        collected.add(*entry)
    taken = list(collected.take(100))
    assert [len(some) for some in taken] == [100] * 5 + [20]
    assert [entry for some in taken for entry in some] == sorted(entries)
    assert list(collected.take(100)) == [], "what was taken is forgotten"
