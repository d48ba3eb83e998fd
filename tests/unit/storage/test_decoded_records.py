"""A record that comes back as it came before is not opened again; any other one is, and nothing is believed longer."""

import gc
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from bff.session.keyring import KeyRing, Opened, Unreadable, new_key
from bff.session.session import Session, User
from bff.session.store import Found, KeyRemoved, StoredSession
from bff.storage import codec
from bff.storage.decoded_records import DecodedRecords, memory_of
from bff.telemetry.metrics import REGISTRY
from tests.harness.example_session import a_session, is_under_older_key, next_version, session_of


class CountingRing(KeyRing):
    """Lists what was opened."""

    def open(self, purpose: str, sealed: bytes, context: bytes = b"") -> Opened | Unreadable:
        OPENED.append(sealed)
        return super().open(purpose, sealed, context)


OPENED: list[bytes] = []


@pytest.fixture
def ring() -> KeyRing:
    return CountingRing.from_keys([new_key()])


@pytest.fixture
def opened() -> list[bytes]:
    OPENED.clear()
    return OPENED


def reading(
    records: DecodedRecords, session: Session, record: bytes, now: float = 1.0, seen: float = 2.0
) -> StoredSession:
    return records.read(session.key, session.version, record, now, seen)


def test_the_same_bytes_are_opened_once_and_dated_each_time(ring: KeyRing, opened: list[bytes]) -> None:
    records, session = DecodedRecords(ring), a_session()
    record = codec.encode(ring, session).record
    assert reading(records, session, record) == Found(1.0, session, 2.0)
    assert reading(records, session, bytes(record), 5.0, 6.0) == Found(5.0, session, 6.0)
    assert len(opened) == 1


def test_a_record_that_was_written_anew_is_opened_anew(ring: KeyRing, opened: list[bytes]) -> None:
    records, session = DecodedRecords(ring), a_session()
    later = next_version(session, rotation=2)
    for each in (session, later, session):
        assert session_of(reading(records, each, codec.encode(ring, each).record)) == each
    assert len(opened) == 3


def test_the_version_beside_the_record_is_judged_each_time(ring: KeyRing) -> None:
    records, session = DecodedRecords(ring), a_session()
    record = codec.encode(ring, session).record
    assert session_of(reading(records, session, record)) == session
    assert session_of(reading(records, replace(session, version=2), record)) is None


def test_a_session_is_not_found_under_another_key(ring: KeyRing) -> None:
    records, session, other = DecodedRecords(ring), a_session(), a_session()
    record = codec.encode(ring, session).record
    assert session_of(reading(records, session, record)) == session
    assert session_of(reading(records, other, record)) is None


def test_a_change_of_the_key_ring_is_seen_at_once() -> None:
    old, new = new_key(), new_key()
    ring, session = KeyRing.from_keys([old]), a_session()
    records, record = DecodedRecords(ring), codec.encode(ring, session).record
    assert not is_under_older_key(reading(records, session, record))
    ring.replace_keys([new, old])
    assert is_under_older_key(reading(records, session, record))
    ring.replace_keys([new])
    assert reading(records, session, record) == KeyRemoved(1.0)
    ring.replace_keys([old])
    assert reading(records, session, record) == Found(1.0, session, 2.0)


def test_the_least_recently_read_is_removed_first_and_nothing_stays_of_a_deleted_record(
    ring: KeyRing, opened: list[bytes]
) -> None:
    sessions = [a_session() for _ in range(4)]
    sealed = [codec.encode(ring, session).record for session in sessions]
    room = max(memory_of(record, session) for record, session in zip(sealed, sessions, strict=True))
    records = DecodedRecords(ring, 3 * room)

    def decrypted(number: int) -> bool:
        before = len(opened)
        reading(records, sessions[number], sealed[number])
        return len(opened) > before

    assert [decrypted(number) for number in (0, 1, 2)] == [True, True, True]
    assert [decrypted(number) for number in (0, 3)] == [False, True]
    assert [decrypted(number) for number in (0, 3, 2)] == [False, False, False]
    assert decrypted(1)
    records.forget(sessions[2].key)
    assert decrypted(2)


def test_each_decryption_is_counted(ring: KeyRing) -> None:
    def misses() -> float:
        return REGISTRY.get_sample_value("bff_session_cache_misses_total") or 0.0

    records, session, before = DecodedRecords(ring), a_session(), misses()
    record = codec.encode(ring, session).record
    for _ in range(3):
        reading(records, session, record)
    assert misses() - before == 1


@pytest.mark.parametrize(("token", "claims"), [(900, {}), (5000, {"groups": ["a group of people"] * 300})])
def test_the_memory_of_an_entry_is_estimated_well(ring: KeyRing, token: int, claims: dict[str, Any]) -> None:
    def stored() -> tuple[Session, bytes]:
        session = a_session(user=User("00u1", "somebody@example.com", claims))
        tokens = replace(session.tokens, access_token="x" * token, id_token="y" * token)
        session = replace(session, tokens=tokens)
        return session, codec.encode(ring, session).record

    records, count, estimated = DecodedRecords(ring, 1 << 30), 200, 0
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(count):
            session, record = stored()
            estimated += memory_of(record, session)
            reading(records, session, record)
        del session, record
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.7 < estimated / taken < 1.4, (estimated / count, taken / count)
