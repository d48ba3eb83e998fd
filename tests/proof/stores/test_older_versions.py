"""An older and a newer version of this software on one store: sessions survive the way up and the way down."""

import dataclasses
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bff.session.keyring import KeyRing, Opened, new_key
from bff.session.session import EndReason, Session
from bff.storage import codec
from bff.storage.open import open_store
from tests.harness.example_session import a_session, created, next_version, session_of

# What the first release's records did not have.
LATER = ("sign_in_began_at", "client", "address")


def plaintext(ring: KeyRing, session: Session) -> dict[str, Any]:
    opened = ring.open(codec.PURPOSE, codec.encode(ring, session).record, session.key.encode())
    assert isinstance(opened, Opened)
    return dict(json.loads(opened.plaintext))


def sealed(ring: KeyRing, session: Session, content: dict[str, Any]) -> bytes:
    return ring.seal(codec.PURPOSE, json.dumps(content).encode(), session.key.encode())


@pytest.mark.case("OP-017")
def test_a_record_of_the_older_version_is_read() -> None:
    ring, session = KeyRing.from_keys([new_key()]), a_session(1.0)
    content = plaintext(ring, session)
    for name in LATER:
        del content[name]
    assert codec.decode(ring, session.key, 1, sealed(ring, session, content)) == session
    assert session.sign_in_began_by(1.0), "an order of that moment means it, though it doesn't say when it began"


@pytest.mark.case("OP-017")
def test_the_older_version_hands_on_what_it_does_not_know() -> None:
    """A record of a newer version, read and written here: nothing of it is lost."""
    ring, session = KeyRing.from_keys([new_key()]), a_session(1.0, client="Firefox on Linux")
    content = plaintext(ring, session) | {"a_later_field": {"x": [1]}}
    content["tokens"]["dpop_jkt"] = "thumbprint"
    read = codec.decode(ring, session.key, 1, sealed(ring, session, content))
    assert read is not None
    written = plaintext(ring, dataclasses.replace(next_version(read), acr="another"))
    assert written["a_later_field"] == {"x": [1]}
    assert written["tokens"]["dpop_jkt"] == "thumbprint"
    assert written["client"] == "Firefox on Linux"


@pytest.mark.case("OP-017")
async def test_a_database_of_the_older_version_is_opened_and_left_usable_for_it(tmp_path: Path) -> None:
    path, ring = tmp_path / "bff.db", KeyRing.from_keys([new_key()])
    store = open_store(f"sqlite:///{path}", ring)
    session = await created(store)
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE marker")  # as the first release had made it
    connection.execute("CREATE INDEX session_index_key ON session_index (key)")
    version = connection.execute("PRAGMA user_version").fetchall()
    connection.close()
    store = open_store(f"sqlite:///{path}", ring)
    now = await store.now()
    assert session_of(await store.get(session.key)) == session
    await store.put_marker("sub", now, now + 60)
    assert await store.get_marker("sub") == pytest.approx(now)
    await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchall() == version
    indexes = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()}
    assert "one_time_value_until" in indexes
    assert "session_index_key" not in indexes, "every deletion of an entry would write a page of it"
    connection.close()


@pytest.mark.case("OP-017")
async def test_a_reason_of_a_newer_version_is_no_reason_and_no_error(tmp_path: Path) -> None:
    path, ring = tmp_path / "bff.db", KeyRing.from_keys([new_key()])
    store = open_store(f"sqlite:///{path}", ring)
    session = await created(store)
    await store.delete(session.key, EndReason.OPERATOR)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE end_reason SET reason = 'struck_by_lightning'")
    connection.commit()
    connection.close()
    assert await store.get_end_reason(session.key) is None
    assert await store.take_end_reason(session.key) is None
    await store.close()
