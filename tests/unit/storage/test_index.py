"""Stored names: keyed hashes of a fixed form, found under every key of the ring."""

import pytest

from bff.session.keyring import KeyRing, new_key
from bff.session.session import EndReason, User
from bff.session.store import IndexName
from bff.storage import index
from tests.harness.example_session import a_session

OLD, NEW = new_key(), new_key()
BEFORE, DURING, AFTER = (KeyRing.from_keys(keys) for keys in ([OLD], [OLD, NEW], [NEW, OLD]))


@pytest.mark.parametrize("name", ["", "k", "k" * 42, "k" * 44, "k" * 42 + "\n", "é" * 43, "{" * 43, "\ud800"])
def test_every_name_gets_the_form_of_a_session_key(name: str) -> None:
    assert not index.is_session_key(name)
    assert index.is_session_key(index.end_reason_name(name))
    assert index.is_session_key(index.value_name(name))
    assert all(index.is_session_key(hashed) for hashed in index.hashes(AFTER, "sub", name))


def test_a_session_key_names_its_end_reason_itself() -> None:
    key = a_session().key
    assert index.is_session_key(key)
    assert index.end_reason_name(key) == key


def test_names_are_written_under_the_newest_key_and_found_under_all() -> None:
    written = index.hashes(BEFORE, "sub", "alice")[0]
    assert written in index.hashes(DURING, "sub", "alice")
    assert written == index.hashes(AFTER, "sub", "alice")[1]
    assert written not in index.hashes(KeyRing.from_keys([NEW]), "sub", "alice")
    assert written not in index.hashes(BEFORE, "sid", "alice")


def test_replicas_one_rotation_step_apart_share_a_marker_and_claim_in_one_order() -> None:
    assert set(index.marker_names(BEFORE, "m")) & set(index.marker_names(DURING, "m"))
    assert index.claim_names(DURING, "c") == index.claim_names(AFTER, "c")
    assert len(index.claim_names(AFTER, "c")) == 2


def test_addresses_are_compared_without_case_and_nothing_else_is() -> None:
    session = a_session(user=User("Sub", "A@Example.com"), sid="Sid")
    asked: list[tuple[IndexName, str, bool]] = [
        ("email", "a@EXAMPLE.com", True),
        ("sub", "sub", False),
        ("sid", "Sid", True),
        ("browser", "another", False),
        ("id", session.fingerprint, True),
    ]
    for name, value, found in asked:
        assert index.has_value(session, name, value) is found
        entries = index.entries(BEFORE, session)
        assert any(each in entries for each in [(name, index.hashes(BEFORE, name, value)[0])]) is found


def test_values_that_are_missing_have_no_entry() -> None:
    bare = a_session(user=User("sub"), sid=None, browser=None)
    assert [name for name, _ in index.entries(BEFORE, bare)] == ["sub", "id"]
    assert not index.has_value(bare, "sid", "")


def test_a_reason_of_a_newer_version_counts_as_none() -> None:
    assert index.end_reason("idle_timeout") is EndReason.IDLE_TIMEOUT
    assert index.end_reason("of a newer version") is None
