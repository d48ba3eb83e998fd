"""A record that comes back as it came before is not opened again; any other one is, and nothing is believed longer."""

from dataclasses import replace

import pytest

from bff.session.keyring import KeyRing, Opened, Unreadable, new_key
from bff.session.session import Session
from bff.session.store import Found, KeyRemoved, StoredSession
from bff.storage import codec
from bff.storage.decoded_records import DecodedRecords
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


def test_no_more_is_kept_than_allowed_and_nothing_of_a_deleted_record(ring: KeyRing, opened: list[bytes]) -> None:
    sessions = [a_session() for _ in range(4)]
    sealed = {each.key: codec.encode(ring, each).record for each in sessions}
    records = DecodedRecords(ring, bytes_kept=3 * max(len(each) for each in sealed.values()))
    for each in sessions:
        reading(records, each, sealed[each.key])
    for each in reversed(sessions):
        reading(records, each, sealed[each.key])
    assert opened.count(sealed[sessions[0].key]) == 2, "the oldest was let go of"
    assert len(opened) == 5
    records.forget(sessions[0].key)
    reading(records, sessions[0], sealed[sessions[0].key])
    assert len(opened) == 6
