"""A record that comes back as it came before is not opened again; any other one is, and nothing is believed longer."""

import gc
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from bff.errors import StoreUnavailable
from bff.session.device_binding import DeviceBinding
from bff.session.keyring import KeyRing, Opened, Unreadable, new_key
from bff.session.session import Session, Tokens, User
from bff.session.session_view import SessionView, TokensView
from bff.session.stored import Found, KeyRemoved, StoredSession
from bff.storage import codec
from bff.storage.decoded_records import DecodedRecords
from bff.storage.opened_record import OpenedRecord
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


def what_requests_use(view: SessionView) -> dict[str, Any]:
    """Every field of the protocol, and of its tokens."""
    fields_of = {
        name: getattr(view, name) for name in vars(SessionView) if isinstance(vars(SessionView)[name], property)
    }
    tokens = fields_of.pop("tokens")
    return fields_of | {
        name: getattr(tokens, name) for name in vars(TokensView) if isinstance(vars(TokensView)[name], property)
    }


def known(records: DecodedRecords, session: Session) -> OpenedRecord:
    opened = records.known(session.key)
    assert opened is not None
    return opened


def memory_of(ring: KeyRing, session: Session, record: bytes) -> int:
    records = DecodedRecords(ring)
    reading(records, session, record)
    return known(records, session).memory()


def test_the_same_bytes_are_opened_once_and_dated_each_time(ring: KeyRing, opened: list[bytes]) -> None:
    records, session = DecodedRecords(ring), a_session()
    record = codec.encode(ring, session).record
    for now, seen in ((1.0, 2.0), (5.0, 6.0)):
        read = reading(records, session, bytes(record), now, seen)
        assert isinstance(read, Found)
        assert (read.now, read.last_seen_at, read.older_key) == (now, seen, False)
        assert what_requests_use(read.view) == what_requests_use(session)
    assert len(opened) == 1
    assert read == Found(5.0, session, 6.0)
    assert (read.session, len(opened)) == (session, 2), "all of it, which is opened once more and then kept"


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
    room = max(memory_of(ring, session, record) for session, record in zip(sessions, sealed, strict=True))
    records = DecodedRecords(ring, (3 * room + 100) * 8 // 7)

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
def test_the_memory_of_an_entry_is_estimated_well(token: int, claims: dict[str, Any]) -> None:
    ring = KeyRing.from_keys([new_key()])

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
            reading(records, session, record)
            estimated += known(records, session).memory()
        del session, record
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.7 < estimated / taken < 1.4, (estimated / count, taken / count)


def full(**changes: Any) -> Session:
    """A session in which every field has a value of its own."""
    claims = {"sub": "other", "name": "Zo\u00eb \ud800", "groups": ["a", {"b": None}], "age": 7, "ok": True}
    fields_of: dict[str, Any] = {
        "user": User("00u1", "a@example.com", claims),
        "dpop_key": "key",
        "provider_session": "102",
        "resources": ["https://api.example.com"],
        "audience_tokens": {"0123456789abcdef": {"access_token": "t", "usable_until": 5.0}},
        "step_up_required_at": 9.5,
        "device_binding": DeviceBinding({"kty": "EC"}, "ES256", "thumbprint", 7.0, 8.0),
    }
    return a_session(**fields_of | changes)


@pytest.mark.parametrize(
    "session",
    [
        full(),
        full(user=User("00u1", "a@example.com", {"sub": "00u1", "email": "a@example.com"})),
        full(user=User("00u1", None, {"email": None, "sub": True})),
        full(attempt=None, concurrent_successor=None, sid=None, browser=None, auth_time=None, acr=None, amr=None),
        full(tokens=Tokens("access", 1.5, 1.25, 1.0)),
    ],
)
def test_a_view_has_the_fields_of_its_session_packed_or_not(ring: KeyRing, session: Session) -> None:
    records = DecodedRecords(ring)
    reading(records, session, codec.encode(ring, session).record)
    view = known(records, session)
    wanted = what_requests_use(session)
    assert what_requests_use(view) == wanted
    view.pack()
    assert what_requests_use(view) == wanted
    assert view.claim("name") == session.claim("name")


def test_no_token_but_the_access_token_stays_in_memory(ring: KeyRing) -> None:
    records, session = DecodedRecords(ring), a_session(attempt=None, concurrent_successor=None, sid=None)
    reading(records, session, codec.encode(ring, session).record)
    view = known(records, session)
    kept = str(gc.get_referents(view) + gc.get_referents(view.tokens))
    assert session.tokens.access_token in kept
    for secret in (session.tokens.refresh_token, session.tokens.id_token):
        assert secret is not None
        assert secret not in kept


def test_a_record_whose_key_is_removed_between_the_read_and_its_use_is_read_again() -> None:
    old, session = new_key(), a_session()
    ring = KeyRing.from_keys([old])
    records, record = DecodedRecords(ring), codec.encode(ring, session).record
    reading(records, session, record)
    read = reading(records, session, record)
    assert isinstance(read, Found)
    ring.replace_keys([new_key()])
    with pytest.raises(StoreUnavailable):
        _ = read.session
    assert read.view.tokens.access_token == session.tokens.access_token
    assert reading(records, session, record) == KeyRemoved(1.0)


def test_what_was_changed_in_the_store_is_never_used(ring: KeyRing) -> None:
    """The tag is that of the record that was opened: other bytes before it change nothing, and are never opened."""
    records, session = DecodedRecords(ring), a_session()
    record = codec.encode(ring, session).record
    changed = record[:40] + bytes([record[40] ^ 1]) + record[41:]
    assert session_of(reading(records, session, changed)) is None
    reading(records, session, record)
    read = reading(records, session, changed)
    assert isinstance(read, Found)
    assert what_requests_use(read.view) == what_requests_use(session)
    with pytest.raises(StoreUnavailable):
        _ = read.session
    assert session_of(reading(records, session, changed)) is None
    for end in range(1, 17):
        reading(records, session, record)
        forged = record[:-end] + bytes([record[-end] ^ 1]) + record[len(record) - end + 1 :]
        assert session_of(reading(records, session, forged)) is None


def test_few_records_are_unpacked_at_a_time(ring: KeyRing) -> None:
    records, sessions = DecodedRecords(ring, 80_000), [a_session() for _ in range(12)]
    for session in sessions:
        reading(records, session, codec.encode(ring, session).record)
        assert known(records, session).user == session.user
    unpacked = [known(records, session)._facts is not None for session in sessions]
    assert unpacked[-1]
    assert not unpacked[0]
    assert 1 < sum(unpacked) < 8
