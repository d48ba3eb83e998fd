"""`bff sessions` and `bff keys rewrap` over a real store: who is signed in, told without a name, and signed out."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from bff.base64url import decode_base64url
from bff.session.keyring import KeyRing
from bff.session.session import EndReason, Session
from bff.session.store import Found, KeyRemoved
from bff.storage.open import open_store
from tests.harness.bff_command import bff
from tests.harness.example_session import a_session, session_of
from tests.harness.settings import KEY, OLD_KEY, with_changes

Bff = Callable[..., CompletedProcess[str]]


def key(text: str) -> bytes:
    found = decode_base64url(text)
    assert found is not None
    return found


class Store:
    """The file that the command is told of, and what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder / 'bff.db'}"

    def keep(self, *sessions: Session, keys: tuple[str, ...] = (KEY,)) -> None:
        async def create() -> None:
            store = open_store(self.url, KeyRing.from_keys([key(each) for each in keys]))
            for session in sessions:
                await store.create(session)
            await store.close()

        asyncio.run(create())

    def readings(self, *keys: str) -> list[Found | KeyRemoved]:
        async def read() -> list[Found | KeyRemoved]:
            store = open_store(self.url, KeyRing.from_keys([key(each) for each in keys or (KEY,)]))
            found = [reading async for reading in store.all()]
            await store.close()
            return found

        return asyncio.run(read())

    def reason(self, session: Session) -> EndReason | None:
        async def peek() -> EndReason | None:
            store = open_store(self.url, KeyRing.from_keys([key(KEY)]))
            found = await store.get_end_reason(session.key)
            await store.close()
            return found

        return asyncio.run(peek())

    def bff(self, *arguments: str, **changes: Any) -> CompletedProcess[str]:
        # Nothing listens there: what is ended is ended without the provider.
        environ = with_changes(store=self.url, issuer="http://127.0.0.1:9/oauth2/default", **changes)
        return bff(*arguments, environ=environ, cwd=self.folder)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def now() -> float:
    import time

    return time.time()


def somebody(**changes: Any) -> Session:
    return a_session(now(), issuer="http://127.0.0.1:9/oauth2/default", **changes)


def test_the_list_names_nobody_and_opens_nothing(store: Store) -> None:
    first, second = somebody(client="Firefox on Linux", address="203.0.113.0/24"), somebody()
    store.keep(first, second)
    done = store.bff("sessions", "list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines[:2]} == {first.fingerprint, second.fingerprint}
    assert "Firefox on Linux  203.0.113.0/24" in done.stdout
    assert lines[2] == "2 sessions"
    shown = store.bff("sessions", "show", "--all")
    assert "refresh token: yes" in shown.stdout
    for text in (done.stdout, done.stderr, shown.stdout, shown.stderr):
        assert "canary" not in text.lower()
        assert first.key not in text
        assert hashlib.sha256(b"handle:" + first.key.encode()).hexdigest()[:20] not in text


@pytest.mark.parametrize("by", ["sub", "email", "sid", "id"])
def test_the_sessions_of_one_are_ended_with_a_reason_and_no_other(store: Store, by: str) -> None:
    mine, another = somebody(), somebody()
    store.keep(mine, another)
    values = {"sub": mine.user.sub, "email": str(mine.user.email).upper(), "sid": mine.sid, "id": mine.fingerprint}
    done = store.bff("sessions", "end", f"--{by}", str(values[by]), "--reason", "left the\ncompany")
    assert (done.returncode, done.stdout) == (0, "1 session ended\n"), done.stderr
    assert [session_of(reading) for reading in store.readings()] == [another]
    assert store.reason(mine) is EndReason.OPERATOR
    assert "left the\\ncompany" in done.stderr or "left the\\\\ncompany" in done.stderr
    assert "canary" not in done.stderr.lower()


def test_all_means_all(store: Store) -> None:
    store.keep(*(somebody() for _ in range(60)))
    assert store.bff("sessions", "end", "--all").stdout == "60 sessions ended\n"
    assert store.readings() == []
    assert store.bff("sessions", "list").stdout == "0 sessions\n"


@pytest.mark.parametrize("arguments", [("end",), ("show",), ("end", "--sub", "a", "--all"), ("burn",)])
def test_ending_needs_a_choice_and_only_one(store: Store, arguments: tuple[str, ...]) -> None:
    store.keep(somebody())
    assert store.bff("sessions", *arguments).returncode == 2
    assert len(store.readings()) == 1


def test_rewrapping_leaves_nothing_under_the_old_key(store: Store) -> None:
    store.keep(*(somebody() for _ in range(5)), keys=(OLD_KEY,))
    store.keep(somebody(), keys=(KEY, OLD_KEY))
    done = store.bff("keys", "rewrap", session_keys=f"{KEY} {OLD_KEY}")
    assert done.stdout == "5 records re-encrypted, 1 already under the newest key\n", done.stderr
    assert all(isinstance(reading, Found) for reading in store.readings(KEY))
    again = store.bff("keys", "rewrap", session_keys=f"{KEY} {OLD_KEY}")
    assert again.stdout == "0 records re-encrypted, 6 already under the newest key\n"


def test_records_of_a_removed_key_are_counted_and_kept(store: Store) -> None:
    store.keep(somebody(), keys=(OLD_KEY,))
    assert "1 record encrypted under a key that is not in the ring" in store.bff("keys", "rewrap").stdout
    assert store.bff("sessions", "list").stdout == "0 sessions, 1 encrypted under a key that is not in the ring\n"
    assert len([reading for reading in store.readings(OLD_KEY) if isinstance(reading, Found)]) == 1


def test_a_store_that_is_away_is_told_by_the_exit_code(store: Store) -> None:
    environ = with_changes(store="redis://127.0.0.1:1")
    done = bff("sessions", "list", environ=environ, cwd=store.folder)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Redis is unavailable" in done.stderr
