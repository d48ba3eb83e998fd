"""The record: what is read back, what is carried along for a newer version, and what is no record at all."""

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing, Opened, new_key
from bff.session.session import Session, Tokens, User
from bff.session.store import KeyRemoved, Missing
from bff.storage import codec, index
from tests.harness.example_session import a_session


def plaintext_of(ring: KeyRing, session: Session) -> dict[str, Any]:
    opened = ring.open(codec.PURPOSE, codec.encode(ring, session).record, session.key.encode())
    assert isinstance(opened, Opened)
    content = json.loads(opened.plaintext)
    assert isinstance(content, dict)
    return content


def sealed(ring: KeyRing, session: Session, content: object) -> bytes:
    return ring.seal(codec.PURPOSE, json.dumps(content).encode(), session.key.encode())


def test_every_field_is_read_back(ring: KeyRing) -> None:
    session = a_session(1.5)
    assert codec.decode(ring, session.key, 1, codec.encode(ring, session).record) == session


@pytest.mark.case("RF-066")
def test_an_older_replica_carries_a_newer_ones_fields_through_its_own_write(ring: KeyRing) -> None:
    session = a_session()
    content = plaintext_of(ring, session)
    content["device"] = {"trust": 3}
    content["tokens"]["dpop_key"] = "secret"
    content["attempt"]["invented"] = "api://x"
    read = codec.decode(ring, session.key, 1, sealed(ring, session, content))
    assert read is not None
    assert replace(read, extra={}) == session
    assert "secret" not in repr(read)
    refreshed = replace(read, version=2, tokens=Tokens("new", 1, 2, 3), attempt=None)
    written = plaintext_of(ring, refreshed)
    assert written["device"] == {"trust": 3}
    assert written["tokens"]["dpop_key"] == "secret"
    assert written["tokens"]["access_token"] == "new"
    assert written["attempt"] is None


def test_a_record_of_an_older_version_lacks_what_is_optional(ring: KeyRing) -> None:
    session = a_session(acr=None, concurrent_successor=None)
    content = plaintext_of(ring, session)
    del content["acr"], content["concurrent_successor"], content["tokens"]["scope"]
    read = codec.decode(ring, session.key, 1, sealed(ring, session, content))
    assert read == replace(session, tokens=replace(session.tokens, scope=""))


@pytest.mark.case("ST-019")
@pytest.mark.parametrize("schema", [0, 2, "1", None, [1]])
def test_another_schema_is_no_record(ring: KeyRing, schema: object) -> None:
    session = a_session()
    content = plaintext_of(ring, session) | {"schema": schema}
    assert codec.decode(ring, session.key, 1, sealed(ring, session, content)) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("user",), None), (("user",), "me"), (("user", "sub"), 7), (("user", "claims"), []), (("tokens",), {}),
        (("tokens", "access_token"), None), (("tokens", "usable_until"), "1"), (("ends_at",), True), (("key",), "x"),
        (("version",), 1.0), (("version",), 2), (("attempt",), []), (("attempt", "tries"), None), (("sid",), 5),
    ],
)  # fmt: skip
def test_a_foreign_shape_is_no_record(ring: KeyRing, path: tuple[str, ...], value: object) -> None:
    session = a_session()
    content = plaintext_of(ring, session)
    part = content
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    assert codec.decode(ring, session.key, 1, sealed(ring, session, content)) is None


@pytest.mark.case("ST-020")
def test_poison_is_no_record(ring: KeyRing) -> None:
    session, other = a_session(), a_session()
    record = codec.encode(ring, session).record
    poison = [
        b"",
        pickle.dumps(session.user.claims),
        json.dumps(plaintext_of(ring, session)).encode(),
        record[:-1],
        record[:-1] + bytes([record[-1] ^ 1]),
        record + b"\0" * codec.RECORD_LIMIT,
        ring.seal("something else", b"{}", session.key.encode()),
        ring.seal(codec.PURPOSE, b"[" * 60_000, session.key.encode()),
        ring.seal(codec.PURPOSE, b"\xff", session.key.encode()),
        ring.seal(codec.PURPOSE, b"[]", session.key.encode()),
        codec.encode(ring, other).record,
    ]
    assert [codec.decode(ring, session.key, 1, each) for each in poison] == [None] * len(poison)


def test_a_record_of_an_earlier_version_put_back_is_no_record(ring: KeyRing) -> None:
    session = a_session()
    assert codec.decode(ring, session.key, 2, codec.encode(ring, session).record) is None


def test_what_is_too_large_is_refused_before_it_is_written(ring: KeyRing) -> None:
    session = a_session()
    space = codec.RECORD_LIMIT - 64 - len(json.dumps(plaintext_of(ring, session), separators=(",", ":")))
    grown = {"extra": {"x": "y" * (space - len(',"x":""'))}}
    largest = codec.encode(ring, a_session_like(session, **grown)).record
    assert len(largest) <= codec.RECORD_LIMIT
    with pytest.raises(StoreUnavailable):
        codec.encode(ring, a_session_like(session, extra={"x": "y" * space}))


def test_tokens_by_audience_give_way_to_what_a_refresh_brings(ring: KeyRing) -> None:
    entries = {str(number): {"access_token": "t" * 7000, "requested_at": float(number)} for number in range(3)}
    session = a_session_like(a_session(), audience_tokens=entries)
    assert (kept := codec.decode(ring, session.key, 1, codec.encode(ring, session).record)) is not None
    assert kept.audience_tokens == entries
    grown = replace(session, tokens=replace(session.tokens, id_token="i" * 55_000))
    after = codec.decode(ring, session.key, 1, codec.encode(ring, grown).record)
    assert after is not None
    assert (after.tokens, list(after.audience_tokens or {})) == (grown.tokens, ["2"])
    full = replace(grown, tokens=replace(grown.tokens, id_token="i" * 60_000))
    after = codec.decode(ring, session.key, 1, codec.encode(ring, full).record)
    assert after is not None
    assert (after.tokens, after.audience_tokens) == (full.tokens, None)


def a_session_like(session: Session, **changes: Any) -> Session:
    return replace(session, **changes)


def test_the_indexed_values_are_those_of_the_whole_record(ring: KeyRing) -> None:
    for session in (a_session(), replace(a_session(), user=User("00u", None), sid=None, browser=None)):
        record = codec.encode(ring, session).record
        values = {name: value for name in index.INDEX_NAMES if (value := index.indexed_value(session, name))}
        indexed = codec.read_indexed(ring, session.key, 1, record)
        assert isinstance(indexed, list)
        assert {**dict(indexed), "id": session.fingerprint} == values


@pytest.mark.parametrize("changed", [{"schema": 2}, {"version": 2}, {"key": "other"}, {"user": None}, {"user": {}}])
def test_what_is_no_record_has_no_indexed_values(ring: KeyRing, changed: dict[str, object]) -> None:
    session = a_session()
    content = plaintext_of(ring, session) | changed
    assert isinstance(codec.read_indexed(ring, session.key, 1, sealed(ring, session, content)), Missing)
    assert isinstance(codec.read_indexed(ring, session.key, 1, b"no record"), Missing)
    assert isinstance(codec.read_indexed(ring, session.key, 1, sealed(ring, session, [])), Missing)


def test_a_record_under_a_removed_key_has_no_indexed_values(ring: KeyRing) -> None:
    session = a_session()
    record = codec.encode(KeyRing.from_keys([new_key()]), session).record
    assert isinstance(codec.read_indexed(ring, session.key, 1, record), KeyRemoved)
